/**
 * Bytes to send when the user names only a size.
 *
 * @module
 */

import type { Reader } from "../net.ts";

/** What `crypto.getRandomValues` fills at once. */
const BLOCK_BYTES = 65_536;

/**
 * Yields random bytes, so that nothing on the way can guess or compress them.
 * They are one random block again and again, each time with its number in front,
 * so that no two blocks are alike: a lost or repeated block shows.
 */
export class RandomSource implements Reader {
  readonly #block = crypto.getRandomValues(new Uint8Array(BLOCK_BYTES));
  readonly #number = new DataView(this.#block.buffer);
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
   * @returns How many they are, or `null` at the end.
   */
  read(p: Uint8Array): Promise<number | null> {
    const length = Math.min(p.length, this.#bytes - this.#read);
    if (length === 0) return Promise.resolve(null);
    for (let filled = 0; filled < length;) {
      const at = this.#read % BLOCK_BYTES;
      if (at === 0) this.#number.setFloat64(0, this.#read);
      const piece = this.#block.subarray(at, at + length - filled);
      p.set(piece, filled);
      filled += piece.length;
      this.#read += piece.length;
    }
    return Promise.resolve(length);
  }
}
