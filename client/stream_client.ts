/**
 * An echo client over a stream: the connection is one sequence of bytes each way.
 *
 * @module
 */

import { setImmediate as nextTurn } from "node:timers/promises";
import { type Address, formatAddress } from "../net/address.ts";
import { isNetworkError, withFields } from "../net/errors.ts";
import { type Reader, writeAll, type Writer } from "../net/streams.ts";
import type { EchoClient } from "./api.ts";
import { Comparison, EXCERPT_BYTES } from "./comparison.ts";
import { Deadline } from "./deadline.ts";
import type { Dialed, EchoConn } from "./dial.ts";
import {
  clientClosedError,
  MismatchError,
  noReplyError,
  ShortEchoError,
} from "./errors.ts";
import { MessageQueue } from "./message_queue.ts";
import type { EchoResult, Progress } from "./types.ts";

/** How much of a stream may be under way, in bytes: the client's memory. */
const WINDOW_BYTES = 16 * 1024 * 1024;

/** The most that one read or one write of a stream takes, in bytes. */
const BUFFER_BYTES = 256 * 1024;

/** The longest wait for the server to end its side once every byte is back. */
const END_TIMEOUT_MS = 1000;

/** How long {@linkcode StreamClient.expectSilence} looks, in turns of the event loop. */
const SILENT_TURNS = 2;

/**
 * What the client takes: messages, nothing during an exchange of another kind,
 * nothing more after a failure. It is closed as soon as no message is waited for.
 */
type State =
  | { readonly is: "idle" }
  | { readonly is: "busy" }
  | { readonly is: "failed"; readonly why: unknown }
  | { readonly is: "closed"; readonly why: unknown };

const IDLE: State = { is: "idle" };
const BUSY: State = { is: "busy" };

/** An echo client over a connection of its own. */
export class StreamClient implements EchoClient {
  readonly connectMs: number;
  readonly handshakeMs: number | undefined;
  readonly remoteAddr: Address;
  readonly localAddr: Address;

  readonly #conn: EchoConn;
  readonly #timeoutMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = () => this.#close(this.#signal?.reason);
  readonly #comparison = new Comparison();
  readonly #deadline = new Deadline(() => this.#expired());
  #state: State = IDLE;
  /** What the client's side of the connection does. */
  #output: "ready" | "writing" | "ended" = "ready";
  /** The messages under way. An exchange of another kind waits for their end. */
  readonly #messages = new MessageQueue(this.#comparison);
  /** Whether `#receiveMessages()` runs. */
  #isReceiving = false;
  /** That the server broke the connection, if a write found it out. */
  #reset: unknown;
  /** Whether something waits for the server. */
  #isWaiting = false;
  /** What the last read brought is at its start. */
  #received = new Uint8Array();
  /** A read begun by `expectSilence()`; the next `#read()` continues it. */
  #pendingRead: Promise<number | null> | undefined;

