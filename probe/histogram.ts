/**
 * HDR histograms of times ({@link https://hdrhistogram.org | hdrhistogram.org}),
 * which count in nanoseconds.
 *
 * @module
 */

import {
  build,
  decodeFromCompressedBase64,
  encodeIntoCompressedBase64,
  type Histogram,
} from "hdr-histogram-js";

export type { Histogram };

/** The histograms count in nanoseconds. */
export const NS_PER_MS = 1e6;

/** How many significant digits of a time a histogram tells apart. */
export type Digits = 2 | 3;

/**
 * Makes a histogram of nothing, which grows with its values.
 *
 * @param digits How many significant digits it tells apart.
 * @returns The histogram.
 */
export function newHistogram(digits: Digits): Histogram {
  // A counter of 32 bits would be full after half a day of a fast load.
  return build({ numberOfSignificantValueDigits: digits, bitBucketSize: 64 });
}

/**
 * Records a time.
 *
 * @param histogram Where it is recorded.
 * @param ms The time, in milliseconds; less than a nanosecond counts as one.
 */
export function recordMs(histogram: Histogram, ms: number): void {
  histogram.recordValue(Math.max(1, Math.round(ms * NS_PER_MS)));
}

/**
 * Writes a histogram as other tools read it: in HdrHistogram's V2 encoding,
 * compressed, as base64.
 *
 * @param histogram The histogram.
 * @returns The text, which begins with `HISTFAAA`.
 */
export function encodeHistogram(histogram: Histogram): string {
  return encodeIntoCompressedBase64(histogram);
}

/**
 * Reads a histogram that {@linkcode encodeHistogram} wrote.
 *
 * @param text The text.
 * @param digits How many significant digits it tells apart.
 * @param count How many values it has.
 * @returns The histogram, which grows with its values.
 * @throws {Error} If the text is no such histogram.
 */
export function decodeHistogram(
  text: string,
  digits: Digits,
  count: number,
): Histogram {
  const decoded = decodeFromCompressedBase64(text, 64);
  if (decoded.numberOfSignificantValueDigits !== digits) {
    throw new Error(`a histogram of other than ${digits} digits`);
  }
  if (decoded.totalCount !== count) {
    throw new Error(`a histogram of other than ${count} values`);
  }
  // A decoded one does not grow.
  const histogram = newHistogram(digits);
  if (count > 0) histogram.add(decoded);
  return histogram;
}
