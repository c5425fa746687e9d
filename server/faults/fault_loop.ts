/**
 * The loop of a server that misbehaves on purpose.
 *
 * @module
 */

import { READ_BYTES } from "../../net/fairness.ts";
import { startTimer } from "../../net/time.ts";
import type {
  Connection,
  ConnectionLoop,
  LoopContext,
  Waiter,
} from "../connection.ts";
import type { CloseReason, FaultEvent, ToldFault } from "../events.ts";
import type { Faults } from "./options.ts";
import { Pacer } from "./pacer.ts";
import { ReplyQueue } from "./reply_queue.ts";
import { flipBit, type ReplyFaults, StreamPlan } from "./stream_plan.ts";

/**
 * How many bytes a read brings at most, and so how long a reply is. A busy server
 * never reads less at once.
 */
export const REPLY_BYTES: number = READ_BYTES.least;

/**
 * The pause between two pieces of a reply, in milliseconds. After a turn of the event
 * loop alone, half of the pieces arrived together; a client in the same process got
 * all of them at once.
 */
const SLICE_GAP_MS = 1;

/** What a {@linkcode faultLoop} needs of its server. */
export interface FaultLoopOptions {
  /** What is to happen. */
  readonly faults: Faults;

  /** Tells whether the process should stay alive for a reply that waits. */
  isRef(): boolean;

  /**
   * Takes note of a fault, before its client can notice it.
   *
   * @param connection The connection that has it.
   * @param fault The fault.
   */
  onFault(connection: Connection, fault: ToldFault): void;
}

/**
 * Makes the loop of a server that misbehaves. Between reading and writing there is a
 * queue, so that a reply that waits does not keep the server from reading.
 *
 * @param options What it does wrong, and what it needs of its server.
 * @returns The loop, which counts the connections that it is given.
 */
export function faultLoop(options: FaultLoopOptions): ConnectionLoop {
  let connections = 0;
  return (connection, context) => {
    const plan = new StreamPlan(options.faults, ++connections);
    return new FaultyEcho(connection, context, options, plan).run();
  };
}

/** A reply that waits. */
interface Reply {
  /** What is sent, the wrong bit included. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Where in the stream it begins. */
  readonly offset: number;
  /** When it may leave, as `performance.now()`. */
  readonly readyAt: number;
  /** How long its pieces are. */
  readonly sliceBytes: number;
  /** Where in the stream its wrong byte is. */
  readonly wrongAt: number | undefined;
}

/** How the writing ended. */
interface End {
  readonly error?: unknown;
  readonly reason?: CloseReason;
}

/** One connection: it is read from and written to at the same time. */
class FaultyEcho implements Waiter {
  readonly #connection: Connection;
  readonly #context: LoopContext;
  readonly #options: FaultLoopOptions;
  readonly #plan: StreamPlan;
  readonly #queue = new ReplyQueue<Reply>();
  readonly #pacer: Pacer | undefined;
  /** The faults of all replies that were told, once for the connection. */
  readonly #told = new Set<FaultEvent["kind"]>();
  /** How many bytes were read. */
  #read = 0;
  /** How many bytes are sent back before the connection is cut. */
  #cutAt = Infinity;
  /** When the last reply is ready: none overtakes it. */
  #lastReadyAt = -Infinity;
  #isHolding = false;
  #endHold: () => void = () => {};
  #readError: unknown;

  constructor(
    connection: Connection,
    context: LoopContext,
    options: FaultLoopOptions,
    plan: StreamPlan,
  ) {
    this.#connection = connection;
    this.#context = context;
    this.#options = options;
    this.#plan = plan;
    const { bytesPerSecond } = plan;
    if (bytesPerSecond < Infinity) this.#pacer = new Pacer(bytesPerSecond);
    connection.waiter = this;
  }

