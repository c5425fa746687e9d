/**
 * The servers of the comparison, as far as this machine has them.
 *
 * @module
 */

import { type CommandLine, outputOf } from "./process.ts";

/** A server that can be started here. */
export interface Server {
  /** What it is called in the tables. */
  readonly name: string;
  /** Its command line, by the port that it is to listen on. */
  readonly command: (port: number) => CommandLine;
  /** Whether it may use every processor; otherwise it gets one. */
  readonly usesAllCores?: boolean;
  /** Whether it is in the table of latencies. */
  readonly hasLatency?: boolean;
  /** Whether it starts a process for each connection. */
  readonly isForking?: boolean;
}

/** What this machine has. */
export interface Equipment {
  /** The servers. */
  readonly servers: readonly Server[];
  /** Programs and their versions. */
  readonly versions: Readonly<Record<string, string>>;
  /** What is not there. */
  readonly missing: readonly string[];
  /** The load generator's command line, without its arguments. */
  readonly load: CommandLine;
  /** What the load generator is. */
  readonly loadName: string;
}

/** The names of the servers that others are compared with. */
export const NAMES = {
  ours: "echo serve",
  logging: "echo serve with its log",
  loop: "Deno read/write loop",
  node: "Node net",
  floor: "C epoll loop",
} as const;

/**
 * Tells our own servers and clients from others.
 *
 * @param name What one is called in the tables.
 * @returns Whether it is ours.
 */
export function isOurs(name: string): boolean {
  return /^(\.\/)?echo( serve| send|$)|^deno run$/.test(name);
}

/** A file of this folder, or of one above it. */
function file(path: string): string {
  return `${import.meta.dirname}/${path}`;
}

/** The Deno that runs this. */
const DENO = Deno.execPath();

/** The compiled executable. */
export const EXECUTABLE = file("../echo");

/**
 * Runs our own command from source.
 *
 * @param args Its arguments.
 * @returns The command line.
 */
export function fromSource(...args: string[]): CommandLine {
  const main = file("../main.ts");
  return [DENO, "run", "--allow-net", "--allow-read", main, ...args];
}

/** What runs the other servers: its version's command line, and what it says. */
const PROGRAMS: Record<string, { version: CommandLine; pattern: RegExp }> = {
  // Where there is none, a task of Deno has one that is Deno, and says so.
  node: { version: ["node", "--version"], pattern: /^v(\S+)/ },
  python3: { version: ["python3", "--version"], pattern: /Python (\S+)/ },
  go: { version: ["go", "version"], pattern: /go(\d\S+)/ },
  socat: { version: ["socat", "-V"], pattern: /socat version (\S+)/ },
  ncat: { version: ["ncat", "--version"], pattern: /Version (\S+)/ },
  cc: { version: ["cc", "--version"], pattern: /(\S+)$/m },
  // The Deno in the executable, which may not be the one that runs this.
  "./echo": {
    version: ["grep", "-aom1", "Deno/[0-9.]*", EXECUTABLE],
    pattern: /^(Deno.\S+)/,
  },
};

/**
 * Finds out what this machine has, and builds what must be built.
 *
 * @param folder Where to build.
 * @param another The command line of one more server, with PORT in it, if any.
 * @returns The servers, in the order of the tables, and the load generator.
 */
export async function findEquipment(
  folder: string,
  another: string,
): Promise<Equipment> {
  const versions: Record<string, string> = { deno: Deno.version.deno };
  const missing: string[] = [];
  for (const [name, { version, pattern }] of Object.entries(PROGRAMS)) {
    const output = await outputOf(version).catch(() => undefined);
    const found = output?.match(pattern)?.[1];
    if (found) versions[name] = found;
    else missing.push(name);
  }
  const canBuildC = "cc" in versions && Deno.build.os === "linux";
  if (canBuildC) {
    const compiler = ["cc", "-O2", "-D_GNU_SOURCE", "-o"];
    await outputOf([...compiler, `${folder}/load`, file("load.c")]);
    await outputOf([...compiler, `${folder}/epoll`, file("servers/epoll.c")]);
  }
  if ("go" in versions) {
    const source = file("servers/goroutines.go");
    await outputOf(["go", "build", "-o", `${folder}/goroutines`, source]);
  }

  const serve = (port: number) => ["serve", "--port", `${port}`];
  const quiet = (port: number) => [...serve(port), "--quiet"];
  const log = `${folder}/echo.log`;
  const script = (name: string) => file(`servers/${name}`);
  const servers: (Server & { isHere?: boolean })[] = [
    {
      name: NAMES.ours,
      command: (port) => fromSource(...quiet(port)),
      hasLatency: true,
    },
    {
      name: another,
      command: (port) =>
        another.trim().replaceAll("PORT", `${port}`).split(/\s+/),
      hasLatency: true,
      isHere: another !== "",
    },
    {
      name: NAMES.logging,
      command: (port) => [
        ...["sh", "-c", `exec "$@" >"$0"`, log],
        ...fromSource(...serve(port)),
      ],
    },
    {
      name: NAMES.loop,
      hasLatency: true,
      command: (port) => [
        ...[DENO, "run", "--allow-net", script("deno_loop.ts"), `${port}`],
      ],
    },
    {
      name: NAMES.node,
      hasLatency: true,
      command: (port) => ["node", script("node_net.mjs"), `${port}`],
      isHere: "node" in versions,
    },
    {
      name: NAMES.floor,
      hasLatency: true,
      command: (port) => [`${folder}/epoll`, `${port}`],
      isHere: canBuildC,
    },
    {
      name: "./echo serve",
      command: (port) => [EXECUTABLE, ...quiet(port)],
      isHere: "./echo" in versions,
    },
    {
      name: "echo serve --workers 0",
      command: (port) => fromSource(...quiet(port), "--workers", "0"),
      usesAllCores: true,
    },
    {
      name: "./echo serve --workers 0",
      command: (port) => [EXECUTABLE, ...quiet(port), "--workers", "0"],
      usesAllCores: true,
      isHere: "./echo" in versions,
    },
    {
      name: "Deno readable.pipeTo(writable)",
      command: (port) => [
        ...[DENO, "run", "--allow-net", script("deno_pipe.ts"), `${port}`],
      ],
    },
    {
      name: "Python asyncio streams",
      command: (port) => ["python3", script("asyncio_streams.py"), `${port}`],
      isHere: "python3" in versions,
    },
    {
      name: "Go goroutines",
      command: (port) => [`${folder}/goroutines`, `${port}`],
      isHere: "go" in versions,
    },
    {
      name: "socat fork EXEC:cat",
      command: (port) => [
        "socat",
        `TCP-LISTEN:${port},bind=127.0.0.1,reuseaddr,fork,nodelay,backlog=4096`,
        "EXEC:cat",
      ],
      isForking: true,
      isHere: "socat" in versions,
    },
    {
      name: "ncat --exec cat",
      command: (port) => [
        ...["ncat", "--listen", "--keep-open", "--max-conns", "1000"],
        ...["--exec", "/bin/cat", "127.0.0.1", `${port}`],
      ],
      isForking: true,
      isHere: "ncat" in versions,
    },
  ];
  return {
    servers: servers.filter(({ isHere = true }) => isHere),
    versions,
    missing,
    ...(canBuildC
      ? { load: [`${folder}/load`], loadName: "bench/load.c (native)" }
      : {
        load: [DENO, "run", "--allow-net", file("load.ts")],
        loadName: "bench/load.ts (load.c takes Linux and a C compiler)",
      }),
  };
}
