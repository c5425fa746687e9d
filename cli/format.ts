/**
 * Rendering numbers and bytes for a terminal.
 *
 * @module
 */

import { isUtf8 } from "node:buffer";
import { format as stdFormatBytes } from "@std/fmt/bytes";
import { format as stdFormatDuration } from "@std/fmt/duration";

/**
 * Renders a number of bytes in units of 1,024.
 *
 * @param bytes How many.
 * @returns For example `5 B` or `1.2 MiB`.
 */
export function formatBytes(bytes: number): string {
  // IEC 80000-13 writes Ki with a capital; the standard library does not.
  return stdFormatBytes(bytes, { binary: true }).replace("kiB", "KiB");
}

/**
 * Renders a TIME as it is given on the command line.
 *
 * @param ms The time in milliseconds.
 * @returns For example `250ms`, `5s` or `1m 4s`.
 */
export function formatTime(ms: number): string {
  return stdFormatDuration(ms, { ignoreZero: true }) || "0s";
}

/**
 * Renders a measured duration, to two or three digits.
 *
 * @param ms The duration in milliseconds.
 * @returns For example `0.31 ms`, `9.02 s` or `1m 4s`.
 */
export function formatDuration(ms: number): string {
  if (ms < 9.95) return `${ms.toFixed(ms < 0.995 ? 2 : 1)} ms`;
  if (ms < 999.5) return `${ms.toFixed(0)} ms`;
  if (ms < 59_995) return `${(ms / 1000).toFixed(2)} s`;
  return formatTime(Math.round(ms / 1000) * 1000);
}

/**
 * Rounds a duration to the microsecond, for JSON.
 *
 * @param ms The duration in milliseconds.
 * @returns It with at most three decimals.
 */
export function roundMs(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

/**
 * Renders a number with its thousands apart.
 *
 * @param number The number.
 * @returns For example `2,000`.
 */
export function formatNumber(number: number): string {
  return number.toLocaleString("en-US");
}

/**
 * Renders a count with its noun.
 *
 * @param count How many.
 * @param noun What, in the singular; its plural takes an `s`.
 * @returns For example `1 connection` or `2,000 connections`.
 */
export function formatCount(count: number, noun: string): string {
  return `${formatNumber(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** Control characters, invisible formatting (such as a right-to-left override), line ends. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/u;

const SHORT_ESCAPES: Record<string, string> = {
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
};

/**
 * Renders bytes that a stranger chose, so that a terminal can show them. Control
 * and other unprintable characters are escaped, and so is every byte that is not
 * valid UTF-8.
 *
 * @param bytes The bytes, or text.
 * @param limit How many characters the result may have.
 * @returns One line, which ends in an ellipsis where it was cut.
 */
export function escapeText(bytes: Uint8Array | string, limit = 64): string {
  const shown: string[] = [];
  let length = 0;
  for (const piece of typeof bytes === "string" ? bytes : characters(bytes)) {
    const text = typeof piece === "number"
      ? `\\x${piece.toString(16).padStart(2, "0")}`
      : escapeCharacter(piece);
    shown.push(text);
    length += [...text].length;
    if (length > limit) {
      while (length > limit - 1) length -= [...shown.pop()!].length;
      return shown.join("") + "…";
    }
  }
  return shown.join("");
}

/** Yields each character, and each byte that begins no valid character as a number. */
function* characters(bytes: Uint8Array): Generator<string | number> {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  for (let at = 0; at < bytes.length;) {
    const lead = bytes[at]!;
    const size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    const piece = bytes.subarray(at, at + size);
    // A decoder that throws for each bad byte would cost more than the connection.
    const isCharacter = isUtf8(piece);
    yield isCharacter ? decoder.decode(piece) : lead;
    at += isCharacter ? size : 1;
  }
}

function escapeCharacter(char: string): string {
  // Otherwise a client that sends a backslash and an n would show as a line end.
  if (char === "\\") return "\\\\";
  if (!UNPRINTABLE.test(char)) return char;
  const code = char.codePointAt(0)!;
  return SHORT_ESCAPES[char] ??
    (code < 0x80
      ? `\\x${code.toString(16).padStart(2, "0")}`
      : `\\u{${code.toString(16)}}`);
}
