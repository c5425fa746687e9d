import { formatAddress } from "../../net/address.ts";
import { ping, type PingEvent, type PingOptions } from "../../probe/ping.ts";
import { printLine, printStoppedEarly, untilStopped } from "../command.ts";
import { OutputClosedError, type Terminal } from "../terminal.ts";
import { connectorTo } from "../connector.ts";
import type { SendMetrics } from "../metrics/probe.ts";
import type { ProbingOptions } from "../probing.ts";
import {
  jsonEvent,
  jsonSummary,
  renderEvent,
  renderSummary,
  type SummaryContext,
} from "../../report/ping_text.ts";
import type { Summary, Tally } from "../../probe/tally.ts";
import { conclude, printApart } from "../verdict.ts";
import { warmUp } from "../warm_up.ts";

/** What is sent, and how often. */
export type PingTask = Pick<
  PingOptions,
  "message" | "count" | "intervalMs" | "reconnect"
>;

/** What `echo ping` is asked to do. */
export interface PingCommandOptions extends ProbingOptions {
  readonly task: PingTask;
  readonly style: ProbingOptions["style"] & {
    /** Whether each line of events begins with the time. */
    readonly timestamps: boolean;
    /** Whether a terminal gets colors. */
    readonly color: boolean;
  };
}

/** Red, and back to the terminal's own color. */
const [RED, PLAIN] = ["\x1b[31m", "\x1b[39m"];

/** What is sent to a server of our own first: without an interval, and with one. */
const WARM_UP = { message: 64, onEvent() {} };

/** A connection whose end took this long was kept open by the server. */
const SLOW_END_MS = 900;

/**
 * Sends again and again, prints what becomes of each message, and a summary in the
 * end or on Ctrl-C.
 */
export async function runPing(
  options: PingCommandOptions,
  task: PingTask,
  terminal: Terminal,
  metrics?: SendMetrics,
): Promise<number> {
  const { transport } = options.target;
  let isWarm: boolean | undefined;
  return await untilStopped(terminal, options.deadlineMs, async (stop) => {
    if (stop.aborted) await printStoppedEarly(terminal, stop);
    stop.addEventListener("abort", () => metrics?.drain());
    const run = new PingRun(options, task, terminal, stop);
    return await run.run(isWarm, metrics);
  }, async (stop) => {
    isWarm = await warmUp(transport, async (connect, signal) => {
      const what = { ...WARM_UP, connect, signal };
      await ping({ ...what, count: 200, intervalMs: 0 });
      await ping({ ...what, count: 10, intervalMs: 2 });
    }, stop);
  });
}

class PingRun {
  readonly #options: PingCommandOptions;
  readonly #task: PingTask;
  readonly #terminal: Terminal;
  readonly #stop: AbortSignal;
  readonly #outputClosed = new AbortController();
  readonly #context: SummaryContext;
  readonly #reporter: PingReporter;
  /** Whether it was told why `--reconnect` is slow. */
  #isSlownessTold = false;

  constructor(
    options: PingCommandOptions,
    task: PingTask,
    terminal: Terminal,
    stop: AbortSignal,
  ) {
    this.#options = options;
    this.#task = task;
    this.#terminal = terminal;
    this.#stop = stop;
    this.#context = {
      target: options.target,
      message: task.message,
      intervalMs: task.intervalMs,
      timeOf: (moment) => {
        const agoMs = performance.now() - moment;
        return new Date(terminal.now().getTime() - agoMs).toISOString();
      },
    };
    this.#reporter = options.style.json
      ? jsonReporter(this.#context, terminal)
      : textReporter(options, this.#context, terminal);
  }

  /** Runs it; `isWarm` is not known where it was stopped before. */
  async run(
    isWarm: boolean | undefined,
    metrics?: SendMetrics,
  ): Promise<number> {
    const { target, conditions } = this.#options;
    let tally: Tally | undefined;
    using _ = this.#terminal.onStatusSignal(() => {
      if (!tally) return;
      const soFar = renderSummary(tally.summary(), this.#context);
      printApart(this.#terminal, soFar);
    });
    const summary = await ping({
      ...this.#task,
      retryMs: target.retryMs,
      signal: AbortSignal.any([this.#stop, this.#outputClosed.signal]),
      connect: connectorTo(target),
      onEvent: (event) => this.#tell(event),
      onTally(given) {
        tally = given;
        metrics?.begin(() => given);
      },
    });
    const { sent, messages, durationMs } = summary;
    // The interval after the last message counts, too; one message has no rate.
    const spanMs = Math.max(durationMs, sent * this.#task.intervalMs!);
    return await conclude(summary, {
      conditions,
      ratePerSecond: sent > 1 ? messages * 1000 / spanMs : undefined,
      isStopped: () => this.#stop.aborted,
      render: (json) => this.#reporter.summary(summary, isWarm, json),
    }, this.#terminal);
  }

  async #tell(event: PingEvent): Promise<void> {
    if (this.#options.style.quiet) return;
    await this.#tellSlowness(event);
    const line = this.#reporter.event(event);
    if (line !== undefined) await this.#print(line);
  }

  /** Says why --reconnect is slow, once, when a server keeps its side open. */
  async #tellSlowness(event: PingEvent): Promise<void> {
    if (event.type !== "reply" || this.#isSlownessTold) return;
    if (event.endMs === undefined || event.endMs < SLOW_END_MS) return;
    this.#isSlownessTold = true;
    const why = "the server keeps its side of a connection open: the client " +
      "waits a second for the end of each";
    await printLine(this.#terminal.stderr, `echo: ${why}`);
  }

  /** Without a reader the ping ends, and what was verified until then counts. */
  async #print(line: string): Promise<void> {
    try {
      await printLine(this.#terminal.stdout, line);
    } catch (error) {
      if (!(error instanceof OutputClosedError)) throw error;
      this.#outputClosed.abort();
    }
  }
}

/** How a ping is told, as text or as JSON. */
interface PingReporter {
  /** Renders an event, if it is told. */
  event(event: PingEvent): string | undefined;
  /** Renders the result, and what JSON says of the conditions. */
  summary(
    summary: Summary,
    isWarm: boolean | undefined,
    conditions: Record<string, unknown>,
  ): string;
}

function textReporter(
  { style, target }: PingCommandOptions,
  context: SummaryContext,
  terminal: Terminal,
): PingReporter {
  const address = formatAddress(target);
  const isColored = style.color && terminal.isStdoutTerminal &&
    terminal.hasColor;
  return {
    event(event) {
      const line = renderEvent(event, address, target.timeoutMs);
      const time = style.timestamps ? `${terminal.now().toISOString()} ` : "";
      const isLoss = event.type !== "connected" && event.type !== "reply";
      return isLoss && isColored ? `${time}${RED}${line}${PLAIN}` : time + line;
    },
    summary: (summary, isWarm) =>
      renderSummary(summary, context) +
      (isWarm === false ? "\nthe first calls of the client are in this" : ""),
  };
}

function jsonReporter(
  context: SummaryContext,
  terminal: Terminal,
): PingReporter {
  const render = (fields: Record<string, unknown>) =>
    JSON.stringify({ time: terminal.now().toISOString(), ...fields });
  return {
    event: (event) =>
      event.type === "connected"
        ? undefined
        : render(jsonEvent(event, context)),
    summary: (summary, isWarm = false, conditions) =>
      render({
        ...{ ...jsonSummary(summary, context), ...conditions },
        warmed_up: isWarm,
      }),
  };
}
