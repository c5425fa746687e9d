/**
 * Measuring contests, round by round.
 *
 * @module
 */

import type { Contest, Result, Sample } from "./report.ts";

/**
 * An entrant of a contest that is ready to be measured. Disposing of it ends its
 * processes.
 */
export interface Entrant extends AsyncDisposable {
  /** Measures the entrant once. */
  measure(): Promise<Sample>;
}

/** A contest that can be held on this machine. */
export interface RunnableContest extends Contest {
  /** How often each entrant is measured in a round, in turn with the others. */
  readonly turns: number;
  /** Whether a quick run has it. */
  readonly isQuick?: boolean;
  /** Makes each entrant ready, by the entrant's name. */
  readonly entrants: ReadonlyMap<string, () => Promise<Entrant>>;
}

/** How long and how often everything is measured. */
export interface Plan {
  /** How often all contests are held. */
  readonly rounds: number;
  /** How long a round loads each server, in milliseconds. */
  readonly timeMs: number;
  /**
   * The parts of a round in which the entrants take turns. Other work of the
   * machine comes and goes within a second: entrants that are compared should be
   * disturbed by the same.
   */
  readonly turns: number;
}

/** An entrant that could not be measured in a contest. */
export interface Failure {
  /** The entrant's name. */
  readonly entrant: string;
  /** The contest's name. */
  readonly contest: string;
}

/** What was measured. */
export interface Measurement {
  /** What came of each contest, without the entrants that failed in it. */
  readonly results: readonly Result[];
  /** The entrants that failed. */
  readonly failures: readonly Failure[];
}

/** A contest that is being measured. */
interface Run {
  readonly contest: RunnableContest;
  /** The samples of each entrant that has not failed. */
  readonly samples: Map<string, Sample[]>;
  readonly failures: Failure[];
  readonly log: (text: string) => Promise<void>;
}

/**
 * Measures contests. Each round takes all of them, one after the other. An entrant
 * that fails is out of that contest.
 *
 * @param contests The contests.
 * @param rounds How many rounds there are.
 * @param log Called with a line of text for each step and each failure.
 * @returns What was measured.
 */
export async function measure(
  contests: readonly RunnableContest[],
  rounds: number,
  log: (line: string) => Promise<void>,
): Promise<Measurement> {
  const failures: Failure[] = [];
  const results = contests.map((contest) => ({
    contest,
    samples: new Map<string, Sample[]>(
      [...contest.entrants.keys()].map((name) => [name, []]),
    ),
  }));
  for (let round = 1; round <= rounds; round++) {
    for (const { contest, samples } of results) {
      const place = `round ${round} of ${rounds}, ${contest.name}`;
      await measureRound({
        ...{ contest, samples, failures },
        log: (text) => log(`${place}: ${text}`),
      });
    }
  }
  return { results, failures };
}

/** Makes all entrants of a contest ready, and measures them by turns. */
async function measureRound(run: Run): Promise<void> {
  const { contest, samples, log } = run;
  await using stack = new AsyncDisposableStack();
  const ready = new Map<string, Entrant>();
  await forEachEntrant(run, [...samples.keys()], async (name) => {
    await log(`start of ${name}`);
    ready.set(name, stack.use(await contest.entrants.get(name)!()));
  });
  for (let turn = 0; turn < contest.turns; turn++) {
    // A turn slows the next one by what it leaves behind. A random order spreads
    // that over all entrants.
    await forEachEntrant(run, shuffled([...samples.keys()]), async (name) => {
      await log(name);
      samples.get(name)!.push(await ready.get(name)!.measure());
    });
  }
}

/** Acts on one entrant after the other. One that fails is out of the contest. */
async function forEachEntrant(
  { contest, samples, failures, log }: Run,
  names: readonly string[],
  act: (name: string) => Promise<void>,
): Promise<void> {
  for (const name of names) {
    try {
      await act(name);
    } catch (error) {
      samples.delete(name);
      failures.push({ entrant: name, contest: contest.name });
      await log(`${error}`);
    }
  }
}

function shuffled<T>(values: readonly T[]): T[] {
  return values
    .map((value) => ({ value, place: Math.random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ value }) => value);
}
