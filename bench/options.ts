/**
 * The command line of the benchmark.
 *
 * @module
 */

import { switchFlag, UsageError, type Values } from "../cli/flags.ts";
import { parseWhole, timeFlag } from "../cli/values.ts";
import { TABLES } from "./report.ts";
import type { AddedServer } from "./servers.ts";

/** The flags of the benchmark. */
export const FLAGS = {
  rounds: {
    value: "N",
    help: "how often everything is measured",
    default: 5,
    parse: (text: string) => parseWhole(text, 1, 1000),
  },
  time: timeFlag({
    short: "t",
    help: "how long a round loads each server, after a warm-up of half of that",
    default: 800,
    min: 10,
  }),
  contests: {
    short: "c",
    value: "WORDS",
    help: "only contests with one of these words in the name of the contest " +
      `or of its table (${TABLES.join(", ")})`,
    default: [""],
    defaultText: "all",
    parse: parseList,
  },
  entrants: {
    short: "e",
    value: "WORDS",
    help: "only entrants with one of these words in the name",
    default: [""],
    defaultText: "all",
    parse: parseList,
  },
  server: {
    short: "s",
    value: "[NAME=]COMMAND",
    help: "add a server: a command line, split at spaces, with PORT in it",
    default: undefined as AddedServer | undefined,
    defaultText: "none",
    parse: parseServer,
  },
  output: {
    short: "o",
    value: "DIR",
    help: "write RESULTS.md and results.svg there",
    default: "",
    defaultText: "nowhere",
    parse: (text: string) => text,
  },
  help: switchFlag("print this help", "h"),
};

/** The values of the flags. */
export type Options = Values<typeof FLAGS>;

function parseList(text: string): string[] {
  return text.split(",").map((word) => word.trim()).filter((word) => word);
}

/** The name of an added server that was given none. */
const ADDED = "added server";

/**
 * Reads the command line of a server, before which its name may stand.
 *
 * @param text For example `python3 echo.py PORT` or `mine=./serve -p PORT`.
 * @returns The server.
 * @throws {UsageError} If it has no `PORT`.
 */
export function parseServer(text: string): AddedServer {
  const [, name = ADDED, command = text] = text.match(/^\s*([\w.-]+)=(.*)$/s) ??
    [];
  if (!/\bPORT\b/.test(command)) {
    throw new UsageError("expected a PORT in it");
  }
  return { name, command: command.trim() };
}
