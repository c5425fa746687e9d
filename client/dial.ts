/**
 * Connecting once.
 *
 * @module
 */

import type {
  Address,
  TcpAddress,
  TlsAddress,
  UdpAddress,
} from "../net/address.ts";
import { LOOPBACK } from "../net/datagrams.ts";
import { startTimer } from "../net/time.ts";
import type { ClientTls } from "./api.ts";
import { resolveHost } from "./resolve.ts";

/** What an echo client needs of a connection. */
export type EchoConn = Pick<
  Deno.Conn,
  "read" | "write" | "closeWrite" | typeof Symbol.dispose
>;

/** A new connection. */
export interface Dialed {
  /** The connection. */
  readonly conn: EchoConn;
  /** The address of this end. */
  readonly local: Address;
  /** The address of its other end. */
  readonly remote: Address;
  /** How long connecting took, in milliseconds. */
  readonly connectMs: number;
  /** How long the TLS handshake took after that, in milliseconds, if there was one. */
  readonly handshakeMs?: number;
}

/** Turns off Nagle's algorithm, which fails for a connection that broke by now. */
function setNoDelay(conn: Deno.TcpConn): void {
  try {
    conn.setNoDelay();
  } catch (cause) {
    throw new Deno.errors.ConnectionReset("Connection reset by peer", {
      cause,
    });
  }
}

/** Who a connection is made to and what it speaks: the ends have the same transport. */
type StreamAddress = TcpAddress | TlsAddress;

/**
 * Connects once.
 *
 * @param address Where to connect to, by TLS if it says so.
 * @param timeoutMs How long it may take, in milliseconds.
 * @param cancel Gives up when it is aborted.
 * @param tls What TLS needs to know besides.
 * @returns The connection.
 * @throws {Deno.errors.TimedOut} If it took longer.
 * @throws {Deno.errors.ConnectionReset} If the server reset the connection at once.
 * @throws {Error} What `Deno.connect` or the handshake throws, or the reason of the
 * abort.
 */
export async function dial(
  { transport, hostname, port }: StreamAddress,
  timeoutMs: number,
  cancel: AbortSignal | undefined,
  tls: ClientTls = {},
): Promise<Dialed> {
  return await within(timeoutMs, cancel, async (signal, orAborted) => {
    const startedAt = performance.now();
    const connecting = Deno.connect({ hostname, port, signal });
    try {
      const conn = await orAborted(connecting);
      const connectMs = performance.now() - startedAt;
      // A message must not wait for the acknowledgement of the one before it.
      setNoDelay(conn);
      const dialed = {
        local: { ...conn.localAddr, transport },
        remote: { ...conn.remoteAddr, transport },
        connectMs,
      };
      if (transport === "tcp") return { conn, ...dialed };
      const secured = await shakeHands(
        conn,
        tls.name ?? hostname,
        tls,
        orAborted,
      );
      return { ...dialed, ...secured };
    } catch (error) {
      // A connection that is made after all is not wanted any more.
      connecting.then((conn) => conn[Symbol.dispose](), () => {});
      throw error;
    }
  });
}

/** Speaks TLS on a connection, which is then the TLS connection's own. */
async function shakeHands(
  conn: Deno.TcpConn,
  name: string,
  { caCerts = [] }: ClientTls,
  orAborted: OrAborted,
): Promise<{ conn: EchoConn; handshakeMs: number }> {
  const startedAt = performance.now();
  const starting = Deno.startTls(conn, {
    hostname: name.replace(/^\[(.*)\]$/, "$1"),
    caCerts: [...caCerts],
  });
  try {
    const secure = await orAborted(starting);
    await orAborted(secure.handshake());
    return { conn: secure, handshakeMs: performance.now() - startedAt };
  } catch (error) {
    starting.then((secure) => secure.close(), () => {});
    throw isTimeout(error)
      ? new Deno.errors.TimedOut(`the TLS handshake ${error.message}`)
      : error;
  }
}

function isTimeout(error: unknown): error is Error {
  return error instanceof Deno.errors.TimedOut;
}

/** A new socket for datagrams. */
export interface OpenedUdp {
  /** The socket. */
  readonly socket: Deno.DatagramConn;
  /** Where it sends to: an address, no name. */
  readonly remote: UdpAddress;
  /** How long the look-up and opening the socket took, in milliseconds. */
  readonly connectMs: number;
}

/**
 * Opens a socket for datagrams to one address.
 *
 * @param address Where to send to.
 * @param timeoutMs How long the look-up of its name may take, in milliseconds.
 * @param cancel Gives up when it is aborted.
 * @returns The socket.
 * @throws {Deno.errors.TimedOut} If the look-up took longer.
 * @throws {Error} If the name does not resolve, what `Deno.listenDatagram` throws, or
 * the reason of the abort.
 */
export async function openUdp(
  { hostname, port }: UdpAddress,
  timeoutMs: number,
  cancel: AbortSignal | undefined,
): Promise<OpenedUdp> {
  const startedAt = performance.now();
  const resolved = await within(
    timeoutMs,
    cancel,
    (_, orAborted) => orAborted(resolveHost(hostname)),
  );
  const [any, own] = resolved.includes(":")
    ? ["::", "::1"]
    : ["0.0.0.0", "127.0.0.1"];
  const socket = Deno.listenDatagram({
    transport: "udp",
    // From elsewhere nothing should reach a socket that talks to its own machine.
    hostname: LOOPBACK.test(resolved) ? own : any,
    port: 0,
  });
  const remote = { transport: "udp", hostname: resolved, port } as const;
  return { socket, remote, connectMs: performance.now() - startedAt };
}

/** Fails with the reason of an abort, if that comes before a promise settles. */
type OrAborted = <T>(promise: Promise<T>) => Promise<T>;

/** Runs what may take some time, and can be given up. */
async function within<T>(
  timeoutMs: number,
  cancel: AbortSignal | undefined,
  run: (signal: AbortSignal, orAborted: OrAborted) => Promise<T>,
): Promise<T> {
  const abort = new AbortController();
  const { signal } = abort;
  using _timer = startTimer(timeoutMs, () => {
    const why = `timed out after ${timeoutMs / 1000} s`;
    abort.abort(new Deno.errors.TimedOut(why));
  });
  // In Deno 2.6 each call of `AbortSignal.any()` costs memory for as long as `cancel`
  // lives, and a run makes a connection again and again.
  const onCancel = () => abort.abort(cancel?.reason);
  cancel?.addEventListener("abort", onCancel);
  if (cancel?.aborted) onCancel();
  // A signal does not interrupt the look-up of a name.
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  try {
    return await run(
      signal,
      (promise) => Promise.race([promise, aborted.promise]),
    );
  } finally {
    signal.removeEventListener("abort", onAbort);
    cancel?.removeEventListener("abort", onCancel);
  }
}
