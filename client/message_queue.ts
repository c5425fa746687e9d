/**
 * The messages that are under way on one connection.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { EchoResult } from "./api.ts";
import type { Comparison, Difference } from "./comparison.ts";

/** The most that one write takes of several messages together, in bytes. */
const BATCH_BYTES = 64 * 1024;

/** A message that is under way. */
interface Pending
  extends Omit<PromiseWithResolvers<EchoResult>, "promise"> {
  readonly message: Uint8Array;
  /** When it was given to the queue, as `performance.now()`. */
  readonly startedAt: number;
}

/**
 * Keeps messages until they came back. A stream echoes them in order, so what
 * comes back always belongs to the oldest. It knows no socket.
 */
export class MessageQueue {
  readonly #comparison: Comparison;
  /** The oldest first. */
  readonly #pending: Pending[] = [];
  /** How many of them, from the oldest on, are written. */
  #written = 0;
  /** How many of the next ones are being written. */
  #writing = 0;
  /**
   * How many of them, from the oldest on, were given up. Their replies may still
   * come, and are compared.
   */
  #givenUp = 0;
  /** How many bytes all of them have. */
  #bytes = 0;

  /**
   * Makes an empty queue.
   *
   * @param comparison Compares what comes back with the oldest message.
   */
  constructor(comparison: Comparison) {
    this.#comparison = comparison;
  }

  /** Whether no message is under way. */
  get isEmpty(): boolean {
    return this.#pending.length === 0;
  }

  /** Whether a message is waited for: one that was not given up. */
  get isAwaited(): boolean {
    return this.#givenUp < this.#pending.length;
  }

  /** How many bytes may come back, at most. */
  get outstandingBytes(): number {
    return this.#bytes - this.#comparison.verified;
  }

  /**
   * When the oldest message that is waited for began, as `performance.now()`;
   * `undefined` if there is none.
   */
  get awaitedSince(): number | undefined {
    return this.#pending[this.#givenUp]?.startedAt;
  }

  /** How many bytes that message has. */
  get awaitedBytes(): number {
    return this.#pending[this.#givenUp]?.message.length ?? 0;
  }

  /** Whether the next byte belongs to a message that is waited for. */
  get isNextAwaited(): boolean {
    return this.isAwaited && this.#givenUp === 0;
  }

  /**
   * Adds a message.
   *
   * @param message The message, which is not copied.
   * @param now The time, as `performance.now()`.
   * @returns Settles when the message is settled.
   */
  add(message: Uint8Array, now: number): Promise<EchoResult> {
    const { promise, resolve, reject } = Promise.withResolvers<EchoResult>();
    this.#pending.push({ message, startedAt: now, resolve, reject });
    this.#bytes += message.length;
    if (this.#pending.length === 1) this.#comparison.expectMessage(message);
    return promise;
  }

  /**
   * Takes what is to be written next: one message, or several small ones.
   *
   * @returns The bytes, or `undefined` if every message is written.
   */
  nextWrite(): Uint8Array | undefined {
    const first = this.#pending[this.#written]?.message;
    if (!first) return undefined;
    this.#writing = 1;
    let length = first.length;
    for (let next; (next = this.#pending[this.#written + this.#writing]);) {
      length += next.message.length;
      if (length > BATCH_BYTES) break;
      this.#writing++;
    }
    return this.#writing === 1 ? first : this.#batch();
  }

  /** Returns the bytes of the messages that are being written. */
  #batch(): Uint8Array {
    const end = this.#written + this.#writing;
    const batch = this.#pending.slice(this.#written, end);
    return Buffer.concat(batch.map(({ message }) => message));
  }

  /**
   * Counts what `nextWrite()` gave as written.
   *
   * @returns Whether that settled a message: the server answered before it read.
   */
  addWritten(): boolean {
    this.#written += this.#writing;
    if (!this.#comparison.isComplete) return false;
    this.#settle(performance.now());
    return true;
  }

  /**
   * Compares bytes that came back, and settles each message that they complete.
   *
   * @param received The bytes that follow those of the last call.
   * @param now The time, as `performance.now()`.
   * @returns The first byte that differs, or that nothing was sent for, if any.
   */
  compare(received: Uint8Array, now: number): Difference | undefined {
    for (let rest = received; rest.length > 0;) {
      const { sent, verified } = this.#comparison;
      // The last message gets all: what is more than it has is a difference.
      const own = this.#pending.length > 1
        ? rest.subarray(0, sent - verified)
        : rest;
      const difference = this.#comparison.compare(own);
      if (difference) return difference;
      rest = rest.subarray(own.length);
      this.#settle(now);
      // A message is answered that is not written yet: the rest is no answer.
      if (own.length === 0) return this.#comparison.compare(rest);
    }
    return undefined;
  }

  /**
   * Gives up the oldest message that is waited for.
   *
   * @param error What its promise rejects with.
   */
  giveUpOldest(error: unknown): void {
    this.#pending[this.#givenUp]?.reject(error);
    if (this.isAwaited) this.#givenUp++;
  }

  /**
   * Gives up all messages.
   *
   * @param error What the promise of the oldest rejects with.
   * @param following Makes the error of each later one.
   */
  giveUpAll(
    error: unknown,
    following: (message: Uint8Array) => unknown,
  ): void {
    const [oldest, ...later] = this.#pending.slice(this.#givenUp);
    oldest?.reject(error);
    for (const { message, reject } of later) reject(following(message));
    this.#pending.length =
      this.#written =
      this.#givenUp =
      this.#bytes =
        0;
  }

  /** Settles the messages at the front that are written and came back. */
  #settle(now: number): void {
    while (this.#comparison.isComplete && this.#written > 0) {
      const { message, startedAt, resolve } = this.#pending.shift()!;
      this.#written--;
      this.#bytes -= message.length;
      const next = this.#pending[0];
      if (next) this.#comparison.expectMessage(next.message);
      if (this.#givenUp > 0) this.#givenUp--;
      else resolve({ bytes: message.length, durationMs: now - startedAt });
    }
  }
}
