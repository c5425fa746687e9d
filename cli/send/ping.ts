/**
 * `echo send --count`: one message after another, reported as ping does.
 *
 * @module
 */

import { connect, ShortEchoError } from "../../client.ts";
import { formatAddress } from "../../net/address.ts";
import { describeError, isNetworkError } from "../../net/errors.ts";
import {
  ping,
  type PingEvent,
  type PingOptions,
  type PingSummary,
} from "../../probe/ping.ts";
import { printLine, untilStopped } from "../command.ts";
import { formatDuration, formatTime, roundMs } from "../format.ts";
import { OutputClosedError, type Terminal } from "../terminal.ts";
import type { Style, Target } from "./options.ts";

/** What is sent, and how often. */
export type PingTask = Pick<
  PingOptions,
  "message" | "count" | "intervalMs" | "reconnect"
>;

/**
 * Sends again and again, prints what becomes of each message, and a summary in the
 * end or on Ctrl-C.
 *
 * @param target Where to send.
 * @param task What to send, and how often.
 * @param style How the report is printed; `quiet` prints the summary alone.
 * @param terminal Where it is printed.
 * @returns The exit status.
 */
export function runPing(
  target: Target,
  task: PingTask,
  style: Style,
  terminal: Terminal,
): Promise<number> {
  const address = formatAddress(target);
  const print = (line: string) => printLine(terminal.stdout, line);
  return untilStopped(terminal, async (stopSignal) => {
    const outputClosed = new AbortController();
    // Without a reader the ping ends, and what was verified until then counts.
    const unlessClosed = (error: unknown) => {
      if (!(error instanceof OutputClosedError)) throw error;
      outputClosed.abort();
    };
    const onEvent = async (event: PingEvent) => {
      if (style.quiet || (style.json && event.type === "connected")) return;
      const line = style.json && event.type !== "connected"
        ? JSON.stringify(jsonEvent(event))
        : renderEvent(event, address, target.timeoutMs);
      await print(line).catch(unlessClosed);
    };
    const signal = AbortSignal.any([stopSignal, outputClosed.signal]);
    const { retryMs } = target;
    const summary = await ping({
      ...task,
      retryMs,
      signal,
      onEvent,
      connect: (retryMs) => connect({ ...target, retryMs, signal }),
    });
    const report = style.json
      ? JSON.stringify(jsonSummary(summary))
      : renderSummary(summary, address);
    await print(report).catch(unlessClosed);
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
        : describeLoss(event.error);
      return `no reply from ${address}: seq=${event.seq} ${why}`;
    }
  }
}

/** Says why a message was lost; the line names the address already. */
function describeLoss(error: unknown): string {
  if (error instanceof ShortEchoError && error.sent === error.received) {
    return `${error.ending} since the last message`;
  }
  return isNetworkError(error) ? error.detail : describeError(error);
}

/**
 * Renders the summary.
 *
 * @param summary What the ping found.
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
