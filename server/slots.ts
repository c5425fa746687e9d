/**
 * How many connections there may be at once.
 *
 * @module
 */

/**
 * Counters of connections that several servers share, each in a thread of its own.
 * They may be posted to a worker.
 */
export interface SharedCounts {
  /**
   * The connections of all servers first, then those of each server: an array of
   * zeros, one longer than there are servers.
   */
  readonly counts: Int32Array<SharedArrayBuffer>;
  /** Where the server's own counter is, 1 or more. */
  readonly index: number;
}

/** The places for connections that a server has, alone or with others. */
export class Slots {
  readonly #most: number;
  readonly #counts: Int32Array;
  readonly #index: number;
  /** Whether other servers take slots, too. */
  readonly isShared: boolean;

  /**
   * Makes slots, all of them free unless another server took them.
   *
   * @param most How many there are; `Infinity` is no limit.
   * @param shared The counters, if other servers take of the same slots.
   * @throws {RangeError} If the server has no counter among them.
   */
  constructor(most: number, shared?: SharedCounts) {
    if (shared && !(shared.index >= 1 && shared.index in shared.counts)) {
      throw new RangeError(
        `shared.index must be from 1 to ${shared.counts.length - 1}: ` +
          shared.index,
      );
    }
    this.#most = most;
    this.isShared = shared !== undefined;
    this.#counts = shared?.counts ?? new Int32Array(2);
    this.#index = shared?.index ?? 1;
  }

  /** How many are taken, by all servers together. */
  get taken(): number {
    return Atomics.load(this.#counts, 0);
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
      const before = Atomics.compareExchange(this.#counts, 0, taken, taken + 1);
      // Another thread may have been faster.
      if (before !== taken) continue;
      Atomics.add(this.#counts, this.#index, 1);
      return true;
    }
  }

  /** Gives a slot back. */
  release(): void {
    Atomics.sub(this.#counts, this.#index, 1);
    Atomics.sub(this.#counts, 0, 1);
  }
}

/**
 * Frees the slots of a server whose thread died.
 *
 * @param shared The counters, and which of them are the dead server's.
 */
export function releaseSlots({ counts, index }: SharedCounts): void {
  Atomics.sub(counts, 0, Atomics.exchange(counts, index, 0));
}
