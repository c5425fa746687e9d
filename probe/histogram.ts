/**
 * HDR histograms of times ({@link https://hdrhistogram.org | hdrhistogram.org}),
 * which count in nanoseconds.
 *
 * @module
 */

import type { Histogram } from "hdr-histogram-js";
// The package's index loads WebAssembly and zlib, too, which takes 15 ms.
import { constructorFromBucketSize } from "hdr-histogram-js/factory";

export type { Histogram };

/** The histograms count in nanoseconds. */
export const NS_PER_MS = 1e6;

/** How many significant digits of a time a histogram tells apart. */
export type Digits = 2 | 3;

/** A counter of 32 bits would be full after half a day of a fast load. */
const CountingHistogram = constructorFromBucketSize(64);

/** The least value, and the greatest one at first. */
const RANGE = [1, 2] as const;

/**
 * Makes a histogram of nothing, which grows with its values.
 *
 * @param digits How many significant digits it tells apart.
 * @returns The histogram.
 */
export function newHistogram(digits: Digits): Histogram {
  const histogram = new CountingHistogram(...RANGE, digits);
  histogram.autoResize = true;
  return histogram;
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
