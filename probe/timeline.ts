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

/** Seconds add up to more than a whole number of rows, or less, by this much. */
const ROUNDING = 1e-9;

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
  readonly #rows: Row[] = [];
  #rowMs = ROW_MS;
  /** What happens in the second that is not over, which is in no row yet. */
  #second = newRow();
  #secondAt: number;
  /** The latest second that is over. */
  #lastSecond: TimelineRow | undefined;

  /**
   * Begins a timeline.
   *
   * @param startedAt When the run started, as `performance.now()`.
   */
  constructor(startedAt: number) {
    this.#startedAt = startedAt;
    this.#secondAt = startedAt;
  }

  /**
   * Counts a message that came back.
   *
   * @param now The time, as `performance.now()`, not before that of an earlier call.
   * @param latencyMs The message's latency, in milliseconds.
   */
  addVerified(now: number, latencyMs: number): void {
    this.#advance(now);
    this.#second.messages++;
    const ns = Math.max(1, Math.round(latencyMs * NS_PER_MS));
    this.#second.histogram.recordValue(ns);
  }

  /**
   * Counts a failure.
   *
   * @param now The time, as `performance.now()`, not before that of an earlier call.
   */
  addFailed(now: number): void {
    this.#advance(now);
    this.#second.failed++;
  }

  /**
   * Returns the rows so far.
   *
   * @param now The time, as `performance.now()`: the last row is as long as it is
   * old.
   */
  rows(now: number): TimelineRow[] {
    this.#advance(now);
    const last = this.#rowAt(this.#secondAt);
    const rows = this.#rows.map((row, index) =>
      index === last ? merged(row, this.#second) : row
    );
    return rows.map((row, index) => {
      const startMs = index * this.#rowMs;
      const endMs = Math.min(startMs + this.#rowMs, now - this.#startedAt);
      return summaryOf(row, startMs, endMs - startMs);
    }).filter(({ durationMs, messages, failed }) =>
      durationMs > 0 || messages + failed > 0
    );
  }

  /**
   * Returns the latest second that is over, or the first one.
   *
   * @param now The time, as `performance.now()`.
   */
  lastSecond(now: number): TimelineRow {
    this.#advance(now);
    const first = summaryOf(this.#second, 0, now - this.#startedAt);
    return this.#lastSecond ?? first;
  }

  /** Puts the second into its row if it is over. */
  #advance(now: number): void {
    const over = Math.floor((now - this.#secondAt) / ROW_MS);
    if (over < 1) return;
    const at = this.#rowAt(this.#secondAt);
    this.#rows[at] = merged(this.#rows[at]!, this.#second);
    const startMs = this.#secondAt - this.#startedAt;
    const isLast = over === 1;
    this.#lastSecond = summaryOf(
      isLast ? this.#second : newRow(),
      startMs + (over - 1) * ROW_MS,
      ROW_MS,
    );
    this.#second = newRow();
    this.#secondAt += over * ROW_MS;
  }

  /** Returns which row a moment belongs to; makes it, and those before it. */
  #rowAt(moment: number): number {
    const indexOf = () =>
      Math.floor((moment - this.#startedAt) / this.#rowMs + ROUNDING);
    while (indexOf() >= MOST_ROWS) this.#halve();
    while (this.#rows.length <= indexOf()) this.#rows.push(newRow());
    return indexOf();
  }

  /** Makes one row of each two. */
  #halve(): void {
    const rows = this.#rows.splice(0);
    for (let index = 0; index < rows.length; index += 2) {
      const second = rows[index + 1];
      this.#rows.push(second ? merged(rows[index]!, second) : rows[index]!);
    }
    this.#rowMs *= 2;
  }
}

function newRow(): Row {
  const histogram = build({ numberOfSignificantValueDigits: DIGITS });
  return { messages: 0, failed: 0, histogram };
}

function merged(one: Row, other: Row): Row {
  const row = newRow();
  for (const { messages, failed, histogram } of [one, other]) {
    row.messages += messages;
    row.failed += failed;
    row.histogram.add(histogram);
  }
  return row;
}

function summaryOf(
  { messages, failed, histogram }: Row,
  startMs: number,
  durationMs: number,
): TimelineRow {
  const percentile = (p: number) => {
    if (messages === 0) return undefined;
    const ms = histogram.getValueAtPercentile(p) / NS_PER_MS;
    return Number(ms.toPrecision(DIGITS));
  };
  return {
    ...{ startMs, durationMs, messages, failed },
    ...{ p50Ms: percentile(50), p99Ms: percentile(99) },
  };
}
