/**
 * What a probe counted so far, quick to read while it runs.
 *
 * @module
 */

import type { FailureReason } from "./failure.ts";
import { type IrregularCounts, noIrregularities } from "./irregularities.ts";

/** How latencies are spread over some bounds. */
export interface Spread {
  /** How many there are. */
  readonly count: number;
  /** Their sum, in milliseconds. */
  readonly sumMs: number;
  /** How many are at most as long as each of the bounds, to three digits. */
  readonly upTo: readonly number[];
}

/** What a probe counted so far. It may be posted to another thread. */
export interface ProbeCounts {
  /** Messages that were sent, or could not be for want of a connection. */
  readonly sent: number;
  /** How many of them came back, every byte verified. */
  readonly verified: number;
  /** How many of them did not, by reason; a reason without any is not there. */
  readonly failures: Partial<Record<FailureReason, number>>;
  /** Messages that were due and not sent, as too many were under way. */
  readonly unsent: number;
  /** Messages that were due and not sent, as the client was late. */
  readonly tooLate: number;
  /** Replies that were irregular, by kind. */
  readonly irregular: IrregularCounts;
  /** Connections that were made. */
  readonly connected: number;
  /** Connections that are open. */
  readonly open: number;
  /** How the round trips are spread. */
  readonly latencies: Spread;
  /** How late messages left, if they were due at times. */
  readonly late: Spread | undefined;
}

/**
 * Reads what a probe counted so far.
 *
 * @param boundsMs The bounds of its distributions, in milliseconds, in ascending order.
 * @returns The counts.
 */
export type ReadCounts = (boundsMs: readonly number[]) => ProbeCounts;

/**
 * Adds up what several probes counted.
 *
 * @param all What each of them counted, over the same bounds.
 * @param boundsMs These bounds, in milliseconds.
 * @returns The sums.
 */
export function sumCounts(
  all: readonly ProbeCounts[],
  boundsMs: readonly number[],
): ProbeCounts {
  const sum = (countOf: (counts: ProbeCounts) => number) =>
    all.reduce((total, counts) => total + countOf(counts), 0);
  const failures: ProbeCounts["failures"] = {};
  const irregular = noIrregularities();
  for (const counts of all) {
    addCounts(failures, counts.failures);
    addCounts(irregular, counts.irregular);
  }
  const late = all.map((counts) => counts.late)
    .filter((it) => it !== undefined);
  return {
    sent: sum((counts) => counts.sent),
    verified: sum((counts) => counts.verified),
    failures,
    unsent: sum((counts) => counts.unsent),
    tooLate: sum((counts) => counts.tooLate),
    irregular,
    connected: sum((counts) => counts.connected),
    open: sum((counts) => counts.open),
    latencies: sumSpreads(all.map(({ latencies }) => latencies), boundsMs),
    late: late.length > 0 ? sumSpreads(late, boundsMs) : undefined,
  };
}

/**
 * Adds counts to others, name by name.
 *
 * @param counts What grows.
 * @param more What is added.
 */
export function addCounts<K extends string>(
  counts: Partial<Record<K, number>>,
  more: Partial<Record<K, number>>,
): void {
  for (const name of Object.keys(more) as K[]) {
    counts[name] = (counts[name] ?? 0) + more[name]!;
  }
}

function sumSpreads(
  all: readonly Spread[],
  boundsMs: readonly number[],
): Spread {
  return {
    count: all.reduce((sum, { count }) => sum + count, 0),
    sumMs: all.reduce((sum, { sumMs }) => sum + sumMs, 0),
    upTo: boundsMs.map((_, at) =>
      all.reduce((sum, { upTo }) => sum + upTo[at]!, 0)
    ),
  };
}
