/**
 * Rendering numbers for a terminal.
 *
 * @module
 */

import { format as stdFormatBytes } from "@std/fmt/bytes";
import { format as stdFormatDuration } from "@std/fmt/duration";

/**
 * Renders a number of bytes in units of 1,024.
 *
 * @param bytes How many.
 * @returns For example `5 B` or `1.2 MiB`.
 */
export function formatBytes(bytes: number): string {
  // The standard library rounds whatever it renders to three digits.
  if (Math.round(bytes) < 1024) return `${Math.round(bytes)} B`;
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
