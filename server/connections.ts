/**
 * The connections of a server, from their TLS handshake to their end.
 *
 * @module
 */

import { isReset } from "../net/errors.ts";
import { FairnessBarrier } from "../net/fairness.ts";
import type { ServerConn } from "./accepting.ts";
import type { ServeStats } from "./api.ts";
import { BufferPool } from "./buffer_pool.ts";
import type { Connection, ConnectionLoop, LoopContext } from "./connection.ts";
import { type CloseReason, PREVIEW_BYTES, type ServeEvent } from "./events.ts";
import { Handshakes } from "./handshakes.ts";

/**
 * The pause between two closings of the barrier at which busy connections wait for
 * each other, see {@linkcode FairnessBarrier}: about the longest wait among a few.
 * Without a pause the throughput of many small messages is less.
 */
const BARRIER_PAUSE_MS = 8;

/** What {@linkcode Connections} need of their server. */
export interface ConnectionsOptions {
  /** What is done with each connection. */
  readonly loop: ConnectionLoop;
  /** How long a TLS handshake may take, in milliseconds. */
  readonly handshakeTimeoutMs: number;
  /** Counts what else is read, for the barrier: a socket for datagrams is one. */
  countOthers(): number;
  /** Counts all that is open, for {@linkcode ServeEvent}. */
  countAllOpen(): number;
  /** Learns that the slot of a connection is free again. */
  onSlotFree(): void;
  /** Takes an event. */
  readonly emit: ((event: ServeEvent) => void) | undefined;
}

/** Serves connections, beside each other, and counts what they did. */
export class Connections implements Iterable<Connection>, AsyncDisposable {
  /** Where busy connections wait for each other, and datagrams with them. */
  readonly barrier: FairnessBarrier;
  readonly #options: ConnectionsOptions;
  readonly #open = new Set<Connection>();
  readonly #handshakes: Handshakes;
  /** TLS connections that ended and are not closed yet: what closes each at once. */
  readonly #leaving = new Map<Deno.TlsConn, Leaving>();
  readonly #pool = new BufferPool();
  readonly #context: LoopContext;
  readonly #closed: ServeStats["closed"] = {};
  /** Bytes of connections that ended; open ones count their own. */
  #bytes = 0;
  #failedHandshakes = 0;
  #isRef = true;
  #state: "open" | "draining" | "stopped" = "open";
  /** Called when there is no connection any more. */
  #tellNone: () => void = () => {};

