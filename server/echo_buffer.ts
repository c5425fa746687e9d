/**
 * A connection's buffer, whose size follows what its reads bring.
 *
 * @module
 */

import { READ_BYTES } from "../net/fairness.ts";
import type { BufferPool } from "./buffer_pool.ts";

/**
 * The sizes of the buffer in which a connection waits for data, in bytes: a read
 * should bring a message whole. Ten thousand idle connections cost little with the
 * least one.
 */
export const WAITING_BYTES = [
  512,
  2 << 10,
  8 << 10,
  32 << 10,
  128 << 10,
] as const;

/**
 * Where a connection waits that sends more at once than the largest of these, in
 * bytes. It may fall silent, and its data comes in a larger buffer anyway.
 */
const STREAM_WAITING_BYTES = 8 << 10;

/** The size of the buffer that is used while data fills it, in bytes. */
export const LARGE_BYTES = READ_BYTES.most;

/**
 * So many connections use a large buffer at once; a further stream uses the largest
 * of {@linkcode WAITING_BYTES}. A client that sends and never reads keeps its buffer.
 * Among more streams a busy server reads less at once anyway.
 */
export const MOST_LARGE = 64;

/**
 * A buffer shrinks after this many reads in a row that a smaller one would have
 * held. After fewer, a stream, whose reads vary in size, would have its buffer
 * shrink and grow all the time.
 */
const READS_BEFORE_SHRINKING = 32;

/**
 * The buffer of a connection. A large one takes its place while more and more data
 * comes.
 */
export class EchoBuffer implements Disposable {
  readonly #pool: BufferPool;
  #bytes: Uint8Array<ArrayBuffer>;
  /** How many bytes the next read may bring. */
  #room = 0;
  /** How many bytes came since a read did not fill its room. */
  #burst = 0;
  /** How many reads in a row a smaller buffer would have held. */
  #smallReads = 0;

  /**
   * Makes a small buffer.
   *
   * @param pool Where its memory comes from.
   */
  constructor(pool: BufferPool) {
    this.#pool = pool;
    this.#bytes = pool.take(WAITING_BYTES[0]);
  }

  /**
   * Returns where the next read goes.
   *
   * @param most How many bytes the read may bring at most.
   * @returns The buffer, or the beginning of it.
   */
  room(most: number): Uint8Array<ArrayBuffer> {
    const { length } = this.#bytes;
    this.#room = Math.min(length, most);
    return length <= most ? this.#bytes : this.#bytes.subarray(0, most);
  }

  /**
   * Returns bytes of the last read.
   *
   * @param start Where they begin.
   * @param end Where they end.
   * @returns The bytes.
   */
  filled(start: number, end: number): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(start, end);
  }

  /**
   * Chooses the buffer for the next read, when the bytes of the last one are no
   * longer needed.
   *
   * @param length How many bytes the last read brought.
   */
  fit(length: number): void {
    this.#burst += length;
    if (length === this.#room) {
      // There is more to come, much more if not only the least buffer was full.
      const isMuch = this.#burst >= STREAM_WAITING_BYTES;
      return this.#resize(isMuch ? this.#streamBytes() : STREAM_WAITING_BYTES);
    }
    const burst = this.#burst;
    this.#burst = 0;
    const fitting = WAITING_BYTES.find((bytes) => bytes > burst) ??
      STREAM_WAITING_BYTES;
    const size = this.#bytes.length;
    this.#smallReads = fitting < size ? this.#smallReads + 1 : 0;
    // After several reads their sum is known to be what the client sends at once.
    const hadSeveral = burst > length;
    if (hadSeveral || this.#smallReads === READS_BEFORE_SHRINKING) {
      this.#resize(fitting);
    }
  }

  /** Gives the memory back. */
  [Symbol.dispose](): void {
    this.#pool.give(this.#bytes);
  }

  #streamBytes(): number {
    const isLarge = this.#bytes.length === LARGE_BYTES;
    return isLarge || this.#pool.countUsed(LARGE_BYTES) < MOST_LARGE
      ? LARGE_BYTES
      : WAITING_BYTES.at(-1)!;
  }

  #resize(size: number): void {
    this.#smallReads = 0;
    if (size === this.#bytes.length) return;
    // Taking may fail. The other order would then give the same buffer back twice.
    const bytes = this.#pool.take(size);
    this.#pool.give(this.#bytes);
    this.#bytes = bytes;
  }
}
