/**
 * Contests of servers: each gets the same load.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import type { Equipment } from "./equipment.ts";
import type { Entrant, Plan, RunnableContest } from "./measure.ts";
import {
  checkSuccess,
  type CommandLine,
  PATIENCE_MS,
  type Processes,
} from "./process.ts";
import type { Contest, Datagrams, Latency } from "./report.ts";
import { startServer, type Transport } from "./running_server.ts";
import type { Server } from "./servers.ts";

/** A load, the same for all servers. */
interface Load extends Contest {
  readonly transport: Transport;
  /** Whether a quick run has it. */
  readonly isQuick?: boolean;
  readonly kind: "roundtrips" | "streams" | "asker" | "connections" | "idle";
  readonly connections: number;
  readonly bytes: number;
}

/** The contest in which most connections are open and nothing is sent. */
export const IDLE = "10000 idle connections";

const TCP = { transport: "tcp", bytes: 64 } as const;

const SERVERS = { ...TCP, table: "servers" } as const;

const LATENCY = { ...TCP, table: "latency" } as const;

const ROUND_TRIPS = { unit: "round trips/s", kind: "roundtrips" } as const;

const DATAGRAMS = {
  ...ROUND_TRIPS,
  transport: "udp",
  table: "datagrams",
  bytes: 64,
} as const;

const TLS = {
  transport: "tls",
  table: "tls",
  bytes: 64,
  isQuick: true,
} as const;

const LOADS: readonly Load[] = [
  { ...SERVERS, ...ROUND_TRIPS, name: "1 × 64 B", connections: 1 },
  {
    ...SERVERS,
    ...ROUND_TRIPS,
    name: "50 × 64 B",
    connections: 50,
    isQuick: true,
  },
  {
    ...SERVERS,
    ...ROUND_TRIPS,
    name: "500 × 512 B",
    connections: 500,
    bytes: 512,
    isQuick: true,
  },
  {
    ...SERVERS,
    name: "4 streams",
    unit: "MiB/s",
    kind: "streams",
    connections: 4,
    isQuick: true,
  },
  {
    ...SERVERS,
    name: "new connections",
    unit: "connections/s",
    kind: "connections",
    connections: 50,
    isQuick: true,
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
  { ...TLS, ...ROUND_TRIPS, name: "TLS 50 × 64 B", connections: 50 },
  {
    ...TLS,
    name: "TLS 4 streams",
    unit: "MiB/s",
    kind: "streams",
    connections: 4,
  },
  {
    ...TLS,
    name: "TLS new connections",
    unit: "connections/s",
    kind: "connections",
    connections: 50,
  },
  { ...DATAGRAMS, name: "UDP 1 × 64 B", connections: 1 },
  { ...DATAGRAMS, name: "UDP 50 × 64 B", connections: 50, isQuick: true },
  {
    ...DATAGRAMS,
    name: "UDP 50 × 1,400 B",
    connections: 50,
    bytes: 1400,
  },
];

/**
 * Makes the contests of servers.
 *
 * @param equipment The servers and the load generators.
 * @param plan How long a round loads a server, and in how many turns.
 * @returns The contests, in the order of the tables. One for which this machine has
 * no load generator has no entrants.
 */
export function loadContests(
  equipment: Equipment,
  plan: Omit<Plan, "rounds">,
): RunnableContest[] {
  return LOADS.map((load) => {
    // A short turn would miss the longest waits. Memory is measured once.
    const isWhole = load.kind === "idle" || load.table === "latency";
    const turns = isWhole ? 1 : plan.turns;
    const generator = equipment.generators[load.transport];
    const entrants = equipment.servers
      .filter((server) => generator && isEntrant(server, load))
      .map((server) =>
        [
          server.name,
          () =>
            prepare(equipment, server, load, {
              line: generator!.line,
              timeMs: plan.timeMs,
              turns,
            }),
        ] as const
      );
    return { ...load, turns, entrants: new Map(entrants) };
  });
}

function isEntrant(
  { transport = "tcp", hasLatency = false, isForking = false }: Server,
  { kind, table, ...load }: Load,
): boolean {
  if (transport !== load.transport) return false;
  if (table === "latency") return hasLatency;
  // The memory of 10,000 processes is not in that of the server.
  return kind !== "idle" || !isForking;
}

/** How a server is loaded. */
interface LoadRun extends Omit<Plan, "rounds"> {
  /** The command line of the load generator, without its arguments. */
  readonly line: CommandLine;
}

/** Starts a server and warms it up: the runtime compiles code that is used much. */
async function prepare(
  { processes, placement }: Equipment,
  { usesAllCores, isForking, ...start }: Server,
  { kind, connections, bytes }: Load,
  { line, timeMs, turns }: LoadRun,
): Promise<Entrant> {
  await using stack = new AsyncDisposableStack();
  const core = usesAllCores ? undefined : placement.serverCore;
  const server = stack.use(await startServer(processes, start, core));
  let residentMiB = 0;
  const run = (warmupMs: number, lastsMs: number) =>
    runLoad(
      processes,
      [
        ...line,
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
      const { rate, ...rest } = await run(lastsMs / 4, lastsMs);
      // Its processes end now. That should not slow the next entrant's turn.
      if (isForking) await delay(connections);
      return {
        value: kind === "idle" ? residentMiB : rate,
        ...rest,
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
  /** The datagrams that did not come back in time, for datagrams alone. */
  readonly datagrams?: Datagrams;
}

/**
 * Runs a load to its end.
 *
 * @param lastsMs How long it loads, in milliseconds.
 * @param whileOpen Called when the load has printed its result, and still has its
 * connections open.
 * @throws {Error} If it failed or took too long, or if a reply was wrong.
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
    const { rate, latencyMs, lost, late, wrong = 0 } = JSON.parse(text);
    if (wrong > 0) throw new Error(`${line.join(" ")}: ${wrong} wrong replies`);
    return {
      rate,
      ...(latencyMs && { latencyMs }),
      ...(lost !== undefined && { datagrams: { lost, late } }),
    };
  });
}
