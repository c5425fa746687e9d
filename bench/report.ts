/**
 * What came of contests, as ratios and as tables.
 *
 * @module
 */

import { confidenceOf, type Spread, spreadOf } from "./spread.ts";

/** One measurement of an entrant. */
export interface Sample {
  /** The value, in the contest's unit. */
  readonly value: number;
  /** The latencies, for round trips alone. */
  readonly latencyMs?: Latency;
  /** What became of datagrams, for datagrams alone. */
  readonly datagrams?: Datagrams;
}

/** The datagrams that did not come back in time. */
export interface Datagrams {
  /** How many never came back. */
  readonly lost: number;
  /** How many came back after they had been given up. */
  readonly late: number;
}

/** Percentiles of the latency, in milliseconds. */
export type Latency = Readonly<Record<"p50" | "p99" | "p99_9" | "max", number>>;

/** The tables, in the order in which they are printed. */
export const TABLES = [
  "servers",
  "latency",
  "tls",
  "datagrams",
  "clients",
  "startup",
] as const;

/** The name of a table. */
export type TableName = typeof TABLES[number];

/** A task that several entrants are measured at. */
export interface Contest {
  /** The contest's name. */
  readonly name: string;
  /** The unit of its values. */
  readonly unit: string;
  /** The table that has its values. */
  readonly table: TableName;
  /** Whether a smaller value is the better one. */
  readonly lessIsBetter?: boolean;
}

/** What came of a contest. */
export interface Result {
  readonly contest: Contest;
  /** The samples of each entrant, by the entrant's name, one for each turn. */
  readonly samples: ReadonlyMap<string, readonly Sample[]>;
}

/** Two entrants that are compared, and how the one should do beside the other. */
export interface Target {
  readonly contest: string;
  readonly entrant: string;
  readonly beside: string;
  /**
   * The least that the ratio of the two should be, or the most where less is
   * better. By default they are compared without a verdict.
   */
  readonly ratio?: number;
}

/** What came of a target. */
export interface Outcome extends Target, Spread {
  readonly lessIsBetter: boolean;
  /** Whether the target was met, if it has a ratio. */
  readonly isMet?: boolean;
  /** Whether another run would hardly say otherwise, if it has a ratio. */
  readonly isClear?: boolean;
  /**
   * The ratios of the usual latencies (p50), the other way round, where both were
   * measured. Other work of the machine stops a server for some milliseconds, which
   * these ratios do not show, but neither do they show what only some clients wait.
   */
  readonly byLatency?: Spread;
}

/**
 * Compares entrants turn by turn: other work of the machine disturbs two
 * neighbouring turns alike.
 *
 * @param results What came of the contests.
 * @param targets The targets. One whose entrants were not measured is left out.
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
    const ratios = ours.map(({ value }, turn) => value / theirs[turn]!.value);
    const { lessIsBetter = false } = result.contest;
    const byLatency = ours.flatMap(({ latencyMs }, turn) => {
      const other = theirs[turn]!.latencyMs;
      return latencyMs && other ? [other.p50 / latencyMs.p50] : [];
    });
    const outcome = {
      ...target,
      ...spreadOf(ratios),
      lessIsBetter,
      ...(byLatency.length > 0 && { byLatency: spreadOf(byLatency) }),
    };
    const { ratio, median } = outcome;
    if (ratio === undefined) return [outcome];
    const isMet = lessIsBetter ? median <= ratio : median >= ratio;
    const [least, greatest] = confidenceOf(ratios);
    const isClear = ratio < least || ratio > greatest;
    return [{ ...outcome, isMet, isClear }];
  });
}

/**
 * Orders outcomes by how far they are from their targets.
 *
 * @param outcomes The outcomes.
 * @returns Those farthest below their targets first, those without a ratio to reach
 * last.
 */
export function worstOutcomesFirst(outcomes: readonly Outcome[]): Outcome[] {
  const margin = ({ median, ratio, lessIsBetter }: Outcome) => {
    if (ratio === undefined) return Infinity;
    return lessIsBetter ? ratio / median : median / ratio;
  };
  return [...outcomes].sort((a, b) =>
    // Two infinite margins have no difference that is a number.
    margin(a) === margin(b) ? 0 : margin(a) - margin(b)
  );
}

