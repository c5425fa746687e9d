/**
 * What is measured, and what should come of it.
 *
 * @module
 */

import {
  type CommandLine,
  LOAD_CORE,
  outputOf,
  runLoad,
  SERVER_CORE,
  startServer,
  timeToEnd,
  timeToListening,
} from "./process.ts";
import type { Contest, Sample, Target } from "./report.ts";
import {
  type Equipment,
  EXECUTABLE,
  fromSource,
  NAMES,
  type Server,
} from "./servers.ts";

/** A contest that can be held here. */
export interface RunnableContest extends Contest {
  /** What measures each entrant once, by its name. */
  readonly entrants: Map<string, () => Promise<Sample>>;
}

/** The tables, in the order in which they are printed. */
export const TABLES = ["servers", "latency", "clients", "startup"] as const;

/** A load, as each of some servers gets it. */
interface Load extends Contest {
  readonly table: typeof TABLES[number];
  readonly kind: "roundtrips" | "streams" | "connections" | "idle";
  readonly connections: number;
  readonly bytes: number;
}

const ROUND_TRIPS = { unit: "round trips/s", kind: "roundtrips" } as const;

const LOADS: readonly Load[] = [
  {
    ...ROUND_TRIPS,
    name: "1 × 64 B",
    table: "servers",
    connections: 1,
    bytes: 64,
  },
  {
    ...ROUND_TRIPS,
    name: "50 × 64 B",
    table: "servers",
    connections: 50,
    bytes: 64,
  },
  {
    ...ROUND_TRIPS,
    name: "500 × 512 B",
    table: "servers",
    connections: 500,
    bytes: 512,
  },
  {
    name: "4 streams",
    unit: "MiB/s",
    table: "servers",
    kind: "streams",
    connections: 4,
    bytes: 0,
  },
  {
    name: "new connections",
    unit: "connections/s",
    table: "servers",
    kind: "connections",
    connections: 50,
    bytes: 64,
  },
  {
    name: "10,000 idle connections",
    unit: "MiB",
    table: "servers",
    lessIsBetter: true,
    kind: "idle",
    connections: 10_000,
    bytes: 64,
  },
  ...[100, 500, 2000].map((connections) => ({
    ...ROUND_TRIPS,
    name: `${connections} × 64 B`,
    table: "latency" as const,
    connections,
    bytes: 64,
  })),
];

const IDLE = LOADS.find(({ kind }) => kind === "idle")!.name;

/** What a client streams. */
const STREAM_MIB = 1024;
const BYTES = STREAM_MIB * 1024 ** 2;

const FROM_FILE = "1 GiB from a file";
const FROM_PIPE = "1 GiB from a pipe";
const OUR_CLIENT = "echo send -";
const SOCAT_CLIENT = "socat -b65536";

/** What a server of ours should do beside others. */
export const TARGETS: readonly Target[] = [
  ...beside(NAMES.node, {
    "50 × 64 B": 1.2,
    "500 × 512 B": 1.2,
    "4 streams": 1.8,
    "new connections": 1.3,
    [IDLE]: 1.1,
  }),
  ...beside(NAMES.floor, {
    "50 × 64 B": 0.72,
    "500 × 512 B": 0.65,
    "4 streams": 0.9,
    "new connections": 0.45,
  }),
  ...beside(NAMES.loop, { "50 × 64 B": 0.97, "500 × 512 B": 0.97 }),
  ...beside(
    NAMES.loop,
    { "50 × 64 B": 0.9, "500 × 512 B": 0.9 },
    NAMES.logging,
  ),
  ...beside(SOCAT_CLIENT, { [FROM_FILE]: 0.6, [FROM_PIPE]: 0.6 }, OUR_CLIENT),
];

function beside(
  other: string,
  ratios: Record<string, number>,
  entrant: string = NAMES.ours,
): Target[] {
  return Object.entries(ratios).map(([contest, ratio]) => ({
    contest,
    entrant,
    beside: other,
    ratio,
  }));
}

/**
 * Makes the contests that can be held with what is there.
 *
 * @param equipment The servers, and what loads them.
 * @param folder A folder for files that come and go.
 * @param timeMs How long each load lasts.
 * @returns The contests, in the order of the tables.
 */
