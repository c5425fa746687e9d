/**
 * The command line of the benchmark.
 *
 * @module
 */

import { formatTime } from "../report/format.ts";
import { switchFlag, UsageError, type Values } from "../cli/flags.ts";
import { parseWhole, timeFlag } from "../cli/values.ts";
import type { Plan } from "./measure.ts";
import { TABLES } from "./report.ts";
import type { Transport } from "./running_server.ts";
import type { AddedServer } from "./servers.ts";

/** The plan of a whole run. */
const WHOLE: Plan = { rounds: 5, timeMs: 800, turns: 4 };

/** The plan of a quick run: shorter turns, and more of them for each median. */
const QUICK: Plan = { rounds: 3, timeMs: 1200, turns: 12 };

/** The flags of the benchmark. */
export const FLAGS = {
  quick: switchFlag(
    "the main contests alone, with the entrants that have targets, in more and " +
      "shorter turns: about three minutes",
  ),
  rounds: {
    value: "N",
    help: "how often everything is measured",
    default: WHOLE.rounds,
    defaultText: `${WHOLE.rounds}, quick ${QUICK.rounds}`,
    parse: (text: string) => parseWhole(text, 1, 1000),
  },
  time: timeFlag({
    short: "t",
    help: "how long a round loads each server, after a warm-up of half of that",
    default: WHOLE.timeMs,
    defaultText: `${formatTime(WHOLE.timeMs)}, quick ${
      formatTime(QUICK.timeMs)
    }`,
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
    value: "[NAME[/udp|/tls]=]COMMAND",
    help: "add a server: a command line, split at spaces, with PORT in it; " +
      "with /udp to the contests of datagrams, with /tls to those of TLS, and " +
      "with CERT and KEY in it",
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

/**
 * Tells how long and how often a run measures everything.
 *
 * @param options The values of the flags.
 * @param given The flags that were given: `--rounds` and `--time` come before what
 * `--quick` implies.
 * @returns The plan.
 */
export function planOf(
  { quick, rounds, time }: Pick<Options, "quick" | "rounds" | "time">,
  given: ReadonlySet<string>,
): Plan {
  return {
    ...(quick ? QUICK : WHOLE),
    ...(given.has("rounds") && { rounds }),
    ...(given.has("time") && { timeMs: time }),
  };
}

function parseList(text: string): string[] {
  return text.split(",").map((word) => word.trim()).filter((word) => word);
}

/** What must stand in the command line of an added server. */
const WORDS: Record<Transport, readonly string[]> = {
  tcp: ["PORT"],
  tls: ["PORT", "CERT", "KEY"],
  udp: ["PORT"],
};

/** The name of an added server that was given none. */
const ADDED = "added server";

/**
 * Reads the command line of a server, before which its name may stand.
 *
 * @param text For example `python3 echo.py PORT`, `mine=./serve -p PORT`,
 * `mine/udp=./serve -u -p PORT` or `mine/tls=./serve PORT CERT KEY`.
 * @returns The server.
 * @throws {UsageError} If it has no `PORT`, or not all that TLS needs.
 */
export function parseServer(text: string): AddedServer {
  const [, name = ADDED, kind = "tcp", command = text] =
    text.match(/^\s*([\w.-]+)(?:\/(udp|tls))?=(.*)$/s) ?? [];
  const transport = kind as Transport;
  for (const word of WORDS[transport]) {
    if (new RegExp(`\\b${word}\\b`).test(command)) continue;
    throw new UsageError(`expected a ${word} in it`);
  }
  return { name, transport, command: command.trim() };
}
