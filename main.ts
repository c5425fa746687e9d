/**
 * The command line of the tool: `echo serve` and `echo send`.
 *
 * @module
 */

import {
  type Command,
  COMMON_FLAGS,
  printLine,
  runCommonFlags,
} from "./cli/command.ts";
import {
  nearestName,
  parseCommandLine,
  renderFlags,
  UsageError,
} from "./cli/flags.ts";
import { escapeText } from "./cli/format.ts";
import { sendCommand } from "./cli/send.ts";
import { serveCommand } from "./cli/serve.ts";
import {
  OutputClosedError,
  processTerminal,
  type Terminal,
} from "./cli/terminal.ts";

export type { Terminal };

const COMMANDS: readonly Command[] = [serveCommand, sendCommand];

const ABOUT = `\
echo sends bytes to a TCP server that sends them back, and proves that it did.

Usage: echo <COMMAND> [OPTIONS]

Commands:
${COMMANDS.map(({ name, about }) => `  ${name}  ${about}`).join("\n")}

Options:
${renderFlags(COMMON_FLAGS)}

More on a command: echo <COMMAND> --help`;

/** What to try, by what an error says. */
const HINTS: readonly [message: RegExp, hint: string][] = [
  [
    /^Cannot connect .*: connection refused$/,
    "is a server running there? start one with: echo serve",
  ],
  [
    /^Cannot connect .*: timed out/,
    "check --host and --port, or wait longer with --timeout",
  ],
  [/: the name does not resolve$/, "check --host"],
  [
    /^Cannot listen .*: address already in use$/,
    "choose another with --port",
  ],
  [
    /^Cannot listen .*: this machine has no such address$/,
    "choose one of its own with --host",
  ],
  [
    /^Cannot listen .*: permission denied$/,
    "ports below 1024 need privileges, choose another with --port",
  ],
];

/**
 * Runs the tool.
 *
 * @example
 * ```ts
 * import { main } from "@echo/echo";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(await main(["--version"]), 0);
 * ```
 *
 * @param args The arguments after the program's name.
 * @param terminal Where it reads, writes and gets signals, by default this
 * process's own streams and signals.
 * @returns The exit status: 0 if all went well, 1 if it did not, 2 if the
 * arguments are not ones that the tool takes. Errors become a line on stderr.
 */
export async function main(
  args: readonly string[],
  terminal: Terminal = processTerminal(),
): Promise<number> {
  try {
    return await run(args, terminal);
  } catch (error) {
    if (error instanceof OutputClosedError) return 1;
    await printLine(terminal.stderr, `echo: ${describe(error)}`).catch(
      () => {},
    );
    return error instanceof UsageError ? 2 : 1;
  }
}

async function run(
  args: readonly string[],
  terminal: Terminal,
): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined) {
    await printLine(terminal.stderr, ABOUT);
    return 2;
  }
  const command = COMMANDS.find((command) => command.name === name);
  if (command) return await command.run(rest, terminal);
  if (name.startsWith("-")) {
    const late = COMMANDS.find((command) => rest.includes(command.name));
    if (late) {
      throw new UsageError(`flags go after the command: echo ${late.name}`);
    }
    const line = parseCommandLine(args, COMMON_FLAGS);
    const status = await runCommonFlags(line.values, terminal, () => ABOUT);
    if (status !== undefined) return status;
  }
  const names = COMMANDS.map((command) => command.name);
  const nearest = nearestName(name, names);
  throw new UsageError(
    `unknown command "${escapeText(name)}", ` +
      (nearest ? `did you mean ${nearest}?` : `expected ${names.join(" or ")}`),
  );
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const message = error.message.replaceAll("\n", " ");
  const hint = HINTS.find(([pattern]) => pattern.test(message))?.[1];
  return hint ? `${message}, ${hint}` : message;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
