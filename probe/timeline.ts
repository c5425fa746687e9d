/**
 * What a run did in each second.
 *
 * @module
 */

import { build, type Histogram } from "hdr-histogram-js";

/** What a run did in one span of time. */
export interface TimelineRow {
  /** When the span began, in milliseconds from the start of the run. */
  startMs: number;
  /** How long it is, in milliseconds. */
  durationMs: number;
  /** How many messages came back in it, every byte verified. */
  messages: number;
  /** How many failed in it. */
  failed: number;
  /** The median latency of those that came back in it, in milliseconds. */
  p50Ms: number | undefined;
  /** The latency that 99 % of them had at most, in milliseconds. */
  p99Ms: number | undefined;
}

/** The most rows that are kept. */
export const MOST_ROWS = 60;

/** How long a row is at first, in milliseconds. */
const ROW_MS = 1000;

/** The histograms count in nanoseconds. */
const NS_PER_MS = 1e6;

/** The significant digits of a row's percentiles. A histogram of two takes 14 KB. */
const DIGITS = 2;

interface Row {
  messages: number;
  failed: number;
  readonly histogram: Histogram;
}

/**
 * Counts what happens in each second, in memory that does not grow with the time:
 * when all rows are full, each two become one, of twice the length.
 */
export class Timeline {
  readonly #startedAt: number;
  readonly #rows: Row[] = [newRow()];
  #rowMs = ROW_MS;
  /** When the last row ends, as `performance.now()`. */
  #endsAt: number;

  /**
   * Begins a timeline.
   *
   * @param startedAt When the run started, as `performance.now()`.
   */
  constructor(startedAt: number) {
    this.#startedAt = startedAt;
    this.#endsAt = startedAt + ROW_MS;
  }

  /**
   * Counts a message that came back.
   *
   * @param now The time, as `performance.now()`, not before that of an earlier call.
   * @param latencyMs The message's latency, in milliseconds.
   */
  addVerified(now: number, latencyMs: number): void {
    const row = this.#rowAt(now);
    row.messages++;
    row.histogram.recordValue(Math.max(1, Math.round(latencyMs * NS_PER_MS)));
  }

  /**
   * Counts a failure.
   *
   * @param now The time, as `performance.now()`, not before that of an earlier call.
   */
  addFailed(now: number): void {
    this.#rowAt(now).failed++;
  }

  /**
   * Returns the rows so far.
   *
   * @param now The time, as `performance.now()`: the last row is as long as it is
   * old.
   */
  rows(now: number): TimelineRow[] {
    this.#rowAt(now);
    return this.#rows.map((_, index) => this.#summary(index, now))
      .filter(({ durationMs, messages, failed }) =>
        durationMs > 0 || messages + failed > 0
      );
  }

  /**
   * Returns the latest row that is over, or the first one.
   *
   * @param now The time, as `performance.now()`.
   */
  lastRow(now: number): TimelineRow {
    this.#rowAt(now);
    return this.#summary(Math.max(0, this.#rows.length - 2), now);
  }

  #summary(index: number, now: number): TimelineRow {
    const { messages, failed, histogram } = this.#rows[index]!;
    const startMs = index * this.#rowMs;
    const percentile = (p: number) => {
      if (messages === 0) return undefined;
      const ms = histogram.getValueAtPercentile(p) / NS_PER_MS;
      return Number(ms.toPrecision(DIGITS));
    };
    return {
      startMs,
      durationMs: Math.min(this.#rowMs, now - this.#startedAt - startMs),
      ...{ messages, failed, p50Ms: percentile(50), p99Ms: percentile(99) },
    };
  }

  #rowAt(now: number): Row {
    while (now >= this.#endsAt) {
      if (this.#rows.length === MOST_ROWS) this.#merge();
      else {
        this.#rows.push(newRow());
        this.#endsAt += this.#rowMs;
      }
    }
    return this.#rows.at(-1)!;
  }

  /** Makes one row of each two. The last row is full by now. */
  #merge(): void {
    for (let index = 0; index < MOST_ROWS / 2; index++) {
      const row = this.#rows[2 * index]!;
      const { messages, failed, histogram } = this.#rows[2 * index + 1]!;
      row.messages += messages;
      row.failed += failed;
      row.histogram.add(histogram);
      this.#rows[index] = row;
    }
    this.#rows.length = MOST_ROWS / 2;
    this.#rowMs *= 2;
  }
}

function newRow(): Row {
  const histogram = build({ numberOfSignificantValueDigits: DIGITS });
  return { messages: 0, failed: 0, histogram };
}
