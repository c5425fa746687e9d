/**
 * The report of a load.
 *
 * @module
 */

import { type Address, formatAddress } from "../../net/address.ts";
import type { FailureReason } from "../../probe/failure.ts";
import type { Bucket } from "../../probe/latency.ts";
import type { LoadSummary } from "../../probe/load.ts";
import type { ProbeMessage } from "../../probe/messages.ts";
import type { TimelineRow } from "../../probe/timeline.ts";
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatNumber,
  formatRate,
  roundMs,
} from "../format.ts";
import {
  type DatagramCounts,
  exactMs,
  jsonConnectTimes,
  jsonDatagrams,
  jsonLatency,
  jsonWhere,
  knownMs,
  renderConnectTimes,
  renderDatagrams,
  renderLate,
} from "./report.ts";

/** What a report needs to know besides the numbers. */
export interface ReportContext {
  /** The server, as it was asked for. */
  readonly target: Address;
  /** How many connections there were. */
  readonly connections: number;
  /** What was sent. */
  readonly message: ProbeMessage;
  /** How many messages were due a second, if they were due at times. */
  readonly ratePerSecond?: number | undefined;
  /** Whether the client's first calls are not in the numbers. */
  readonly isWarm: boolean;
}

/** Below this share of busy connections the client was the limit. */
const BUSY_SHARE = 0.8;

/** From this share of a processor on the client was the limit. */
const PROCESSOR_SHARE = 0.95;

/** From this lateness on the client was the limit, in milliseconds. */
const LATE_MS = 2;

/** Replies that came so long after the end are worth telling, in milliseconds. */
const LATE_REPLY_MS = 100;

/** The marks of a sparkline, from the least to the greatest. */
const SPARKS = "▁▂▃▄▅▆▇█";

/**
 * Computes the rate of a load.
 *
 * @param summary What the load found.
 * @returns How many messages came back a second, in the time of the load.
 */
export function rateOf({ messagesInTime, durationMs }: LoadSummary): number {
  return durationMs > 0 ? messagesInTime / durationMs * 1000 : 0;
}

function bytesOf({ message }: ReportContext): number {
  return typeof message === "number" ? message : message.length;
}

/**
 * Renders the report.
 *
 * @param summary What the load found.
 * @param context What it needs to know besides.
 * @param columns How many characters fit on a line.
 * @returns Some lines, without the last one's end.
 */
export function renderLoad(
  summary: LoadSummary,
  context: ReportContext,
  columns: number,
): string {
  const { messages, failed, durationMs, latencyMs } = summary;
  const bytes = bytesOf(context);
  const rate = rateOf(summary);
  const lines = [
    `--- ${formatAddress(context.target)} echo load ---`,
    `${formatCount(messages, "message")} of ${formatBytes(bytes)} ` +
    `verified, ${formatNumber(failed)} failed, over ` +
    `${formatCount(context.connections, nounOf(context))} in ${
      formatDuration(durationMs)
    }`,
    `${formatRate(rate)} messages/s, ${formatBytes(rate * bytes)}/s each way`,
    ...renderAfterEnd(summary),
    ...renderRate(summary, context),
  ];
  if (summary.underWay > 0) {
    lines.push(
      `${formatCount(summary.underWay, "message")} under way, the oldest for ` +
        formatDuration(summary.oldestMs),
    );
  }
  for (const [reason, times] of Object.entries(summary.failures)) {
    const first = summary.firstErrors[reason as FailureReason];
    lines.push(`failed: ${formatNumber(times)} ${reason}, the first: ${first}`);
  }
  if (context.target.transport === "udp") {
    lines.push(...renderDatagrams(datagramCounts(summary)));
  }
  lines.push(...renderConnectTimes(summary));
  if (latencyMs) {
    const { p50, p90, p99, p99_9, max } = latencyMs;
    const times = [...[p50, p90, p99, p99_9].map(knownMs), exactMs(max)];
    lines.push(`latency p50/p90/p99/p99.9/max = ${times.join("/")} ms`);
    lines.push(...renderLate(summary.lateMs));
    lines.push(...renderHistogram(summary.histogram, columns));
    lines.push(...renderTimeline(summary.timeline));
  }
  const limit = clientLimit(summary, context);
  if (limit) lines.push(`the client was the limit: ${limit}`);
  if (!context.isWarm) lines.push("the first calls of the client are in this");
  return lines.join("\n");
}

