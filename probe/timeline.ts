import type { JsHistogram } from "hdr-histogram-js";
import {
  type Histogram,
  newHistogram,
  NS_PER_MS,
  recordMs,
} from "./histogram.ts";

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

/** A row of a timeline, and the latencies in it. */
export interface RecordedRow
  extends Pick<TimelineRow, "startMs" | "durationMs" | "messages" | "failed"> {
  /** The latencies of what came back in it, to {@linkcode ROW_DIGITS} digits. */
  readonly histogram: Histogram;
}

/** A timeline that is to be added to others. */
export interface PlacedRows {
  /** When its run began, in milliseconds from the start of the first run. */
  readonly startMs: number;
  /** Its rows, each as long as the one before, but for the last. */
  readonly rows: readonly RecordedRow[];
}

/** The most rows that are kept. */
export const MOST_ROWS = 60;

/** How long a row is at first, in milliseconds. */
const ROW_MS = 1000;

/** The significant digits of a row's percentiles. A histogram of two takes 28 KB. */
export const ROW_DIGITS = 2;

/** Seconds add up to more than a whole number of rows, or less, by this much. */
const ROUNDING = 1e-9;

/** What happened in a row, wherever it stands. */
type Row = Omit<RecordedRow, "startMs" | "durationMs">;

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
  #lastSecond: RecordedRow | undefined;

  /** Begins a timeline. */
  constructor(startedAt: number) {
    this.#startedAt = startedAt;
    this.#secondAt = startedAt;
  }

  /** Counts a message that came back. */
  addVerified(now: number, latencyMs: number): void {
    this.#advance(now);
    this.#second.messages++;
    recordMs(this.#second.histogram, latencyMs);
  }

  /** Counts a failure. */
  addFailed(now: number): void {
    this.#advance(now);
    this.#second.failed++;
  }

  /** Returns the rows so far. */
  rows(now: number): TimelineRow[] {
    return this.recorded(now).map(summaryOf);
  }

  /** Returns the rows so far, and the latencies in them. */
  recorded(now: number): RecordedRow[] {
    this.#advance(now);
    const last = this.#rowAt(this.#secondAt);
    const rows = this.#rows.map((row, index) =>
      index === last ? merged(row, this.#second) : row
    );
    return rows.map((row, index) => {
      const startMs = index * this.#rowMs;
      const endMs = Math.min(startMs + this.#rowMs, now - this.#startedAt);
      return { ...row, startMs, durationMs: endMs - startMs };
    }).filter(({ durationMs, messages, failed }) =>
      durationMs > 0 || messages + failed > 0
    );
  }

  /** Returns the latest second that is over, or the first one. */
  lastSecond(now: number): TimelineRow {
    return summaryOf(this.lastRecorded(now));
  }

  /**
   * Returns the latest second that is over, or the first one, with its latencies.
   */
  lastRecorded(now: number): RecordedRow {
    this.#advance(now);
    return this.#lastSecond ?? {
      ...this.#second,
      ...{ startMs: 0, durationMs: now - this.#startedAt },
    };
  }

  /** Puts the second into its row if it is over. */
  #advance(now: number): void {
    const over = Math.floor((now - this.#secondAt) / ROW_MS);
    if (over < 1) return;
    const at = this.#rowAt(this.#secondAt);
    this.#rows[at] = merged(this.#rows[at]!, this.#second);
    const startMs = this.#secondAt - this.#startedAt;
    const isLast = over === 1;
    this.#lastSecond = {
      ...(isLast ? this.#second : newRow()),
      startMs: startMs + (over - 1) * ROW_MS,
      durationMs: ROW_MS,
    };
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

/**
 * Adds timelines by the time at which things happened. A row that lies in two rows of
 * the sum is split between them by time: every count stays whole.
 */
export function addTimelines(parts: readonly PlacedRows[]): RecordedRow[] {
  const endMs = Math.max(
    0,
    ...parts.flatMap(({ startMs, rows }) =>
      rows.slice(-1).map((row) => startMs + row.startMs + row.durationMs)
    ),
  );
  let rowMs = Math.max(...parts.map(({ rows }) => lengthOf(rows)), ROW_MS);
  while (Math.ceil(endMs / rowMs - ROUNDING) > MOST_ROWS) rowMs *= 2;
  const sum: Row[] = [];
  for (const { startMs, rows } of parts) {
    for (const row of rows) {
      const fromMs = startMs + row.startMs;
      const at = Math.floor(fromMs / rowMs + ROUNDING);
      const beyondMs = fromMs + row.durationMs - (at + 1) * rowMs;
      const share = beyondMs > rowMs * ROUNDING ? beyondMs / row.durationMs : 0;
      split(row, 1 - share).forEach((part, index) => {
        while (sum.length <= at + index) sum.push(newRow());
        sum[at + index] = merged(sum[at + index]!, part);
      });
    }
  }
  return sum.map((row, at) => {
    const startMs = at * rowMs;
    const durationMs = Math.min(rowMs, endMs - startMs);
    return { ...row, startMs, durationMs };
  });
}

/** Makes one row of each two. */
export function coarser(rows: readonly RecordedRow[]): RecordedRow[] {
  return rows.filter((_, at) => at % 2 === 0).map((row, at) => {
    const next = rows[2 * at + 1];
    if (!next) return row;
    const durationMs = row.durationMs + next.durationMs;
    return { ...merged(row, next), startMs: row.startMs, durationMs };
  });
}

/** Splits what happened in a row, as evenly as whole messages allow. */
function split(row: Row, share: number): Row[] {
  if (share === 1) return [row];
  const [one, other] = [newRow(), newRow()];
  one.failed = Math.round(row.failed * share);
  other.failed = row.failed - one.failed;
  // What newHistogram() makes; its type hides the counts.
  const histogram = row.histogram as unknown as JsHistogram;
  let before = 0;
  for (let index = 0; index < histogram.countsArrayLength; index++) {
    const count = histogram.getCountAtIndex(index);
    if (count === 0) continue;
    const value = histogram.valueFromIndex(index);
    const here = Math.round((before + count) * share) -
      Math.round(before * share);
    before += count;
    if (here > 0) one.histogram.recordValueWithCount(value, here);
    if (count > here) other.histogram.recordValueWithCount(value, count - here);
  }
  one.messages = one.histogram.totalCount;
  other.messages = other.histogram.totalCount;
  return [one, other];
}

/** Returns how long the rows of a timeline are; a single one need not be over. */
function lengthOf(rows: readonly RecordedRow[]): number {
  const [first, second] = rows;
  return first && second ? second.startMs - first.startMs : ROW_MS;
}

function newRow(): Row {
  const histogram = newHistogram(ROW_DIGITS);
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

/** Sums up a row. */
export function summaryOf(
  { startMs, durationMs, messages, failed, histogram }: RecordedRow,
): TimelineRow {
  const percentile = (p: number) => {
    if (messages === 0) return undefined;
    const ms = histogram.getValueAtPercentile(p) / NS_PER_MS;
    return Number(ms.toPrecision(ROW_DIGITS));
  };
  return {
    ...{ startMs, durationMs, messages, failed },
    ...{ p50Ms: percentile(50), p99Ms: percentile(99) },
  };
}
