import { delay } from "@std/async/delay";
import {
  type Condition,
  failedConditions,
  jsonFailed,
  type Measured,
  renderFailed,
} from "../report/conditions.ts";
import type { Summary } from "../probe/tally.ts";
import { isGoodRun } from "../report/common.ts";
import { printLine } from "./command.ts";
import { OutputClosedError, type Terminal } from "./terminal.ts";

/** How a run ended. */
export interface Verdict {
  /** The exit status. */
  readonly status: number;
  /** What JSON says of the conditions, nothing if there were none. */
  readonly json: Record<string, unknown>;
  /** The conditions that hold, a line each. */
  readonly lines: string[];
}

/** Judges a run, which `isGood` if all was in order but for the conditions. */
export function judge(
  isGood: boolean,
  conditions: readonly Condition[],
  measured: Measured,
): Verdict {
  const failed = failedConditions(conditions, measured);
  const json = conditions.length === 0
    ? {}
    : { failed_conditions: failed.map(jsonFailed) };
  const lines = failed.map((it) => `echo: ${renderFailed(it)}`);
  return { status: !isGood ? 1 : failed.length > 0 ? 3 : 0, json, lines };
}

/** What {@linkcode conclude} needs to know besides the summary. */
export interface Conclusion {
  readonly conditions: readonly Condition[];
  /** How many messages came back per second, if that is known. */
  readonly ratePerSecond: number | undefined;
  readonly isStopped: () => boolean;
  /** Renders the result with what JSON says of the conditions; `undefined` for none. */
  readonly render: (json: Record<string, unknown>) => string | undefined;
}

/** Prints the result of a run, and on stderr what was wrong. Returns the exit status. */
export async function conclude(
  summary: Summary,
  { conditions, ratePerSecond, isStopped, render }: Conclusion,
  terminal: Terminal,
): Promise<number> {
  const { messages, failed: lost, latencyMs, outages } = summary;
  const { status, json, lines } = judge(
    isGoodRun(summary, conditions),
    conditions,
    {
      ...{ sent: messages + lost, lost, latencyMs, ratePerSecond },
      longestOutageMs: outages.longestMs,
    },
  );
  const text = render(json);
  if (text === undefined) return status;
  await printResult(terminal, text, isStopped);
  for (const line of lines) await printLine(terminal.stderr, line);
  return status;
}

/**
 * Prints a result. Ctrl-C ends the reader of a pipe too (`| tee`): what it can no longer
 * read goes to stderr then. One that left by itself (`| head`) has what it wanted.
 */
async function printResult(
  { stdout, stderr }: Terminal,
  text: string,
  isStopped: () => boolean,
): Promise<void> {
  try {
    await printLine(stdout, text);
  } catch (error) {
    if (!(error instanceof OutputClosedError)) throw error;
    // The end of the reader may be seen before the signal that ended it.
    if (!isStopped()) await delay(SIGNAL_LAG_MS);
    if (isStopped()) await printLine(stderr, text);
  }
}

/** How much later than the end of a pipe its signal may be seen, in milliseconds. */
const SIGNAL_LAG_MS = 20;

/**
 * Prints a report on stderr while the run goes on. On a terminal it does not share a
 * line with what the terminal shows of the key.
 */
export async function printApart(
  { stderr, isStderrTerminal }: Terminal,
  report: string,
): Promise<void> {
  await printLine(stderr, `${isStderrTerminal ? "\n" : ""}${report}`);
}
