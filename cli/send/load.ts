/**
 * `echo send` with load flags: how it reads.
 *
 * @module
 */

import { formatAddress, writeAll } from "../net.ts";
import type { FailureReason } from "../probe/failure.ts";
import type { Bucket } from "../probe/latency.ts";
import {
  load,
  type LoadCounters,
  type LoadOptions,
  type LoadSummary,
} from "../probe/load.ts";
import { encode, printLine, untilStopped } from "./command.ts";
import { formatBytes, formatCount, formatDuration, roundMs } from "./format.ts";
import { OutputClosedError, type Terminal } from "./terminal.ts";

/** A load whose server and connections are known, for the report. */
export interface LoadTarget extends LoadOptions {
  /** The server's address or name. */
  hostname: string;
  /** The server's port. */
  port: number;
  /** How many connections there are. */
  connections: number;
}

/** How often the progress is shown. */
const PROGRESS_MS = 250;

/**
 * Loads a server, shows the progress on a terminal's stderr, and prints what
 * came of it in the end or on Ctrl-C.
 *
 * @param options What to send, where and how much.
 * @param style JSON instead of a report for a person; no progress.
 * @param terminal Where it is printed.
 * @returns The exit status.
 */
export function runLoad(
  options: LoadTarget,
  style: { json: boolean; quiet: boolean },
  terminal: Terminal,
): Promise<number> {
  return untilStopped(terminal, async (signal) => {
    let progress: ReturnType<typeof setInterval> | undefined;
    const onStart = (counters: LoadCounters) => {
      if (style.quiet || !terminal.isStderrTerminal) return;
      progress = setInterval(() => {
        const line = renderProgress(counters, performance.now())
          .slice(0, terminal.columns - 1);
        writeAll(terminal.stderr, encode(`\r${line}\x1b[K`));
      }, PROGRESS_MS);
    };
    let summary: LoadSummary;
    try {
      summary = await load({ ...options, signal, onStart });
    } catch (error) {
      // Ctrl-C before it was connected: there is nothing to report.
      if (signal.aborted) return 1;
      throw error;
    } finally {
      if (progress !== undefined) {
        clearInterval(progress);
        await writeAll(terminal.stderr, encode("\r\x1b[K"));
      }
    }
    const report = style.json
      ? JSON.stringify(jsonLoad(summary, options))
      : renderLoad(summary, options, terminal.columns);
    await printLine(terminal.stdout, report).catch((error) => {
      if (!(error instanceof OutputClosedError)) throw error;
    });
    return summary.failed === 0 && summary.messages > 0 ? 0 : 1;
  });
}

/**
 * Renders how far it is.
 *
 * @param counters What happened until now.
 * @param now When that is, as `performance.now()`.
 * @returns One line, without its end.
 */
export function renderProgress(
  { startedAt, messages, failed }: LoadCounters,
  now: number,
): string {
  const elapsedMs = now - startedAt;
  return `${formatDuration(elapsedMs)}: ${perSecond(messages, elapsedMs)} ` +
    `messages/s, ${failed} failed`;
}

/**
 * Renders the report.
 *
 * @param summary What came of it all.
 * @param options What was asked for.
 * @param columns How wide the terminal is.
 * @returns Some lines, without the last one's end.
 */
export function renderLoad(
  summary: LoadSummary,
  options: LoadTarget,
  columns: number,
): string {
  const { messages, failed, bytes, durationMs, latencyMs, unsent } = summary;
  const { connections, message, ratePerSecond } = options;
  const reached = perSecond(messages, durationMs);
  const lines = [
    `--- ${formatAddress(options)} echo load ---`,
    `${formatCount(messages, "message")} of ${formatBytes(message.length)} ` +
    `verified, ${count(failed)} failed, over ` +
    `${formatCount(connections, "connection")} in ${
      formatDuration(durationMs)
    }`,
    `${reached} messages/s, ` +
    `${formatBytes(bytes / durationMs * 1000)}/s each way`,
  ];
  if (ratePerSecond !== undefined) {
    const asked = `${formatCount(ratePerSecond, "message")}/s asked for`;
    lines.push(
      unsent > 0 || failed > 0
        ? `${asked}, not reached: ${count(unsent)} due and not sent in time, ` +
          `${count(failed)} failed`
        : asked,
    );
  }
  for (const [reason, times] of Object.entries(summary.failures)) {
    const first = summary.firstErrors[reason as FailureReason];
    lines.push(`failed: ${count(times)} ${reason}, the first: ${first}`);
  }
  if (latencyMs) {
    const { p50, p90, p99, p99_9, max } = latencyMs;
    const times = [p50, p90, p99, p99_9, max].map((ms) => ms.toFixed(3));
    lines.push(`latency p50/p90/p99/p99.9/max = ${times.join("/")} ms`);
    lines.push(...renderHistogram(summary.histogram, columns));
  }
  return lines.join("\n");
}

/**
 * Draws a histogram, a row for each range.
 *
 * @param buckets The ranges.
 * @param columns How wide a row may be.
 * @returns The rows.
 */
export function renderHistogram(
  buckets: readonly Bucket[],
  columns: number,
): string[] {
  const labels = buckets.map(({ uptoMs }) => `${uptoMs}`);
  const counts = buckets.map((bucket) => count(bucket.count));
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

function count(number: number): string {
  return number.toLocaleString("en-US");
}

function perSecond(messages: number, ms: number): string {
  return count(ms > 0 ? Math.round(messages / ms * 1000) : 0);
}

function jsonLoad(
  summary: LoadSummary,
  { connections, ratePerSecond }: LoadOptions,
): Record<string, unknown> {
  const { messages, failed, bytes, durationMs, latencyMs } = summary;
  const rate = (amount: number) =>
    durationMs > 0 ? Math.round(amount / durationMs * 1000) : 0;
  const latency = latencyMs && Object.fromEntries(
    Object.entries(latencyMs)
      .filter(([name]) => name !== "stddev")
      .map(([name, ms]) => [name, roundMs(ms)]),
  );
  return {
    messages,
    failed,
    messages_per_second: rate(messages),
    bytes_per_second: rate(bytes),
    duration_ms: roundMs(durationMs),
    connections,
    latency_ms: latency ?? null,
    histogram: summary.histogram.map(({ uptoMs, count }) => ({
      upto_ms: uptoMs,
      count,
    })),
    failures: summary.failures,
    ...(ratePerSecond !== undefined && {
      target_rate: ratePerSecond,
      unsent: summary.unsent,
    }),
  };
}
