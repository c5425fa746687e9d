import { Buffer } from "node:buffer";
import type { Comparison } from "./comparison.ts";
import type { Difference, EchoResult } from "./types.ts";

/** The most that one write takes of several messages together, in bytes. */
const BATCH_BYTES = 64 * 1024;

/** A message that is under way. */
interface Pending extends Omit<PromiseWithResolvers<EchoResult>, "promise"> {
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
  /** Messages that came back while they were being written, the oldest first. */
  readonly #answered: (Pending & EchoResult)[] = [];
  /**
   * How many of `#pending`, from the oldest on, were given up. Their replies may
   * still come, and are compared.
   */
  #givenUp = 0;
  /** How many bytes all of `#pending` have. */
  #bytes = 0;

  constructor(comparison: Comparison) {
    this.#comparison = comparison;
  }

  /** Whether no message is under way. */
  get isEmpty(): boolean {
    return this.#pending.length === 0 && this.#answered.length === 0;
  }

  /** Whether a message is waited for: one that was not given up. */
  get isAwaited(): boolean {
    return this.#oldestAwaited() !== undefined;
  }

  /** How many bytes may come back, at most. */
  get outstandingBytes(): number {
    const { isComplete, verified } = this.#comparison;
    return this.#bytes - (isComplete ? 0 : verified);
  }

  /**
   * When the oldest message that is waited for began, as `performance.now()`;
   * `undefined` if there is none.
   */
  get awaitedSince(): number | undefined {
    return this.#oldestAwaited()?.startedAt;
  }

  /** How many bytes that message has, and how many of them came back. */
  get awaitedProgress(): { sent: number; received: number } {
    const { message: { length } } = this.#oldestAwaited()!;
    if (this.#answered.length > 0) return { sent: length, received: length };
    const isNext = this.#givenUp === 0 && this.#isBegun;
    return { sent: length, received: isNext ? this.#comparison.verified : 0 };
  }

  /** Adds a message, which is not copied. The promise settles when it is settled. */
  add(message: Uint8Array, now: number): Promise<EchoResult> {
    const { promise, resolve, reject } = Promise.withResolvers<EchoResult>();
    this.#pending.push({ message, startedAt: now, resolve, reject });
    this.#bytes += message.length;
    return promise;
  }

  /** Takes what is to be written next, if any: one message, or several small ones. */
  nextWrite(): Uint8Array | undefined {
    const first = this.#pending[this.#written]?.message;
    if (!first) return undefined;
    if (!this.#isBegun) this.#comparison.expectMessage(first);
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
   * Counts what `nextWrite()` gave as written. Returns whether that settled a message:
   * the server answered before it read.
   */
  addWritten(): boolean {
    this.#written += this.#writing;
    this.#writing = 0;
    const hadAnswered = this.#answered.length > 0;
    if (hadAnswered) {
      for (const { resolve, bytes, durationMs } of this.#answered.splice(0)) {
        resolve({ bytes, durationMs });
      }
    }
    // An empty message came back as soon as it is written.
    const isComplete = this.#isBegun && this.#comparison.isComplete;
    if (isComplete) this.#settle(performance.now());
    return hadAnswered || isComplete;
  }

  /**
   * Compares bytes that came back, and settles each message that they complete.
   * Returns the first byte that differs, or that nothing was sent for.
   */
  compare(received: Uint8Array, now: number): Difference | undefined {
    for (let at = 0; at < received.length;) {
      // An empty message came back as soon as it is being written.
      if (this.#comparison.isComplete) this.#settle(now);
      const { sent, verified } = this.#comparison;
      const left = received.length - at;
      // The last message gets all: what is more than it has is a difference. So is
      // what comes before its message is being written.
      const isMore = this.#pending.length > 1 && sent > verified;
      const length = isMore ? Math.min(sent - verified, left) : left;
      const own = length === received.length
        ? received
        : received.subarray(at, at + length);
      const difference = this.#comparison.compare(own);
      if (difference) return difference;
      at += length;
    }
    this.#settle(now);
    return undefined;
  }

  /** Gives up the oldest message that is waited for. */
  giveUpOldest(error: unknown): void {
    const answered = this.#answered.shift();
    if (answered) return answered.reject(error);
    this.#pending[this.#givenUp]?.reject(error);
    if (this.isAwaited) this.#givenUp++;
  }

  /**
   * Gives up all messages: the one whose reply was being read, or was read last, with
   * `error`, and the others with what `following` makes.
   */
  giveUpAll(
    error: unknown,
    following: (message: Uint8Array) => unknown,
  ): void {
    const [next] = this.#pending;
    const last = this.#answered.at(-1);
    const culprit = this.#isBegun || !last ? next : last;
    const all = [...this.#answered.splice(0), ...this.#pending.splice(0)];
    // Those that were given up are the first of the others, and settled already.
    for (const pending of all) {
      const isCulprit = pending === culprit;
      pending.reject(isCulprit ? error : following(pending.message));
    }
    this.#written =
      this.#writing =
      this.#givenUp =
      this.#bytes =
        0;
  }

  /** Whether the oldest message is written, or is being written. */
  get #isBegun(): boolean {
    return this.#written + this.#writing > 0;
  }

  #oldestAwaited(): Pending | undefined {
    return this.#answered[0] ?? this.#pending[this.#givenUp];
  }

  /** Takes the messages that came back from the front, and settles the written ones. */
  #settle(now: number): void {
    while (this.#comparison.isComplete && this.#isBegun) {
      const pending = this.#pending.shift()!;
      const { message: { length }, startedAt, resolve } = pending;
      this.#bytes -= length;
      const result = { bytes: length, durationMs: now - startedAt };
      const isWritten = this.#written > 0;
      if (isWritten) this.#written--;
      else this.#writing--;
      if (this.#isBegun) {
        this.#comparison.expectMessage(this.#pending[0]!.message);
      }
      if (this.#givenUp > 0) this.#givenUp--;
      else if (isWritten) resolve(result);
      else this.#answered.push({ ...pending, ...result });
    }
  }
}
