/**
 * Statistics of many latencies, in memory that does not grow with their number.
 *
 * @module
 */

import { build, type Histogram } from "hdr-histogram-js";

/** The histogram counts in nanoseconds. */
const NS_PER_MS = 1e6;

/**
 * Statistics of latencies, in milliseconds. The shortest and the longest are exact,
 * the others to three significant digits.
 */
export interface LatencySummary {
  /** The shortest latency. */
  min: number;
  /** The arithmetic mean. */
  mean: number;
  /** The median: half of the latencies are at most this long. */
  p50: number;
  /** 90 % of the latencies are at most this long. */
  p90: number;
  /** 99 % of the latencies are at most this long. */
  p99: number;
  /** 99.9 % of the latencies are at most this long. */
  p99_9: number;
  /** The longest latency. */
  max: number;
  /** The standard deviation. */
  stddev: number;
}

/** How many latencies lie in a range, which begins where the one before ends. */
export interface Bucket {
  /** The longest latency that belongs to the range, in milliseconds. */
  uptoMs: number;
  /** How many latencies lie in the range. */
  count: number;
}

/**
 * Records latencies in an HDR histogram
 * ({@link https://hdrhistogram.org | hdrhistogram.org}).
 */
export class Latencies {
  /** By default it keeps three significant digits, and grows with its values. */
  readonly #histogram: Histogram = build();

  /**
   * Records a latency.
   *
   * @param ms The latency, in milliseconds.
   */
  record(ms: number): void {
    // The histogram leaves a zero out of its least value.
    this.#histogram.recordValue(Math.max(1, Math.round(ms * NS_PER_MS)));
  }

  /**
   * Counts the latencies in a few ranges that end at round numbers.
   *
   * @param most The most ranges, at least 1.
   * @returns The ranges from the shortest latency to the longest.
   */
  buckets(most: number): Bucket[] {
    const summary = this.summary();
    if (!summary) return [];
    let countBefore = 0;
    return bucketEnds(summary.min, summary.max, most).map((uptoMs) => {
      const countUpTo = this.#countUpTo(uptoMs * NS_PER_MS);
      const count = countUpTo - countBefore;
      countBefore = countUpTo;
      return { uptoMs, count };
    });
  }

  /**
   * Counts values up to `end` by binary search over ranks; the histogram has no
   * such query.
   */
  #countUpTo(end: number): number {
    // The histogram gives the longest value with the same three digits.
    const longest = end * 1.001;
    const total = this.#histogram.totalCount;
    let [low, high] = [0, total];
    while (low < high) {
      const rank = Math.ceil((low + high) / 2);
      // Half a rank less: a rounding error would give the next rank's value.
      const percentile = (rank - 0.5) / total * 100;
      const value = this.#histogram.getValueAtPercentile(percentile);
      if (value <= longest) low = rank;
      else high = rank - 1;
    }
    return low;
  }

  /**
   * Sums up what was recorded.
   *
   * @returns The statistics, or `undefined` if nothing was recorded.
   */
  summary(): LatencySummary | undefined {
    const histogram = this.#histogram;
    if (histogram.totalCount === 0) return undefined;
    const { minNonZeroValue, maxValue, mean, stdDeviation } = histogram;
    // The longest value with the same three digits may exceed the longest of all.
    const percentile = (p: number) =>
      Math.min(histogram.getValueAtPercentile(p), maxValue) / NS_PER_MS;
    return {
      min: minNonZeroValue / NS_PER_MS,
      mean: mean / NS_PER_MS,
      p50: percentile(50),
      p90: percentile(90),
      p99: percentile(99),
      p99_9: percentile(99.9),
      max: maxValue / NS_PER_MS,
      stddev: stdDeviation / NS_PER_MS,
    };
  }
}

/**
 * Chooses where the ranges of a histogram end: at 1, 2 and 5 times the powers of
 * ten. If those are too many it takes 1 and 3 times, then the powers alone, and at
 * last one range for all.
 *
 * @param min The least value, above 0.
 * @param max The greatest value.
 * @param most The most ranges, at least 1.
 * @returns The ends. The first is at least `min`, the last at least `max`.
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
