/**
 * Where our servers and clients stand beside the best of the others.
 *
 * @module
 */

import {
  formatNumber,
  judge,
  type Outcome,
  type Result,
  table,
} from "./report.ts";
import { spreadOf } from "./spread.ts";

/** One of ours beside the best other entrant of a contest. */
export interface Standing {
  /** The contest, with its unit. */
  readonly contest: string;
  /** Our entrant. */
  readonly ours: Figure;
  /** The best entrant that is not one of ours. */
  readonly best: Figure;
  /** What ours reaches of it: less than one is worse, also where less is better. */
  readonly share: number;
}

/** An entrant and its median. */
export interface Figure {
  readonly entrant: string;
  readonly median: number;
}

/** Tells what an entrant is. */
export interface Kinds {
  /** Whether it is one of ours. The first one of a contest stands for all. */
  readonly isOurs: (entrant: string) => boolean;
  /** Whether it is a floor: no real server, and so no rival. */
  readonly isFloor: (entrant: string) => boolean;
}

/**
 * Compares ours with the best other entrant in each contest, and in the longest
 * waits (p99.9) of those that measure them.
 *
 * @param results What came of the contests.
 * @param kinds Tells ours and the floors from the others.
 * @returns The contests in which ours is behind, the worst first.
 */
export function worstFirst(
  results: readonly Result[],
  kinds: Kinds,
): Standing[] {
  return [...results, ...results.flatMap(longestWaits)]
    .flatMap((result) => standing(result, kinds))
    .filter(({ share }) => share < 1)
    .sort((a, b) => a.share - b.share);
}

/** Makes a contest of the longest waits. */
function longestWaits({ contest, samples }: Result): Result[] {
  const waits = [...samples].map(([entrant, taken]) =>
    [
      entrant,
      taken.flatMap(({ latencyMs }) =>
        latencyMs ? [{ value: latencyMs.p99_9 }] : []
      ),
    ] as const
  ).filter(([, taken]) => taken.length > 0);
  if (waits.length === 0) return [];
  return [{
    contest: { ...contest, unit: "ms at p99.9", lessIsBetter: true },
    samples: new Map(waits),
  }];
}

/** Compares ours with the best other entrant, if there are both. */
function standing(
  result: Result,
  { isOurs, isFloor }: Kinds,
): Standing[] {
  const { contest, samples } = result;
  const sign = contest.lessIsBetter ? -1 : 1;
  const figures = [...samples].map(([entrant, taken]) => ({
    entrant,
    median: spreadOf(taken.map(({ value }) => value)).median,
  }));
  const ours = figures.find(({ entrant }) => isOurs(entrant));
  const [best] = figures
    .filter(({ entrant }) => !isOurs(entrant) && !isFloor(entrant))
    .sort((a, b) => sign * (b.median - a.median));
  if (!ours || !best) return [];
  const [{ median }] = judge([result], [{
    contest: contest.name,
    entrant: ours.entrant,
    beside: best.entrant,
  }]) as [Outcome];
  return [{
    contest: `${contest.name}, ${contest.unit}`,
    ...{ ours, best, share: median ** sign },
  }];
}

/**
 * Renders standings.
 *
 * @param standings The standings.
 * @returns The table in Markdown.
 */
export function standingTable(standings: readonly Standing[]): string {
  return table([
    ["", "ours", "the best other", "of it"],
    ...standings.map(({ contest, ours, best, share }) => [
      contest,
      formatFigure(ours),
      formatFigure(best),
      formatNumber(share),
    ]),
  ]);
}

function formatFigure({ entrant, median }: Figure): string {
  return `${entrant}: ${formatNumber(median)}`;
}
