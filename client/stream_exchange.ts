import { setImmediate as nextTurn } from "node:timers/promises";
import { type Reader, writeAll, type Writer } from "../net/streams.ts";
import { type Comparison, EXCERPT_BYTES } from "./comparison.ts";
import { Deadline } from "./deadline.ts";
import { MismatchError, noReplyError, ShortEchoError } from "./errors.ts";
import type { EchoResult, Progress } from "./types.ts";
import { BUFFER_BYTES, type Wire } from "./wire.ts";

/** How much of a stream may be under way, in bytes: the client's memory. */
const WINDOW_BYTES = 16 * 1024 * 1024;

/** The longest wait for the server to end its side once every byte is back. */
const END_TIMEOUT_MS = 1000;

/** How long `expectSilence()` looks, in turns of the event loop. */
const SILENT_TURNS = 2;

/**
 * What is done on a connection while no message is under way, one call at a time: it
 * borrows the connection of a client, and leaves to that what a failure means.
 */
export class StreamExchange {
  readonly #wire: Wire;
  readonly #comparison: Comparison;
  readonly #timeoutMs: number;
  readonly #close: (why?: unknown) => void;
  readonly #deadline = new Deadline(() => this.#expired());
  /** Whether a read waits for the server. */
  #isWaiting = false;
  #roomMade = Promise.withResolvers<void>();
  #startedAt = 0;

  /** `close` closes the connection: a read fails then. */
  constructor(
    wire: Wire,
    comparison: Comparison,
    timeoutMs: number,
    close: (why?: unknown) => void,
  ) {
    this.#wire = wire;
    this.#comparison = comparison;
    this.#timeoutMs = timeoutMs;
    this.#close = close;
  }

  /** Sends all that a source yields, and gives a sink what came back. */
  async stream(source: Reader, sink: Writer | undefined): Promise<EchoResult> {
    this.#comparison.expectStream(WINDOW_BYTES);
    this.#send(source).catch(this.#close);
    let durationMs = 0;
    for (let bytes; (bytes = await this.#read(BUFFER_BYTES));) {
      this.#verify(bytes);
      durationMs = performance.now() - this.#startedAt;
      this.#roomMade.resolve();
      if (sink) await writeAll(sink, bytes);
    }
    this.#close();
    return { bytes: this.#comparison.verified, durationMs };
  }

  /** Checks that nothing came. */
  async expectSilence(): Promise<void> {
    let hasCome = false;
    const come = () => hasCome = true;
    this.#wire.read(EXCERPT_BYTES).then(come, come);
    // What came while the client slept shows by then. What reaches the kernel just
    // now may not: the runtime does not look at its sockets in every turn.
    for (let turn = 0; turn < SILENT_TURNS; turn++) await nextTurn();
    if (hasCome) this.#verify(await this.#read(EXCERPT_BYTES));
  }

  /** Ends the client's side, checks that nothing more comes, and closes. */
  async end(): Promise<void> {
    await this.#endOutput();
    this.#verify(await this.#read(EXCERPT_BYTES));
    this.#close();
  }

  /** Watches no longer: the connection is closed. */
  stop(): void {
    this.#deadline.stop();
  }

  async #send(source: Reader): Promise<void> {
    const comparison = this.#comparison;
    let ahead: Uint8Array | null = new Uint8Array();
    while (true) {
      const room = comparison.room(BUFFER_BYTES);
      if (room.length === 0) {
        this.#roomMade = Promise.withResolvers();
        // A server may answer only at the end, which may be here.
        if (ahead.length === 0) ahead = await readByte(source);
        if (ahead === null) return await this.#endOutput();
        await this.#roomMade.promise;
        continue;
      }
      room.set(ahead);
      const length = ahead.length || await source.read(room);
      ahead = ahead.subarray(0, 0);
      if (length === null) return await this.#endOutput();
      if (comparison.sent === 0) this.#startedAt = performance.now();
      comparison.addSent(length);
      if (!await this.#write(room.subarray(0, length))) return;
    }
  }

  /** Returns whether all bytes were written. A failed write throws nothing. */
  async #write(bytes: Uint8Array): Promise<boolean> {
    this.#wire.output = "writing";
    this.#watch();
    try {
      await writeAll(this.#wire.conn, bytes);
      return true;
    } catch (error) {
      this.#wire.writeFailed(error);
      return false;
    } finally {
      this.#wire.output = "ready";
      this.#watch();
    }
  }

  async #endOutput(): Promise<void> {
    this.#wire.output = "ended";
    this.#watch();
    try {
      await this.#wire.conn.closeWrite();
    } catch {
      // The connection is broken: reading finds out.
    }
  }

  /** Returns what came, or `null` if the server ended its side when all was done. */
  async #read(most: number): Promise<Uint8Array | null> {
    let cause: unknown;
    this.#isWaiting = true;
    this.#watch();
    try {
      const length = await this.#wire.read(most);
      if (length !== null) return this.#wire.take(length);
    } catch (error) {
      cause = error;
    } finally {
      this.#isWaiting = false;
      this.#deadline.clear();
    }
    // With every byte back, how the server ends its side is its own affair.
    if (this.#isDone) return null;
    cause ??= await this.#wire.causeOfEnd();
    throw new ShortEchoError(this.#wire.remote, this.#progress, cause);
  }

  /** Compares what a read brought with what was sent. */
  #verify(received: Uint8Array | null): void {
    const difference = received && this.#comparison.compare(received);
    if (difference) throw new MismatchError(this.#wire.remote, difference);
  }

  /** Whether the exchange ended, and every byte came back. */
  get #isDone(): boolean {
    return this.#wire.output === "ended" && this.#comparison.isComplete;
  }

  get #progress(): Progress {
    const { sent, verified } = this.#comparison;
    // More of a stream may follow, until the client ends its side.
    return { sent, received: verified, isAll: this.#wire.output === "ended" };
  }

  /** Lets the deadline watch what the server has to do next, if anything. */
  #watch(): void {
    if (!this.#isWaiting) return;
    if (this.#wire.output === "writing" || !this.#comparison.isComplete) {
      this.#deadline.start(this.#timeoutMs);
    } else if (this.#isDone) {
      this.#deadline.start(Math.min(this.#timeoutMs, END_TIMEOUT_MS));
    } else {
      this.#deadline.clear();
    }
  }

  #expired(): void {
    if (this.#isDone) return this.#close();
    this.#close(
      noReplyError(this.#wire.remote, this.#timeoutMs, this.#progress),
    );
  }
}

/** Reads a byte, or returns `null` at the end of the stream. */
async function readByte(source: Reader): Promise<Uint8Array | null> {
  const byte = new Uint8Array(1);
  const length = await source.read(byte);
  return length === null ? null : byte.subarray(0, length);
}
