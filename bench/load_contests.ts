/**
 * Contests of servers: each gets the same load.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import type { Equipment } from "./equipment.ts";
import type { Entrant, RunnableContest } from "./measure.ts";
import {
  checkSuccess,
  type CommandLine,
  PATIENCE_MS,
  type Processes,
  startServer,
} from "./process.ts";
import type { Contest, Latency } from "./report.ts";
import type { Server } from "./servers.ts";

/** A load, the same for all servers. */
interface Load extends Contest {
  readonly kind: "roundtrips" | "streams" | "asker" | "connections" | "idle";
  readonly connections: number;
  readonly bytes: number;
}

/**
 * The parts of a round in which each server is loaded in turn. Other work of the
 * machine comes and goes within a second: servers that are compared should be
 * disturbed by the same.
 */
export const TURNS = 4;

/** The contest in which most connections are open and nothing is sent. */
export const IDLE = "10000 idle connections";

const SERVERS = { table: "servers", bytes: 64 } as const;

const LATENCY = { table: "latency", bytes: 64 } as const;

const ROUND_TRIPS = { unit: "round trips/s", kind: "roundtrips" } as const;

const LOADS: readonly Load[] = [
  { ...SERVERS, ...ROUND_TRIPS, name: "1 × 64 B", connections: 1 },
  { ...SERVERS, ...ROUND_TRIPS, name: "50 × 64 B", connections: 50 },
  {
    ...SERVERS,
    ...ROUND_TRIPS,
    name: "500 × 512 B",
    connections: 500,
    bytes: 512,
  },
  {
    ...SERVERS,
    name: "4 streams",
    unit: "MiB/s",
    kind: "streams",
    connections: 4,
  },
  {
    ...SERVERS,
    name: "new connections",
    unit: "connections/s",
    kind: "connections",
    connections: 50,
  },
  {
    ...SERVERS,
    name: IDLE,
    unit: "MiB",
    lessIsBetter: true,
    kind: "idle",
    connections: 10_000,
  },
  ...[100, 150, 500, 2000].map((connections) => ({
    ...{ ...LATENCY, ...ROUND_TRIPS },
    name: `${connections} × 64 B`,
    connections,
  })),
  ...[4, 50, 200].map((connections) => ({
    ...LATENCY,
    name: `one asks while ${connections} stream`,
    unit: "MiB/s",
    kind: "asker" as const,
    connections,
  })),
];

/**
 * Makes the contests of servers.
 *
 * @param equipment The servers and the load generator.
 * @param timeMs How long a round loads a server, in milliseconds.
 * @returns The contests, in the order of the tables.
 */
export function loadContests(
  equipment: Equipment,
  timeMs: number,
): RunnableContest[] {
  return LOADS.map((load) => {
    // A short turn would miss the longest waits. Memory is measured once.
    const isWhole = load.kind === "idle" || load.table === "latency";
    const turns = isWhole ? 1 : TURNS;
    const entrants = equipment.servers
      .filter((server) => isEntrant(server, load))
      .map((server) =>
        [
          server.name,
          () => prepare(equipment, server, load, timeMs, turns),
        ] as const
      );
    return { ...load, turns, entrants: new Map(entrants) };
  });
}

function isEntrant(
  { hasLatency = false, isForking = false }: Server,
  { kind, table }: Load,
): boolean {
  if (table === "latency") return hasLatency;
  // The memory of 10,000 processes is not in that of the server.
  return kind !== "idle" || !isForking;
}

/** Starts a server and warms it up: the runtime compiles code that is used much. */
async function prepare(
  { processes, placement, generator }: Equipment,
  { command, usesAllCores, isForking }: Server,
  { kind, connections, bytes }: Load,
  timeMs: number,
  turns: number,
): Promise<Entrant> {
  await using stack = new AsyncDisposableStack();
  const core = usesAllCores ? undefined : placement.serverCore;
  const server = stack.use(await startServer(processes, command, core));
  let residentMiB = 0;
  const run = (warmupMs: number, lastsMs: number) =>
    runLoad(
      processes,
      [
        ...generator.line,
        kind,
        ...[server.port, connections, bytes].map(String),
        ...[warmupMs, lastsMs].map((ms) => String(ms / 1000)),
      ],
      placement.loadCore,
      warmupMs + lastsMs,
      async () => {
        if (kind === "idle") residentMiB = await server.residentMiB();
      },
    );
  if (kind !== "idle") await run(0, timeMs / 2);
  const resources = stack.move();
  return {
    async measure() {
      const lastsMs = timeMs / turns;
      const { rate, latencyMs } = await run(lastsMs / 4, lastsMs);
      // Its processes end now. That should not slow the next entrant's turn.
      if (isForking) await delay(connections);
      return {
        value: kind === "idle" ? residentMiB : rate,
        ...(latencyMs && { latencyMs }),
      };
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** What a load generator prints. */
interface LoadResult {
  /** The rate, in the unit of its kind per second. */
  readonly rate: number;
  /** The latencies, for round trips and for the one that asks. */
  readonly latencyMs?: Latency;
}

/**
 * Runs a load to its end.
 *
 * @param lastsMs How long it loads, in milliseconds.
 * @param whileOpen Called when the load has printed its result, and still has its
 * connections open.
 * @throws {Error} If it failed or took too long.
 */
async function runLoad(
  processes: Processes,
  line: CommandLine,
  core: number | undefined,
  lastsMs: number,
  whileOpen: () => Promise<void>,
): Promise<LoadResult> {
  const child = processes.spawn(
    line,
    { stdin: "piped", stdout: "piped", stderr: "inherit" },
    core,
  );
  return await processes.stopAfter(child, lastsMs + PATIENCE_MS, async () => {
    let text = "";
    for await (
      const piece of child.stdout.pipeThrough(new TextDecoderStream())
    ) {
      text += piece;
      if (!text.endsWith("\n")) continue;
      await whileOpen();
      await child.stdin.close();
    }
    await checkSuccess(child, line);
    return JSON.parse(text);
  });
}
