/**
 * Which faults a connection and its replies have.
 *
 * @module
 */

import { Draws } from "./draws.ts";
import type { Faults } from "./options.ts";

/** Which faults a reply has. */
export interface ReplyFaults {
  /** How much later it leaves, in milliseconds; 0 without latency. */
  readonly delayMs: number;
  /** How long its pieces are, in bytes; `Infinity` if it leaves in one. */
  readonly sliceBytes: number;
  /** Which of its bits is flipped, counted from 0; `undefined` if none is. */
  readonly wrongBit: number | undefined;
}

/**
 * The faults of one connection. They depend on the seed and on the connection's
 * number, those of a reply on the offset at which it begins, too.
 */
export class StreamPlan {
  readonly #faults: Faults;
  readonly #draws: Draws;

  /** Whether the connection never gets an answer. */
  readonly isStalled: boolean;

  /** How many bytes a second it gets back at most; `Infinity` is no limit. */
  readonly bytesPerSecond: number;

  /**
   * Plans the faults of a connection.
   *
   * @param faults What is to happen.
   * @param connection The connection's number, in the order of accepting.
   */
  constructor(faults: Faults, connection: number) {
    this.#faults = faults;
    const draws = this.#draws = new Draws(faults.seed, connection);
    const { rate, stall } = faults;
    this.isStalled = draws.happens("stall", stall?.percent ?? 0);
    this.bytesPerSecond = rate && draws.happens("rate", rate.percent)
      ? rate.bytesPerSecond
      : Infinity;
  }

  /**
   * Tells where the connection is cut.
   *
   * @param firstBytes How long its first reply is, in bytes, 1 or more.
   * @returns How many bytes are sent back before; `Infinity` if it is not cut.
   */
  cutAt(firstBytes: number): number {
    const { cut } = this.#faults;
    if (!cut || !this.#draws.happens("cut", cut.percent)) return Infinity;
    return cut.bytes ?? Math.floor(this.#draws.draw("cut byte") * firstBytes);
  }

  /**
   * Tells which faults a reply has.
   *
   * @param offset Where in the connection's stream it begins, in bytes.
   * @param bytes How long it is, 1 or more.
   * @returns Its faults.
   */
  reply(offset: number, bytes: number): ReplyFaults {
    const { latency, slice, corrupt } = this.#faults;
    const draws = this.#draws;
    const isLate = latency && draws.happens("latency", latency.percent, offset);
    const isSliced = slice && draws.happens("slice", slice.percent, offset);
    const isWrong = corrupt &&
      draws.happens("corrupt", corrupt.percent, offset);
    return {
      delayMs: isLate ? delayOf(latency, draws.draw("delay", offset)) : 0,
      sliceBytes: isSliced ? slice.bytes : Infinity,
      wrongBit: isWrong
        ? Math.floor(draws.draw("corrupt bit", offset) * bytes * 8)
        : undefined,
    };
  }
}

/**
 * Chooses a delay.
 *
 * @param latency The latency in the middle, and what it may differ by, in
 * milliseconds.
 * @param drawn A number that was drawn, from 0 to 1.
 * @returns The delay, in milliseconds.
 */
export function delayOf(
  { ms, jitterMs }: { readonly ms: number; readonly jitterMs: number },
  drawn: number,
): number {
  return ms + jitterMs * (2 * drawn - 1);
}

/**
 * Flips a bit.
 *
 * @param bytes The bytes, which are changed.
 * @param bit Which bit, counted from 0; the lowest bit of a byte is its first.
 * @returns Which byte it is in, counted from 0.
 */
export function flipBit(bytes: Uint8Array, bit: number): number {
  const at = bit >>> 3;
  bytes[at]! ^= 1 << (bit & 7);
  return at;
}
