/**
 * `echo send` with load flags: many messages at once, and a report.
 *
 * @module
 */

import { connect } from "../../client.ts";
import { formatAddress } from "../../net/address.ts";
import { writeAll } from "../../net/streams.ts";
import type { FailureReason } from "../../probe/failure.ts";
import type { Bucket } from "../../probe/latency.ts";
import {
  load,
  type LoadCounters,
  type LoadOptions,
  type LoadSummary,
} from "../../probe/load.ts";
import { encode, printLine, untilStopped } from "../command.ts";
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatNumber,
  roundMs,
} from "../format.ts";
import { OutputClosedError, type Terminal } from "../terminal.ts";
import type { Style, Target } from "./options.ts";

/** What is sent, over how many connections and for how long. */
export interface LoadTask extends
  Pick<
    LoadOptions,
    "message" | "durationMs" | "ratePerSecond"
  > {
  /** How many connections there are. */
  readonly connections: number;
}

/** How often the progress is shown, in milliseconds. */
const PROGRESS_MS = 250;

/**
 * Loads a server, shows the progress on a terminal's stderr, and prints a report in
 * the end or on Ctrl-C.
 *
 * @param target Where to send.
 * @param task What to send, over how many connections and for how long.
 * @param style How the report is printed; `quiet` shows no progress.
 * @param terminal Where it is printed.
 * @returns The exit status.
 */
export function runLoad(
  target: Target,
  task: LoadTask,
  style: Style,
  terminal: Terminal,
): Promise<number> {
  return untilStopped(terminal, async (signal) => {
    const progress = new Progress(terminal);
    const { retryMs } = target;
    let summary: LoadSummary;
    try {
      summary = await load({
        ...task,
        retryMs,
        signal,
        connect: (retryMs) => connect({ ...target, retryMs, signal }),
        onStart(counters) {
          if (!style.quiet) progress.start(counters);
        },
      });
    } catch (error) {
      // Ctrl-C came before the first connection: there is nothing to report.
      if (signal.aborted) return 1;
      throw error;
    } finally {
      await progress.stop();
    }
    const report = style.json
      ? JSON.stringify(jsonLoad(summary, task))
      : renderLoad(summary, target, task, terminal.columns);
    await printLine(terminal.stdout, report).catch((error) => {
      if (!(error instanceof OutputClosedError)) throw error;
    });
    return summary.failed === 0 && summary.messages > 0 ? 0 : 1;
  });
}

/** The progress of a load, on one line of a terminal's stderr. */
class Progress {
  readonly #terminal: Terminal;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  start(counters: LoadCounters): void {
    if (!this.#terminal.isStderrTerminal) return;
    this.#timer = setInterval(() => {
      const { stderr, columns } = this.#terminal;
      const line = renderProgress(counters, performance.now())
        .slice(0, columns - 1);
      writeAll(stderr, encode(`\r${line}\x1b[K`));
    }, PROGRESS_MS);
  }

  async stop(): Promise<void> {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    await writeAll(this.#terminal.stderr, encode("\r\x1b[K"));
  }
}

/**
 * Renders the progress.
 *
 * @param counters What the load counted up to now.
 * @param now The time, as `performance.now()`.
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
 * @param summary What the load found.
 * @param target The server.
 * @param task What was asked for.
 * @param columns How many characters fit on a line.
 * @returns Some lines, without the last one's end.
 */
export function renderLoad(
  summary: LoadSummary,
  target: Pick<Target, "hostname" | "port">,
  task: LoadTask,
  columns: number,
): string {
  const { messages, failed, bytes, durationMs, latencyMs } = summary;
  const { connections, message, ratePerSecond } = task;
  const reached = perSecond(messages, durationMs);
  const lines = [
    `--- ${formatAddress(target)} echo load ---`,
    `${formatCount(messages, "message")} of ${formatBytes(message.length)} ` +
    `verified, ${formatNumber(failed)} failed, over ` +
    `${formatCount(connections, "connection")} in ${
      formatDuration(durationMs)
    }`,
    `${reached} messages/s, ` +
    `${formatBytes(bytes / durationMs * 1000)}/s each way`,
  ];
  if (ratePerSecond !== undefined) {
    lines.push(renderRate(ratePerSecond, summary));
  }
  for (const [reason, times] of Object.entries(summary.failures)) {
    const first = summary.firstErrors[reason as FailureReason];
    lines.push(`failed: ${formatNumber(times)} ${reason}, the first: ${first}`);
  }
  if (latencyMs) {
    const { p50, p90, p99, p99_9, max } = latencyMs;
    const times = [p50, p90, p99, p99_9, max].map((ms) => ms.toFixed(3));
    lines.push(`latency p50/p90/p99/p99.9/max = ${times.join("/")} ms`);
    lines.push(...renderHistogram(summary.histogram, columns));
  }
  return lines.join("\n");
}

function renderRate(
  ratePerSecond: number,
  { unsent, failed }: LoadSummary,
): string {
  const asked = `${formatCount(ratePerSecond, "message")}/s asked for`;
  if (unsent === 0 && failed === 0) return asked;
  return `${asked}, not reached: ` +
    `${formatNumber(unsent)} due and not sent in time, ` +
    `${formatNumber(failed)} failed`;
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

function perSecond(messages: number, ms: number): string {
  return formatNumber(ms > 0 ? Math.round(messages / ms * 1000) : 0);
}

function jsonLoad(
  summary: LoadSummary,
  { connections, ratePerSecond }: LoadTask,
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