/** What messages go over. */
function nounOf({ target }: ReportContext): string {
  return target.transport === "udp" ? "socket" : "connection";
}

function datagramCounts(summary: LoadSummary): DatagramCounts {
  const { irregular, lossRuns, failures } = summary;
  return { irregular, lossRuns, wrong: failures.mismatch ?? 0 };
}

function renderAfterEnd(
  { messages, messagesInTime, lastAfterMs }: LoadSummary,
): string[] {
  const after = messages - messagesInTime;
  // Without a rate each connection has a message under way at the end.
  const isUsual = messagesInTime > 0 && lastAfterMs < LATE_REPLY_MS;
  if (after === 0 || isUsual) return [];
  return [
    `${formatCount(after, "message")} came back after that time, ` +
    `the last ${formatDuration(lastAfterMs)} after it`,
  ];
}

function renderRate(
  { unsent, tooLate, failed }: LoadSummary,
  { ratePerSecond }: ReportContext,
): string[] {
  if (ratePerSecond === undefined) return [];
  const parts = [];
  if (unsent > 0) {
    parts.push(`${formatNumber(unsent)} not sent: too many were under way`);
  }
  if (tooLate > 0) {
    parts.push(`${formatNumber(tooLate)} not sent in time by the client`);
  }
  if (failed > 0) parts.push(`${formatNumber(failed)} failed`);
  const missed = parts.length > 0 ? `, not reached: ${parts.join(", ")}` : "";
  return [`${formatRate(ratePerSecond)} messages/s asked for${missed}`];
}

/**
 * Tells why the client, and not the server, may have been the limit.
 *
 * @param summary What the load found.
 * @param context How many connections there were.
 * @returns Why, and what to do; `undefined` if it was not.
 */
export function clientLimit(
  summary: LoadSummary,
  { connections }: Pick<ReportContext, "connections">,
): string | undefined {
  const { busyShare, processorShare, failed, lateMs, tooLate } = summary;
  if (summary.underWay > 0) return undefined;
  const advice = connections > 1
    ? "; load from several machines, or with fewer connections"
    : "";
  // A connection that failed is idle for a while, which is not the client's doing.
  if (busyShare !== undefined && busyShare < BUSY_SHARE && failed === 0) {
    const idlePercent = Math.round((1 - busyShare) * 100);
    return `a connection had nothing under way for ${idlePercent}% of the ` +
      `time${advice}`;
  }
  // With a rate the client polls between two messages, and so is always busy.
  if (busyShare !== undefined && processorShare >= PROCESSOR_SHARE) {
    return `it was busy for all of the time${advice}`;
  }
  if (tooLate > 0 || (lateMs && lateMs.p99 >= LATE_MS)) {
    const fewer = connections > 1 ? ", or for fewer connections" : "";
    return `it sent messages late; ask for a lower rate${fewer}`;
  }
  return undefined;
}

/**
 * Draws a histogram, a row for each range.
 *
 * @param buckets The ranges.
 * @param columns How many characters a row may have.
 * @returns The rows.
 */
export function renderHistogram(
  buckets: readonly Bucket[],
  columns: number,
): string[] {
  const labels = buckets.map(({ uptoMs }) => `${uptoMs}`);
  const counts = buckets.map((bucket) => formatNumber(bucket.count));
  const labelWidth = Math.max(0, ...labels.map((label) => label.length));
  const countWidth = Math.max(0, ...counts.map((text) => text.length));
  const most = Math.max(1, ...buckets.map((bucket) => bucket.count));
  const room = Math.max(1, columns - labelWidth - countWidth - 8);
  return buckets.map((bucket, row) => {
    const length = Math.ceil(bucket.count / most * room);
    return `<= ${labels[row]!.padStart(labelWidth)} ms ` +
      `${counts[row]!.padStart(countWidth)} ${"#".repeat(length)}`.trimEnd();
  });
}

