import { type Address, formatAddress } from "../net/address.ts";
import type { FailureReason } from "../probe/failure.ts";
import type { Summary } from "../probe/tally.ts";
import { areAlike, type ProbeMessage } from "../probe/messages.ts";
import { overlapOf, rateOfRuns } from "../probe/runs.ts";
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatNumber,
  formatRate,
} from "./format.ts";
import { renderHistogram, renderTimeline } from "./charts.ts";
import {
  exactMs,
  knownMs,
  renderConnectTimes,
  renderDatagrams,
  renderLate,
  renderNagle,
  renderUdpDrops,
  UDP_RATE_PER_SECOND,
} from "./common.ts";

/** What a report needs to know besides the numbers. */
export interface ReportContext {
  /** The server, as it was asked for. */
  readonly target: Address;
  /** How many connections there were. */
  readonly connections: number;
  /** What was sent. */
  readonly message: ProbeMessage;
  /** Whether messages had the same bytes, if that is known. */
  readonly isAlike?: boolean | undefined;
  /** How many messages were due a second, if they were due at times. */
  readonly ratePerSecond?: number | undefined;
  /** Whether the client's first calls are not in the numbers. */
  readonly isWarm: boolean;
  /**
   * How many threads the load had.
   *
   * @default {1}
   */
  readonly threads?: number | undefined;
  /** Whether it could have more of them, on cores of this machine. */
  readonly canHaveMoreThreads?: boolean | undefined;
  /** When the clock started, if it did. */
  readonly startedAt?: Date | undefined;
  /** What tells its result from every other one, unless loads are merged. */
  readonly id?: string | undefined;
  /** Where the runs of a merged load come from, in the order of its runs. */
  readonly origins?: readonly RunOrigin[] | undefined;
}

/** What is known of a run besides its numbers, when loads are merged. */
export interface RunOrigin {
  /** The server, as it was asked for. */
  readonly target: Address;
  /** Why the client was the limit, if it was. */
  readonly limit: string | undefined;
  /** What tells its result from every other one, if that is known. */
  readonly id: string | undefined;
}

/** What a load found, and what its report needs to know besides. */
export interface LoadReport {
  /** What the load found. */
  readonly summary: Summary;
  /** What the report needs to know besides. */
  readonly context: ReportContext;
}

/** Below this share of busy connections the client was the limit. */
const BUSY_SHARE = 0.8;

/** From this share of a processor on the client was the limit. */
const PROCESSOR_SHARE = 0.95;

/** From this part of the latency on, and this time, lateness made the client the limit. */
const LATE = { share: 0.25, sendMs: 0.5, timerMs: 2 };

/** Replies that came so long after the end are worth telling, in milliseconds. */
const LATE_REPLY_MS = 100;

/** The most servers that the first line names. */
const MOST_TARGETS = 3;

/** Runs that had less than this share of their time in common are told. */
const SHARED_TIME = 0.9;

/** Computes the rate of a load. */
export function rateOf({ runs }: Pick<Summary, "runs">): number {
  return rateOfRuns(runs);
}

/**
 * Tells whether a load began: it may be stopped while it waits for its start.
 */
export function hasBegun({ runs }: Pick<Summary, "runs">): boolean {
  return runs.some(({ durationMs }) => durationMs > 0);
}

/** Tells how long a message is. */
export function bytesOf({ message }: Pick<ReportContext, "message">): number {
  return typeof message === "number" ? message : message.length;
}

/** Renders the report. */
export function renderLoad(
  { summary, context }: LoadReport,
  columns: number,
): string {
  const { messages, failed, durationMs, latencyMs } = summary;
  const bytes = bytesOf(context);
  const rate = rateOf(summary);
  const title = `--- ${renderTargets(context)} echo load ---`;
  if (!hasBegun(summary)) {
    return [
      title,
      ...renderRuns(summary),
      "stopped before the load began: no message was sent",
      ...renderFailures(summary),
    ].join("\n");
  }
  const lines = [
    title,
    `${formatCount(messages, "message")} of ${formatBytes(bytes)} ` +
    `verified, ${formatNumber(failed)} failed, over ` +
    `${formatCount(context.connections, nounOf(context))} in ${
      formatDuration(durationMs)
    }`,
    `${formatRate(rate)} messages/s, ${formatBytes(rate * bytes)}/s each way`,
    ...renderRuns(summary),
    ...renderAfterEnd(summary),
    ...renderRate(summary, context),
  ];
  if (summary.underWay > 0) {
    lines.push(
      `${formatCount(summary.underWay, "message")} under way, the oldest for ` +
        formatDuration(summary.oldestMs),
    );
  }
  lines.push(...renderFailures(summary));
  if (summary.outages.longestMs > 0) {
    lines.push(`longest outage ${formatDuration(summary.outages.longestMs)}`);
  }
  if (context.target.transport === "udp") {
    const isAlike = areAlikeIn(summary, context);
    lines.push(...renderDatagrams(summary, isAlike));
    if (isUdpRateLikely(summary)) lines.push(...renderUdpDrops(context.target));
  }
  lines.push(...renderConnectTimes(summary));
  if (latencyMs) {
    const { p50, p90, p99, p99_9, max } = latencyMs;
    const times = [...[p50, p90, p99, p99_9].map(knownMs), exactMs(max)];
    lines.push(`latency p50/p90/p99/p99.9/max = ${times.join("/")} ms`);
    lines.push(...renderNagle(summary, context.target));
    if (context.ratePerSecond !== undefined) {
      lines.push(...renderLate(summary.lateMs));
    }
    lines.push(...renderHistogram(summary.histogram, columns));
    lines.push(...renderTimeline(summary.timeline));
  }
  const limit = renderLimits(limitsOf(summary, context));
  if (limit) lines.push(`the client was the limit: ${limit}`);
  if (!context.isWarm) lines.push("the first calls of the client are in this");
  return lines.join("\n");
}

