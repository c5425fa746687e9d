import {
  type Address,
  addressOf,
  formatAddress,
  formatHostPort,
} from "../net/address.ts";
import type { ShortEchoError } from "../client.ts";
import { isNetworkError } from "../net/errors.ts";
import { isCut } from "../probe/failure.ts";
import type { PingEvent } from "../probe/ping.ts";
import type { Summary } from "../probe/tally.ts";
import { areAlike, type ProbeMessage } from "../probe/messages.ts";
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatNumber,
  formatPercent,
  formatTime,
  percentOf,
} from "./format.ts";
import {
  exactMs,
  jsonDatagrams,
  jsonUnsent,
  jsonWhere,
  knownMs,
  renderConnectTimes,
  renderDatagrams,
  renderIrregulars,
  renderLate,
  renderNagle,
  renderUdpDrops,
  UDP_RATE_PER_SECOND,
} from "./common.ts";
import { toJson } from "./json.ts";

/** What a summary needs to know besides the numbers. */
export interface SummaryContext {
  /** The server, as it was asked for. */
  readonly target: Address;
  /** Turns a `performance.now()` into a time of day (ISO 8601). */
  readonly timeOf: (moment: number) => string;
  /** What is sent each time. */
  readonly message: ProbeMessage;
  /** How far apart messages were due, in milliseconds, if that is known. */
  readonly intervalMs?: number | undefined;
}

/** Renders the summary. */
export function renderSummary(
  summary: Summary,
  context: SummaryContext,
): string {
  const { latencyMs: rttMs, jitterMs, lateMs } = summary;
  const lines = [
    `--- ${formatAddress(context.target)} echo statistics ---`,
    renderCounts(summary),
    ...renderOutages(summary, context),
  ];
  if (context.target.transport === "udp") {
    const isAlike = areAlike(context.message, summary.sent);
    lines.push(...renderDatagrams(summary, isAlike));
    if (isUdpRateLikely(summary, context)) {
      lines.push(...renderUdpDrops(context.target));
    }
  }
  lines.push(...renderConnectTimes(summary));
  if (rttMs) {
    const { min, mean, p50, p90, p99, max, stddev } = rttMs;
    const times = [
      ...[exactMs(min), exactMs(mean), knownMs(p50), knownMs(p90)],
      ...[knownMs(p99), exactMs(max), exactMs(stddev)],
    ];
    lines.push(
      `rtt min/mean/p50/p90/p99/max/stddev = ${times.join("/")} ms` +
        (jitterMs === undefined ? "" : `, jitter ${exactMs(jitterMs)} ms`),
    );
  }
  lines.push(...renderNagle(summary, context.target));
  return [...lines, ...renderLate(lateMs)].join("\n");
}

/** Tells whether messages got no reply, and were so many that a server limits them. */
function isUdpRateLikely(
  { sent, failed, failures }: Summary,
  { intervalMs }: SummaryContext,
): boolean {
  return failed > (failures.mismatch ?? 0) && sent >= UDP_RATE_PER_SECOND &&
    intervalMs !== undefined && intervalMs < 1000 / UDP_RATE_PER_SECOND;
}

function renderCounts(summary: Summary): string {
  const { sent, messages, failed: lost, underWay, unsent, tooLate } = summary;
  const loss = lost === 0 ? "" : ` (${formatPercent(lost, sent)})`;
  const parts = [
    `${formatNumber(sent)} sent`,
    `${formatNumber(messages)} verified`,
    `${formatNumber(lost)} lost${loss}`,
  ];
  if (underWay > 0) parts.push(`${formatNumber(underWay)} under way`);
  if (unsent > 0) {
    parts.push(`${formatNumber(unsent)} not sent: too many were under way`);
  }
  if (tooLate > 0) {
    parts.push(`${formatNumber(tooLate)} not sent: the client was stopped`);
  }
  if (summary.surplus > 0) parts.push("more came back than was sent");
  if (summary.outages.count > 0) {
    const longest = formatDuration(summary.outages.longestMs);
    parts.push(`longest outage ${longest}`);
  }
  return `${parts.join(", ")}, in ${formatDuration(summary.durationMs)}`;
}

function renderOutages(
  { outages }: Summary,
  { timeOf }: SummaryContext,
): string[] {
  const { count, latest } = outages;
  const earlier = count - latest.length;
  const lines = latest.map((outage) => {
    const { startedAt, endedAt, messages, reason } = outage;
    return `outage from ${timeOf(startedAt)} to ${timeOf(endedAt)}: ` +
      `${formatDuration(endedAt - startedAt)}, ` +
      `${formatCount(messages, "message")}, ${reason}`;
  });
  if (earlier > 0) lines.unshift(`${formatCount(earlier, "earlier outage")}`);
  return lines;
}

/** Renders an event for JSON. */
export function jsonEvent(
  event: Exclude<PingEvent, { type: "connected" }>,
  { target }: SummaryContext,
): Record<string, unknown> {
  return { ...jsonWhere(target, event.ends), ...toJson(fieldsOf(event)) };
}

