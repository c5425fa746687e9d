import type { Histogram, JsHistogram } from "hdr-histogram-js";
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

/** Makes a histogram of nothing, which grows with its values. */
export function newHistogram(digits: Digits): Histogram {
  const histogram = new CountingHistogram(...RANGE, digits);
  histogram.autoResize = true;
  return histogram;
}

/** Records a time. */
export function recordMs(histogram: Histogram, ms: number): void {
  histogram.recordValue(Math.max(1, Math.round(ms * NS_PER_MS)));
}

/** A histogram as plain data: each value that it has, and how often, one after another. */
export type PlainHistogram = readonly number[];

export function toPlain(histogram: Histogram): PlainHistogram {
  // What `newHistogram()` makes; its type hides the counts.
  const counts = histogram as unknown as JsHistogram;
  const plain: number[] = [];
  let left = histogram.totalCount;
  for (let index = 0; left > 0; index++) {
    const count = counts.getCountAtIndex(index);
    if (count === 0) continue;
    plain.push(counts.valueFromIndex(index), count);
    left -= count;
  }
  return plain;
}

export function toHistogram(plain: PlainHistogram, digits: Digits): Histogram {
  const histogram = newHistogram(digits);
  // The greatest first, so that it grows once.
  for (let at = plain.length - 2; at >= 0; at -= 2) {
    histogram.recordValueWithCount(plain[at]!, plain[at + 1]!);
  }
  return histogram;
}
