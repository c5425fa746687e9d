import { isUtf8 } from "node:buffer";

/** Control characters, invisible formatting (such as a right-to-left override), line ends. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/u;

const ALL_UNPRINTABLE = new RegExp(UNPRINTABLE, "gu");

const SHORT_ESCAPES: Record<string, string> = {
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
};

/**
 * Renders bytes that a stranger chose, so that a terminal can show them. Control
 * and other unprintable characters are escaped, and so is every byte that is not
 * valid UTF-8. A longer text than `limit` characters ends in an ellipsis.
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

/**
 * Escapes what a terminal must not get, and nothing else, not even backslashes: what was
 * escaped before stays as it is.
 */
export function escapeUnprintable(text: string): string {
  return text.replace(ALL_UNPRINTABLE, escapeCharacter);
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
