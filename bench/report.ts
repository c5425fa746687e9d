/**
 * What a comparison found, as ratios and as tables.
 *
 * @module
 */

/** What was measured once. */
export interface Sample {
  /** In the contest's unit. */
  readonly value: number;
  /** Percentiles of the latency in milliseconds, of round trips alone. */
  readonly latencyMs?: Latency;
}

/** Percentiles of the latency, in milliseconds. */
export type Latency = Readonly<Record<"p50" | "p99" | "p99_9" | "max", number>>;

/** The same thing asked of several. */
export interface Contest {
  /** What it is called. */
  readonly name: string;
  /** What its values count. */
  readonly unit: string;
  /** Which table it is a column of. */
  readonly table: string;
  /** Whether a smaller value is the better one. */
  readonly lessIsBetter?: boolean;
}

/** What came of a contest. */
export interface Result {
  readonly contest: Contest;
  /** Of each entrant, by its name, a sample a round. */
  readonly samples: ReadonlyMap<string, readonly Sample[]>;
}

/** How one entrant should do beside another. */
export interface Target {
  readonly contest: string;
  readonly entrant: string;
  readonly beside: string;
  /** The least that the ratio of the two should be; the most where less is better. */
  readonly ratio: number;
}

/** The quartiles of several numbers: half of them are from low to high. */
export interface Spread {
  readonly low: number;
  readonly median: number;
  readonly high: number;
}

/**
 * Sums numbers up.
 *
 * @param values At least one.
 * @returns Their quartiles, interpolated between neighbours.
 */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const quantile = (share: number) => {
    const place = (sorted.length - 1) * share;
    const below = sorted[Math.floor(place)]!;
    const above = sorted[Math.ceil(place)]!;
    return below + (above - below) * (place % 1);
  };
  return { low: quantile(0.25), median: quantile(0.5), high: quantile(0.75) };
}

/** What came of a target. */
export interface Outcome extends Target, Spread {
  readonly lessIsBetter: boolean;
  readonly isMet: boolean;
}

/**
 * Compares with targets, round by round: what the machine was busy with in one
 * round, both entrants had.
 *
 * @param results What came of the contests.
 * @param targets The targets; those whose entrants were not there are left out.
 * @returns The ratios.
 */
export function judge(
  results: readonly Result[],
  targets: readonly Target[],
): Outcome[] {
  return targets.flatMap((target) => {
    const result = results.find(({ contest }) =>
      contest.name === target.contest
    );
    const ours = result?.samples.get(target.entrant);
    const theirs = result?.samples.get(target.beside);
    if (!result || !ours || !theirs) return [];
    const ratios = ours.map(({ value }, round) => value / theirs[round]!.value);
    const spread = spreadOf(ratios);
    const { lessIsBetter = false } = result.contest;
    const isMet = lessIsBetter
      ? spread.median <= target.ratio
      : spread.median >= target.ratio;
    return [{ ...target, ...spread, lessIsBetter, isMet }];
  });
}

/** Renders rows as a Markdown table, its first column to the left. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) =>
    Math.max(3, ...rows.map((row) => [...row[column]!].length))
  );
  const line = (row: readonly string[]) =>
    `| ${
      row.map((cell, column) =>
        column === 0
          ? cell.padEnd(widths[column]!)
          : cell.padStart(widths[column]!)
      ).join(" | ")
    } |`;
  const rule = widths.map((width, column) =>
    column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`
  );
  const [head = [], ...body] = rows;
  return [line(head), line(rule), ...body.map(line)].join("\n");
}

/** Renders a number to three digits or more. */
export function formatNumber(value: number): string {
  const digits = value < 10 ? 2 : value < 100 ? 1 : 0;
  return value.toLocaleString("en-US", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

function formatSpread({ low, median, high }: Spread): string {
  const percent = Math.max(high - median, median - low) / median * 100;
  return `${formatNumber(median)} ±${percent.toFixed(0)} %`;
}

/** Names in the order in which they first come. */
function entrantsOf(results: readonly Result[]): string[] {
  return [...new Set(results.flatMap(({ samples }) => [...samples.keys()]))];
}

/**
 * Renders the contests of a table: a row an entrant, a column a contest.
 *
 * @param results What came of the contests.
 * @param name Which table.
 * @returns It in Markdown: medians, and how far from them half of the values are at
 * most.
 */
export function valueTable(results: readonly Result[], name: string): string {
  const columns = results.filter(({ contest }) => contest.table === name);
  return table([
    ["", ...columns.map(({ contest }) => `${contest.name}, ${contest.unit}`)],
    ...entrantsOf(columns).map((entrant) => [
      entrant,
      ...columns.map(({ samples }) => {
        const values = samples.get(entrant)?.map(({ value }) => value);
        return values ? formatSpread(spreadOf(values)) : "";
      }),
    ]),
  ]);
}

/**
 * Renders latencies: a row for each entrant of each contest that has them.
 *
 * @param results What came of the contests.
 * @param name Which table.
 * @returns It in Markdown: medians over the rounds, in milliseconds.
 */
export function latencyTable(results: readonly Result[], name: string): string {
  const rows = results
    .filter(({ contest }) => contest.table === name)
    .flatMap(({ contest, samples }) =>
      [...samples].map(([entrant, taken]) => {
        const median = (value: (sample: Sample) => number | undefined) =>
          formatNumber(spreadOf(taken.map((s) => value(s) ?? NaN)).median);
        return [
          `${contest.name}: ${entrant}`,
          median((s) => s.value),
          median((s) => s.latencyMs?.p50),
          median((s) => s.latencyMs?.p99),
          median((s) => s.latencyMs?.p99_9),
          median((s) => s.latencyMs?.max),
        ];
      })
    );
  const head = ["", "round trips/s", "p50 ms", "p99 ms", "p99.9 ms", "max ms"];
  return table([head, ...rows]);
}

/**
 * Renders what came of targets.
 *
 * @param outcomes The targets and their ratios.
 * @returns It in Markdown.
 */
export function targetTable(outcomes: readonly Outcome[]): string {
  return table([
    ["", "target", "ratio", ""],
    ...outcomes.map((outcome) => [
      `${outcome.contest}: ${outcome.entrant} / ${outcome.beside}`,
      `${outcome.lessIsBetter ? "≤" : "≥"} ${formatNumber(outcome.ratio)}`,
      formatSpread(outcome),
      outcome.isMet ? "met" : "missed",
    ]),
  ]);
}
