/**
 * A connection whose loop misbehaves on purpose, and whose client a test plays.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { Barrier } from "../net/fairness.ts";
import { BufferPool } from "../server/buffer_pool.ts";
import type { Connection } from "../server/connection.ts";
import type { CloseReason, ToldFault } from "../server/events.ts";
import { faultLoop, REPLY_BYTES } from "../server/faults/fault_loop.ts";
import { checkFaults, type FaultOptions } from "../server/faults/options.ts";
import { MemoryConn } from "./socket.ts";

/** A write of the server. */
export interface PlayedWrite {
  /** When, in milliseconds since the connection began. */
  readonly at: number;
  /** What. */
  readonly bytes: Uint8Array;
}

/** Memory of which a test sees whether it was given back. */
export class WatchedPool extends BufferPool {
  /** The sizes of the buffers that are in use. */
  readonly used: number[] = [];

  override take(size: number): Uint8Array<ArrayBuffer> {
    this.used.push(size);
    return super.take(size);
  }

  override give(buffer: Uint8Array<ArrayBuffer>): void {
    this.used.splice(this.used.indexOf(buffer.length), 1);
    super.give(buffer);
  }
}

/** How a played connection differs from one that nothing happens to. */
export interface PlayOptions {
  /** Where the connection waits after a read. */
  barrier?: Partial<Barrier>;
  /** Whether the process stays alive for it, which may change. */
  isRef?: boolean;
  /** What happens to a write: how many bytes it takes, by default all. */
  write?: (bytes: Uint8Array) => number | Promise<number>;
  /** Whether there is no memory for it. */
  isOutOfMemory?: boolean;
  /** How many connections there were before. */
  before?: number;
}

/** A played connection, and what was seen of it. */
export interface PlayedLoop {
  /** The connection, as the server has it. */
  readonly connection: Connection;
  /** Its socket: `reply()` is what the client sends. */
  readonly conn: MemoryConn;
  /** What the server wrote. */
  readonly writes: readonly PlayedWrite[];
  /** The faults that it told, and how much was written before each. */
  readonly faults: readonly (ToldFault & { written: number })[];
  /** How often it was told of first bytes, and of which. */
  readonly firsts: readonly Uint8Array[];
  /** How it ended, each time. */
  readonly ends: readonly { error: unknown; reason: CloseReason | undefined }[];
  /** Its memory. */
  readonly pool: WatchedPool;
}

/**
 * Begins a connection.
 *
 * @param options The faults, with the seed 1 by default.
 * @param play What else is special.
 * @returns The connection, on which nothing has come yet.
 */
export function playLoop(
  options: FaultOptions,
  play: PlayOptions = {},
): PlayedLoop {
  const { barrier, write, isOutOfMemory, before = 0 } = play;
  const start = performance.now();
  const writes: PlayedWrite[] = [];
  const faults: PlayedLoop["faults"][number][] = [];
  const firsts: Uint8Array[] = [];
  const ends: PlayedLoop["ends"][number][] = [];
  const pool = new WatchedPool();
  if (isOutOfMemory) {
    pool.take = () => {
      throw new RangeError("Array buffer allocation failed");
    };
  }
  const conn = new MemoryConn({
    async write(bytes) {
      const taken = await write?.(bytes) ?? bytes.length;
      const at = performance.now() - start;
      writes.push({ at, bytes: bytes.subarray(0, taken) });
      return taken;
    },
  });
  const loop = faultLoop({
    faults: checkFaults({ seed: 1, ...options }, false),
    isRef: () => play.isRef ?? true,
    onFault: (_connection, fault) =>
      faults.push({ ...fault, written: conn.written }),
  });
  const begin = (of: MemoryConn): Connection => {
    const connection: Connection = {
      conn: of as unknown as Deno.Conn,
      ...{ openedAt: start, bytes: 0, idleSweeps: 0 },
    };
    loop(connection, {
      barrier: {
        readBytes: REPLY_BYTES,
        addRead: () => false,
        pass: () => Promise.resolve(),
        ...barrier,
      },
      pool,
      onFirstBytes: (_connection, bytes) => firsts.push(bytes.slice()),
      onEnd(ended, error, reason) {
        if (ended.conn as unknown !== conn) return;
        ends.push({ error, reason });
        conn[Symbol.dispose]();
        ended.waiter?.stop();
      },
    });
    return connection;
  };
  for (let turn = 0; turn < before; turn++) begin(new MemoryConn());
  pool.used.length = 0;
  return { connection: begin(conn), conn, writes, faults, firsts, ends, pool };
}

/**
 * Puts the bytes of writes together.
 *
 * @param writes The writes.
 * @returns All their bytes.
 */
export function joined(writes: readonly PlayedWrite[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(writes.map(({ bytes }) => bytes)));
}
