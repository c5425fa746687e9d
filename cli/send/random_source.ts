/**
 * Bytes to send when the user names only a size.
 *
 * @module
 */

import type { Reader } from "../../net/streams.ts";

/** The most bytes that `crypto.getRandomValues` fills at once. */
const BLOCK_BYTES = 65_536;

/**
 * Yields random bytes, so that nothing on the way can guess or compress them. One
 * random block is repeated, and its first four bytes count up: no two blocks are
 * alike, so a lost or repeated one shows.
 */
export class RandomSource implements Reader {
  readonly #block = crypto.getRandomValues(new Uint8Array(BLOCK_BYTES));
  readonly #counter = new DataView(this.#block.buffer);
  readonly #bytes: number;
  #read = 0;

  /**
   * Makes a source.
   *
   * @param bytes How many bytes it yields.
   */
  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  /**
   * Fills `p`, or as much of it as there are bytes left.
   *
   * @param p Where the bytes go.
   * @returns How many bytes were filled, or `null` at the end.
   */
  read(p: Uint8Array): Promise<number | null> {
    const length = Math.min(p.length, this.#bytes - this.#read);
    if (length === 0) return Promise.resolve(null);
    for (let filled = 0; filled < length;) {
      const at = this.#read % BLOCK_BYTES;
      const piece = this.#block.subarray(at, at + length - filled);
      p.set(piece, filled);
      filled += piece.length;
      this.#read += piece.length;
      if (this.#read % BLOCK_BYTES === 0) {
        this.#counter.setUint32(0, this.#counter.getUint32(0) + 1);
      }
    }
    return Promise.resolve(length);
  }
}
