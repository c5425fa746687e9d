/** One run of a load: what one machine did. */
export interface Run {
  /** When its clock started, in milliseconds from the start of the first run. */
  readonly startMs: number;
  /** For how long it sent messages, in milliseconds. */
  readonly durationMs: number;
  /** How many connections it had. */
  readonly connections: number;
  /** How many messages came back to it in that time. */
  readonly messagesInTime: number;
  /** How many messages were due a second, if they were due at times. */
  readonly ratePerSecond: number | undefined;
}

/** How runs lie in time. */
export interface RunOverlap {
  /** How many runs sent messages. */
  readonly runs: number;
  /** The most of them that went on at once. */
  readonly mostAtOnce: number;
  /** For how long all of them went on at once, in milliseconds. */
  readonly sharedMs: number;
  /** For how long at least one of them went on, in milliseconds. */
  readonly coveredMs: number;
}

/** Tells how runs lie in time. Those that never sent a message are left out. */
export function overlapOf(all: readonly Run[]): RunOverlap {
  const runs = all.filter(({ durationMs }) => durationMs > 0)
    .toSorted((one, other) => one.startMs - other.startMs);
  let coveredMs = 0;
  let coveredTo = -Infinity;
  for (const run of runs) {
    const from = Math.max(run.startMs, coveredTo);
    // Not the difference of two times, which would be rounded.
    coveredMs += from === run.startMs
      ? run.durationMs
      : Math.max(0, endOf(run) - from);
    coveredTo = Math.max(coveredTo, endOf(run));
  }
  const lastStart = runs.at(-1)?.startMs ?? 0;
  const firstEnd = Math.min(...runs.map(endOf));
  const isTogether = runs.every(({ startMs }) => startMs === lastStart);
  const sharedMs = isTogether
    ? Math.min(...runs.map(({ durationMs }) => durationMs))
    : Math.max(0, firstEnd - lastStart);
  return {
    runs: runs.length,
    mostAtOnce: mostOf(runs, () => 0, () => 1),
    sharedMs: runs.length > 0 ? sharedMs : 0,
    coveredMs,
  };
}

/**
 * Adds the rates of runs. Those of runs that did not go on at the same time are not
 * added: no moment had their sum.
 */
export function rateOfRuns(runs: readonly Run[]): number {
  // Runs of the same length are added before they are divided: that rounds once, so
  // 5980 messages in two seconds are 2990 a second, and not a little less.
  return mostOf(
    runs,
    spanOf,
    ({ messagesInTime }) => messagesInTime,
    (ms, messages) => messages * 1000 / ms,
  );
}

/** The time of a run, or all intervals of its posts: the last one may end after it. */
function spanOf({ durationMs, ratePerSecond }: Run): number {
  if (!ratePerSecond) return durationMs;
  const posts = Math.ceil(durationMs * ratePerSecond / 1000 - 1e-9);
  return Math.max(durationMs, posts * 1000 / ratePerSecond);
}

/** Adds the connections of runs that went on at the same time. */
export function connectionsOfRuns(runs: readonly Run[]): number {
  const going = mostOf(runs, () => 0, (run) => run.connections);
  // A run that sent nothing may have tried to connect.
  return going || Math.max(0, ...runs.map((run) => run.connections));
}

/** Adds the rates that runs were asked for that went on at the same time. */
export function targetRateOfRuns(runs: readonly Run[]): number | undefined {
  const rates = runs.map(({ ratePerSecond }) => ratePerSecond);
  if (rates.includes(undefined)) return undefined;
  const most = mostOf(
    runs,
    ({ ratePerSecond = 0 }) => ratePerSecond,
    () => 1,
    (rate, runs) => rate * runs,
  );
  return most || Math.max(0, ...rates.map((rate = 0) => rate));
}

/**
 * Finds the most of something that runs had which went on at the same moment. Weights of
 * the same key are added before they are valued.
 */
function mostOf(
  runs: readonly Run[],
  keyOf: (run: Run) => number,
  weightOf: (run: Run) => number,
  valueOf = (_key: number, weight: number) => weight,
): number {
  const going = runs.filter(({ durationMs }) => durationMs > 0);
  const starts = going.toSorted((one, other) => one.startMs - other.startMs);
  const ends = going.toSorted((one, other) => endOf(one) - endOf(other));
  const weights = new Map<number, number>();
  const add = (run: Run, weight: number) => {
    const sum = (weights.get(keyOf(run)) ?? 0) + weight;
    if (sum === 0) weights.delete(keyOf(run));
    else weights.set(keyOf(run), sum);
  };
  let most = 0;
  let ended = 0;
  for (const [at, run] of starts.entries()) {
    let next;
    while ((next = ends[ended]) && endOf(next) <= run.startMs) {
      add(next, -weightOf(next));
      ended++;
    }
    add(run, weightOf(run));
    // Whatever is most is so when the next event is an end.
    const start = starts[at + 1]?.startMs ?? Infinity;
    if (next && start < endOf(next)) continue;
    let value = 0;
    for (const [key, weight] of weights) value += valueOf(key, weight);
    most = Math.max(most, value);
  }
  return most;
}

function endOf({ startMs, durationMs }: Run): number {
  return startMs + durationMs;
}
