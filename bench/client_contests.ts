/**
 * Contests of clients, and of how fast a process starts.
 *
 * @module
 */

import type { Equipment } from "./equipment.ts";
import type { Plan, RunnableContest } from "./measure.ts";
import {
  checkSuccess,
  type CommandLine,
  PATIENCE_MS,
  type Processes,
} from "./process.ts";
import { EXECUTABLE, fromSource } from "./programs.ts";
import { startServer } from "./running_server.ts";
import { NAMES } from "./servers.ts";

/** How much a client streams, in MiB. */
const STREAM_MIB = 1024;
const STREAM_BYTES = STREAM_MIB * 1024 ** 2;

/** The contest in which a client streams a file. */
export const FROM_FILE = "1 GiB from a file";

/** The contest in which a client streams what it reads from a pipe. */
export const FROM_PIPE = "1 GiB from a pipe";

/** The names of the clients that are compared with each other. */
export const CLIENTS = { ours: "echo send -", socat: "socat -b65536" } as const;

/** A client, or a server whose start is measured. */
interface Contender {
  readonly name: string;
  /** The program that this machine must have for it, if it may be missing. */
  readonly needs?: string;
  /** Its command line, by the port of a server of ours. */
  readonly command: (port: number) => CommandLine;
}

/** Measures a contender once. */
type Measure = (command: CommandLine) => Promise<number>;

/** Keeps the contenders that this machine has. Each gets a server of its own. */
function entrants(
  { processes, placement, programs, servers }: Equipment,
  contenders: readonly Contender[],
  measure: Measure,
): RunnableContest["entrants"] {
  const ours = servers.find(({ name }) => name === NAMES.ours)!;
  const present = contenders.filter(({ needs }) =>
    needs === undefined || needs in programs.versions
  );
  return new Map(present.map(({ name, command }) => [
    name,
    async () => {
      const server = await startServer(processes, ours, placement.serverCore);
      return {
        measure: async () => ({ value: await measure(command(server.port)) }),
        [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
      };
    },
  ]));
}

/**
 * Makes the contests of clients that stream.
 *
 * @param equipment The programs of this machine.
 * @returns The contests, in the order of the table.
 */
export function streamContests(equipment: Equipment): RunnableContest[] {
  const { processes, placement, folder } = equipment;
  const inputs = [
    [FROM_FILE, `exec "$@" <"$0" >/dev/null`],
    [FROM_PIPE, `head -c ${STREAM_BYTES} /dev/zero | "$@" >/dev/null`],
  ] as const;
  return inputs.map(([name, script]) => ({
    name,
    unit: "MiB/s",
    table: "clients",
    turns: 1,
    entrants: entrants(equipment, streamingClients(), async (command) => {
      const input = `${folder}/input`;
      await makeInput(processes, input);
      const line = ["sh", "-c", script, input, ...command];
      const ms = await timeToEnd(processes, line, placement.loadCore);
      return STREAM_MIB / ms * 1000;
    }),
  }));
}

function streamingClients(): Contender[] {
  const send = (port: number) => ["send", "-p", `${port}`, "--quiet", "-"];
  return [
    { name: CLIENTS.ours, command: (port) => fromSource(...send(port)) },
    {
      name: "./echo send -",
      needs: "./echo",
      command: (port) => [EXECUTABLE, ...send(port)],
    },
    {
      name: CLIENTS.socat,
      needs: "socat",
      command: (port) => [
        ...["socat", "-b65536", "-t10", "-"],
        `TCP:127.0.0.1:${port}`,
      ],
    },
    {
      name: "ncat",
      needs: "ncat",
      command: (port) => ["ncat", "127.0.0.1", `${port}`],
    },
  ];
}

/** Makes a file that is one hole. It takes no room on the disk. */
async function makeInput(processes: Processes, path: string): Promise<void> {
  await Deno.writeFile(path, new Uint8Array());
  await Deno.truncate(path, STREAM_BYTES);
  // Reading it brings it into the page cache.
  await processes.outputOf(["cksum", path]);
}

/**
 * Makes the contests of how fast a process starts.
 *
 * @param equipment The programs of this machine.
 * @param plan How often a contender is started in a round.
 * @returns The contests, in the order of the table.
 */
export function startupContests(
  equipment: Equipment,
  { turns }: Pick<Plan, "turns">,
): RunnableContest[] {
  const { processes } = equipment;
  const common = {
    unit: "ms",
    table: "startup",
    lessIsBetter: true,
    turns,
  } as const;
  return [
    {
      ...common,
      name: "serve until it listens",
      entrants: entrants(
        equipment,
        startingServers(),
        (command) => timeToListening(processes, command),
      ),
    },
    {
      ...common,
      name: "send of 5 B to its end",
      entrants: entrants(
        equipment,
        startingClients(),
        (command) => timeToEnd(processes, command),
      ),
    },
  ];
}

function startingServers(): Contender[] {
  const serve = ["serve", "--port", "0"];
  return [
    { name: "deno run", command: () => fromSource(...serve) },
    {
      name: "./echo",
      needs: "./echo",
      command: () => [EXECUTABLE, ...serve],
    },
    {
      name: "ncat",
      needs: "ncat",
      command: () => ["ncat", "--verbose", "--listen", "127.0.0.1", "0"],
    },
  ];
}

function startingClients(): Contender[] {
  const send = (port: number) => ["send", "-p", `${port}`, "hello"];
  return [
    { name: "deno run", command: (port) => fromSource(...send(port)) },
    {
      name: "./echo",
      needs: "./echo",
      command: (port) => [EXECUTABLE, ...send(port)],
    },
    {
      name: "ncat",
      needs: "ncat",
      command: (port) => [
        ...["sh", "-c", `printf hello | ncat 127.0.0.1 "$0"`, `${port}`],
      ],
    },
  ];
}

/**
 * Runs a command to its end.
 *
 * @param core The one core that it may use, by default any.
 * @returns How long that took, in milliseconds.
 * @throws {Error} If it failed or took too long.
 */
async function timeToEnd(
  processes: Processes,
  line: CommandLine,
  core?: number,
): Promise<number> {
  const startedAt = performance.now();
  const child = processes.spawn(
    line,
    { stdin: "null", stdout: "null", stderr: "null" },
    core,
  );
  return await processes.stopAfter(child, PATIENCE_MS, async () => {
    await checkSuccess(child, line);
    return performance.now() - startedAt;
  });
}

/**
 * Runs a server until it prints, on stdout or stderr, that it is listening.
 *
 * @returns How long that took, in milliseconds.
 * @throws {Error} If it ended without or took too long.
 */
async function timeToListening(
  processes: Processes,
  line: CommandLine,
): Promise<number> {
  const startedAt = performance.now();
  const child = processes.spawn(
    ["sh", "-c", 'exec "$0" "$@" 2>&1', ...line],
    { stdin: "null", stdout: "piped", stderr: "null" },
  );
  return await processes.stopAfter(child, PATIENCE_MS, async () => {
    let text = "";
    for await (
      const piece of child.stdout.pipeThrough(new TextDecoderStream())
    ) {
      text += piece;
      if (/listening/i.test(text)) return performance.now() - startedAt;
    }
    throw new Error(`${line.join(" ")} does not listen: ${text}`);
  });
}
