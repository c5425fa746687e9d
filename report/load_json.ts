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
import { jsonDatagrams, jsonUnsent, jsonWhere } from "./common.ts";
import { toJson } from "./json.ts";

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
    ...toJson({
      ...{ messages, failed },
      messagesPerSecond: roundMs(rate),
      bytesPerSecond: Math.round(rate * bytes),
      ...{ messageBytes: bytes, durationMs },
      afterEnd: messages - messagesInTime,
      lastAfterEndMs: summary.lastAfterMs,
      connections,
      workers: summary.runs.length === 1 ? threads : undefined,
      ...summary.connectTimes,
      latencyMs: summary.latencyMs ?? null,
    }),
    histogram: summary.histogram.map(({ uptoMs, count }) => ({
      upto_ms: uptoMs,
      count,
    })),
    ...jsonRecord("", latencies.toRecord(), digits.latency),
    ...toJson({
      failures: summary.failures,
      failedBeforeStart: summary.failedEarly,
      failedAfterEnd: summary.failedLate,
      firstErrors: Object.fromEntries(
        Object.entries(summary.firstErrors)
          .map(([reason, text]) => [reason, cut(text)]),
      ),
      firstErrorsMs: summary.firstErrorsMs,
      longestOutageMs: summary.outages.longestMs,
    }),
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
      ...jsonUnsent(summary),
      ...toJson({ lateMs: summary.lateMs ?? null }),
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
  const { p50Ms = null, p99Ms = null, ...row } = summaryOf(recorded);
  const histogramHdr = row.messages > 0
    ? encodeHistogram(recorded.histogram)
    : null;
  return toJson({ ...row, p50Ms, p99Ms, histogramHdr });
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
