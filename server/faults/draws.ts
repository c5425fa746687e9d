/**
 * Random numbers that are the same each time.
 *
 * @module
 */

/** What a number is drawn for: each of them has numbers of its own. */
const PURPOSES = [
  "latency",
  "delay",
  "rate",
  "slice",
  "corrupt",
  "corrupt bit",
  "stall",
  "cut",
  "cut byte",
  "loss",
  "duplicate",
  "reorder",
] as const;

/** What a number is drawn for. */
export type Purpose = typeof PURPOSES[number];

/**
 * Draws numbers. A number depends on the seed, on what it is drawn by, for and at,
 * and on no number that was drawn before: neither the order nor the count of draws
 * matters.
 */
export class Draws {
  readonly #state: number;

  /**
   * Makes numbers to be drawn.
   *
   * @param seed Which ones, a whole number below 2^32.
   * @param by Whose numbers these are, a whole number.
   */
  constructor(seed: number, by: number) {
    this.#state = mixWhole(mix(0, seed), by);
  }

  /**
   * Draws a number.
   *
   * @param purpose What for.
   * @param at Where, a whole number: the offset of a reply, for example.
   * @returns A number from 0 to 1, without 1; each is as likely as any other.
   */
  draw(purpose: Purpose, at = 0): number {
    const state = mix(this.#state, PURPOSES.indexOf(purpose));
    return mixWhole(state, at) / 2 ** 32;
  }

  /**
   * Draws whether something happens.
   *
   * @param purpose What happens or not.
   * @param percent How often it happens, in percent.
   * @param at Where, a whole number.
   * @returns Whether it does.
   */
  happens(purpose: Purpose, percent: number, at?: number): boolean {
    return this.draw(purpose, at) * 100 < percent;
  }
}

/** Mixes a whole number of up to 53 bits in. */
function mixWhole(state: number, number: number): number {
  return mix(mix(state, number % 2 ** 32), Math.floor(number / 2 ** 32));
}

/**
 * Mixes 32 bits in, so that each of them changes half of the bits of the result: the
 * last steps of MurmurHash3.
 */
function mix(state: number, bits: number): number {
  // The constant keeps zeros from mixing to zero.
  let mixed = (state ^ bits) + 0x9e3779b9 | 0;
  mixed = Math.imul(mixed ^ mixed >>> 16, 0x85ebca6b);
  mixed = Math.imul(mixed ^ mixed >>> 13, 0xc2b2ae35);
  return (mixed ^ mixed >>> 16) >>> 0;
}