  async run(): Promise<void> {
    // Never rejects. It outlives the end only while a read is under way, which ends
    // when the server closes the connection.
    this.#readAll();
    const { error = this.#readError, reason } = await this.#writeAll();
    this.#context.onEnd(this.#connection, error, reason);
  }

  /** Ends every wait: the connection is closed, or about to be. */
  stop(): void {
    this.#queue.close();
    this.#endHold();
  }

  /** Starts the wait anew that is under way, which ends at the same time. */
  updateRef(): void {
    this.#endHold();
  }

  async #readAll(): Promise<void> {
    const { conn } = this.#connection;
    const { barrier, pool } = this.#context;
    try {
      const buffer = pool.take(REPLY_BYTES);
      try {
        while (!this.#queue.isClosed) {
          const length = await conn.read(buffer);
          if (length === null) break;
          this.#moved();
          if (this.#read === 0) this.#tellFirst(buffer.subarray(0, length));
          if (!this.#plan.isStalled) this.#add(buffer.slice(0, length));
          this.#read += length;
          if (this.#queue.isFull) await this.#queue.untilRoom();
          if (barrier.addRead(length)) await barrier.pass();
        }
      } finally {
        pool.give(buffer);
      }
      this.#queue.end();
    } catch (error) {
      this.#readError = error;
      this.stop();
    }
  }

  #tellFirst(bytes: Uint8Array<ArrayBuffer>): void {
    this.#context.onFirstBytes(this.#connection, bytes);
    if (this.#plan.isStalled) return this.#tell({ kind: "stall" });
    if (this.#pacer) this.#tell({ kind: "rate" });
    this.#cutAt = this.#plan.cutAt(bytes.length);
  }

  /** Adds a reply to the queue. */
  #add(bytes: Uint8Array<ArrayBuffer>): void {
    const offset = this.#read;
    const faults = this.#plan.reply(offset, bytes.length);
    this.#tellReply(offset, bytes.length, faults);
    const { delayMs, sliceBytes, wrongBit } = faults;
    const readyAt = Math.max(performance.now() + delayMs, this.#lastReadyAt);
    this.#lastReadyAt = readyAt;
    const wrongAt = wrongBit === undefined
      ? undefined
      : offset + flipBit(bytes, wrongBit);
    this.#queue.push({ bytes, offset, readyAt, sliceBytes, wrongAt });
  }

  #tellReply(
    offset: number,
    bytes: number,
    { delayMs, sliceBytes }: ReplyFaults,
  ): void {
    const { latency, slice } = this.#options.faults;
    if (latency && delayMs > 0) {
      this.#tellOften({ kind: "latency", offset, delayMs }, latency.percent);
    }
    if (slice && bytes > sliceBytes) {
      this.#tellOften({ kind: "slice", offset }, slice.percent);
    }
  }

  /** Tells a fault of a reply, or once one that all replies have. */
  #tellOften(fault: ToldFault, percent: number): void {
    if (percent < 100) return this.#tell(fault);
    const { kind } = fault;
    if (this.#told.has(kind)) return;
    this.#told.add(kind);
    this.#tell({ kind });
  }

  #tell(fault: ToldFault): void {
    this.#options.onFault(this.#connection, fault);
  }

  /** Sends the replies back until there are no more. */
  async #writeAll(): Promise<End> {
    try {
      for (let reply; (reply = await this.#queue.next());) {
        await this.#hold(reply.readyAt);
        if (!await this.#send(reply)) return { reason: "cut" };
        this.#queue.removeFirst();
      }
      return {};
    } catch (error) {
      return { error };
    }
  }

  /** Sends a reply, and tells whether the connection was not cut. */
  async #send(reply: Reply): Promise<boolean> {
    const { bytes, offset, readyAt, sliceBytes, wrongAt = Infinity } = reply;
    const stepBytes = this.#pacer?.stepBytes ?? Infinity;
    for (let at = 0; at < bytes.length && !this.#queue.isClosed;) {
      const bytesLeft = this.#cutAt - offset - at;
      if (bytesLeft <= 0) {
        this.#tell({ kind: "cut", offset: this.#cutAt });
        return false;
      }
      const most = Math.min(sliceBytes - at % sliceBytes, stepBytes, bytesLeft);
      const end = Math.min(at + most, bytes.length);
      if (this.#pacer) await this.#hold(this.#pacer.dueAt(end - at, readyAt));
      if (this.#queue.isClosed) break;
      if (wrongAt >= offset + at && wrongAt < offset + end) {
        this.#tell({ kind: "corrupt", offset: wrongAt });
      }
      while (at < end) at += await this.#write(bytes.subarray(at, end));
      if (at % sliceBytes === 0 && at < bytes.length) {
        await this.#hold(performance.now() + SLICE_GAP_MS);
      }
    }
    return true;
  }

  async #write(bytes: Uint8Array<ArrayBuffer>): Promise<number> {
    const written = await this.#connection.conn.write(bytes);
    this.#connection.bytes += written;
    this.#moved();
    return written;
  }

  /** Takes note that a byte moved. */
  #moved(): void {
    // What waits for its time is under way: no sweep finds the connection idle.
    this.#connection.idleSweeps = this.#isHolding ? -Infinity : 0;
  }

  /** Waits until a time, or until the connection is closed. */
  async #hold(until: number): Promise<void> {
    while (!this.#queue.isClosed) {
      const leftMs = until - performance.now();
      if (leftMs <= 0) break;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#endHold = resolve;
      this.#isHolding = true;
      this.#moved();
      // A timer of the runtime would leave out the fraction of a millisecond.
      using _timer = startTimer(Math.ceil(leftMs), resolve, {
        persistent: this.#options.isRef(),
      });
      await promise;
      this.#isHolding = false;
      this.#moved();
    }
  }
}
