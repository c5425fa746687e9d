/**
 * Connecting once.
 *
 * @module
 */

import type { Address } from "../net/address.ts";
import { startTimer } from "../net/time.ts";

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

function addressOf({ hostname, port }: Deno.NetAddr): Address {
  return { transport: "tcp", hostname, port };
}

/**
 * Connects once.
 *
 * @param address Where to connect to.
 * @param timeoutMs How long it may take, in milliseconds.
 * @param cancel Gives up when it is aborted.
 * @returns The connection.
 * @throws {Deno.errors.TimedOut} If it took longer.
 * @throws {Deno.errors.ConnectionReset} If the server reset the connection at once.
 * @throws {Error} What `Deno.connect` throws, or the reason of the abort.
 */
export async function dial(
  { hostname, port }: Address,
  timeoutMs: number,
  cancel: AbortSignal | undefined,
): Promise<Dialed> {
  const timeout = new AbortController();
  using _timer = startTimer(timeoutMs, () => {
    const why = `timed out after ${timeoutMs / 1000} s`;
    timeout.abort(new Deno.errors.TimedOut(why));
  });
  const signal = cancel
    ? AbortSignal.any([cancel, timeout.signal])
    : timeout.signal;
  // The signal given to Deno.connect does not interrupt a name look-up.
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  const startedAt = performance.now();
  const connecting = Deno.connect({ hostname, port, signal });
  try {
    const conn = await Promise.race([connecting, aborted.promise]);
    const connectMs = performance.now() - startedAt;
    // A message must not wait for the acknowledgement of the one before it.
    setNoDelay(conn);
    const local = addressOf(conn.localAddr);
    return { conn, local, remote: addressOf(conn.remoteAddr), connectMs };
  } catch (error) {
    // A connection that is made after all is not wanted any more.
    connecting.then((conn) => conn.close(), () => {});
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
