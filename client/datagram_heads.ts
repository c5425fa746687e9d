/**
 * How the latest datagrams begin.
 *
 * @module
 */

import { EXCERPT_BYTES } from "./comparison.ts";

/** How many of them are kept: 16 KiB for each client. */
const MOST_KEPT = 256;

/**
 * Keeps how the latest messages began whose reply is not waited for any more. A
 * damaged reply may be a second or late one to one of them.
 */
export class LatestHeads {
  readonly #heads = new Uint8Array(MOST_KEPT * EXCERPT_BYTES);
  readonly #lengths = new Uint32Array(MOST_KEPT);
  #count = 0;

  /**
   * Keeps a message's head.
   *
   * @param message The message.
   */
  add(message: Uint8Array): void {
    const slot = this.#count++ % MOST_KEPT;
    const head = message.subarray(0, EXCERPT_BYTES);
    this.#heads.set(head, slot * EXCERPT_BYTES);
    this.#lengths[slot] = message.length;
  }

  /**
   * Compares a reply with what is kept.
   *
   * @param reply The reply.
   * @returns The least distance, as of {@linkcode distanceOf}; `Infinity` if nothing
   * is kept.
   */
  leastDistance(reply: Uint8Array): number {
    let least = Infinity;
    for (let slot = 0; slot < Math.min(this.#count, MOST_KEPT); slot++) {
      const at = slot * EXCERPT_BYTES;
      const length = this.#lengths[slot]!;
      const end = at + Math.min(length, EXCERPT_BYTES);
      const head = this.#heads.subarray(at, end);
      least = Math.min(least, distanceOf(head, length, reply));
    }
    return least;
  }
}

/**
 * Tells how much a reply differs from a message: counts the bytes at the beginning
 * that differ; another length weighs more.
 *
 * @param head How the message begins: 64 bytes, or all of a shorter one, or more.
 * @param length How many bytes the message has.
 * @param reply The reply.
 * @returns A number from 0.
 */
export function distanceOf(
  head: Uint8Array,
  length: number,
  reply: Uint8Array,
): number {
  const end = Math.min(head.length, reply.length, EXCERPT_BYTES);
  let distance = length === reply.length ? 0 : EXCERPT_BYTES;
  for (let at = 0; at < end; at++) {
    if (head[at] !== reply[at]) distance++;
  }
  return distance;
}
