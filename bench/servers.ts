/**
 * The servers of the comparison that echo connections, and what a server is.
 *
 * @module
 */

import type { CommandLine } from "./process.ts";
import {
  type Built,
  denoServer,
  EXECUTABLE,
  file,
  fromSource,
  type Programs,
} from "./programs.ts";
import type { Transport } from "./running_server.ts";

/** A server that this machine can start. */
export interface Server {
  /** Its name in the tables. */
  readonly name: string;
  /** Its command line, by the port that it is to listen on. */
  readonly command: (port: number) => CommandLine;
  /** The contests that it is in: those of TCP by default. */
  readonly transport?: Transport;
  /** Whether it may use every core; otherwise it gets one. */
  readonly usesAllCores?: boolean;
  /** Whether it is in the table of latencies. */
  readonly hasLatency?: boolean;
  /** Whether it starts a process for each connection or datagram. */
  readonly isForking?: boolean;
}

/** A server that the command line adds to the comparison. */
export interface AddedServer {
  /** Its name in the tables. */
  readonly name: string;
  /**
   * Its command line, with `PORT` where the port goes, and with TLS `CERT` and `KEY`
   * where the files of the certificate and its key go.
   */
  readonly command: string;
  /** The contests that it is in. */
  readonly transport: Transport;
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

/**
 * Tells the servers that only show what the kernel allows.
 *
 * @param name A name from the tables.
 * @returns Whether it is one of them.
 */
export function isFloor(name: string): boolean {
  return /^C .* loop$/.test(name);
}

/** A server, and whether this machine has what it needs: by default it does. */
export type Candidate = Server & { readonly isHere?: boolean };

/**
 * Lists the servers of connections that this machine can start.
 *
 * @param programs The programs of this machine.
 * @param built The executables that were built.
 * @param folder Where a server's log goes.
 * @param added One more server, if any: one of other contests is left out.
 * @returns The servers, in the order of the tables.
 */
export function listServers(
  programs: Programs,
  built: Built,
  folder: string,
  added: AddedServer | undefined,
): Server[] {
  return present([
    ...namedServers(programs, built, folder, added),
    ...ourOtherServers(programs),
    ...otherServers(programs, built),
  ]);
}

/**
 * Keeps the servers that this machine can start.
 *
 * @param candidates All servers.
 * @returns Those that have what they need.
 */
export function present(candidates: readonly Candidate[]): Server[] {
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
    ...addedServer(added, "tcp"),
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
      command: (port) => denoServer("deno_loop.ts", port),
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

/**
 * Makes a server of the one that the command line added.
 *
 * @param added The added server, if any.
 * @param transport The contests that the server is wanted for.
 * @param words What goes where some words stand in its command line, beside the port.
 * @returns The server, or none if it is in other contests.
 */
export function addedServer(
  added: AddedServer | undefined,
  transport: Transport,
  words: Readonly<Record<string, string>> = {},
): Server[] {
  if (added?.transport !== transport) return [];
  const { name, command } = added;
  return [{
    name,
    transport,
    hasLatency: true,
    command(port) {
      const values: Record<string, string> = { ...words, PORT: `${port}` };
      const word = new RegExp(Object.keys(values).join("|"), "g");
      return command.trim().split(/\s+/)
        .map((part) => part.replace(word, (it) => values[it]!));
    },
  }];
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
      command: (port) => denoServer("deno_pipe.ts", port),
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
