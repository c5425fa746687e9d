import type { IrregularKind } from "../client.ts";

/** How many replies were irregular, by kind. */
export type IrregularCounts = Record<IrregularKind, number>;

/** Makes counters. */
export function noIrregularities(): IrregularCounts {
  return { duplicated: 0, reordered: 0, late: 0, corrupt: 0, stray: 0 };
}
