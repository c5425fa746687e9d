/** The command line of the benchmark. */

import { parseArgs } from "@std/cli/parse-args";
import { type Contest, CONTESTS, type Entrant, ENTRANTS } from "./entrants.ts";

/** The turns of each entrant in a round. */
export const TURNS = 4;

export const USAGE = `Usage: deno task bench [OPTIONS]

Measures echo beside other servers and clients. It needs Linux and a C compiler.

Options:
  -r, --rounds N         how often all contests are held (default: 5)
  -t, --time TIME        how long a turn is; a round has ${TURNS} (default: 200ms)
  -c, --contests LIST    only these: ${keysOf(CONTESTS.slice(0, 6))},
                         ${keysOf(CONTESTS.slice(6))}
  -e, --entrants LIST    only these: ${namesOf(ENTRANTS)};
                         the first one is compared with all others
  -s, --server NAME[/ROLE]=COMMAND
                         one more entrant (repeatable): a command with PORT in
                         it; ROLE is tcp (default), udp, client, or tls, whose
                         command also has CERT and KEY
  -o, --output DIR       write RESULTS.md and results.svg there
  -h, --help             print this help

Exit status: 1 if echo or an entrant of --server failed, or if a contest has no
result; 2 if the command line is wrong or names what is not here.`;

export class UsageError extends Error {}

export interface Options {
  readonly rounds: number;
  readonly timeMs: number;
  readonly contests: readonly Contest[];
  readonly entrants: readonly Entrant[];
  /** The entrants that --server added. */
  readonly added: readonly Entrant[];
  readonly output?: string;
}

function keysOf(contests: readonly Contest[]): string {
  return contests.map(({ key }) => key).join(",");
}

function namesOf(entrants: readonly Entrant[]): string {
  return entrants.map(({ name }) => name.toLowerCase().split(" ")[0]).join(",");
}

/** Reads the command line. Returns undefined if it asks for help. */
export function parseOptions(
  line: string[],
  programs: Readonly<Record<string, string>>,
): Options | undefined {
  const args = parseArgs(line, {
    string: ["rounds", "time", "contests", "entrants", "server", "output"],
    boolean: ["help"],
    collect: ["server"],
    default: { rounds: "5", time: "200ms" },
    alias: {
      r: "rounds",
      t: "time",
      c: "contests",
      e: "entrants",
      s: "server",
      o: "output",
      h: "help",
    },
    unknown: (arg: string) => {
      throw new UsageError(`"${arg}" is not an option`);
    },
  });
  if (args.help) return undefined;
  const rounds = Number(args.rounds);
  if (!(Number.isInteger(rounds) && rounds > 0)) {
    throw new UsageError(`--rounds: "${args.rounds}" is not a number from 1`);
  }
  const [, time, unit] = args.time.match(/^(\d+)(ms|s)$/) ?? [];
  const timeMs = Number(time) * (unit === "s" ? 1000 : 1);
  if (!(timeMs > 0)) {
    throw new UsageError(`--time: "${args.time}" is not a time like 200ms`);
  }
  const added = parseServers(args.server);
  const isHere = ({ needs }: Entrant) => !needs || needs in programs;
  const entrants = [
    ...pick("entrants", args.entrants, ENTRANTS, namesOf, isHere),
    ...added,
  ];
  const canHold = ({ role = "tcp" }: Contest) =>
    (role !== "tls" || "libssl" in programs) &&
    entrants.some(({ commands }) => commands[role]);
  return {
    rounds,
    timeMs,
    contests: pick("contests", args.contests, CONTESTS, keysOf, canHold),
    entrants,
    added,
    ...(args.output !== undefined && { output: args.output }),
  };
}

/** Picks what a flag lists, in its order, or all that this machine can do. */
function pick<T>(
  flag: string,
  list: string | undefined,
  all: readonly T[],
  wordsOf: (items: readonly T[]) => string,
  isPossible: (item: T) => boolean,
): T[] {
  if (list === undefined) return all.filter(isPossible);
  const picked = list.split(",").map((word) => {
    const item = all.find((it) => wordsOf([it]) === word.trim());
    if (!item) {
      const words = wordsOf(all);
      throw new UsageError(`--${flag}: "${word}" is none of ${words}`);
    }
    if (isPossible(item)) return item;
    throw new UsageError(`--${flag}: what ${word} needs is not here`);
  });
  return [...new Set(picked)];
}

/** Reads entrants. One may come again, with a command for another role. */
function parseServers(texts: readonly string[]): Entrant[] {
  const commands = new Map<string, Record<string, string>>();
  for (const text of texts) {
    const [, name, role = "tcp", command = ""] =
      text.match(/^([\w.-]+)(?:\/(tcp|udp|tls|client))?=(.*)$/) ?? [];
    if (!name || !/\bPORT\b/.test(command)) {
      throw new UsageError(
        `--server: "${text}" is not NAME[/ROLE]=COMMAND with PORT in it`,
      );
    }
    if (ENTRANTS.some((entrant) => entrant.name === name)) {
      throw new UsageError(`--server: there is an entrant ${name} already`);
    }
    commands.set(name, { ...commands.get(name), [role]: command });
  }
  return [...commands].map(([name, commands]) => ({ name, commands }));
}
