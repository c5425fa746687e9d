/**
 * One result of several loads, as if one machine had run them all.
 *
 * @module
 */

import { addCounts } from "./counts.ts";
import type { FailureReason } from "./failure.ts";
import { noIrregularities } from "./irregularities.ts";
import { Latencies } from "./latency.ts";
import { overlapOf } from "./load_runs.ts";
import { type LoadSummary, statisticsOf } from "./load_summary.ts";
import { addTimelines } from "./timeline.ts";

/** A load, and when it was. */
export interface PlacedLoad {
  /** When its clock started, in milliseconds from the start of the first load. */
  readonly startMs: number;
  /** What it found. */
  readonly summary: LoadSummary;
}

/**
 * Adds loads. Counts, histograms and rates are added, the timelines by the time at
 * which things happened. Of outages, and of what came after the end, the longest is
 * taken.
 *
 * @param loads The loads, at least one.
 * @returns What they found together. Its `error` is that of the first load with one.
 */
export function mergeLoads(loads: readonly PlacedLoad[]): LoadSummary {
  const parts = loads.map(({ summary }) => summary);
  const sum = (countOf: (part: LoadSummary) => number) =>
    parts.reduce((total, part) => total + countOf(part), 0);
  const most = (valueOf: (part: LoadSummary) => number) =>
    parts.reduce((most, part) => Math.max(most, valueOf(part)), 0);
  const runs = loads.flatMap(({ startMs, summary }) =>
    summary.runs.map((run) => ({ ...run, startMs: startMs + run.startMs }))
  );
  const irregular = noIrregularities();
  const failures: LoadSummary["failures"] = {};
  for (const part of parts) {
    addCounts(irregular, part.irregular);
    addCounts(failures, part.failures);
  }
  const recorded = {
    latencies: total(parts.map((part) => part.recorded.latencies)),
    late: total(parts.map((part) => part.recorded.late)),
    rows: addTimelines(
      loads.map(({ startMs, summary }) => ({
        startMs,
        rows: summary.recorded.rows,
      })),
    ),
  };
  return {
    messages: sum((part) => part.messages),
    messagesInTime: sum((part) => part.messagesInTime),
    lastAfterMs: most((part) => part.lastAfterMs),
    failed: sum((part) => part.failed),
    failures,
    ...earliestErrors(loads),
    irregular,
    failedEarly: sum((part) => part.failedEarly),
    failedLate: sum((part) => part.failedLate),
    error: parts.find((part) => part.error !== undefined)?.error,
    underWay: sum((part) => part.underWay),
    oldestMs: most((part) => part.oldestMs),
    durationMs: overlapOf(runs).coveredMs,
    unsent: sum((part) => part.unsent),
    tooLate: sum((part) => part.tooLate),
    longestOutageMs: most((part) => part.longestOutageMs),
    busyShare: meanBusyShare(parts),
    processorShare: sum((part) => part.processorShare),
    ends: parts.find((part) => part.ends)?.ends,
    runs,
    recorded,
    ...statisticsOf(recorded),
  };
}

/**
 * Makes one run of loads that began at the same moment, in threads of one process.
 *
 * @param summary What the loads found together.
 * @returns The same with a single run, as long as the longest one.
 */
export function asOneRun(summary: LoadSummary): LoadSummary {
  const { runs, messagesInTime } = summary;
  const rates = runs.map(({ ratePerSecond }) => ratePerSecond);
  const durationMs = Math.max(...runs.map((run) => run.durationMs));
  return {
    ...summary,
    durationMs,
    runs: [{
      ...{ startMs: 0, durationMs, messagesInTime },
      connections: runs.reduce((sum, run) => sum + run.connections, 0),
      ratePerSecond: rates.reduce((sum, rate) =>
        sum === undefined || rate === undefined ? undefined : sum + rate
      ),
    }],
  };
}

function total(all: readonly Latencies[]): Latencies {
  const sum = new Latencies();
  for (const latencies of all) sum.add(latencies);
  return sum;
}

/** Of each reason, takes the error that came first. */
function earliestErrors(
  loads: readonly PlacedLoad[],
): Pick<LoadSummary, "firstErrors" | "firstErrorsMs"> {
  const firstErrors: LoadSummary["firstErrors"] = {};
  const firstErrorsMs: LoadSummary["firstErrorsMs"] = {};
  for (const { startMs, summary } of loads) {
    for (const [key, error] of Object.entries(summary.firstErrors)) {
      const reason = key as FailureReason;
      const ms = startMs + (summary.firstErrorsMs[reason] ?? 0);
      if (ms >= (firstErrorsMs[reason] ?? Infinity)) continue;
      firstErrors[reason] = error;
      firstErrorsMs[reason] = ms;
    }
  }
  return { firstErrors, firstErrorsMs };
}

/** Connections and times of different runs count by their length. */
function meanBusyShare(parts: readonly LoadSummary[]): number | undefined {
  let [busyMs, ofMs] = [0, 0];
  for (const { busyShare, runs } of parts) {
    const ms = runs.reduce(
      (sum, run) => sum + run.durationMs * run.connections,
      0,
    );
    if (ms === 0) continue;
    if (busyShare === undefined) return undefined;
    busyMs += busyShare * ms;
    ofMs += ms;
  }
  return ofMs > 0 ? busyMs / ofMs : undefined;
}
