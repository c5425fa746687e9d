/**
 * The servers of the comparison.
 *
 * @module
 */

import type { CommandLine } from "./process.ts";
import {
  type Built,
  DENO,
  EXECUTABLE,
  file,
  fromSource,
  type Programs,
} from "./programs.ts";

/** A server that this machine can start. */
export interface Server {
  /** Its name in the tables. */
  readonly name: string;
  /** Its command line, by the port that it is to listen on. */
  readonly command: (port: number) => CommandLine;
  /** Whether it may use every core; otherwise it gets one. */
  readonly usesAllCores?: boolean;
  /** Whether it is in the table of latencies. */
  readonly hasLatency?: boolean;
  /** Whether it starts a process for each connection. */
  readonly isForking?: boolean;
}

/** A server that the command line adds to the comparison. */
export interface AddedServer {
  /** Its name in the tables. */
  readonly name: string;
  /** Its command line, with `PORT` where the port goes. */
  readonly command: string;
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
 * @param name A name from the tables.
 * @returns Whether it is one of ours.
 */
export function isOurs(name: string): boolean {
  return /^(\.\/)?echo( serve| send|$)|^deno run$/.test(name);
}

/** A server, and whether this machine has what it needs: by default it does. */
type Candidate = Server & { readonly isHere?: boolean };

/**
 * Lists the servers that this machine can start.
 *
 * @param programs The programs of this machine.
 * @param built The executables that were built.
 * @param folder Where a server's log goes.
 * @param added One more server, if any.
 * @returns The servers, in the order of the tables.
 */
export function listServers(
  programs: Programs,
  built: Built,
  folder: string,
  added: AddedServer | undefined,
): Server[] {
  const candidates = [
    ...namedServers(programs, built, folder, added),
    ...ourOtherServers(programs),
    ...otherServers(programs, built),
  ];
  return candidates.filter(({ isHere = true }) => isHere);
}

const serve = (port: number) => ["serve", "--port", `${port}`];
const serveQuietly = (port: number) => [...serve(port), "--quiet"];

/** The servers that are compared with each other by name, and the added one. */
function namedServers(
  { versions }: Programs,
  { epoll }: Built,
  folder: string,
  added: AddedServer | undefined,
): Candidate[] {
  return [
    {
      name: NAMES.ours,
      hasLatency: true,
      command: (port) => fromSource(...serveQuietly(port)),
    },
    ...(added ? [serverOf(added)] : []),
    {
      name: NAMES.logging,
      command: (port) => [
        ...["sh", "-c", 'exec "$@" >"$0"', `${folder}/echo.log`],
        ...fromSource(...serve(port)),
      ],
    },
    {
      name: NAMES.loop,
      hasLatency: true,
      command: (port) => denoScript("deno_loop.ts", port),
    },
    {
      name: NAMES.node,
      hasLatency: true,
      command: (port) => ["node", file("servers/node_net.mjs"), `${port}`],
      isHere: "node" in versions,
    },
    {
      name: NAMES.floor,
      hasLatency: true,
      command: (port) => [epoll!, `${port}`],
      isHere: epoll !== undefined,
    },
  ];
}

function serverOf({ name, command }: AddedServer): Server {
  return {
    name,
    hasLatency: true,
    command: (port) =>
      command.trim().replaceAll("PORT", `${port}`).split(/\s+/),
  };
}

function ourOtherServers({ versions }: Programs): Candidate[] {
  const isCompiled = "./echo" in versions;
  return [
    {
      name: "./echo serve",
      hasLatency: true,
      command: (port) => [EXECUTABLE, ...serveQuietly(port)],
      isHere: isCompiled,
    },
    {
      name: "echo serve --workers 0",
      command: (port) => fromSource(...serveQuietly(port), "--workers", "0"),
      usesAllCores: true,
    },
    {
      name: "./echo serve --workers 0",
      command: (port) => [EXECUTABLE, ...serveQuietly(port), "--workers", "0"],
      usesAllCores: true,
      isHere: isCompiled,
    },
  ];
}

function otherServers(
  { versions }: Programs,
  { goroutines }: Built,
): Candidate[] {
  const script = file("servers/asyncio_streams.py");
  return [
    {
      name: "Deno readable.pipeTo(writable)",
      command: (port) => denoScript("deno_pipe.ts", port),
    },
    {
      name: "Python asyncio streams",
      command: (port) => ["python3", script, `${port}`],
      isHere: "python3" in versions,
    },
    {
      name: "Go goroutines",
      hasLatency: true,
      command: (port) => [goroutines!, `${port}`],
      isHere: goroutines !== undefined,
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
}

function denoScript(name: string, port: number): CommandLine {
  return [DENO, "run", "--allow-net", file(`servers/${name}`), `${port}`];
}
