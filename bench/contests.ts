/**
 * What is measured, and what should come of it.
 *
 * @module
 */

import { delay } from "@std/async/delay";
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

/** An entrant that is ready to be measured; disposing of it ends its processes. */
export interface Entrant extends AsyncDisposable {
  /** Measures it once. */
  measure(): Promise<Sample>;
}

/** A contest that can be held here. */
export interface RunnableContest extends Contest {
  /** How often each entrant is measured in a round, in turn with the others. */
  readonly turns: number;
  /** What makes each entrant ready, by its name. */
  readonly entrants: Map<string, () => Promise<Entrant>>;
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

/**
 * Into how many turns a round is divided. What else the machine does comes and
 * goes within a second: those that are to be compared should have the same of it.
 */
const TURNS = 4;

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
    name: "10000 idle connections",
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
 * @param timeMs How long a round loads a server, in milliseconds.
 * @returns The contests, in the order of the tables.
 */
export function contestsOf(
  equipment: Equipment,
  folder: string,
  timeMs: number,
): RunnableContest[] {
  const { servers } = equipment;
  const underLoad = LOADS.map((load) => {
    // The longest wait takes long to be seen, and the memory does not change.
    const isLong = load.kind === "idle" || load.table === "latency";
    const turns = isLong ? 1 : TURNS;
    return {
      ...load,
      turns,
      entrants: new Map(
        servers
          .filter(({ hasLatency }) => hasLatency || load.table !== "latency")
          // Ten thousand processes are no server's memory.
          .filter(({ isForking }) => !isForking || load.kind !== "idle")
          .map((server) => [
            server.name,
            () => prepareLoad(equipment, server, load, timeMs, turns),
          ]),
      ),
    };
  });

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

/** Each has a server of ours for itself, as some of them may need one. */
function entrants(
  { servers }: Equipment,
  programs: readonly Program[],
  measure: (command: Program["command"], port: number) => Promise<number>,
): RunnableContest["entrants"] {
  const { command: ours } = servers.find(({ name }) => name === NAMES.ours)!;
  return new Map(
    programs.map(({ name, command }) => [
      name,
      async () => {
        const server = await startServer(ours, SERVER_CORE);
        return {
          measure: async () => ({ value: await measure(command, server.port) }),
          [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
        };
      },
    ]),
  );
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
    turns: 1,
    entrants: entrants(equipment, clients, async (command, port) => {
      // Nothing but a hole, which takes no room on the disk, but is in memory.
      const file = `${folder}/input`;
      await Deno.writeFile(file, new Uint8Array());
      await Deno.truncate(file, BYTES);
      await outputOf(["cksum", file]);
      const line = ["sh", "-c", script, file, ...command(port)];
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
  const common = {
    unit: "ms",
    table: "startup",
    lessIsBetter: true,
    turns: TURNS,
  };
  return [
    {
      ...common,
      name: "serve until it listens",
      entrants: entrants(
        equipment,
        servers,
        (command) => timeToListening(command(0)),
      ),
    },
    {
      ...common,
      name: "send of 5 B to its end",
      entrants: entrants(
        equipment,
        clients,
        (command, port) => timeToEnd(command(port)),
      ),
    },
  ];
}

/** Starts a server and lets it warm up, as its code is compiled under load. */
async function prepareLoad(
  { load: generator }: Equipment,
  { command, usesAllCores, isForking }: Server,
  { kind, connections, bytes }: Load,
  timeMs: number,
  turns: number,
): Promise<Entrant> {
  await using stack = new AsyncDisposableStack();
  const pin = usesAllCores ? undefined : SERVER_CORE;
  const server = stack.use(await startServer(command, pin));
  let residentMiB = 0;
  const run = (warmupMs: number, lastsMs: number) =>
    runLoad(
      [
        ...generator,
        kind,
        ...[server.port, connections, bytes].map(String),
        ...[warmupMs, lastsMs].map((ms) => String(ms / 1000)),
      ],
      LOAD_CORE,
      warmupMs + lastsMs,
      async () => {
        if (kind === "idle") residentMiB = await server.residentMiB();
      },
    );
  if (kind !== "idle") await run(0, timeMs / 2);
  const ends = stack.move();
  return {
    async measure() {
      const lastsMs = timeMs / turns;
      const { rate, latencyMs } = await run(lastsMs / 4, lastsMs);
      // Its processes end, and whoever is next should not pay for that.
      if (isForking) await delay(connections);
      return {
        value: kind === "idle" ? residentMiB : rate,
        ...(latencyMs && { latencyMs }),
      };
    },
    [Symbol.asyncDispose]: () => ends.disposeAsync(),
  };
}
