/**
 * Connections for tests of the client: in memory, for what loopback never shows,
 * and to servers that answer wrongly or not at all.
 *
 * @module
 */

import type { EchoConn } from "../client/dial.ts";
import { StreamClient } from "../client/stream_client.ts";
import type { Address } from "../net/address.ts";
import { type Reader, writeAll } from "../net/streams.ts";
import { Watched } from "./waiting.ts";

/** What the other end of a {@linkcode MemoryConn} does. */
export interface OtherEnd {
  /**
   * Takes bytes that the client writes.
   *
   * @param bytes The bytes, a copy.
   * @param conn The connection.
   * @returns How many of them it took, by default all.
   */
  write?(bytes: Uint8Array, conn: MemoryConn): number | Promise<number>;

  /**
   * Learns that the client ended its side, by default without an answer.
   *
   * @param conn The connection.
   */
  closeWrite?(conn: MemoryConn): void;
}

/** A connection in memory, whose other end the test plays. */
export class MemoryConn implements EchoConn {
  readonly #other: OtherEnd;
  readonly #replies: (Uint8Array | Error | null)[] = [];
  readonly #watched = new Watched();
  #pending:
    | (PromiseWithResolvers<number | null> & { p: Uint8Array })
    | undefined;

  /** The lengths of the buffers that the client read into. */
  readonly reads: number[] = [];
  /** The memory that the client read into. */
  readonly buffers = new Set<ArrayBufferLike>();
  /** What the client wrote, write for write. */
  readonly writes: Uint8Array[] = [];
  /** How many bytes the client wrote. */
  written = 0;
  /** Whether the client ended its side. */
  hasEnded = false;
  /** How often the client closed the connection. */
  closed = 0;

  /**
   * Makes a connection.
   *
   * @param other What its other end does.
   */
  constructor(other: OtherEnd = {}) {
    this.#other = other;
  }

  /** Whether the client waits for a reply. */
  get isReading(): boolean {
    return this.#pending !== undefined;
  }

  /**
   * Answers the client's reads.
   *
   * @param replies Each answers one read, or more if its bytes are too many for
   * one. `null` is the end of the stream; an error breaks the connection.
   */
  reply(...replies: (Uint8Array | Error | null)[]): void {
    this.#replies.push(...replies);
    this.#answer();
  }

  /**
   * Waits until the connection is as the test wants.
   *
   * @param what What the test waits for, for the error.
   * @param isSo Tells whether it is so.
   */
  async until(what: string, isSo: () => boolean): Promise<void> {
    await this.#watched.until(() => isSo() || null, () => what);
  }

  read(p: Uint8Array): Promise<number | null> {
    if (this.closed > 0) return Promise.reject(new Deno.errors.BadResource());
    if (this.#pending) throw new Error("two reads at once");
    this.reads.push(p.length);
    this.buffers.add(p.buffer);
    const pending = { p, ...Promise.withResolvers<number | null>() };
    this.#pending = pending;
    this.#answer();
    this.#watched.changed();
    return pending.promise;
  }

  async write(p: Uint8Array): Promise<number> {
    if (this.closed > 0) throw new Deno.errors.BadResource();
    const bytes = p.slice();
    const taken = await this.#other.write?.(bytes, this) ?? bytes.length;
    this.writes.push(bytes.subarray(0, taken));
    this.written += taken;
    this.#watched.changed();
    return taken;
  }

  // deno-lint-ignore require-await
  async closeWrite(): Promise<void> {
    if (this.closed > 0) throw new Deno.errors.BadResource();
    this.hasEnded = true;
    this.#watched.changed();
    this.#other.closeWrite?.(this);
  }

  /** Closes it. As before Deno 2.9, a write under way does not end by that. */
  [Symbol.dispose](): void {
    this.closed++;
    this.#pending?.reject(new Deno.errors.Interrupted());
    this.#pending = undefined;
    this.#watched.changed();
  }

  #answer(): void {
    const [reply] = this.#replies;
    if (!this.#pending || reply === undefined) return;
    const { p, resolve, reject } = this.#pending;
    this.#pending = undefined;
    if (reply === null) return resolve(null);
    if (reply instanceof Error) return reject(reply);
    const piece = reply.subarray(0, p.length);
    p.set(piece);
    if (piece.length === reply.length) this.#replies.shift();
    else this.#replies[0] = reply.subarray(piece.length);
    resolve(piece.length);
  }
}

/** The other end of a {@linkcode MemoryConn} that echoes, and ends when told to. */
export const ECHOING: OtherEnd = {
  write(bytes, conn) {
    conn.reply(bytes);
    return bytes.length;
  },
  closeWrite(conn) {
    conn.reply(null);
  },
};

/** The address of a server that is no more than a {@linkcode MemoryConn}. */
export const REMOTE: Address = {
  transport: "tcp",
  hostname: "192.0.2.1",
  port: 7,
};

/** The address of a client's end of a {@linkcode MemoryConn}. */
export const LOCAL: Address = {
  transport: "tcp",
  hostname: "192.0.2.2",
  port: 50_712,
};

/**
 * Makes a client.
 *
 * @param conn Its connection.
 * @param timeoutMs Its timeout, in milliseconds.
 * @param signal What closes it.
 * @returns The client.
 */
export function clientOn(
  conn: EchoConn,
  timeoutMs = 5000,
  signal?: AbortSignal,
): StreamClient {
  const dialed = { conn, local: LOCAL, remote: REMOTE, connectMs: 1 };
  return new StreamClient(dialed, timeoutMs, signal);
}

/**
 * Makes a source of bytes.
 *
 * @param bytes The bytes.
 * @param most How many of them a read brings at most.
 * @returns The source.
 */
export function sourceOf(bytes: Uint8Array, most = Infinity): Reader {
  let at = 0;
  return {
    read(p) {
      const piece = bytes.subarray(at, at + Math.min(p.length, most));
      p.set(piece);
      at += piece.length;
      return Promise.resolve(piece.length || null);
    },
  };
}

/** The same as a web stream, in one chunk. */
export function streamOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return ReadableStream.from([bytes]);
}

