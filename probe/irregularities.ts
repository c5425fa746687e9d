/**
 * What came and should not have, or not then, and what was lost in a row.
 *
 * @module
 */

import type { IrregularKind } from "../client.ts";

/** How many replies were irregular, by kind. */
export type IrregularCounts = Record<IrregularKind, number>;

/**
 * Makes counters.
 *
 * @returns Counters at 0.
 */
export function noIrregularities(): IrregularCounts {
  return { duplicated: 0, reordered: 0, late: 0, corrupt: 0, stray: 0 };
}

/** How often so many messages were lost in a row. */
export interface LossRun {
  /** How many messages in a row. */
  length: number;
  /** How often. */
  count: number;
}

/** Messages that were lost in a row: the first, and the one after the last. */
interface Run {
  from: number;
  to: number;
}

/** How many runs are kept that may still grow. */
const MOST_OPEN = 1000;

/** Finds out how many messages were lost in a row. */
export class LossRuns {
  /** In the order of their numbers. They may still grow together. */
  readonly #open: Run[] = [];
  /** How many runs have which length, of those that do not grow any more. */
  readonly #counts = new Map<number, number>();

  /**
   * Counts a message that was lost. Losses are found in about the order of sending.
   *
   * @param number The message's number.
   */
  add(number: number): void {
    const runs = this.#open;
    let at = runs.length;
    while (at > 0 && runs[at - 1]!.from > number) at--;
    const before = runs[at - 1];
    const after = runs[at];
    const continues = before?.to === number;
    if (continues) before.to++;
    if (after?.from === number + 1) {
      if (continues) {
        before.to = after.to;
        runs.splice(at, 1);
      } else after.from = number;
    } else if (!continues) {
      runs.splice(at, 0, { from: number, to: number + 1 });
    }
    if (runs.length > MOST_OPEN) {
      for (const { from, to } of runs.splice(0, MOST_OPEN / 2)) {
        addTo(this.#counts, to - from);
      }
    }
  }

  /** Tells how often which number of messages was lost in a row. */
  list(): LossRun[] {
    return [
      ...[...this.#counts].map(([length, count]) => ({ length, count })),
      ...this.#open.map(({ from, to }) => ({ length: to - from, count: 1 })),
    ];
  }
}

/**
 * Sums up runs.
 *
 * @param all How often how many messages were lost in a row, in any order; a length
 * may come again.
 * @returns Each length once, the shortest first.
 */
export function sumOfRuns(all: readonly LossRun[]): LossRun[] {
  const counts = new Map<number, number>();
  for (const { length, count } of all) addTo(counts, length, count);
  return [...counts]
    .map(([length, count]) => ({ length, count }))
    .sort((one, other) => one.length - other.length);
}

function addTo(counts: Map<number, number>, length: number, count = 1): void {
  counts.set(length, (counts.get(length) ?? 0) + count);
}
