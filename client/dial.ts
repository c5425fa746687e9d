import {
  type Address,
  addressOf,
  bareHost,
  type TcpAddress,
  type TlsAddress,
  type UdpAddress,
} from "../net/address.ts";
import { bindUdp, LOOPBACK } from "../net/datagrams.ts";
import { reasonOf } from "../net/errors.ts";
import { sleep, startTimer } from "../net/time.ts";
import type { ConnectOptions } from "./api.ts";
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

/**
 * When the next address of a name gets its turn, in milliseconds, though the one
 * before has not failed (RFC 8305, section 5).
 */
const NEXT_ADDRESS_MS = 250;

/** Connects to one address, or to a name as the system does. */
async function connectOnce(
  options: Deno.ConnectOptions & { signal: AbortSignal },
): Promise<Deno.TcpConn> {
  const conn = await Deno.connect(options);
  const { localAddr: local, remoteAddr: remote } = conn;
  if (local.port === remote.port && local.hostname === remote.hostname) {
    // Nobody listens: the kernel chose that very port for this end, and connected
    // the socket to itself (RFC 9293, section 3.5: simultaneous open). In TIME-WAIT it
    // would keep the port for a minute from the server that is about to start. Linux
    // closes it by a reset where more is unread than its receive buffer takes.
    await conn.write(new Uint8Array(1 << 20)).catch(() => {});
    conn.close();
    throw new Deno.errors.ConnectionRefused("connection refused");
  }
  return conn;
}

/**
 * Connects to a name as the system does, and, if that fails or takes long, to each of
 * its addresses in turn: Deno 2.6 tries the first one alone, and a black hole would
 * use up all the time.
 */
async function connectToName(
  hostname: string,
  port: number,
  cancel: AbortSignal,
): Promise<Deno.TcpConn> {
  const race = new AbortController();
  const { signal } = race;
  const onCancel = () => race.abort(cancel.reason);
  cancel.addEventListener("abort", onCancel);
  const attempt = async (hostname: string) => {
    const conn = await connectOnce({ hostname, port, signal });
    // The first one is kept.
    if (signal.aborted) conn.close();
    signal.throwIfAborted();
    race.abort();
    return conn;
  };
  /** Ends when the attempt failed, with its error, or when the next one may begin. */
  const turnOf = (attempt: Promise<unknown>) =>
    Promise.race([attempt.catch((why) => why), sleep(NEXT_ADDRESS_MS, signal)]);
  const first = attempt(hostname);
  const tryOthers = async () => {
    const why = await turnOf(first);
    signal.throwIfAborted();
    // It would fail again: the look-up, or for want of a right.
    if (why && ["dns", "other"].includes(reasonOf(why))) throw why;
    const attempts = [];
    for (const address of await resolveHost(hostname)) {
      if (signal.aborted) break;
      attempts.push(attempt(address));
      await turnOf(attempts.at(-1)!);
    }
    return await Promise.any(attempts);
  };
  try {
    return await Promise.any([first, tryOthers()]);
  } catch {
    return await first;
  } finally {
    race.abort();
    cancel.removeEventListener("abort", onCancel);
  }
}

/** Who a connection is made to and what it speaks: the ends have the same transport. */
type StreamAddress = TcpAddress | TlsAddress;

/** Which certificate a server must have that speaks TLS. */
type Trust = Pick<ConnectOptions, "caCerts" | "serverName">;

/** Connects, by TLS if the address says so, within a time. */
export async function dial(
  { transport, hostname, port }: StreamAddress,
  timeoutMs: number,
  cancel: AbortSignal | undefined,
  { caCerts, serverName = hostname }: Trust = {},
): Promise<Dialed> {
  return await within(timeoutMs, cancel, async (signal, orAborted) => {
    const startedAt = performance.now();
    const connecting = addressOf(hostname) === undefined
      ? connectToName(hostname, port, signal)
      : connectOnce({ hostname, port, signal });
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
        serverName,
        caCerts,
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
  caCerts: readonly string[] = [],
  orAborted: OrAborted,
): Promise<{ conn: EchoConn; handshakeMs: number }> {
  const startedAt = performance.now();
  const starting = Deno.startTls(conn, {
    hostname: bareHost(name),
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

/** Where datagrams may go to, and the socket that sends them there. */
export interface UdpRoute {
  readonly socket: Deno.DatagramConn;
  /** An address, no name. */
  readonly remote: UdpAddress;
}

/** Sockets for datagrams to a host. */
export interface OpenedUdp {
  /** One for each of its addresses, at least one. */
  readonly routes: readonly UdpRoute[];
  /** How long the look-up and opening the sockets took, in milliseconds. */
  readonly connectMs: number;
}

/** Opens sockets for datagrams to a host, whose name is looked up within a time. */
export async function openUdp(
  { hostname, port }: UdpAddress,
  timeoutMs: number,
  cancel: AbortSignal | undefined,
): Promise<OpenedUdp> {
  const startedAt = performance.now();
  const addresses = await within(
    timeoutMs,
    cancel,
    (_, orAborted) => orAborted(resolveHost(hostname)),
  );
  const routes: UdpRoute[] = [];
  let failure: unknown;
  for (const hostname of addresses) {
    const remote = { transport: "udp", hostname, port } as const;
    try {
      routes.push({ socket: openSocketTo(remote), remote });
    } catch (error) {
      // A machine may have no IPv6.
      failure = error;
    }
  }
  if (routes.length === 0) throw failure;
  return { routes, connectMs: performance.now() - startedAt };
}

function openSocketTo({ hostname, port }: UdpAddress): Deno.DatagramConn {
  const [any, own] = hostname.includes(":")
    ? ["::", "::1"]
    : ["0.0.0.0", "127.0.0.1"];
  // From elsewhere nothing should reach a socket that talks to its own machine.
  const local = LOOPBACK.test(hostname) ? own : any;
  const socket = bindUdp({ hostname: local, port: 0 });
  if ((socket.addr as Deno.NetAddr).port !== port) return socket;
  // It would get what it sends from itself, and an echo server answers no client that
  // has its own port. The port is free again once another one was found.
  using _ = { [Symbol.dispose]: () => socket.close() };
  return bindUdp({ hostname: local, port: 0 });
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
