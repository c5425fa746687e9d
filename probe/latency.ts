import type { JsHistogram } from "hdr-histogram-js";
import {
  type Histogram,
  newHistogram,
  NS_PER_MS,
  recordMs,
} from "./histogram.ts";

/** The significant digits of a percentile, which are those of the histogram. */
export const DIGITS = 3;

/**
 * Statistics of latencies, in milliseconds. The percentiles have three significant
 * digits, the others are exact.
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
  /** The standard deviation of all that was recorded. */
  stddev: number;
}

/** How latencies are spread over some bounds. */
export interface Spread {
  readonly count: number;
  readonly sumMs: number;
  /** Cumulative: how many are at most as long as each of the bounds, to three digits. */
  readonly upTo: readonly number[];
}

/** All that was recorded of latencies. Times are in milliseconds. */
export interface LatencyRecord {
  /** How many there are, at least one. */
  readonly count: number;
  /** The shortest latency. */
  readonly min: number;
  /** The longest latency. */
  readonly max: number;
  /** The arithmetic mean. */
  readonly mean: number;
  /** The sum of the squares of the distances from the mean. */
  readonly squares: number;
  /** The histogram, in nanoseconds, to three digits. */
  readonly histogram: Histogram;
}

/** The number with the fewest digits from `least` to `most`: no more are known. */
function shortest(least: number, most: number): number {
  for (let digits = 1; digits <= DIGITS + 2; digits++) {
    const unit = 10 ** (Math.floor(Math.log10(most)) + 1 - digits);
    const cut = Number((Math.floor(most / unit) * unit).toPrecision(digits));
    if (cut >= least) return cut;
  }
  return most;
}

/** How many latencies lie in a range, which begins where the one before ends. */
export interface Bucket {
  /** The longest latency that belongs to the range, in milliseconds. */
  uptoMs: number;
  /** How many latencies lie in the range. */
  count: number;
}

/**
 * Records latencies in an HDR histogram. A histogram gives the greatest value that
 * its digits do not tell apart, so what is exact stands beside it.
 */
export class Latencies {
  readonly #histogram: Histogram = newHistogram(DIGITS);
  #count = 0;
  #min = Infinity;
  #max = -Infinity;
  #mean = 0;
  /** The sum of the squares of the distances from the mean. */
  #squares = 0;

  /** How many latencies were recorded. */
  get count(): number {
    return this.#count;
  }

  /** The longest latency, in milliseconds, 0 without any. */
  get longestMs(): number {
    return Math.max(0, this.#max);
  }

  /** Records a latency. */
  record(ms: number): void {
    recordMs(this.#histogram, ms);
    if (ms < this.#min) this.#min = ms;
    if (ms > this.#max) this.#max = ms;
    // Welford's way, which loses no digits: Technometrics 4 (1962), page 419.
    const distance = ms - this.#mean;
    this.#mean += distance / ++this.#count;
    this.#squares += distance * (ms - this.#mean);
  }

  /** Adds what others recorded, as if it were recorded here. */
  add(other: Latencies): void {
    const count = this.#count + other.#count;
    if (other.#count === 0) return;
    this.#histogram.add(other.#histogram);
    this.#min = Math.min(this.#min, other.#min);
    this.#max = Math.max(this.#max, other.#max);
    // Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for
    // Computing Sample Variances", 1979.
    const distance = other.#mean - this.#mean;
    const share = other.#count / count;
    this.#mean += distance * share;
    this.#squares += other.#squares + distance ** 2 * this.#count * share;
    this.#count = count;
  }

  /** Takes out all that was recorded. */
  toRecord(): LatencyRecord | undefined {
    if (this.#count === 0) return undefined;
    return {
      ...{ count: this.#count, min: this.#min, max: this.#max },
      ...{ mean: this.#mean, squares: this.#squares },
      histogram: this.#histogram,
    };
  }

  /** Makes latencies of a record. */
  static fromRecord(record: LatencyRecord | undefined): Latencies {
    const latencies = new Latencies();
    if (!record) return latencies;
    latencies.#histogram.add(record.histogram);
    latencies.#count = record.count;
    latencies.#min = record.min;
    latencies.#max = record.max;
    latencies.#mean = record.mean;
    latencies.#squares = record.squares;
    return latencies;
  }

  /** Counts the latencies in a few ranges that end at round numbers. */
  buckets(most: number): Bucket[] {
    const summary = this.summary();
    if (!summary) return [];
    // The histogram counts nothing below a nanosecond.
    const least = 1 / NS_PER_MS;
    const min = Math.max(least, summary.min);
    const max = Math.max(least, summary.max);
    const ends = bucketEnds(min, max, most);
    const { upTo } = this.spread(ends);
    return ends.map((uptoMs, at) => ({
      uptoMs,
      count: upTo[at]! - (upTo[at - 1] ?? 0),
    }));
  }

  /**
   * Counts the latencies up to each of some bounds, in one walk over the histogram:
   * some 30 µs, whatever was recorded.
   */
  spread(boundsMs: readonly number[]): Spread {
    // What `build()` makes without WebAssembly; its type hides the counts.
    const histogram = this.#histogram as unknown as JsHistogram;
    let index = 0;
    let count = 0;
    const upTo = boundsMs.map((boundMs) => {
      const end = histogram.countsArrayIndex(Math.round(boundMs * NS_PER_MS));
      const last = Math.min(end, histogram.countsArrayLength - 1);
      while (index <= last) count += histogram.getCountAtIndex(index++);
      return count;
    });
    return { count: this.#count, sumMs: this.#mean * this.#count, upTo };
  }

  /** Sums up what was recorded. */
  summary(): LatencySummary | undefined {
    if (this.#count === 0) return undefined;
    const [min, max] = [this.#min, this.#max];
    const percentile = (p: number) => {
      const histogram = this.#histogram as unknown as JsHistogram;
      const most = histogram.getValueAtPercentile(p);
      const least = histogram.lowestEquivalentValue(most);
      const ms = shortest(least / NS_PER_MS, most / NS_PER_MS);
      return Math.min(max, Math.max(min, ms));
    };
    return {
      min,
      // A rounding error may put the mean of equal latencies beside them.
      mean: Math.min(max, Math.max(min, this.#mean)),
      p50: percentile(50),
      p90: percentile(90),
      p99: percentile(99),
      p99_9: percentile(99.9),
      max,
      stddev: Math.sqrt(this.#squares / this.#count),
    };
  }
}

/**
 * Chooses where the ranges of a histogram end: at 1, 2 and 5 times the powers of
 * ten. If those are too many it takes 1 and 3 times, then the powers alone, and at
 * last one range for all.
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