/**
 * Draws what the load did over the time: the rate, and the 99th percentile.
 *
 * @param rows The rows of the timeline.
 * @returns Two lines, none for fewer than two rows.
 */
export function renderTimeline(rows: readonly TimelineRow[]): string[] {
  const eachMs = rows[0]?.durationMs ?? 0;
  // What is left of the time at the end is too short for a rate.
  const shown = rows.filter(({ durationMs }) => durationMs >= eachMs / 10);
  if (shown.length < 2) return [];
  const rates = shown.map(({ messages, durationMs }) =>
    messages / durationMs * 1000
  );
  const p99s = shown.map(({ p99Ms }) => p99Ms);
  const known = p99s.filter((ms) => ms !== undefined);
  return [
    `rate ${sparkline(rates)} up to ${formatRate(Math.max(...rates))}/s, ` +
    `each mark is ${formatDuration(eachMs)}`,
    ...(known.length > 0
      ? [`p99  ${sparkline(p99s)} up to ${roundMs(Math.max(...known))} ms`]
      : []),
  ];
}

/**
 * Draws numbers as a row of bars.
 *
 * @param numbers The numbers, 0 or more; a space stands for `undefined`.
 * @returns A character a number, the greatest is the highest.
 */
export function sparkline(numbers: readonly (number | undefined)[]): string {
  const most = Math.max(...numbers.map((number) => number ?? 0));
  return numbers.map((number) => {
    if (number === undefined) return " ";
    const height = most === 0 ? 0 : number / most * (SPARKS.length - 1);
    return SPARKS[Math.round(height)]!;
  }).join("");
}

/**
 * Renders the report for JSON.
 *
 * @param summary What the load found.
 * @param context What it needs to know besides.
 * @returns The fields.
 */
export function jsonLoad(
  summary: LoadSummary,
  context: ReportContext,
): Record<string, unknown> {
  const { messages, messagesInTime, failed, durationMs, error } = summary;
  const { target, connections, ratePerSecond, isWarm } = context;
  const bytes = bytesOf(context);
  const rate = rateOf(summary);
  return {
    ...jsonWhere(target, summary.ends),
    ...{ messages, failed },
    messages_per_second: roundMs(rate),
    bytes_per_second: Math.round(rate * bytes),
    message_bytes: bytes,
    duration_ms: roundMs(durationMs),
    after_end: messages - messagesInTime,
    last_after_end_ms: roundMs(summary.lastAfterMs),
    connections,
    ...jsonConnectTimes(summary),
    latency_ms: jsonLatency(summary.latencyMs),
    histogram: summary.histogram.map(({ uptoMs, count }) => ({
      upto_ms: uptoMs,
      count,
    })),
    failures: summary.failures,
    first_errors: summary.firstErrors,
    longest_outage_ms: roundMs(summary.longestOutageMs),
    ...(target.transport === "udp" && jsonDatagrams(datagramCounts(summary))),
    timeline: summary.timeline.map(jsonRow),
    client_limit: clientLimit(summary, context) ?? null,
    warmed_up: isWarm,
    ...(ratePerSecond !== undefined && {
      target_rate: ratePerSecond,
      unsent: summary.unsent + summary.tooLate,
      unsent_too_many_under_way: summary.unsent,
      unsent_client_late: summary.tooLate,
      late_ms: jsonLatency(summary.lateMs),
    }),
    ...(error !== undefined && { error: (error as Error).message }),
  };
}

function jsonRow(row: TimelineRow): Record<string, unknown> {
  return {
    start_ms: roundMs(row.startMs),
    duration_ms: roundMs(row.durationMs),
    messages: row.messages,
    failed: row.failed,
    p50_ms: row.p50Ms ?? null,
    p99_ms: row.p99Ms ?? null,
  };
}
