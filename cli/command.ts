/**
 * What every command of the tool needs.
 *
 * @module
 */

import config from "../deno.json" with { type: "json" };
import { writeAll, type Writer } from "../net/streams.ts";
import { startTimer } from "../net/time.ts";
import {
  type CommandLine,
  type Flags,
  parseCommandLine,
  renderFlags,
  switchFlag,
  type Values,
} from "./flags.ts";
import { formatTime } from "../report/format.ts";
import type { Terminal } from "./terminal.ts";

/**
 * How to start this program, for help that is pasted: a bare `echo` is the shell's own,
 * and says that all is well.
 */
export const PROGRAM = programName();

function programName(): string {
  if (!Deno.build.standalone) return "./echo";
  const path = Deno.execPath();
  const folder = `${Deno.cwd()}/`;
  return path.startsWith(folder) ? `./${path.slice(folder.length)}` : path;
}

/** The flags of every command. */
export const COMMON_FLAGS = {
  help: switchFlag("print this help", "h"),
  version: switchFlag("print the version", "V"),
} satisfies Flags;

/** A command of the tool. */
export interface Command {
  /** The name by which it is called. */
  readonly name: string;

  /**
   * Runs the command.
   *
   * @param args The arguments after its name.
   * @param terminal Where it reads, writes and gets signals.
   * @returns The exit status.
   * @throws {UsageError} If the command does not take the arguments.
   */
  run(args: readonly string[], terminal: Terminal): Promise<number>;
}

/** The parts from which {@linkcode makeCommand} makes a command. */
export interface CommandSpec<F extends Flags, Options> {
  /** The name by which it is called. */
  readonly name: string;
  /** What the command does, in a sentence. */
  readonly about: string;
  /** What follows its name, for the usage. */
  readonly synopsis: string;
  /** Command lines that show what it is for. */
  readonly examples: readonly string[];
  /** The page of docs/ that tells more. */
  readonly page: string;
  /** What to say of flags that other commands have, by their names. */
  readonly elsewhere?: Readonly<Record<string, string>>;
  /** What the usage calls its operands, if it takes any. */
  readonly operand?: string;
  /** What the usage says after the flags. */
  readonly notes?: string;
  /** The flags of this command alone. */
  readonly flags: F;
  /** Turns a command line into options, or throws a {@linkcode UsageError}. */
  readonly options: (line: CommandLine<F>) => Options;
  /**
   * Reads the files that flags name, and returns the options with what they hold. The
   * right to read is given up after that; a command without it gives it up at once.
   */
  readonly read?: (options: Options, terminal: Terminal) => Promise<Options>;
  /** Does the work, and returns the exit status. */
  readonly run: (options: Options, terminal: Terminal) => Promise<number>;
}

/**
 * Makes a command, which takes its own flags and the common ones.
 *
 * @param spec The parts of the command.
 * @returns The command.
 */
export function makeCommand<F extends Flags, Options>(
  spec: CommandSpec<F, Options>,
): Command {
  const flags = { ...spec.flags, ...COMMON_FLAGS };
  return {
    name: spec.name,
    async run(args, terminal) {
      const { operand, elsewhere } = spec;
      const line = parseCommandLine(args, flags, operand, elsewhere);
      const status = await runCommonFlags(line.values, terminal, () =>
        [
          `Usage: ${PROGRAM} ${spec.name} ${spec.synopsis}`,
          spec.about,
          "",
          ...spec.examples.map((example) => `  ${example}`),
          "",
          renderFlags(flags),
          "",
          ...(spec.notes ? [spec.notes] : []),
          `More: docs/${spec.page}`,
        ].join("\n"));
      if (status !== undefined) return status;
      const options = spec.options(line);
      const ready = await spec.read?.(options, terminal) ?? options;
      await terminal.endReading();
      return await spec.run(ready, terminal);
    },
  };
}

