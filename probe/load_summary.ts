/**
 * What a load found.
 *
 * @module
 */

import type { ConnectSummary } from "./connect_times.ts";
import type { FailureReason } from "./failure.ts";
import type { IrregularCounts } from "./irregularities.ts";
import type { Bucket, Latencies, LatencySummary } from "./latency.ts";
import type { LoadRun } from "./load_runs.ts";
import type { Ends } from "./probe_client.ts";
import { type RecordedRow, summaryOf, type TimelineRow } from "./timeline.ts";

/** What a load found. */
export interface LoadSummary {
  /** How many messages came back, every byte verified. */
  messages: number;
  /** How many of them came back in the time of the load. */
  messagesInTime: number;
  /** How long after that time the last one came back, in milliseconds. */
  lastAfterMs: number;
  /** How many did not, and how many connections could not be made. */
  failed: number;
  /** How many failures there were, by reason. */
  failures: Partial<Record<FailureReason, number>>;
  /** What the first failure of each reason said. */
  firstErrors: Partial<Record<FailureReason, string>>;
  /** When that was, in milliseconds from the start; before it, the time is below 0. */
  firstErrorsMs: Partial<Record<FailureReason, number>>;
  /** How many replies were irregular, by kind. */
  irregular: IrregularCounts;
  /** How many connections failed before the start: they are in no row. */
  failedEarly: number;
  /** How many failures were found after the time of the load: they are in no row. */
  failedLate: number;
  /** What made the first connection impossible, if anything did. */
  error: unknown;
  /** How many messages are under way, before the end. */
  underWay: number;
  /** How long ago the oldest of them was sent, in milliseconds, 0 without any. */
  oldestMs: number;
  /** For how long messages were sent, in milliseconds: as asked, or until a stop. */
  durationMs: number;
  /** How many messages were due and not sent, as too many were under way. */
  unsent: number;
  /** How many messages were due and not sent, as the client was late. */
  tooLate: number;
  /** How the latencies are spread, if any message came back. */
  latencyMs: LatencySummary | undefined;
  /** How many latencies lie in which range. */
  histogram: Bucket[];
  /** How late messages left, with a rate, or timers were: the client's own doing. */
  lateMs: LatencySummary | undefined;
  /** The times during which nothing came back, the longest of them. */
  longestOutageMs: number;
  /** What the load did in each second. */
  timeline: TimelineRow[];
  /**
   * How much of the time a connection had a message under way, from 0 to 1 (by
   * Little's law); `undefined` with a rate, and before the end.
   */
  busyShare: number | undefined;
  /** How much of a processor's time this process used, from 0, for all its threads. */
  processorShare: number;
  /** The first connection, if there was one. */
  ends: Ends | undefined;
  /** The runs of which this is the sum: one, unless loads were merged. */
  runs: LoadRun[];
  /** What the statistics are made of. */
  recorded: Recorded;
  /**
   * How long connecting and the TLS handshakes took at the start, if the connections
   * spoke TLS and one thread made them.
   */
  connectTimes?: ConnectSummary;
}

/** What a load recorded: the statistics of several loads are made of all of it. */
export interface Recorded {
  /** The latencies. */
  readonly latencies: Latencies;
  /** How late messages left. */
  readonly late: Latencies;
  /** The rows of the timeline. */
  readonly rows: RecordedRow[];
}

/** The most rows that the histogram has. */
const MOST_BUCKETS = 12;

/**
 * Makes the statistics of a load.
 *
 * @param recorded What the load recorded.
 * @returns The statistics.
 */
export function statisticsOf(
  { latencies, late, rows }: Recorded,
): Pick<LoadSummary, "latencyMs" | "histogram" | "lateMs" | "timeline"> {
  return {
    latencyMs: latencies.summary(),
    histogram: latencies.buckets(MOST_BUCKETS),
    lateMs: late.summary(),
    timeline: rows.map(summaryOf),
  };
}
