/**
 * What a probe counted so far, quick to read while it runs.
 *
 * @module
 */

import type { FailureReason } from "./failure.ts";
import type { IrregularCounts } from "./irregularities.ts";

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
