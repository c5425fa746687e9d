/**
 * What the commands of the tool have in common.
 *
 * @module
 */

import config from "../deno.json" with { type: "json" };
import { writeAll, type Writer } from "../net.ts";
import {
  type CommandLine,
  type Flags,
  parseCommandLine,
  renderFlags,
  switchFlag,
  type Values,
} from "./flags.ts";
import type { Terminal } from "./terminal.ts";

/** The flags of every command. */
export const COMMON_FLAGS = {
  help: switchFlag("print this help", "h"),
  version: switchFlag("print the version", "V"),
} satisfies Flags;

/** A command of the tool. */
export interface Command {
  /** The word that picks it. */
  readonly name: string;
  /** What it does, in a line. */
  readonly about: string;

  /**
   * Runs it.
   *
   * @param args The arguments after its name.
   * @param terminal Where it reads, writes and gets signals.
   * @returns The exit status.
   * @throws {UsageError} If the arguments are not ones that it takes.
   */
  run(args: readonly string[], terminal: Terminal): Promise<number>;
}

/** How a command is made. */
export interface CommandSpec<F extends Flags, Options> {
  /** The word that picks it. */
  readonly name: string;
  /** What it does, in a line. */
  readonly about: string;
  /** What follows its name, for the usage. */
  readonly synopsis: string;
  /** What its words that are not flags are, if it takes any. */
  readonly operand?: string;
  /** What the usage says after the flags. */
  readonly notes?: string;
  /** Its own flags. */
  readonly flags: F;
  /** Turns a command line into options, or throws a {@linkcode UsageError}. */
  readonly options: (line: CommandLine<F>) => Options;
  /** Does the work, and returns the exit status. */
  readonly run: (options: Options, terminal: Terminal) => Promise<number>;
}

/**
 * Makes a command, which takes its own flags and the common ones.
 *
 * @param spec Its name, its flags and what it does.
 * @returns The command.
 */
export function makeCommand<F extends Flags, Options>(
  spec: CommandSpec<F, Options>,
): Command {
  const flags = { ...spec.flags, ...COMMON_FLAGS };
  return {
    name: spec.name,
    about: spec.about,
    async run(args, terminal) {
      const line = parseCommandLine(args, flags, spec.operand);
      const status = await runCommonFlags(line.values, terminal, () => {
        const notes = spec.notes ? `\n\n${spec.notes}` : "";
        return `Usage: echo ${spec.name} ${spec.synopsis}\n\n${spec.about}.\n\n` +
          `Options:\n${renderFlags(flags)}${notes}`;
      });
      return status ?? await spec.run(spec.options(line), terminal);
    },
  };
}

/**
 * Prints the help or the version if the command line asks for it.
 *
 * @param values The values of the common flags.
 * @param terminal Where it is printed.
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
 * @param writer Where it goes.
 * @param text The line, without its end.
 */
export async function printLine(writer: Writer, text: string): Promise<void> {
  await writeAll(writer, encode(`${text}\n`));
}

/**
 * Runs what Ctrl-C ends in good order, and a second Ctrl-C at once, whatever it
 * waits for: a reader of its output, say.
 *
 * @param terminal Where the signals come from.
 * @param work What is run; its signal is aborted by the first Ctrl-C.
 * @returns The exit status that it returns, or 130 at the second Ctrl-C.
 */
export async function untilStopped(
  terminal: Terminal,
  work: (signal: AbortSignal) => Promise<number>,
): Promise<number> {
  const stop = new AbortController();
  const again = Promise.withResolvers<number>();
  using _ = terminal.onStopSignal(() => {
    if (stop.signal.aborted) again.resolve(130);
    stop.abort();
  });
  return await Promise.race([work(stop.signal), again.promise]);
}
