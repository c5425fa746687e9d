/**
 * The result of a load as JSON, for people, for programs, and to be added to others:
 * see `load_parse.ts`.
 *
 * @module
 */

import { formatHostPort } from "../../net/address.ts";
import { encodeHistogram } from "../../probe/histogram_text.ts";
import type { LatencyRecord } from "../../probe/latency.ts";
import type { LoadSummary } from "../../probe/load.ts";
import type { RecordedRow, TimelineRow } from "../../probe/timeline.ts";
import { roundMs } from "../format.ts";
import {
  bytesOf,
  datagramCounts,
  limitsOf,
  type LoadReport,
  rateOf,
  renderLimits,
  type ReportContext,
} from "./load_report.ts";
import {
  jsonConnectTimes,
  jsonDatagrams,
  jsonLatency,
  jsonWhere,
} from "./report.ts";

/** The name of the field by which the result of a load is known. */
export const VERSION_FIELD = "echo_load";

/** The version of the format, which is the value of that field. */
export const VERSION = 1;

/**
 * Renders the report for JSON.
 *
 * @param report What the load found, and what it needs to know besides.
 * @returns The fields.
 */
export function jsonLoad(
  { summary, context }: LoadReport,
): Record<string, unknown> {
  const { messages, messagesInTime, failed, durationMs, error } = summary;
  const { target, connections, ratePerSecond, isWarm, startedAt } = context;
  const { threads = 1 } = context;
  const { latencies, late, rows } = summary.recorded;
  const bytes = bytesOf(context);
  const rate = rateOf(summary);
  const limits = limitsOf(summary, context);
  const { origins = [context], id = origins[0]?.id } = context;
  return {
    [VERSION_FIELD]: VERSION,
    ...(summary.runs.length === 1 && id !== undefined && { id }),
    ...jsonWhere(target, summary.ends),
    start: startedAt?.toISOString() ?? null,
    ...{ messages, failed },
    messages_per_second: roundMs(rate),
    bytes_per_second: Math.round(rate * bytes),
    message_bytes: bytes,
    duration_ms: roundMs(durationMs),
    after_end: messages - messagesInTime,
    last_after_end_ms: roundMs(summary.lastAfterMs),
    connections,
    ...(summary.runs.length === 1 && { workers: threads }),
    ...jsonConnectTimes(summary),
    latency_ms: jsonLatency(summary.latencyMs),
    histogram: summary.histogram.map(({ uptoMs, count }) => ({
      upto_ms: uptoMs,
      count,
    })),
    ...jsonRecord("", latencies.toRecord()),
    failures: summary.failures,
    failed_before_start: summary.failedEarly,
    failed_after_end: summary.failedLate,
    first_errors: summary.firstErrors,
    first_errors_ms: Object.fromEntries(
      Object.entries(summary.firstErrorsMs)
        .map(([reason, ms]) => [reason, roundMs(ms)]),
    ),
    longest_outage_ms: roundMs(summary.longestOutageMs),
    ...(target.transport === "udp" && jsonDatagrams(datagramCounts(summary))),
    timeline: summary.timeline.map((row, at) => jsonRow(row, rows[at])),
    busy_share: Number.isFinite(summary.busyShare)
      ? Number(summary.busyShare!.toFixed(6))
      : null,
    client_limit: renderLimits(limits) ?? null,
    warmed_up: isWarm,
    ...(ratePerSecond !== undefined && {
      target_rate: ratePerSecond,
      unsent: summary.unsent + summary.tooLate,
      unsent_too_many_under_way: summary.unsent,
      unsent_client_late: summary.tooLate,
      late_ms: jsonLatency(summary.lateMs),
      ...jsonRecord("late_", late.toRecord()),
    }),
    ...(summary.runs.length > 1 && { runs: jsonRuns(summary, context) }),
    ...(error !== undefined && { error: (error as Error).message }),
  };
}

/** What is not in the figures of a histogram, with the histogram. */
function jsonRecord(
  prefix: "" | "late_",
  record: LatencyRecord | undefined,
): Record<string, unknown> {
  const { histogram, ...exact } = record ?? {};
  return {
    [`${prefix}histogram_hdr`]: histogram ? encodeHistogram(histogram) : null,
    [`${prefix || "latency_"}exact`]: record ? exact : null,
  };
}

function jsonRow(
  row: TimelineRow,
  recorded: RecordedRow | undefined,
): Record<string, unknown> {
  return {
    start_ms: roundMs(row.startMs),
    duration_ms: roundMs(row.durationMs),
    messages: row.messages,
    failed: row.failed,
    p50_ms: row.p50Ms ?? null,
    p99_ms: row.p99Ms ?? null,
    histogram_hdr: recorded && row.messages > 0
      ? encodeHistogram(recorded.histogram)
      : null,
  };
}

function jsonRuns(
  { runs }: LoadSummary,
  { target, startedAt, origins = [] }: ReportContext,
): Record<string, unknown>[] {
  return runs.map((run, at) => ({
    id: origins[at]?.id ?? null,
    address: formatHostPort(origins[at]?.target ?? target),
    start: startedAt && run.durationMs > 0
      ? new Date(startedAt.getTime() + run.startMs).toISOString()
      : null,
    duration_ms: roundMs(run.durationMs),
    connections: run.connections,
    messages_in_time: run.messagesInTime,
    target_rate: run.ratePerSecond ?? null,
    client_limit: origins[at]?.limit ?? null,
  }));
}
