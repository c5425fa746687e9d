/**
 * `echo send --count`: how it reads.
 *
 * @module
 */

import { ShortEchoError } from "../client.ts";
import { formatAddress } from "../net.ts";
import {
  ping,
  type PingEvent,
  type PingOptions,
  type PingSummary,
} from "../probe/ping.ts";
import { printLine, untilStopped } from "./command.ts";
import { formatDuration, formatTime, roundMs } from "./format.ts";
import { OutputClosedError, type Terminal } from "./terminal.ts";

/**
 * Sends again and again, prints what becomes of each, and a summary in the end
 * or on Ctrl-C.
 *
 * @param options What to send, where and how often.
 * @param style JSON instead of lines for a person; the summary alone.
 * @param terminal Where it is printed.
 * @returns The exit status.
 */
export function runPing(
  options: PingOptions & { hostname: string; port: number },
  style: { json: boolean; quiet: boolean },
  terminal: Terminal,
): Promise<number> {
  const { timeoutMs = 0 } = options;
  const address = formatAddress(options);
  const print = (line: string) => printLine(terminal.stdout, line);
  return untilStopped(terminal, async (stopSignal) => {
    const noReader = new AbortController();
    // Where nobody reads on, what was verified until then still counts.
    const unlessUnread = (error: unknown) => {
      if (!(error instanceof OutputClosedError)) throw error;
      noReader.abort();
    };
    const onEvent = async (event: PingEvent) => {
      if (style.quiet || (style.json && event.type === "connected")) return;
      const line = style.json && event.type !== "connected"
        ? JSON.stringify(jsonEvent(event))
        : renderEvent(event, address, timeoutMs);
      await print(line).catch(unlessUnread);
    };
    const signal = AbortSignal.any([stopSignal, noReader.signal]);
    const summary = await ping({ ...options, signal, onEvent });
    const report = style.json
      ? JSON.stringify(jsonSummary(summary))
      : renderSummary(summary, address);
    await print(report).catch(unlessUnread);
    return summary.lost === 0 && summary.verified > 0 ? 0 : 1;
  });
}

/**
 * Renders what became of a message.
 *
 * @param event What happened.
 * @param address The server's address.
 * @param timeoutMs How long a reply may take, in milliseconds.
 * @returns One line, without its end.
 */
export function renderEvent(
  event: PingEvent,
  address: string,
  timeoutMs: number,
): string {
  switch (event.type) {
    case "connected":
      return `Connected to ${address} in ${formatDuration(event.connectMs)}`;
    case "reply": {
      const { seq, bytes, rttMs, connectMs } = event;
      const connected = connectMs === undefined
        ? ""
        : ` connect=${connectMs.toFixed(3)} ms`;
      return `${bytes} B from ${address}: seq=${seq} ` +
        `time=${rttMs.toFixed(3)} ms${connected}`;
    }
    case "lost": {
      const why = event.reason === "timeout"
        ? `timed out after ${formatTime(timeoutMs)}`
        : describeLoss(event.error as Error);
      return `no reply from ${address}: seq=${event.seq} ${why}`;
    }
  }
}

function describeLoss(error: Error): string {
  // What failed where is on the line already.
  const why = error.message.replace(/^.*?:\d+: /, "");
  if (!(error instanceof ShortEchoError) || error.sent > error.received) {
    return why;
  }
  return `${why.replace(/, all .*$/, "")} since the last message`;
}

/**
 * Renders the summary.
 *
 * @param summary What came of it all.
 * @param address The server's address.
 * @returns Two or three lines, without the last one's end.
 */
export function renderSummary(summary: PingSummary, address: string): string {
  const { sent, verified, lost, longestOutageMs, durationMs, rttMs } = summary;
  const outage = lost === 0
    ? ""
    : ` (${lossPercent(summary)}%), longest outage ` +
      formatDuration(longestOutageMs);
  const lines = [
    `--- ${address} echo statistics ---`,
    `${sent} sent, ${verified} verified, ${lost} lost${outage}, ` +
    `in ${formatDuration(durationMs)}`,
  ];
  if (rttMs) {
    const { min, mean, p50, p99, max, stddev } = rttMs;
    const times = [min, mean, p50, p99, max, stddev].map((ms) => ms.toFixed(3));
    lines.push(`rtt min/mean/p50/p99/max/stddev = ${times.join("/")} ms`);
  }
  return lines.join("\n");
}

function lossPercent({ sent, lost }: PingSummary): number {
  return sent === 0 ? 0 : Math.round(lost / sent * 10_000) / 100;
}

function jsonEvent(
  event: Exclude<PingEvent, { type: "connected" }>,
): Record<string, unknown> {
  if (event.type === "lost") {
    const { seq, reason, error } = event;
    return { seq, lost: reason, error: (error as Error).message };
  }
  const { seq, bytes, rttMs, connectMs } = event;
  return {
    seq,
    bytes,
    rtt_ms: roundMs(rttMs),
    ...(connectMs !== undefined && { connect_ms: roundMs(connectMs) }),
  };
}

function jsonSummary(summary: PingSummary): Record<string, unknown> {
  const { sent, verified, lost, longestOutageMs, durationMs, rttMs } = summary;
  return {
    sent,
    verified,
    lost,
    loss_percent: lossPercent(summary),
    longest_outage_ms: roundMs(longestOutageMs),
    duration_ms: roundMs(durationMs),
    rtt_ms: rttMs
      ? Object.fromEntries(
        (["min", "mean", "p50", "p99", "max", "stddev"] as const)
          .map((name) => [name, roundMs(rttMs[name])]),
      )
      : null,
  };
}
