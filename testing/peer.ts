/**
 * Servers that a test writes itself: honest, slow, broken or lying ones.
 *
 * @module
 */

/** A server on a free port of 127.0.0.1 that a test wrote. */
export interface Peer extends Disposable {
  /** Where it listens. */
  readonly port: number;
  /** How many connections it has accepted. */
  readonly accepted: number;
}

/**
 * Starts a server.
 *
 * @param handle What it does with each connection, which stays open until the
 * handler or the peer closes it.
 * @param port The port, by default a free one.
 * @returns The server; disposing of it closes it and its connections.
 */
export function startPeer(
  handle: (conn: Deno.TcpConn) => Promise<unknown>,
  port = 0,
): Peer {
  const listener = Deno.listen({ hostname: "127.0.0.1", port });
  const conns: Deno.TcpConn[] = [];
  const accept = async () => {
    while (true) {
      const conn = await listener.accept();
      conns.push(conn);
      // What breaks here is the client's doing, and the client's to report.
      handle(conn).catch(() => {});
    }
  };
  accept().catch(() => {});
  return {
    port: listener.addr.port,
    get accepted() {
      return conns.length;
    },
    [Symbol.dispose]() {
      listener.close();
      for (const conn of conns) conn[Symbol.dispose]();
    },
  };
}

/**
 * Finds a port of 127.0.0.1 that nothing listens on.
 *
 * @returns The port, which was free a moment ago.
 */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/**
 * Makes bytes that differ from place to place, the same ones each time.
 *
 * @param length How many.
 * @param seed Which ones.
 * @returns The bytes.
 */
export function patternOf(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0, state = seed; at < length; at++) {
    // The generator of Numerical Recipes: its high bits are good enough here.
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}