function renderFailures(
  { failures, firstErrors, failedEarly, failedLate }: Summary,
): string[] {
  const lines = Object.entries(failures).map(([reason, times]) =>
    `failed: ${formatNumber(times)} ${reason}, the first: ` +
    firstErrors[reason as FailureReason]
  );
  if (failedEarly > 0) {
    const many = formatCount(failedEarly, "connection");
    lines.push(`${many} failed before the start`);
  }
  if (failedLate > 0) {
    const many = formatCount(failedLate, "failure");
    lines.push(`${many} came after the end`);
  }
  return lines;
}

/** What messages go over. */
function nounOf({ target }: ReportContext): string {
  return target.transport === "udp" ? "socket" : "connection";
}

/** Names the servers. */
function renderTargets({ target, origins = [] }: ReportContext): string {
  const targets = [target, ...origins.map((origin) => origin.target)];
  const names = [...new Set(targets.map(formatAddress))];
  const more = names.length - MOST_TARGETS;
  const named = names.slice(0, MOST_TARGETS).join(", ");
  return more > 0 ? `${named} and ${formatNumber(more)} more` : named;
}

/** Tells of how many runs this is the sum, and whether they were one load. */
function renderRuns({ runs }: Summary): string[] {
  if (runs.length === 1) return [];
  const { runs: going, mostAtOnce, sharedMs, coveredMs } = overlapOf(runs);
  const starts = runs.filter((run) => run.durationMs > 0)
    .map((run) => run.startMs);
  const apartMs = Math.max(0, ...starts) - Math.min(...starts, Infinity);
  const idle = runs.length - going;
  const lines = [
    `${formatCount(runs.length, "run")} merged` +
    (going > 1
      ? `, which began within ${formatDuration(apartMs)} of each other`
      : "") +
    (idle > 0 ? `, ${formatNumber(idle)} of which sent nothing` : ""),
  ];
  if (sharedMs === 0 && going > 0) {
    lines.push(
      `the runs did not all overlap: at most ${formatNumber(mostAtOnce)} of ` +
        `${formatNumber(going)} went on at once; the rate is theirs, the ` +
        "percentiles are those of all messages, not of one load",
    );
  } else if (sharedMs < coveredMs * SHARED_TIME) {
    lines.push(
      `all ${formatNumber(going)} runs went on at once for ` +
        `${formatDuration(sharedMs)} of ${formatDuration(coveredMs)}`,
    );
  }
  return lines;
}

/** Tells whether messages had the same bytes. */
export function areAlikeIn(
  { messages, failed }: Summary,
  { message, isAlike }: ReportContext,
): boolean {
  return isAlike ?? areAlike(message, messages + failed);
}

/** Tells whether messages got no reply, and were so many that a server limits them. */
function isUdpRateLikely({ failures, timeline }: Summary): boolean {
  return (failures.timeout ?? 0) > 0 &&
    timeline.some(({ messages, failed, durationMs }) =>
      (messages + failed) * 1000 / Math.max(durationMs, 1000) >=
        UDP_RATE_PER_SECOND
    );
}

function renderAfterEnd(
  { messages, messagesInTime, lastAfterMs }: Summary,
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
  { unsent, tooLate, failed }: Summary,
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

/** Tells why the client, and not the server, may have been the limit. */
export function clientLimit(
  summary: Summary,
  { connections, threads = 1, canHaveMoreThreads = false }: Pick<
    ReportContext,
    "connections" | "threads" | "canHaveMoreThreads"
  >,
): string | undefined {
  const { busyShare, processorShare, failed, lateMs, tooLate } = summary;
  if (summary.underWay > 0) return undefined;
  const advice = connections > 1
    ? "; load " + (canHaveMoreThreads ? "with --workers 0, " : "") +
      "from several machines, or with fewer connections"
    : "";
  // A connection that failed is idle for a while, which is not the client's doing.
  if (busyShare !== undefined && busyShare < BUSY_SHARE && failed === 0) {
    const idlePercent = Math.round((1 - busyShare) * 100);
    return `a connection had nothing under way for ${idlePercent}% of the ` +
      `time${advice}`;
  }
  // With a rate the client polls between two messages, and so is always busy.
  if (busyShare !== undefined && processorShare >= PROCESSOR_SHARE * threads) {
    return `it was busy for all of the time${advice}`;
  }
  const leastMs = Math.max(
    (summary.latencyMs?.p99 ?? Infinity) * LATE.share,
    busyShare === undefined ? LATE.sendMs : LATE.timerMs,
  );
  const isLate = lateMs !== undefined && lateMs.p99 >= leastMs;
  if (isLate && busyShare !== undefined) {
    return `its timers were late by up to ${knownMs(lateMs.p99)} ms (p99): ` +
      `something else took its processor${advice}`;
  }
  if (tooLate > 0 || isLate) {
    const fewer = connections > 1 ? ", or for fewer connections" : "";
    return `it sent messages late; ask for a lower rate${fewer}`;
  }
  return undefined;
}

/** Tells of each run why the client may have been the limit. */
export function limitsOf(
  summary: Summary,
  context: ReportContext,
): (string | undefined)[] {
  return context.origins?.map(({ limit }) => limit) ??
    [clientLimit(summary, context)];
}

/** Renders why the client was the limit. */
export function renderLimits(
  limits: readonly (string | undefined)[],
): string | undefined {
  const [first, ...others] = limits.filter((limit) => limit !== undefined);
  if (first === undefined || limits.length === 1) return first;
  const many = `in ${1 + others.length} of ${limits.length} runs`;
  return `${many}, in the first of them as ${first}`;
}
