import { formatHostPort } from "../net/address.ts";
import { encodeHistogram } from "../probe/histogram_text.ts";
import type { LatencyRecord } from "../probe/latency.ts";
import type { Summary } from "../probe/tally.ts";
import { coarser, type RecordedRow, summaryOf } from "../probe/timeline.ts";
import { roundMs } from "./format.ts";
import {
  areAlikeIn,
  bytesOf,
  limitsOf,
  type LoadReport,
  rateOf,
  renderLimits,
  type ReportContext,
} from "./load_text.ts";
import {
  jsonConnectTimes,
  jsonDatagrams,
  jsonLatency,
  jsonWhere,
} from "./common.ts";

/** The name of the field by which the result of a load is known. */
export const VERSION_FIELD = "echo_load";

/** The version of the format, which is the value of that field. */
export const VERSION = 2;

/**
 * The most bytes of a result, but for the time and the verdict that are added to it, and
 * for the runs of a merged one. Container logs cut lines at 16 KiB.
 */
const MOST_BYTES = 15_000;

/** The most characters of a text that says what went wrong. */
const MOST_TEXT = 300;

/** How many digits the histograms of a load have, as long as they are not too large. */
const LESS_DIGITS = 2;

/** What is given up first where a result is too long, and how few rows that leaves. */
const SHRINKING: readonly [digits: RecordDigits, leastRows: number][] = [
  [{}, Infinity],
  [{ late: LESS_DIGITS }, 8],
  [{ late: LESS_DIGITS, latency: LESS_DIGITS }, 1],
];

/** To how many digits histograms are written, where fewer than they have. */
interface RecordDigits {
  readonly latency?: typeof LESS_DIGITS;
  readonly late?: typeof LESS_DIGITS;
}

/**
 * Renders the report for JSON. Where that is too long it has a timeline of fewer rows,
 * and if need be latencies to two digits: counts and sums stay exact.
 */
export function jsonLoad(report: LoadReport): Record<string, unknown> {
  let fields: Record<string, unknown> = {};
  for (const [digits, leastRows] of SHRINKING) {
    let { rows } = report.summary.recorded;
    while (true) {
      fields = fieldsOf(report, rows, digits);
      if (isShort(fields)) return fields;
      if (rows.length <= leastRows) break;
      rows = coarser(rows);
    }
  }
  return fields;
}

function isShort({ runs: _, ...fields }: Record<string, unknown>): boolean {
  return new TextEncoder().encode(JSON.stringify(fields)).length <= MOST_BYTES;
}

function cut(text: string): string {
  return text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)}…` : text;
}

function fieldsOf(
  { summary, context }: LoadReport,
  rows: readonly RecordedRow[],
  digits: RecordDigits,
): Record<string, unknown> {
  const { messages, messagesInTime, failed, durationMs, error } = summary;
  const { target, connections, ratePerSecond, isWarm, startedAt } = context;
  const { threads = 1 } = context;
  const { latencies, late } = summary.recorded;
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
    ...jsonRecord("", latencies.toRecord(), digits.latency),
    failures: summary.failures,
    failed_before_start: summary.failedEarly,
    failed_after_end: summary.failedLate,
    first_errors: Object.fromEntries(
      Object.entries(summary.firstErrors)
        .map(([reason, text]) => [reason, cut(text)]),
    ),
    first_errors_ms: Object.fromEntries(
      Object.entries(summary.firstErrorsMs)
        .map(([reason, ms]) => [reason, roundMs(ms)]),
    ),
    longest_outage_ms: roundMs(summary.outages.longestMs),
    ...(target.transport === "udp" &&
      jsonDatagrams(summary, areAlikeIn(summary, context))),
    timeline: rows.map(jsonRow),
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
      ...jsonRecord("late_", late.toRecord(), digits.late),
    }),
    ...(summary.runs.length > 1 && { runs: jsonRuns(summary, context) }),
    ...(error !== undefined && { error: cut((error as Error).message) }),
  };
}

/** What is not in the figures of a histogram, with the histogram. */
function jsonRecord(
  prefix: "" | "late_",
  record: LatencyRecord | undefined,
  digits?: typeof LESS_DIGITS,
): Record<string, unknown> {
  const { histogram, ...exact } = record ?? {};
  return {
    [`${prefix}histogram_hdr`]: histogram
      ? encodeHistogram(histogram, digits)
      : null,
    [`${prefix || "latency_"}exact`]: record ? exact : null,
  };
}

function jsonRow(recorded: RecordedRow): Record<string, unknown> {
  const row = summaryOf(recorded);
  return {
    start_ms: roundMs(row.startMs),
    duration_ms: roundMs(row.durationMs),
    messages: row.messages,
    failed: row.failed,
    p50_ms: row.p50Ms ?? null,
    p99_ms: row.p99Ms ?? null,
    histogram_hdr: row.messages > 0
      ? encodeHistogram(recorded.histogram)
      : null,
  };
}

function jsonRuns(
  { runs }: Summary,
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