/** A source that yields what the test gives it, when the test gives it. */
export class GivenSource implements Reader {
  readonly #given: Uint8Array[] = [];
  readonly #watched = new Watched();
  #isOver = false;
  #failure: Error | undefined;

  /**
   * Yields bytes.
   *
   * @param bytes The bytes.
   */
  give(bytes: Uint8Array): void {
    this.#given.push(bytes);
    this.#watched.changed();
  }

  /**
   * Ends.
   *
   * @param failure What it fails with, if it does.
   */
  end(failure?: Error): void {
    this.#isOver = true;
    this.#failure = failure;
    this.#watched.changed();
  }

  async read(p: Uint8Array): Promise<number | null> {
    await this.#watched.until(
      () => this.#given.length > 0 || this.#isOver || null,
      () => "anything that the test gives",
    );
    if (this.#failure) throw this.#failure;
    const bytes = this.#given.shift();
    if (!bytes) return null;
    p.set(bytes);
    return bytes.length;
  }
}

/**
 * Reads once.
 *
 * @param conn Where from.
 * @param most How many bytes at most.
 * @returns The bytes, none at the end of the stream.
 */
export async function readOnce(
  conn: Deno.Conn,
  most = 65_536,
): Promise<Uint8Array> {
  const buffer = new Uint8Array(most);
  return buffer.subarray(0, await conn.read(buffer) ?? 0);
}

/**
 * Makes a handler of connections that changes what it echoes.
 *
 * @param change Gets what arrived, and where in the stream it begins; returns what
 * is sent back.
 * @returns The handler, for `startPeer()`.
 */
export function changing(
  change: (bytes: Uint8Array, offset: number) => Uint8Array,
): (conn: Deno.Conn) => Promise<void> {
  return async (conn) => {
    let offset = 0;
    while (true) {
      const bytes = await readOnce(conn);
      if (bytes.length === 0) return conn.close();
      const { length } = bytes;
      await writeAll(conn, change(bytes, offset));
      offset += length;
    }
  };
}

/** A place where connecting neither succeeds nor fails. */
export interface DeadEnd extends Disposable {
  /** Its port on 127.0.0.1. */
  readonly port: number;
}

/**
 * Listens with a full queue: the kernel drops what asks to be let in.
 *
 * @returns The place.
 */
export async function deadEnd(): Promise<DeadEnd> {
  const hostname = "127.0.0.1";
  const listener = Deno.listen({ hostname, port: 0, tcpBacklog: 1 });
  const { port } = listener.addr;
  const queued = [
    await Deno.connect({ hostname, port }),
    await Deno.connect({ hostname, port }),
  ];
  return {
    port,
    [Symbol.dispose]() {
      listener.close();
      for (const conn of queued) conn.close();
    },
  };
}

/** Counts the listeners of a signal. */
export class ListenerCount {
  readonly #listeners = new Set<unknown>();
  /** How many were added. */
  added = 0;

  /**
   * Begins to count.
   *
   * @param signal The signal.
   */
  constructor(signal: AbortSignal) {
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      add(...args);
      this.#listeners.add(args[1]);
      this.added++;
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      remove(...args);
      this.#listeners.delete(args[1]);
    };
  }

  /** How many of them there still are. */
  get now(): number {
    return this.#listeners.size;
  }
}
