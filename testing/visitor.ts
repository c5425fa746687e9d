/**
 * Clients that a test writes itself: honest, greedy or broken ones.
 *
 * @module
 */

import { setImmediate as nextTurn } from "node:timers/promises";
import { delay } from "@std/async/delay";
import { writeAll } from "../net/streams.ts";

/** A message. */
export const HELLO: Uint8Array<ArrayBuffer> = new TextEncoder().encode("hello");

/**
 * Connects to a server.
 *
 * @param server The server, or anything else with its address.
 * @returns The connection.
 */
export function connectTo(
  server: { addr: Deno.NetAddr },
): Promise<Deno.TcpConn> {
  const { hostname, port } = server.addr;
  return Deno.connect({ hostname, port });
}

/**
 * Reads some bytes, no more.
 *
 * @param conn Where from.
 * @param length How many.
 * @returns The bytes.
 * @throws {Error} If the stream ends before.
 */
export async function readExactly(
  conn: Deno.Conn,
  length: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const read = await conn.read(bytes.subarray(at));
    if (read === null) throw new Error(`ended after ${at} of ${length} B`);
    at += read;
  }
  return bytes;
}

/**
 * Reads until the end of the stream.
 *
 * @param conn Where from; it is closed then.
 * @returns Everything that came.
 */
export async function readToEnd(conn: Deno.Conn): Promise<Uint8Array> {
  return new Uint8Array(await new Response(conn.readable).arrayBuffer());
}

/**
 * Sends {@linkcode HELLO} and reads as many bytes.
 *
 * @param conn The connection.
 * @returns What came back.
 */
export async function roundTrip(conn: Deno.Conn): Promise<Uint8Array> {
  await writeAll(conn, HELLO);
  return await readExactly(conn, HELLO.length);
}

/** A flood that sends nothing in this many turns of the event loop is stuck. */
const QUIET_TURNS = 1000;

/** A client that sends without end and does not read. */
export interface Flood extends AsyncDisposable {
  /** Its connection. */
  readonly conn: Deno.TcpConn;
  /** How many bytes the kernel took. */
  readonly sent: number;
  /** Waits until the kernel takes no more: all buffers are full. */
  untilStuck(): Promise<void>;
}

/**
 * Connects, and sends without end and without reading.
 *
 * @param server The server, or anything else with its address.
 * @returns The client. Disposing of it reads what is left, as before Deno 2.9 a
 * write of the server that is under way ends no other way.
 */
export async function startFlood(
  server: { addr: Deno.NetAddr },
): Promise<Flood> {
  const conn = await connectTo(server);
  let sent = 0;
  let isOver = false;
  const flood = async () => {
    const chunk = new Uint8Array(1 << 20);
    while (!isOver) sent += await conn.write(chunk);
    await conn.closeWrite();
  };
  // The server may close the connection, as it is free to do.
  const flooding = flood().catch(() => {});
  return {
    conn,
    get sent() {
      return sent;
    },
    async untilStuck() {
      let before = -1;
      for (let quietTurns = 0; quietTurns < QUIET_TURNS; quietTurns++) {
        await nextTurn();
        if (sent > before) quietTurns = 0;
        before = sent;
      }
    },
    async [Symbol.asyncDispose]() {
      isOver = true;
      const buffer = new Uint8Array(1 << 20);
      try {
        while (await conn.read(buffer) !== null);
      } catch {
        // The server reset it.
      }
      await flooding;
      conn.close();
    },
  };
}

/**
 * Breaks a connection: closing it with bytes unread sends a reset.
 *
 * @param conn The connection, to a server that echoes.
 */
export async function reset(conn: Deno.Conn): Promise<void> {
  // So much that the server is still writing when the end of the stream comes.
  await writeAll(conn, new Uint8Array(2 << 20));
  conn.close();
}

/** How often a test tries to connect to a server that should refuse it. */
const REFUSAL_ATTEMPTS = 200;

/**
 * Connects again and again until a server takes no new connection. A server that
 * shuts down still takes clients that came a moment before.
 *
 * @param server The server, or anything else with its address.
 * @throws {Error} If the server still takes connections after ten seconds.
 */
export async function untilRefused(
  server: { addr: Deno.NetAddr },
): Promise<void> {
  for (let attempt = 0; attempt < REFUSAL_ATTEMPTS; attempt++) {
    try {
      using conn = await connectTo(server);
      await conn.closeWrite();
      await conn.read(new Uint8Array(1));
    } catch (error) {
      if (error instanceof Deno.errors.ConnectionRefused) return;
      // A queue that is closed with its listener resets the clients in it.
      if (error instanceof Deno.errors.ConnectionReset) return;
      throw error;
    }
    // The server goes on draining for as long as clients come at once.
    await delay(50);
  }
  throw new Error("the server still takes connections");
}
