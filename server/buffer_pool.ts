/**
 * The memory of the connections' buffers.
 *
 * @module
 */

import { startTimer } from "../net/time.ts";

/**
 * How much memory is allocated at once, in bytes. More than 32 MiB glibc always
 * takes from the system and gives back to it; memory in smaller pieces stays with
 * the process (mallopt(3), `M_MMAP_THRESHOLD`). Pages that were never written to take
 * no memory.
 */
const SLAB_BYTES = 33 << 20;

/**
 * The least memory that is kept for each size, in bytes, and the fewest buffers in
 * it. Allocating a slab makes the garbage collector hold up everything for some ten
 * milliseconds: what a few connections need now and then must not do that.
 */
const KEPT = { bytes: 1 << 20, buffers: 8 };

/**
 * How long more memory is kept at most when no connection uses it, in milliseconds.
 * In a worker of Deno 2.6 a longer timer once in a while keeps the event loop from
 * accepting a connection until it fires.
 */
const KEPT_MS = 20;

/** Memory for buffers of one size. */
class Slab {
  readonly #memory: ArrayBuffer;
  /** Where the buffers begin that were given back. */
  readonly #free: number[] = [];
  /** Where the memory begins that was never used. */
  #unusedFrom = 0;
  /** How many buffers are in use. */
  #used = 0;

  /** The size of its buffers, in bytes. */
  readonly size: number;

  /** Whether it is kept when no connection uses it. */
  readonly isKept: boolean;

  constructor(size: number, isKept: boolean) {
    this.size = size;
    this.isKept = isKept;
    const keptBytes = Math.max(KEPT.bytes, KEPT.buffers * size);
    this.#memory = new ArrayBuffer(isKept ? keptBytes : SLAB_BYTES);
  }

  get bytes(): number {
    return this.#memory.byteLength;
  }

  get used(): number {
    return this.#used;
  }

  get isInUse(): boolean {
    return this.#used > 0;
  }

  get hasFree(): boolean {
    return this.#free.length > 0 ||
      this.#unusedFrom + this.size <= this.bytes;
  }

  holds({ buffer }: Uint8Array<ArrayBuffer>): boolean {
    return buffer === this.#memory;
  }

  take(): Uint8Array<ArrayBuffer> {
    this.#used++;
    const start = this.#free.pop() ?? this.#unusedFrom;
    if (start === this.#unusedFrom) this.#unusedFrom += this.size;
    return new Uint8Array(this.#memory, start, this.size);
  }

  give({ byteOffset }: Uint8Array<ArrayBuffer>): void {
    this.#used--;
    this.#free.push(byteOffset);
  }

  /**
   * Frees the memory at once. The garbage collector would free it only when the
   * program allocates more, which an idle server does not do.
   */
  free(): void {
    this.#memory.transfer(0);
  }
}

/** Buffers that connections use in turn. */
export class BufferPool implements Disposable {
  readonly #slabs: Slab[] = [];
  #timer: Disposable | undefined;
  #isDisposed = false;

  /** How many bytes are allocated. */
  get bytes(): number {
    return this.#slabs.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Counts the buffers of a size that are in use. */
  countUsed(size: number): number {
    let used = 0;
    for (const slab of this.#slabs) if (slab.size === size) used += slab.used;
    return used;
  }

  /**
   * Takes a buffer, which may hold the bytes of another connection.
   *
   * @param size Its size, in bytes.
   * @returns The buffer.
   */
  take(size: number): Uint8Array<ArrayBuffer> {
    // The first slab that has one: so the last ones become free as a whole.
    const slabs = this.#slabs;
    let slab = slabs.find((it) => it.size === size && it.hasFree);
    if (!slab) {
      const isFirst = slabs.every((it) => it.size !== size);
      slabs.push(slab = new Slab(size, isFirst));
    }
    return slab.take();
  }

  /**
   * Gives a buffer back.
   *
   * @param buffer The buffer, of which nothing is used any more.
   */
  give(buffer: Uint8Array<ArrayBuffer>): void {
    const slab = this.#slabs.find((it) => it.holds(buffer))!;
    slab.give(buffer);
    if (slab.isInUse || (slab.isKept && !this.#isDisposed)) return;
    if (this.#isDisposed) return this.#freeUnused();
    this.#timer ??= startTimer(KEPT_MS, () => this.#freeUnused(), {
      persistent: false,
    });
  }

  /** Frees what no connection uses at once, and the rest when it is given back. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#timer?.[Symbol.dispose]();
    this.#freeUnused();
  }

  #freeUnused(): void {
    this.#timer = undefined;
    for (const slab of this.#slabs.splice(0)) {
      const isKept = slab.isKept && !this.#isDisposed;
      if (slab.isInUse || isKept) this.#slabs.push(slab);
      else slab.free();
    }
  }
}
