import { type LoadProgress, Tally } from "../../probe/tally.ts";
import { printLine, printStoppedEarly, untilStopped } from "../command.ts";
import {
  formatCount,
  formatDuration,
  formatNumber,
  formatRate,
} from "../../report/format.ts";
import { StatusLine } from "../status_line.ts";
import type { Terminal } from "../terminal.ts";
import { renderLoad, type ReportContext } from "../../report/load_text.ts";
import { printLoad } from "./result.ts";
import {
  loadInThisThread,
  type LoadRunner,
  type LoadTask,
  ThreadDiedError,
} from "./runner.ts";
import type { SendMetrics } from "../metrics/probe.ts";
import type { ProbingOptions } from "../probing.ts";
import type { Target } from "../target.ts";
import { printApart } from "../verdict.ts";
import { checkStart, renderWaiting, untilMoment } from "./start_at.ts";

/** What a load is asked to do. */
export interface LoadCommandTask extends LoadTask {
  /** When the load begins; without it, as soon as the connections are open. */
  readonly startAt?: Date | undefined;
  /** How many threads there are. */
  readonly threads: number;
}

/** So many threads a core are worth a word. */
const MANY_THREADS = 4;

/** An age from which on what is under way is worth telling, in milliseconds. */
const OLD_MS = 100;

/**
 * Loads a server, shows the progress on a terminal's stderr, and prints a report in
 * the end or on Ctrl-C.
 *
 * @throws {UsageError} If the time at which it should begin is past.
 * @throws What made the first connection impossible.
 */
export async function runLoad(
  options: ProbingOptions,
  task: LoadCommandTask,
  terminal: Terminal,
  metrics?: SendMetrics,
): Promise<number> {
  const { target, style, conditions, deadlineMs } = options;
  const { startAt: start, threads } = task;
  if (start) checkStart(start, terminal.now());
  if (threads > MANY_THREADS * navigator.hardwareConcurrency) {
    await printLine(
      terminal.stderr,
      `echo: ${formatNumber(threads)} threads share ` +
        `${formatCount(navigator.hardwareConcurrency, "core")}: more threads ` +
        "than cores load no more, and measure each other",
    );
  }
  const id = crypto.randomUUID();
  let runner: LoadRunner | undefined;
  using _runner = { [Symbol.dispose]: () => runner?.[Symbol.dispose]() };
  const prepare = async (signal: AbortSignal) => {
    if (threads === 1) {
      runner = await loadInThisThread(target, task, signal);
      return;
    }
    await withStatus(style.quiet, terminal, async (show) => {
      show(() => `starting ${formatCount(threads, "thread")}`);
      runner = await loadInThreads(target, task, signal);
    });
  };
  return await untilStopped(terminal, deadlineMs, async (signal) => {
    signal.addEventListener("abort", () => metrics?.drain());
    let progress: LoadProgress | undefined;
    let startedAt: Date | undefined;
    const context = (): ReportContext => ({
      ...task,
      ...{ target, isWarm: runner?.isWarm ?? false, startedAt, id },
      canHaveMoreThreads: threads <
        Math.min(navigator.hardwareConcurrency, task.connections),
    });
    const { json } = style;
    const ready = runner;
    if (signal.aborted || !ready) {
      await printStoppedEarly(terminal, signal);
      const summary = new Tally(task).summary();
      const report = { summary, context: context() };
      const ending = { json, conditions, isStopped: true };
      return await printLoad(report, ending, terminal);
    }
    using _ = terminal.onStatusSignal(async () => {
      // Without any thread left there is nothing to show, and the end is near.
      const summary = await Promise.try(() => progress?.summary())
        .catch(() => undefined);
      if (!summary) return;
      const report = renderLoad(
        { summary, context: context() },
        terminal.stderrColumns,
      );
      await printApart(terminal, report);
    });
    const summary = await withStatus(
      style.quiet,
      terminal,
      async (show) =>
        await ready.run({
          signal,
          onCounting: metrics?.begin,
          onOpening: (opened) => show(() => renderOpening(opened, task)),
          async untilStart() {
            if (!start) return;
            show(() => renderWaiting(task, start, terminal.now()));
            await untilMoment(start, terminal, signal);
          },
          onStart(given) {
            progress = given;
            startedAt = terminal.now();
            show(() => renderProgress(given, performance.now()));
          },
        }),
    );

    const isStopped = signal.aborted &&
      !(summary.error instanceof ThreadDiedError);
    const report = { summary, context: context() };
    return await printLoad(report, { json, conditions, isStopped }, terminal);
  }, prepare);
}

async function loadInThreads(
  target: Target,
  task: LoadCommandTask,
  signal: AbortSignal,
): Promise<LoadRunner> {
  // One thread needs nothing of this, which takes long to load.
  const { LoadThreads } = await import("./threads.ts");
  return await LoadThreads.start({
    ...{ target, task, signal },
    threads: task.threads,
  });
}

/** Runs work that shows its progress on a line. */
async function withStatus<T>(
  isQuiet: boolean,
  terminal: Terminal,
  work: (show: (render: () => string) => void) => Promise<T>,
): Promise<T> {
  await using status = new StatusLine(terminal);
  return await work((render) => {
    if (!isQuiet) status.show(render);
  });
}

function renderOpening(opened: number, { connections }: LoadTask): string {
  return `opening connections: ${formatNumber(opened)} of ` +
    formatNumber(connections);
}

/** Renders the progress. */
export function renderProgress(progress: LoadProgress, now: number): string {
  const { startedAt, endsAt, failed } = progress;
  const row = progress.lastSecond();
  const perSecond = row.messages * 1000 / row.durationMs;
  const parts = [`${formatRate(perSecond)} messages/s`];
  if (row.p99Ms !== undefined) parts.push(`p99 ${row.p99Ms} ms`);
  parts.push(`${formatNumber(failed)} failed`);
  const { messages, sinceAt } = progress.underWayNow();
  if (sinceAt !== undefined && now - sinceAt >= OLD_MS) {
    parts.push(
      `${formatNumber(messages)} out, the oldest for ` +
        formatDuration(now - sinceAt),
    );
  }
  const leftMs = endsAt - now;
  if (leftMs > 0) parts.push(`${formatDuration(leftMs)} left`);
  return `${formatDuration(now - startedAt)}: ${parts.join(", ")}`;
}
