/**
 * What is kept of many durations: not each of them, but how they are spread.
 *
 * @module
 */

import { build, type Histogram } from "hdr-histogram-js";

/** How many of a histogram's units a millisecond has: they are nanoseconds. */
const UNITS_PER_MS = 1e6;

/** How durations are spread, in milliseconds, to three significant digits. */
export interface LatencySummary {
  /** The shortest. */
  min: number;
  /** The arithmetic mean. */
  mean: number;
  /** The median: half of them were no longer. */
  p50: number;
  /** 90 % of them were no longer. */
  p90: number;
  /** 99 % of them were no longer. */
  p99: number;
  /** 99.9 % of them were no longer. */
  p99_9: number;
  /** The longest. */
  max: number;
  /** The standard deviation. */
  stddev: number;
}

/** How many durations lie within a range. */
export interface Bucket {
  /** The end of the range, which belongs to it, in milliseconds. */
  uptoMs: number;
  /** How many durations are longer than the range before and no longer than this. */
  count: number;
}

/**
 * Records durations in an HDR histogram
 * ({@link https://hdrhistogram.org | hdrhistogram.org}): its memory does not
 * grow with their number.
 */
export class Latencies {
  readonly #histogram: Histogram = build({
    bitBucketSize: 32,
    autoResize: true,
    numberOfSignificantValueDigits: 3,
  });

  /**
   * Records a duration.
   *
   * @param ms How long it was, in milliseconds.
   */
  record(ms: number): void {
    this.#histogram.recordValue(Math.max(1, Math.round(ms * UNITS_PER_MS)));
  }

  /**
   * Counts how many durations lie in each of a few ranges, each as many times as
   * long as the one before.
   *
   * @param most How many ranges there may be.
   * @returns The ranges from the shortest duration to the longest.
   */
  buckets(most: number): Bucket[] {
    const histogram = this.#histogram;
    const total = histogram.totalCount;
    if (total === 0) return [];
    const { min, max } = this.summary()!;
    const ends = bucketEnds(min, max, most);
    let before = 0;
    return ends.map((uptoMs, index) => {
      const upto = index === ends.length - 1
        ? total
        : this.#countUpTo(uptoMs * UNITS_PER_MS);
      const count = upto - before;
      before = upto;
      return { uptoMs, count };
    });
  }

  /** Searches the percentiles, of which there is one for each that was recorded. */
  #countUpTo(end: number): number {
    // A value reads as the largest that three digits do not tell from it.
    const units = end * 1.001;
    const total = this.#histogram.totalCount;
    let [low, high] = [0, total];
    while (low < high) {
      const rank = Math.ceil((low + high) / 2);
      const value = this.#histogram.getValueAtPercentile(rank / total * 100);
      if (value <= units) low = rank;
      else high = rank - 1;
    }
    return low;
  }

  /**
   * Sums up.
   *
   * @returns How the durations are spread, or `undefined` if there are none.
   */
  summary(): LatencySummary | undefined {
    const histogram = this.#histogram;
    if (histogram.totalCount === 0) return undefined;
    const { minNonZeroValue, maxValue, mean, stdDeviation } = histogram;
    const percentile = (p: number) =>
      Math.min(histogram.getValueAtPercentile(p), maxValue) / UNITS_PER_MS;
    return {
      min: minNonZeroValue / UNITS_PER_MS,
      mean: mean / UNITS_PER_MS,
      p50: percentile(50),
      p90: percentile(90),
      p99: percentile(99),
      p99_9: percentile(99.9),
      max: maxValue / UNITS_PER_MS,
      stddev: stdDeviation / UNITS_PER_MS,
    };
  }
}

/**
 * Chooses where the ranges of a histogram end: at 1, 2 and 5 times the powers of
 * ten, or at fewer of those where that would be too many.
 *
 * @param min The shortest duration.
 * @param max The longest.
 * @param most How many ranges there may be, at least 1.
 * @returns The ends, of which the last one is no shorter than `max`.
 */
export function bucketEnds(min: number, max: number, most: number): number[] {
  for (const steps of [[1, 2, 5], [1, 3], [1]]) {
    const ends: number[] = [];
    let power = Math.floor(Math.log10(min));
    for (; ends.length === 0 || ends.at(-1)! < max; power++) {
      for (const step of steps) {
        // Written as a decimal, so that 0.3 is 0.3.
        const end = Number(`${step}e${power}`);
        if (end >= min && (ends.at(-1) ?? 0) < max) ends.push(end);
      }
    }
    if (ends.length <= most) return ends;
  }
  return [max];
}
