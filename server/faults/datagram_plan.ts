/**
 * Which faults the replies to datagrams have.
 *
 * @module
 */

import { Draws } from "./draws.ts";
import type { Faults } from "./options.ts";
import { delayOf } from "./stream_plan.ts";

/** Which faults the reply to a datagram has. One that is lost has no others. */
export interface PlannedDatagram {
  /** Whether there is no reply. */
  readonly isLost: boolean;
  /** Whether the reply is sent twice, both times with its other faults. */
  readonly isDuplicated: boolean;
  /** Whether the reply leaves after the next one to the same address. */
  readonly isReordered: boolean;
  /** Which of its bits is flipped, counted from 0; `undefined` if none is. */
  readonly wrongBit: number | undefined;
  /** How much later it leaves, in milliseconds; 0 without latency. */
  readonly delayMs: number;
}

/** The faults of a datagram that is lost. */
const LOST: PlannedDatagram = {
  isLost: true,
  isDuplicated: false,
  isReordered: false,
  wrongBit: undefined,
  delayMs: 0,
};

/** Whose numbers datagrams draw: connections are counted from 1. */
const DATAGRAMS = 0;

/**
 * The faults of a server's datagrams. They depend on the seed and on how many
 * datagrams came before, from any address.
 */
export class DatagramPlan {
  readonly #faults: Faults;
  readonly #draws: Draws;
  #count = 0;

  /**
   * Plans the faults of datagrams.
   *
   * @param faults What is to happen.
   */
  constructor(faults: Faults) {
    this.#faults = faults;
    this.#draws = new Draws(faults.seed, DATAGRAMS);
  }

  /**
   * Tells which faults the reply to the next datagram has, in the order of arrival.
   *
   * @param bytes How long the datagram is; an empty one has no bit to flip.
   * @returns The faults of its reply.
   */
  next(bytes: number): PlannedDatagram {
    const at = ++this.#count;
    const draws = this.#draws;
    const { loss, duplicate, reorder, corrupt, latency } = this.#faults;
    const happens = (
      purpose: "loss" | "duplicate" | "reorder" | "corrupt" | "latency",
      percent = 0,
    ) => draws.happens(purpose, percent, at);
    if (happens("loss", loss?.percent)) return LOST;
    const isWrong = bytes > 0 && happens("corrupt", corrupt?.percent);
    return {
      isLost: false,
      isDuplicated: happens("duplicate", duplicate?.percent),
      isReordered: happens("reorder", reorder?.percent),
      wrongBit: isWrong
        ? Math.floor(draws.draw("corrupt bit", at) * bytes * 8)
        : undefined,
      delayMs: latency && happens("latency", latency.percent)
        ? delayOf(latency, draws.draw("delay", at))
        : 0,
    };
  }
}
