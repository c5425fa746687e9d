/**
 * Starting a server, and waiting until it echoes.
 *
 * @module
 */

import { abortable } from "@std/async/abortable";
import { connect } from "../client.ts";
import { type CommandLine, PATIENCE_MS, type Processes } from "./process.ts";

/** What a server echoes: connections, connections with TLS, or datagrams. */
export type Transport = "tcp" | "tls" | "udp";

/** A server that runs. Disposing of it kills it. */
export interface RunningServer extends AsyncDisposable {
  /** The port that it listens on. */
  readonly port: number;
  /** Asks the system how much memory the server holds, in MiB. */
  residentMiB(): Promise<number>;
}

/** How to start a server. */
export interface ServerStart {
  /** Its command line, by the port that it is to listen on. */
  readonly command: (port: number) => CommandLine;
  /** What it must echo before it counts as started. By default, connections. */
  readonly transport?: Transport;
}

/** Waits until a server is there, by what it echoes. */
const WAITS: Record<
  Transport,
  (port: number, signal: AbortSignal) => Promise<void>
> = {
  tcp: waitForConnection,
  // It accepts without a handshake, too.
  tls: waitForConnection,
  udp: waitForDatagram,
};

/**
 * Starts a server, and waits until it accepts a connection or echoes a datagram.
 *
 * @param processes Starts its process.
 * @param start How to start it.
 * @param core The one core that it may use, by default any.
 * @returns The server.
 * @throws {Error} If it does not listen.
 */
export async function startServer(
  processes: Processes,
  { command, transport = "tcp" }: ServerStart,
  core?: number,
): Promise<RunningServer> {
  const port = freePort();
  const line = command(port);
  const child = processes.spawn(
    line,
    { stdin: "null", stdout: "null", stderr: "inherit" },
    core,
  );
  const ended = new AbortController();
  child.status.then(({ code }) =>
    ended.abort(new Error(`${line.join(" ")} ended with ${code}`))
  );
  try {
    await WAITS[transport](port, ended.signal);
  } catch (error) {
    await processes.stop(child);
    throw error;
  }
  return {
    port,
    async residentMiB() {
      const pid = `${child.pid}`;
      const kib = await processes.outputOf(["ps", "-o", "rss=", "-p", pid]);
      if (!kib) throw new Error("Cannot read the server's memory: no ps");
      return Number(kib) / 1024;
    },
    [Symbol.asyncDispose]: () => processes.stop(child),
  };
}

/** Connects to a port of 127.0.0.1 until a server is there. */
async function waitForConnection(
  port: number,
  signal: AbortSignal,
): Promise<void> {
  (await connect({ port, retryMs: PATIENCE_MS, signal })).close();
}

/** How often a datagram is sent to a server that may not be there yet. */
const KNOCK_INTERVAL_MS = 20;

/**
 * Sends datagrams to a port of 127.0.0.1 until one comes back.
 *
 * @param port The port.
 * @param signal Gives up when it is aborted.
 * @throws {Error} The reason of `signal`, or a `TimeoutError` if none came back in
 * time.
 */
export async function waitForDatagram(
  port: number,
  signal: AbortSignal,
): Promise<void> {
  const local = { transport: "udp", hostname: "127.0.0.1" } as const;
  const socket = Deno.listenDatagram({ ...local, port: 0 });
  // Closing the socket rejects a `receive` that waits.
  const reply = socket.receive();
  reply.catch(() => {});
  const knock = () => {
    socket.send(new Uint8Array([7]), { ...local, port }).catch(() => {});
  };
  knock();
  const knocking = setInterval(knock, KNOCK_INTERVAL_MS);
  const patience = new AbortController();
  const timer = setTimeout(
    () => patience.abort(new DOMException("no reply", "TimeoutError")),
    PATIENCE_MS,
  );
  try {
    await abortable(reply, AbortSignal.any([signal, patience.signal]));
  } finally {
    clearTimeout(timer);
    clearInterval(knocking);
    socket.close();
  }
}

/** The most ports that are tried for one that is free for both transports. */
const MOST_PORTS = 100;

/** Finds a port that is free for TCP and for UDP: one server may take both. */
function freePort(): number {
  for (let tried = 1;; tried++) {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { hostname, port } = listener.addr;
    try {
      Deno.listenDatagram({ transport: "udp", hostname, port }).close();
      return port;
    } catch (error) {
      if (tried === MOST_PORTS) throw error;
    }
  }
}