  /**
   * Takes over a connection.
   *
   * @param dialed The connection.
   * @param timeoutMs The longest wait for a message's reply, or for the next byte of
   * a stream, in milliseconds.
   * @param signal Closes the client when it is aborted.
   */
  constructor(
    { conn, local, remote, connectMs, handshakeMs }: Dialed,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ) {
    this.connectMs = connectMs;
    this.handshakeMs = handshakeMs;
    this.localAddr = local;
    this.remoteAddr = remote;
    this.#conn = conn;
    this.#timeoutMs = timeoutMs;
    this.#signal = signal;
    signal?.addEventListener("abort", this.#onAbort);
    if (signal?.aborted) this.#onAbort();
  }

  get isOpen(): boolean {
    return !("why" in this.#state);
  }

  echo(message: Uint8Array): Promise<EchoResult> {
    if (!(message instanceof Uint8Array)) {
      const why = "Cannot echo a message that is no Uint8Array";
      return Promise.reject(new TypeError(why));
    }
    if (this.#state !== IDLE) return Promise.reject(this.#refusal());
    const result = this.#messages.add(message, performance.now());
    this.#awaitMessages();
    if (this.#output === "ready") this.#writeMessages();
    if (!this.#isReceiving) this.#receiveMessages();
    return result;
  }

  echoStream(source: Reader, sink?: Writer): Promise<EchoResult> {
    return this.#exchange(async () => {
      const comparison = this.#comparison;
      comparison.expectStream(WINDOW_BYTES);
      let roomMade = Promise.withResolvers<void>();
      let startedAt: number | undefined;
      let durationMs = 0;

      const send = async () => {
        let ahead: Uint8Array | null = new Uint8Array();
        while (true) {
          const room = comparison.room(BUFFER_BYTES);
          if (room.length === 0) {
            roomMade = Promise.withResolvers();
            // A server may answer only at the end, which may be here.
            if (ahead.length === 0) ahead = await readByte(source);
            if (ahead === null) return await this.#endOutput();
            await roomMade.promise;
            continue;
          }
          room.set(ahead);
          const length = ahead.length || await source.read(room);
          ahead = ahead.subarray(0, 0);
          if (length === null) return await this.#endOutput();
          startedAt ??= performance.now();
          comparison.addSent(length);
          if (!await this.#write(room.subarray(0, length))) return;
        }
      };
      send().catch((error) => this.#close(error));

      while (true) {
        const length = await this.#read(BUFFER_BYTES);
        if (length === null) break;
        this.#verify(length);
        durationMs = performance.now() - startedAt!;
        roomMade.resolve();
        if (sink) await writeAll(sink, this.#received.subarray(0, length));
      }
      this.close();
      return { bytes: comparison.verified, durationMs };
    });
  }

  expectSilence(): Promise<void> {
    return this.#exchange(async () => {
      let hasCome = false;
      const come = () => hasCome = true;
      this.#startReading(EXCERPT_BYTES).then(come, come);
      // What came while the client slept shows by then. What reaches the kernel just
      // now may not: the runtime does not look at its sockets in every turn.
      for (let turn = 0; turn < SILENT_TURNS; turn++) await nextTurn();
      if (hasCome) this.#verify(await this.#read(EXCERPT_BYTES) ?? 0);
    });
  }

  end(): Promise<void> {
    return this.#exchange(async () => {
      await this.#endOutput();
      this.#verify(await this.#read(EXCERPT_BYTES) ?? 0);
      this.close();
    });
  }

  close(): void {
    this.#close(clientClosedError(this.remoteAddr));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #close(why: unknown): void {
    if (this.#state.is === "closed") return;
    this.#state = { is: "closed", why };
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#deadline.stop();
    this.#conn[Symbol.dispose]();
    this.#messages.giveUpAll(why, (message) => this.#followUp(why, message));
  }

  /** Why the client takes nothing now. */
  #refusal(): unknown {
    if ("why" in this.#state) return this.#state.why;
    const address = formatAddress(this.remoteAddr);
    return new Error(`Cannot send to ${address}: an exchange is under way`);
  }

  /** Makes the error of a message whose connection an earlier one's failure ends. */
  #followUp(why: unknown, message: Uint8Array): unknown {
    const address = this.remoteAddr;
    if (why instanceof ShortEchoError) {
      const progress = { sent: message.length, received: 0 };
      return new ShortEchoError(address, progress, why.cause);
    }
    if (!(why instanceof MismatchError)) return why;
    const detail = "another reply was wrong";
    const text = `Wrong echo from ${formatAddress(address)}: ${detail}`;
    const { operation, reason } = why;
    return withFields(new Error(text), { operation, address, reason, detail });
  }

  #begin(): void {
    if (this.#state !== IDLE || !this.#messages.isEmpty) throw this.#refusal();
    this.#state = BUSY;
  }

  /** Writes the messages that are not written, one batch after another. */
  async #writeMessages(): Promise<void> {
    this.#output = "writing";
    try {
      for (let next; (next = this.#messages.nextWrite());) {
        // One write is nearly always enough, and saves the promise of `writeAll()`.
        const written = next.length > 0 ? await this.#conn.write(next) : 0;
        if (written < next.length) {
          await writeAll(this.#conn, next.subarray(written));
        }
        if (this.#messages.addWritten()) this.#awaitMessages();
      }
    } catch (error) {
      // Reading finds out how much came back all the same.
      this.#noteReset(error);
    }
    this.#output = "ready";
  }

  /** Reads until no message is under way. */
  async #receiveMessages(): Promise<void> {
    this.#isReceiving = true;
    try {
      while (!this.#messages.isEmpty) {
        // More than can come back, so that a surplus shows at once.
        const most = this.#messages.outstandingBytes + EXCERPT_BYTES;
        const length = await this.#startReading(Math.min(most, BUFFER_BYTES));
        // A write that ended after its reply came has left this read to others.
        if (this.#state === BUSY) return;
        this.#pendingRead = undefined;
        const now = performance.now();
        this.#deadline.check(now);
        if (this.#state.is === "closed") return;
        if (length === null) throw await this.#shortEcho(undefined);
        const received = this.#received.subarray(0, length);
        const difference = this.#messages.compare(received, now);
        if (difference) throw new MismatchError(this.remoteAddr, difference);
        this.#awaitMessages();
      }
    } catch (error) {
      this.#close(isNetworkError(error) ? error : await this.#shortEcho(error));
    } finally {
      this.#isReceiving = false;
    }
  }

  /**
   * Lets the deadline watch the oldest message that is waited for. It has its time as
   * a whole: a reply of which something comes now and then could take for ever.
   */
  #awaitMessages(): void {
    this.#deadline.clear();
    const { awaitedSince } = this.#messages;
    if (awaitedSince !== undefined) {
      this.#deadline.start(this.#timeoutMs, awaitedSince);
    } else if (this.#state.is === "failed") this.#close(this.#state.why);
  }

  async #exchange<T>(exchange: () => Promise<T>): Promise<T> {
    this.#begin();
    try {
      return await exchange();
    } catch (error) {
      this.#close(error);
      throw error;
    } finally {
      if (this.#state === BUSY) this.#state = IDLE;
    }
  }

  /** Begins to read up to `most` bytes, unless a read is pending already. */
  #startReading(most: number): Promise<number | null> {
    if (!this.#pendingRead) {
      if (this.#received.length < most) this.#received = new Uint8Array(most);
      this.#pendingRead = this.#conn.read(this.#received);
    }
    return this.#pendingRead;
  }

  /**
   * Reads into `#received`.
   *
   * @returns How many bytes came, or `null` if the server ended its side after
   * everything came back and the client had ended its own.
   */
  async #read(most: number): Promise<number | null> {
    let cause: unknown;
    this.#isWaiting = true;
    this.#watch();
    try {
      const length = await this.#startReading(most);
      this.#pendingRead = undefined;
      if (length !== null) return length;
    } catch (error) {
      cause = error;
    } finally {
      this.#isWaiting = false;
      this.#deadline.clear();
    }
    // With every byte back, how the server ends its side is its own affair.
    if (this.#isDone) return null;
    throw this.#state.is === "closed"
      ? this.#state.why
      : await this.#shortEcho(cause);
  }

  async #shortEcho(cause: unknown): Promise<ShortEchoError> {
    // The kernel tells of a reset once. If it told a write, which may end after the
    // read, the read found an end.
    if (cause === undefined && this.#output === "writing") await nextTurn();
    const why = cause ?? this.#reset;
    return new ShortEchoError(this.remoteAddr, this.#progress, why);
  }

  get #progress(): Progress {
    const { sent, verified } = this.#comparison;
    // More of a stream may follow, until the client ends its side.
    const isAll = this.#state.is !== "busy" || this.#output === "ended";
    return { sent, received: verified, isAll };
  }

  #noteReset(error: unknown): void {
    // A broken pipe only says that the server ended its side before.
    if (error instanceof Deno.errors.ConnectionReset) this.#reset = error;
  }

  /** Whether the exchange ended, and every byte came back. */
  get #isDone(): boolean {
    return this.#output === "ended" && this.#comparison.isComplete;
  }

  /** Compares what a read brought with what was sent. */
  #verify(length: number): void {
    const received = this.#received.subarray(0, length);
    const difference = this.#comparison.compare(received);
    if (difference) throw new MismatchError(this.remoteAddr, difference);
  }

  /**
   * Returns whether all bytes were written. A failed write throws nothing: reading
   * finds out how much came back all the same.
   */
  async #write(bytes: Uint8Array): Promise<boolean> {
    this.#output = "writing";
    this.#watch();
    try {
      await writeAll(this.#conn, bytes);
      return true;
    } catch (error) {
      this.#noteReset(error);
      return false;
    } finally {
      this.#output = "ready";
      this.#watch();
    }
  }

  async #endOutput(): Promise<void> {
    this.#output = "ended";
    this.#watch();
    try {
      await this.#conn.closeWrite();
    } catch {
      // The connection is broken: reading finds out.
    }
  }

  /** Lets the deadline watch what the server has to do next, if anything. */
  #watch(): void {
    if (!this.#isWaiting) return;
    if (this.#output === "writing" || !this.#comparison.isComplete) {
      this.#deadline.start(this.#timeoutMs);
    } else if (this.#isDone) {
      this.#deadline.start(Math.min(this.#timeoutMs, END_TIMEOUT_MS));
    } else {
      this.#deadline.clear();
    }
  }

  #expired(): void {
    if (this.#isDone) return this.close();
    const messages = this.#messages;
    const noReply = (progress: Progress) =>
      noReplyError(this.remoteAddr, this.#timeoutMs, progress);
    if (!messages.isAwaited) return this.#close(noReply(this.#progress));
    const dueSince = performance.now() - this.#timeoutMs;
    // Later messages have time left, and a late reply is told from theirs.
    do {
      const why = noReply(messages.awaitedProgress);
      messages.giveUpOldest(why);
      if (this.#state.is !== "failed") this.#state = { is: "failed", why };
    } while (messages.isAwaited && messages.awaitedSince! <= dueSince);
    this.#awaitMessages();
  }
}

/** Reads a byte, or returns `null` at the end of the stream. */
async function readByte(source: Reader): Promise<Uint8Array | null> {
  const byte = new Uint8Array(1);
  const length = await source.read(byte);
  return length === null ? null : byte.subarray(0, length);
}
