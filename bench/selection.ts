/**
 * Selecting contests and their entrants by words.
 *
 * @module
 */

import { UsageError } from "../cli/flags.ts";
import type { RunnableContest } from "./measure.ts";
import type { Target } from "./report.ts";

/** Words that name contests and entrants; an empty word names all. */
export interface Selection {
  /** Words for contests: the name of a contest or a table, or a part of one. */
  readonly contests: readonly string[];
  /** Words for entrants: the name of an entrant, or a part of one. */
  readonly entrants: readonly string[];
}

/**
 * Keeps what a quick run has: its contests, and of them the entrants that some target
 * compares.
 *
 * @param all The contests.
 * @param targets The targets.
 * @param added An entrant that is always kept, in the contests that it is in.
 * @returns The contests that have entrants left.
 */
export function quickly(
  all: readonly RunnableContest[],
  targets: readonly Target[],
  added?: string,
): RunnableContest[] {
  const compared = (contest: string) =>
    targets
      .filter((target) => target.contest === contest)
      .flatMap(({ entrant, beside }) => [entrant, beside]);
  return all
    .filter(({ isQuick }) => isQuick)
    .map((contest) => {
      const names = new Set(compared(contest.name));
      return keepEntrants(
        contest,
        (name) => names.has(name) || name === added,
      );
    })
    .filter(({ entrants }) => entrants.size > 0);
}

/** Leaves an entrant in a contest only if `isKept` says so. */
function keepEntrants(
  contest: RunnableContest,
  isKept: (name: string) => boolean,
): RunnableContest {
  const entrants = [...contest.entrants].filter(([name]) => isKept(name));
  return { ...contest, entrants: new Map(entrants) };
}

/**
 * Selects contests and their entrants.
 *
 * @param all The contests.
 * @param selection Words for the contests and for the entrants.
 * @param added An entrant that is always selected.
 * @returns The selected contests, with the selected entrants.
 * @throws {UsageError} If a word names nothing, or if no entrant is left.
 */
export function select(
  all: readonly RunnableContest[],
  { contests, entrants }: Selection,
  added?: string,
): RunnableContest[] {
  const isContest = selector(
    contests,
    all.map(({ name, table }) => [name, table]),
  );
  const isEntrant = selector(
    entrants,
    all.flatMap(({ entrants }) => [...entrants.keys()].map((name) => [name])),
  );
  const selected = all
    .filter(({ name, table }) => isContest(name, table))
    .map((contest) =>
      keepEntrants(contest, (name) => isEntrant(name) || name === added)
    )
    .filter(({ entrants }) => entrants.size > 0);
  if (selected.length === 0) {
    throw new UsageError("none of these entrants is in these contests");
  }
  return selected;
}

/**
 * Returns a predicate: does any of `words` name this?
 *
 * @param words The words; each must name something.
 * @param things The texts of each thing, its name first.
 * @throws {UsageError} If a word names nothing.
 */
function selector(
  words: readonly string[],
  things: readonly (readonly string[])[],
): (...texts: string[]) => boolean {
  const isNamed = (word: string, texts: readonly string[]) =>
    // A word that is one thing's whole name does not name another thing.
    things.some(([name]) => name === word)
      ? texts[0] === word
      : texts.some((text) => text.toLowerCase().includes(word.toLowerCase()));
  for (const word of words) {
    if (things.some((texts) => isNamed(word, texts))) continue;
    const names = [...new Set(things.map(([name]) => name))].join(", ");
    throw new UsageError(`"${word}" names none of these: ${names}`);
  }
  return (...texts) => words.some((word) => isNamed(word, texts));
}
