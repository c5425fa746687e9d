/**
 * One connection of a server, and what is done with it.
 *
 * @module
 */

import type { Barrier } from "../net/fairness.ts";
import type { BufferPool } from "./buffer_pool.ts";
import type { CloseReason } from "./events.ts";
import type { Swept } from "./idle.ts";

/** A connection that a server accepted. */
export interface Connection extends Swept {
  /** The socket. */
  readonly conn: Deno.Conn;
  /** When it was accepted, as `performance.now()`. */
  readonly openedAt: number;
  /** How many bytes were written back. */
  bytes: number;
  /** A loop sets it that may wait for something else than the socket. */
  waiter?: Waiter | undefined;
}

/** What may wait for something else than its socket. */
export interface Waiter {
  /** Ends every wait: the server closed the connection. */
  stop(): void;
  /** Asks anew whether the process should stay alive for what it waits for. */
  updateRef(): void;
}

/** What a loop needs of its server. */
export interface LoopContext {
  /** Where a connection waits for others after a read. */
  readonly barrier: Barrier;

  /** Where the memory of buffers comes from. */
  readonly pool: BufferPool;

  /**
   * Takes note of a connection's first bytes, before they are echoed.
   *
   * @param connection The connection.
   * @param bytes The bytes, which are valid during the call alone.
   */
  onFirstBytes(connection: Connection, bytes: Uint8Array<ArrayBuffer>): void;

  /**
   * Ends a connection.
   *
   * @param connection The connection.
   * @param error What reading or writing threw; `undefined` if the client ended its
   * stream.
   * @param reason Why it ended, if neither is so.
   */
  onEnd(connection: Connection, error?: unknown, reason?: CloseReason): void;
}

/**
 * Serves a connection until its client ends its stream or an operation fails, then
 * calls {@linkcode LoopContext.onEnd} once. A server chooses its loop once, so that
 * the plain one needs no `if` for each read.
 *
 * @param connection The connection, whose counters the loop keeps.
 * @param context What it needs of its server.
 * @returns Never rejects.
 */
export type ConnectionLoop = (
  connection: Connection,
  context: LoopContext,
) => Promise<void>;
