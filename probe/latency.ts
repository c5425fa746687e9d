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
  /** 99 % of them were no longer. */
  p99: number;
  /** The longest. */
  max: number;
  /** The standard deviation. */
  stddev: number;
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
      p99: percentile(99),
      max: maxValue / UNITS_PER_MS,
      stddev: stdDeviation / UNITS_PER_MS,
    };
  }
}
