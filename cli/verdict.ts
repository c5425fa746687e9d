import { delay } from "@std/async/delay";
import {
  type Condition,
  failedConditions,
  jsonFailed,
  type Measured,
  renderFailed,
} from "../report/conditions.ts";
import { printLine } from "./command.ts";
import { OutputClosedError, type Terminal } from "./terminal.ts";

/** How a run ended. */
export interface Verdict {
  /** The exit status. */
  readonly status: number;
  /** What JSON says of the conditions, nothing if there were none. */
  readonly json: Record<string, unknown>;
}

/** Judges a run, and tells which conditions held, a line each on stderr. */
export async function judge(
  isGood: boolean,
  conditions: readonly Condition[],
  measured: Measured,
  terminal: Terminal,
): Promise<Verdict> {
  const failed = failedConditions(conditions, measured);
  for (const it of failed) {
    await printLine(terminal.stderr, `echo: ${renderFailed(it)}`);
  }
  const json = conditions.length === 0
    ? {}
    : { failed_conditions: failed.map(jsonFailed) };
  return { status: !isGood ? 1 : failed.length > 0 ? 3 : 0, json };
}

/**
 * Prints a result. Ctrl-C ends the reader of a pipe too (`| tee`): what it can no longer
 * read goes to stderr then. One that left by itself (`| head`) has what it wanted.
 */
export async function printResult(
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