function fieldsOf(
  event: Exclude<PingEvent, { type: "connected" }>,
): Record<string, unknown> {
  switch (event.type) {
    case "reply": {
      const { seq, bytes, rttMs, connectMs, handshakeMs } = event;
      return { seq, bytes, rttMs, connectMs, handshakeMs };
    }
    case "lost": {
      const { seq, reason: lost, detail: error, ageMs } = event;
      return { seq, lost, error, ageMs };
    }
    case "surplus":
      return { surplus: true, error: event.detail };
    case "irregular": {
      const { kind: irregular, seq, ageMs } = event;
      const from = event.from && formatHostPort(event.from);
      return { irregular, seq, ageMs, from };
    }
    case "irregular_many": {
      const { counts, withinMs } = event;
      return { irregular: "many", counts, withinMs };
    }
  }
}

/** Renders the summary for JSON. */
export function jsonSummary(
  summary: Summary,
  { target, timeOf, message }: SummaryContext,
): Record<string, unknown> {
  const { sent, failed: lost, surplus, outages, unsent, tooLate } = summary;
  return {
    ...jsonWhere(target, summary.ends),
    ...{ sent, verified: summary.messages, lost },
    ...toJson({ lossPercent: percentOf(lost, sent) }),
    ...jsonUnsent({ unsent, tooLate }),
    surplus,
    ...(target.transport === "udp" &&
      jsonDatagrams(summary, areAlike(message, sent))),
    ...toJson({
      outages: outages.count,
      longestOutageMs: outages.longestMs,
      latestOutages: outages.latest.map((outage) =>
        toJson({
          start: timeOf(outage.startedAt),
          end: timeOf(outage.endedAt),
          durationMs: outage.endedAt - outage.startedAt,
          messages: outage.messages,
          reason: outage.reason,
        })
      ),
      durationMs: summary.durationMs,
      ...summary.connectTimes,
      rttMs: summary.latencyMs ?? null,
      jitterMs: summary.jitterMs ?? null,
      lateMs: summary.lateMs ?? null,
    }),
  };
}

/** Renders what became of a message. */
export function renderEvent(
  event: PingEvent,
  address: string,
  timeoutMs: number,
): string {
  switch (event.type) {
    case "connected": {
      const { local, remote } = event.ends;
      if (remote.transport === "udp") {
        // Each address of a name gets them from another port, until one answers.
        const isKnown = addressOf(remote.hostname) !== undefined;
        const from = isKnown ? ` from port ${local.port}` : "";
        return `Datagrams to ${address}${from}`;
      }
      return `Connected to ${address} in ${formatDuration(event.connectMs)}` +
        (event.handshakeMs === undefined
          ? ""
          : `, TLS handshake in ${formatDuration(event.handshakeMs)}`);
    }
    case "reply": {
      const { seq, bytes, rttMs, connectMs, handshakeMs } = event;
      const connected = connectMs === undefined
        ? ""
        : ` connect=${connectMs.toFixed(3)} ms`;
      return `${formatBytes(bytes)} from ${address}: seq=${seq} ` +
        `time=${rttMs.toFixed(3)} ms${connected}` +
        (handshakeMs === undefined
          ? ""
          : ` handshake=${handshakeMs.toFixed(3)} ms`);
    }
    case "lost": {
      const what = event.reason === "mismatch" ? "wrong" : "no";
      const why = describeLoss(event, timeoutMs);
      return `${what} reply from ${address}: seq=${event.seq} ${why}`;
    }
    case "surplus":
      return `wrong reply from ${address}: after the last message, ` +
        event.detail;
    case "irregular":
      return renderIrregular(event, address);
    case "irregular_many": {
      const { counts, withinMs } = event;
      return `further irregular replies from ${address}: ` +
        `${renderIrregulars(counts)} within ${formatDuration(withinMs)}`;
    }
  }
}

function renderIrregular(
  { kind, seq, ageMs, from }: Extract<PingEvent, { type: "irregular" }>,
  address: string,
): string {
  const sender = from ? formatAddress(from) : address;
  const number = seq === undefined ? "" : `: seq=${seq}`;
  const age = ageMs === undefined ? "" : `, ${formatDuration(ageMs)} old`;
  return `${kind} reply from ${sender}${number}${age}`;
}

/** Says why a message was lost; the line names the address already. */
function describeLoss(
  { reason, error, detail, ageMs }: Extract<PingEvent, { type: "lost" }>,
  timeoutMs: number,
): string {
  if (reason === "timeout") {
    const isConnect = isNetworkError(error) && error.operation === "connect";
    const what = isConnect ? "connecting timed out" : "timed out";
    return `${what} after ${formatTime(timeoutMs)}`;
  }
  if (reason === "unanswered") {
    return `unanswered after ${formatDuration(ageMs)}`;
  }
  if (isCut(error)) {
    return `${(error as ShortEchoError).ending} since the last message`;
  }
  return detail;
}