export function contestsOf(
  equipment: Equipment,
  folder: string,
  timeMs: number,
): RunnableContest[] {
  const { servers } = equipment;
  const underLoad = LOADS.map((load) => ({
    ...load,
    entrants: new Map(
      servers
        .filter(({ hasLatency }) => hasLatency || load.table !== "latency")
        // Ten thousand processes are no server's memory.
        .filter(({ isForking }) => !isForking || load.kind !== "idle")
        .map((server) => [
          server.name,
          () => measureLoad(equipment, server, load, timeMs),
        ]),
    ),
  }));

  return [...underLoad, ...streaming(equipment, folder), ...startup(equipment)];
}

/** A program that may be here. */
interface Program {
  readonly name: string;
  /** Whose version tells that it is here, if that is not a matter of course. */
  readonly needs?: string;
  /** Its command line, by the server's port. */
  readonly command: (port: number) => CommandLine;
}

function present({ versions }: Equipment, all: readonly Program[]): Program[] {
  return all.filter(({ needs }) => needs === undefined || needs in versions);
}

function entrants(
  programs: readonly Program[],
  measure: (command: Program["command"]) => Promise<number>,
): RunnableContest["entrants"] {
  return new Map(
    programs.map(({ name, command }) => [
      name,
      async () => ({ value: await measure(command) }),
    ]),
  );
}

function startOurs({ servers }: Equipment, core?: number) {
  const { command } = servers.find(({ name }) => name === NAMES.ours)!;
  return startServer(command, core);
}

function streaming(equipment: Equipment, folder: string): RunnableContest[] {
  const send = (port: number) => ["send", "-p", `${port}`, "--quiet", "-"];
  const clients = present(equipment, [
    { name: OUR_CLIENT, command: (port) => fromSource(...send(port)) },
    {
      name: "./echo send -",
      needs: "./echo",
      command: (port) => [EXECUTABLE, ...send(port)],
    },
    {
      name: SOCAT_CLIENT,
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
  ]);
  const inputs = [
    [FROM_FILE, `exec "$@" <"$0" >/dev/null`],
    [FROM_PIPE, `head -c ${BYTES} /dev/zero | "$@" >/dev/null`],
  ] as const;
  return inputs.map(([name, script]) => ({
    name,
    unit: "MiB/s",
    table: "clients",
    entrants: entrants(clients, async (command) => {
      await using server = await startOurs(equipment, SERVER_CORE);
      // Nothing but a hole, which takes no room on the disk, but is in memory.
      const file = `${folder}/input`;
      await Deno.writeFile(file, new Uint8Array());
      await Deno.truncate(file, BYTES);
      await outputOf(["cksum", file]);
      const line = ["sh", "-c", script, file, ...command(server.port)];
      return STREAM_MIB / await timeToEnd(line, LOAD_CORE) * 1000;
    }),
  }));
}

function startup(equipment: Equipment): RunnableContest[] {
  const serve = ["serve", "--port", "0"];
  const servers = present(equipment, [
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
  ]);
  const send = (port: number) => ["send", "-p", `${port}`, "hello"];
  const clients = present(equipment, [
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
  ]);
  const common = { unit: "ms", table: "startup", lessIsBetter: true };
  return [
    {
      ...common,
      name: "serve, until it listens",
      entrants: entrants(servers, (command) => timeToListening(command(0))),
    },
    {
      ...common,
      name: "send of 5 B, to its end",
      entrants: entrants(clients, async (command) => {
        await using server = await startOurs(equipment);
        return await timeToEnd(command(server.port));
      }),
    },
  ];
}

async function measureLoad(
  { load: generator }: Equipment,
  { command, usesAllCores }: Server,
  { kind, connections, bytes }: Load,
  timeMs: number,
): Promise<Sample> {
  const pin = usesAllCores ? undefined : SERVER_CORE;
  await using server = await startServer(command, pin);
  const numbers = [
    server.port,
    connections,
    bytes,
    timeMs / 2000,
    timeMs / 1000,
  ];
  const line = [...generator, kind, ...numbers.map(String)];
  let residentMiB = 0;
  const result = await runLoad(line, LOAD_CORE, timeMs * 1.5, async () => {
    if (kind === "idle") residentMiB = await server.residentMiB();
  });
  const { rate, latencyMs } = result;
  return {
    value: kind === "idle" ? residentMiB : rate,
    ...(latencyMs && { latencyMs }),
  };
}
