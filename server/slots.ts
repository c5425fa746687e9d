/**
 * How many connections there may be at once.
 *
 * @module
 */

/**
 * Counters of connections that several servers share, each in a thread of its own.
 * Each is an array of one zero. They may be posted to a worker.
 */
export interface SharedCounts {
  /** The connections of all servers together. */
  readonly total: Int32Array<SharedArrayBuffer>;
  /** Those of this server, which no other server ever uses. */
  readonly own: Int32Array<SharedArrayBuffer>;
}

/** Far below what the counter of a server that died may still be counted up to. */
const DEAD = -(2 ** 30);

/** The places for connections that a server has, alone or with others. */
export class Slots {
  readonly #most: number;
  readonly #total: Int32Array;
  readonly #own: Int32Array;
  /** Whether other servers take slots, too. */
  readonly isShared: boolean;

  /**
   * Makes slots, all of them free unless another server took them.
   *
   * @param most How many there are; `Infinity` is no limit.
   * @param shared The counters, if other servers take of the same slots.
   */
  constructor(most: number, shared?: SharedCounts) {
    this.#most = most;
    this.isShared = shared !== undefined;
    this.#total = shared?.total ?? new Int32Array(1);
    this.#own = shared?.own ?? new Int32Array(1);
  }

  /** How many are taken, by all servers together. */
  get taken(): number {
    return Atomics.load(this.#total, 0);
  }

  /** Whether there is a free one. */
  get hasFree(): boolean {
    return this.taken < this.#most;
  }

  /**
   * Takes a slot.
   *
   * @returns Whether there was a free one.
   */
  take(): boolean {
    while (true) {
      const { taken } = this;
      if (taken >= this.#most) return false;
      const before = Atomics.compareExchange(this.#total, 0, taken, taken + 1);
      // Another thread may have been faster.
      if (before !== taken) continue;
      if (Atomics.add(this.#own, 0, 1) >= 0) return true;
      // The slots of this server were freed meanwhile, without this one.
      Atomics.sub(this.#total, 0, 1);
      return false;
    }
  }

  /** Gives a slot back. */
  release(): void {
    if (Atomics.sub(this.#own, 0, 1) > 0) Atomics.sub(this.#total, 0, 1);
  }
}

/**
 * Frees the slots of a server whose thread died. The thread may run on for a moment:
 * it gives none back again, and takes none.
 *
 * @param shared The counters of the dead server.
 */
export function releaseSlots({ total, own }: SharedCounts): void {
  Atomics.sub(total, 0, Atomics.exchange(own, 0, DEAD));
}
