// Apart from histogram.ts, as what encodes histograms takes long to load.

import { Buffer } from "node:buffer";
import { inflateSync } from "node:zlib";
import {
  encodeIntoCompressedBase64,
  type Histogram,
  type JsHistogram,
} from "hdr-histogram-js";
import { type Digits, newHistogram } from "./histogram.ts";

/** How HdrHistogram's V2 encoding begins, and its compressed form. */
const [COOKIE, COMPRESSED_COOKIE] = [0x1c849303, 0x1c849304];

/** The bits of a cookie that are not the same in every implementation. */
const WORD_SIZE_BITS = 0xf0;

/** How long the header is, and that of the compressed form. */
const [HEADER_BYTES, COMPRESSED_HEADER_BYTES] = [40, 8];

/** 45,056 counts, as many as three digits have up to 2^53, take 9 bytes each at most. */
const MOST_BYTES = 512 * 1024;

/**
 * Writes a histogram as other tools read it: in HdrHistogram's V2 encoding,
 * compressed, as base64.
 */
export function encodeHistogram(histogram: Histogram, digits?: Digits): string {
  const written = digits ? withDigits(histogram, digits) : histogram;
  return encodeIntoCompressedBase64(written);
}

function withDigits(histogram: Histogram, digits: Digits): Histogram {
  const other = newHistogram(digits);
  other.add(histogram);
  return other;
}

/**
 * Reads a histogram that {@linkcode encodeHistogram} wrote. Anybody may have written the
 * text: the package would inflate it to any size, and walk for as long as it says.
 *
 * @throws {Error} If the text is no histogram of so many values and no more digits.
 */
export function decodeHistogram(
  text: string,
  digits: Digits,
  count: number,
): Histogram {
  const bytes = inflate(Buffer.from(text, "base64"));
  if (
    bytes.length < HEADER_BYTES ||
    (bytes.readInt32BE(0) & ~WORD_SIZE_BITS) !== COOKIE
  ) {
    throw new Error("no histogram");
  }
  const written = ([2, 3] as const).find((it) => it === bytes.readInt32BE(12));
  if (!written || written > digits || bytes.readBigInt64BE(16) !== 1n) {
    throw new Error(`a histogram of other than ${digits} digits`);
  }
  const histogram = newHistogram(written);
  const end = HEADER_BYTES + bytes.readUInt32BE(4);
  addCounts(histogram as JsHistogram, bytes.subarray(HEADER_BYTES, end), count);
  if (histogram.totalCount !== count) {
    throw new Error(`a histogram of other than ${count} values`);
  }
  return written === digits ? histogram : withDigits(histogram, digits);
}

function inflate(packed: Buffer): Buffer {
  if (
    packed.length < COMPRESSED_HEADER_BYTES ||
    (packed.readInt32BE(0) & ~WORD_SIZE_BITS) !== COMPRESSED_COOKIE
  ) {
    throw new Error("not in HdrHistogram's V2 encoding");
  }
  const end = COMPRESSED_HEADER_BYTES + packed.readUInt32BE(4);
  return inflateSync(packed.subarray(COMPRESSED_HEADER_BYTES, end), {
    maxOutputLength: MOST_BYTES,
  });
}

/**
 * Adds counts, each seven bits a byte, the least first, doubled. An odd number is one less
 * than the double of how many counts are zero.
 */
function addCounts(to: JsHistogram, bytes: Uint8Array, most: number): void {
  const counts: [value: number, count: number][] = [];
  let index = 0;
  for (let at = 0; at < bytes.length;) {
    let [word, unit, byte] = [0, 1, 0x80];
    for (; byte >= 0x80; unit *= 128) {
      byte = bytes[at++] ?? 0;
      word += (byte & 0x7f) * unit;
    }
    if (word % 2 === 1) {
      index += (word + 1) / 2;
      continue;
    }
    const value = to.valueFromIndex(index++);
    const count = word / 2;
    if (count === 0) continue;
    if (!(count <= most && value <= Number.MAX_SAFE_INTEGER)) {
      throw new Error("its values or counts are too great");
    }
    counts.push([value, count]);
  }
  // The greatest first, so that the histogram grows once.
  for (const [value, count] of counts.reverse()) {
    to.recordValueWithCount(value, count);
  }
}