  /**
   * Makes an empty set of connections.
   *
   * @param options What the connections need of their server.
   */
  constructor(options: ConnectionsOptions) {
    this.#options = options;
    this.barrier = new FairnessBarrier({
      countOpen: () => this.#open.size + options.countOthers(),
      pauseMs: BARRIER_PAUSE_MS,
    });
    this.#handshakes = new Handshakes({
      timeoutMs: options.handshakeTimeoutMs,
      onDone: (conn, handshakeMs) => this.#serve(conn, handshakeMs),
      onFailed: (conn, over, failure) => {
        this.#failedHandshakes++;
        options.emit?.({ type: "handshake_failed", ...failure });
        this.#leave(conn, over, false);
      },
    });
    this.#context = {
      barrier: this.barrier,
      pool: this.#pool,
      onFirstBytes: (connection, bytes) => this.#tellData(connection, bytes),
      onEnd: (connection, error, reason) =>
        this.#loopEnded(connection, error, reason),
    };
  }

  /** How many connections have a descriptor, those in their TLS handshake included. */
  get size(): number {
    return this.#open.size + this.#handshakes.size + this.#leaving.size;
  }

  /** How many bytes were echoed. */
  get bytes(): number {
    let bytes = this.#bytes;
    for (const connection of this.#open) bytes += connection.bytes;
    return bytes;
  }

  /** How many connections ended, by reason. */
  get closed(): ServeStats["closed"] {
    return { ...this.#closed };
  }

  /** How many TLS handshakes failed. */
  get failedHandshakes(): number {
    return this.#failedHandshakes;
  }

  /** Whether the process should stay alive for the connections. */
  get isRef(): boolean {
    return this.#isRef;
  }

  /** The connections whose TLS handshake, if any, is done. */
  [Symbol.iterator](): Iterator<Connection> {
    return this.#open.values();
  }

  /**
   * Serves a connection until it ends, after its TLS handshake if it has one.
   *
   * @param conn The connection, which holds a slot.
   */
  add(conn: ServerConn): void {
    if (!this.#isRef) conn.unref();
    if (isTls(conn)) this.#handshakes.start(conn);
    else this.#serve(conn);
  }

  /**
   * Ends a connection once: its own loop may end it, or the server.
   *
   * @param connection The connection.
   * @param reason Why it ends.
   * @param error What was thrown, if anything.
   */
  close(connection: Connection, reason: CloseReason, error?: unknown): void {
    if (!this.#open.delete(connection)) return;
    const { conn, openedAt, bytes } = connection;
    const remote = remoteOf(connection);
    if (isTls(conn)) this.#leave(conn, conn.closeWrite(), reason === "eof");
    else conn[Symbol.dispose]();
    connection.waiter?.stop();
    this.#bytes += bytes;
    this.#closed[reason] = (this.#closed[reason] ?? 0) + 1;
    this.#options.emit?.({
      type: "close",
      remote,
      bytes,
      durationMs: performance.now() - openedAt,
      reason,
      ...(error !== undefined && { error }),
    });
    this.#tellIfNone();
  }

  /** Ends all connections, and all TLS handshakes, as the server stops. */
  closeAll(): void {
    this.#state = "stopped";
    for (const { stop } of this.#leaving.values()) stop();
    this.#handshakes.close();
    for (const connection of this.#open) this.close(connection, "shutdown");
  }

  /**
   * Says whether the process should stay alive for the connections.
   *
   * @param isRef Whether it should.
   */
  setRef(isRef: boolean): void {
    this.#isRef = isRef;
    const method = isRef ? "ref" : "unref";
    for (const { conn, waiter } of this.#open) {
      conn[method]();
      waiter?.updateRef();
    }
  }

  /** Waits until there is no connection, and none is added any more. */
  async untilNone(): Promise<void> {
    if (this.#state === "open") this.#state = "draining";
    for (const { stop, isOwed } of this.#leaving.values()) {
      if (!isOwed) stop();
    }
    if (this.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#tellNone = resolve;
    await promise;
  }

  /** Gives back the memory, and what the barrier holds, once there is no connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.barrier.stop();
    this.#pool[Symbol.dispose]();
  }

  #serve(conn: ServerConn, handshakeMs?: number): void {
    const connection: Connection = {
      conn,
      openedAt: performance.now(),
      bytes: 0,
      idleSweeps: 0,
      waiter: undefined,
    };
    this.#open.add(connection);
    this.#options.emit?.({
      ...{ type: "open", remote: remoteOf(connection) },
      ...(handshakeMs !== undefined && { handshakeMs }),
    });
    // A connection with TLS has neither setting.
    if (!isTls(conn)) {
      try {
        // A reply must not wait for the acknowledgement of the one before it.
        conn.setNoDelay();
        // A client that lost power sends nothing more: the kernel finds out.
        conn.setKeepAlive();
      } catch (error) {
        return this.#loopEnded(connection, error);
      }
    }
    this.#options.loop(connection, this.#context);
  }

  #loopEnded(
    connection: Connection,
    error?: unknown,
    reason: CloseReason = "eof",
  ): void {
    if (error === undefined) this.close(connection, reason);
    else this.close(connection, isReset(error) ? "reset" : "error", error);
    // Not earlier: before Deno 2.9 a write that is under way outlives `close()`, and
    // keeps the descriptor until the client reads or leaves.
    if (!isTls(connection.conn)) this.#options.onSlotFree();
  }

  /**
   * Closes a TLS connection that ended, and frees its slot, once its client has taken
   * what is left or is gone. After `close()` Deno would wait for that, too, and keep
   * the descriptor, but nobody could know how long.
   */
  async #leave(
    conn: Deno.TlsConn,
    over: Promise<unknown>,
    isOwed: boolean,
  ): Promise<void> {
    const stopped = Promise.withResolvers<void>();
    this.#leaving.set(conn, { stop: stopped.resolve, isOwed });
    const waits = this.#state === "open" ||
      (this.#state === "draining" && isOwed);
    if (!waits) stopped.resolve();
    await Promise.race([over, stopped.promise]).catch(() => {});
    this.#leaving.delete(conn);
    conn[Symbol.dispose]();
    this.#options.onSlotFree();
    this.#tellIfNone();
  }

  #tellIfNone(): void {
    if (this.size === 0) this.#tellNone();
  }

  #tellData(connection: Connection, bytes: Uint8Array<ArrayBuffer>): void {
    // Without an `emit` nothing is copied.
    this.#options.emit?.({
      type: "data",
      remote: remoteOf(connection),
      preview: bytes.slice(0, PREVIEW_BYTES),
      bytes: bytes.length,
      open: this.#options.countAllOpen(),
    });
  }
}

/** A TLS connection that ended and is not closed yet. */
interface Leaving {
  /** Closes it at once. */
  readonly stop: () => void;
  /** Whether a shutdown waits for it: its client may still take its last replies. */
  readonly isOwed: boolean;
}

function isTls(conn: Deno.Conn): conn is Deno.TlsConn {
  return "handshake" in conn;
}

/**
 * Tells the address of a connection's client.
 *
 * @param connection The connection.
 * @returns The address.
 */
export function remoteOf({ conn }: Connection): Deno.NetAddr {
  return conn.remoteAddr as Deno.NetAddr;
}
