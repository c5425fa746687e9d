/**
 * Histograms as text. They stand apart, as what encodes them takes long to load.
 *
 * @module
 */

import {
  decodeFromCompressedBase64,
  encodeIntoCompressedBase64,
  type Histogram,
} from "hdr-histogram-js";
import { type Digits, newHistogram } from "./histogram.ts";

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