/**
 * Renders rows as a Markdown table.
 *
 * @param rows The rows, the head first, each with as many cells.
 * @returns The table; its first column is aligned to the left, the others to the
 * right.
 */
export function table(rows: readonly (readonly string[])[]): string {
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

/**
 * Renders a number to two digits or more.
 *
 * @param value The number.
 * @returns For example `0.012`, `1.16`, `72.0` or `35,788`.
 */
export function formatNumber(value: number): string {
  const digits = value < 0.1 ? 3 : value < 10 ? 2 : value < 100 ? 1 : 0;
  return value.toLocaleString("en-US", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

function formatSpread({ low, median, high }: Spread): string {
  const percent = Math.max(high - median, median - low) / median * 100;
  return `${formatNumber(median)} ±${percent.toFixed(0)} %`;
}

/** Lists the entrants in the order in which they first come. */
function entrantsOf(results: readonly Result[]): string[] {
  return [...new Set(results.flatMap(({ samples }) => [...samples.keys()]))];
}

/**
 * Renders the contests of a table, with a row for each entrant and a column for
 * each contest.
 *
 * @param results What came of the contests.
 * @param name The name of the table.
 * @returns The table in Markdown: medians, and how far the quartiles are from them
 * at most.
 */
export function valueTable(
  results: readonly Result[],
  name: TableName,
): string {
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
 * Renders latencies, with a row for each entrant of each contest of a table.
 *
 * @param results What came of the contests.
 * @param name The name of the table.
 * @returns The table in Markdown: medians over the turns, in milliseconds, and how
 * many datagrams were lost and late in all turns together, if there are datagrams.
 */
export function latencyTable(
  results: readonly Result[],
  name: TableName,
): string {
  const shown = results.filter(({ contest }) => contest.table === name);
  const hasDatagrams = shown.some(({ samples }) =>
    [...samples.values()].flat().some(({ datagrams }) => datagrams)
  );
  const rows = shown
    .flatMap(({ contest, samples }) =>
      [...samples].map(([entrant, taken]) => {
        const median = (value: (sample: Sample) => number | undefined) =>
          formatNumber(spreadOf(taken.map((s) => value(s) ?? NaN)).median);
        return [
          `${contest.name}: ${entrant}`,
          `${median((s) => s.value)} ${contest.unit}`,
          median((s) => s.latencyMs?.p50),
          median((s) => s.latencyMs?.p99),
          median((s) => s.latencyMs?.p99_9),
          median((s) => s.latencyMs?.max),
          ...(hasDatagrams ? [total(taken, "lost"), total(taken, "late")] : []),
        ];
      })
    );
  const head = ["", "rate", "p50 ms", "p99 ms", "p99.9 ms", "max ms"];
  return table([[...head, ...(hasDatagrams ? ["lost", "late"] : [])], ...rows]);
}

function total(samples: readonly Sample[], count: keyof Datagrams): string {
  return samples
    .reduce((sum, { datagrams }) => sum + (datagrams?.[count] ?? 0), 0)
    .toLocaleString("en-US");
}

/**
 * Renders what came of targets.
 *
 * @param outcomes The targets and their ratios.
 * @returns The table in Markdown.
 */
export function targetTable(outcomes: readonly Outcome[]): string {
  return table([
    ["", "target", "ratio", "", "by p50"],
    ...outcomes.map((outcome) => [
      `${outcome.contest}: ${outcome.entrant} / ${outcome.beside}`,
      ...[targetText(outcome), formatSpread(outcome), verdict(outcome)],
      outcome.byLatency ? formatSpread(outcome.byLatency) : "",
    ]),
  ]);
}

function targetText({ ratio, lessIsBetter }: Outcome): string {
  if (ratio === undefined) return "";
  return `${lessIsBetter ? "≤" : "≥"} ${formatNumber(ratio)}`;
}

function verdict({ isMet, isClear }: Outcome): string {
  if (isMet === undefined) return "";
  const word = isMet ? "met" : "missed";
  return isClear ? word : `${word}, unclear`;
}