/**
 * Prints the help or the version if the command line asks for it.
 *
 * @param values The values of the common flags.
 * @param terminal Where the text is printed.
 * @param help Renders the help.
 * @returns The exit status, or `undefined` if neither was asked for.
 */
export async function runCommonFlags(
  { help: isHelp, version: isVersion }: Values<typeof COMMON_FLAGS>,
  terminal: Terminal,
  help: () => string,
): Promise<number | undefined> {
  if (isHelp) await printLine(terminal.stdout, help());
  else if (isVersion) {
    await printLine(terminal.stdout, `echo ${config.version}`);
  } else return undefined;
  return 0;
}

/**
 * Encodes text in UTF-8.
 *
 * @param text The text.
 * @returns Its bytes.
 */
export function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/**
 * Writes a line of text.
 *
 * @param writer Where the line goes.
 * @param text The line, without its end.
 */
export async function printLine(writer: Writer, text: string): Promise<void> {
  await writeAll(writer, encode(`${text}\n`));
}

/** A command was told to stop before its work was done. */
export class StoppedError extends Error {
  /** The error's name, `StoppedError`. */
  override readonly name = "StoppedError";

  /** The exit status of a command that cannot end in good order. */
  readonly status: number;

  /**
   * Makes the error.
   *
   * @param message What stopped it, for example `interrupted`.
   * @param status The exit status.
   */
  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}

/**
 * Tells that work was stopped before it could begin.
 *
 * @param terminal Where that is told.
 * @param signal The signal of the work, which is aborted.
 */
export async function printStoppedEarly(
  { stderr }: Terminal,
  { reason }: AbortSignal,
): Promise<void> {
  const { message } = reason as StoppedError;
  await printLine(stderr, `echo: ${message} before anything was sent`);
}

/** How long work may take to end after its deadline, in milliseconds. */
const ENDING_MS = 3000;

/** The exit status after a signal, as a shell has it for SIGINT. */
const SIGNAL_STATUS = 130;

/**
 * Runs work that the first Ctrl-C ends in good order, or the end of its time. A
 * further Ctrl-C ends it at once, even if the work waits for a reader of its output.
 *
 * @param terminal Where the signals come from.
 * @param deadlineMs How long the work may take, in milliseconds; `Infinity` is for
 * ever.
 * @param work The work. Its signal is aborted by the first Ctrl-C or at the end of
 * the time; the reason is a {@linkcode StoppedError}.
 * @param prepare What comes before the work and its time. At a Ctrl-C it ends soon, and
 * the work begins with a signal that is aborted.
 * @returns The exit status of the work, or 130 at the second Ctrl-C.
 */
export async function untilStopped(
  terminal: Terminal,
  deadlineMs: number,
  work: (signal: AbortSignal) => Promise<number>,
  prepare?: (signal: AbortSignal) => Promise<void>,
): Promise<number> {
  const stop = new AbortController();
  const again = Promise.withResolvers<number>();
  let isPressed = false;
  using _signals = terminal.onStopSignal(() => {
    if (isPressed) again.resolve(SIGNAL_STATUS);
    // What the terminal shows of Ctrl-C does not share a line with what follows.
    else if (terminal.isStderrTerminal) printLine(terminal.stderr, "");
    isPressed = true;
    stop.abort(new StoppedError("interrupted", SIGNAL_STATUS));
  });
  const run = async () => {
    if (prepare) {
      await prepare(stop.signal).catch((error) => {
        if (!stop.signal.aborted) throw error;
      });
    }
    using _timer = startTimer(deadlineMs, () => {
      const why = `the deadline of ${formatTime(deadlineMs)} is over`;
      stop.abort(new StoppedError(why, 1));
    });
    // The reader of the output may stall for longer than the work takes to end.
    using _end = startTimer(deadlineMs + ENDING_MS, () => again.resolve(1));
    return await Promise.race([work(stop.signal), again.promise]);
  };
  return await Promise.race([run(), again.promise]);
}
