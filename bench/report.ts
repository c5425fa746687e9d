/** What came of contests, as tables in Markdown. */

import type { Contest } from "./entrants.ts";

/** One turn of an entrant: what load.c prints, in the contest's unit. */
export interface Sample {
  readonly value: number;
  readonly latencyMs?: Readonly<Record<"p50" | "p99" | "max", number>>;
  /** Datagrams that never came back, and those that came after 200 ms. */
  readonly lost?: number;
  readonly late?: number;
}

/** What came of a contest. */
export interface Result {
  readonly contest: Contest;
  /** Each entrant's samples, one for each turn, of those that did not fail. */
  readonly samples: Map<string, Sample[]>;
}

/** The quartiles of some numbers. */
export interface Spread {
  readonly low: number;
  readonly median: number;
  readonly high: number;
}

/** Finds quartiles, interpolated between neighbours. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const quantile = (share: number) => {
    const place = (sorted.length - 1) * share;
    const below = sorted[Math.floor(place)]!;
    return below + (sorted[Math.ceil(place)]! - below) * (place % 1);
  };
  return { low: quantile(0.25), median: quantile(0.5), high: quantile(0.75) };
}

/**
 * Compares two entrants turn by turn: what else the machine does disturbs two
 * neighbouring turns alike.
 */
export function ratioOf(
  { samples }: Result,
  entrant: string,
  beside: string,
  figure: (sample: Sample) => number | undefined = (sample) => sample.value,
): Spread | undefined {
  const [ours, theirs] = [samples.get(entrant), samples.get(beside)];
  if (!ours || !theirs) return undefined;
  const ratios = ours.map((sample, turn) =>
    figure(sample)! / figure(theirs[turn]!)!
  );
  return ratios.some(Number.isNaN) ? undefined : spreadOf(ratios);
}

/** Returns the entrants of a contest and their values, the best first. */
export function bestFirst({ contest, samples }: Result): [string, Spread][] {
  const sign = contest.lessIsBetter ? 1 : -1;
  return [...samples]
    .map(([name, taken]): [string, Spread] => [
      name,
      spreadOf(taken.map(({ value }) => value)),
    ])
    .sort(([, a], [, b]) => sign * (a.median - b.median));
}

/** Returns the median of the turns' latencies in milliseconds, if they have any. */
export function latencyOf(
  samples: readonly Sample[],
  key: "p50" | "p99" | "max",
): number | undefined {
  const all = samples.flatMap(({ latencyMs }) => latencyMs?.[key] ?? []);
  return all.length > 0 ? spreadOf(all).median : undefined;
}

/** Renders a number to two digits or more. */
export function formatNumber(value: number): string {
  const digits = value < 0.1 ? 3 : value < 10 ? 2 : value < 100 ? 1 : 0;
  return value.toLocaleString("en-US", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

function formatSpread(spread: Spread | undefined): string {
  if (!spread) return "";
  const { low, median, high } = spread;
  const percent = Math.max(high - median, median - low) / median * 100;
  return `${formatNumber(median)} ±${percent.toFixed(0)} %`;
}

/** Renders rows, the head first; all columns but the first are aligned right. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) =>
    Math.max(3, ...rows.map((row) => row[column]!.length))
  );
  const line = (row: readonly string[]) => {
    const cells = row.map((cell, column) =>
      column ? cell.padStart(widths[column]!) : cell.padEnd(widths[0]!)
    );
    return `| ${cells.join(" | ")} |`;
  };
  const rule = widths.map((width, column) =>
    column ? `${"-".repeat(width - 1)}:` : "-".repeat(width)
  );
  const [head = [], ...body] = rows;
  return [head, rule, ...body].map(line).join("\n");
}

/** Renders the ratios of one entrant to all others, with a row for each contest. */
function ratioTable(results: readonly Result[], base: string): string {
  const others = new Set(results.flatMap(({ samples }) => [...samples.keys()]));
  others.delete(base);
  return table([
    [`${base} / other`, ...others],
    ...results.map((result) => [
      titleOf(result.contest),
      ...[...others].map((it) => formatSpread(ratioOf(result, base, it))),
    ]),
  ]);
}

function titleOf({ name, unit, lessIsBetter }: Contest): string {
  return `${name}, ${unit}${lessIsBetter ? " (less is better)" : ""}`;
}

/** Renders a contest, with a row for each entrant, the best first. */
function contestTable(result: Result, base: string): string {
  const taken = [...result.samples.values()].flat();
  const hasLatency = taken.some(({ latencyMs }) => latencyMs);
  const hasLoss = taken.some(({ lost }) => lost !== undefined);
  const rows = bestFirst(result).map(([name, spread]) => {
    const samples = result.samples.get(name)!;
    const ms = (key: "p50" | "p99" | "max") =>
      formatNumber(latencyOf(samples, key) ?? NaN);
    const total = (key: "lost" | "late") =>
      samples.reduce((sum, it) => sum + (it[key] ?? 0), 0).toLocaleString("en");
    // The other way round: less latency is better.
    const byP50 = name === base
      ? undefined
      : ratioOf(result, name, base, (it) => it.latencyMs?.p50);
    return [
      name,
      formatSpread(spread),
      ...(hasLatency ? [ms("p50"), ms("p99"), ms("max")] : []),
      ...(hasLatency ? [formatSpread(byP50)] : []),
      ...(hasLoss ? [total("lost"), total("late")] : []),
    ];
  });
  return table([
    [
      "",
      result.contest.unit,
      ...(hasLatency ? ["p50 ms", "p99 ms", "max ms"] : []),
      ...(hasLatency ? [`${base} / other, by p50`] : []),
      ...(hasLoss ? ["lost", "late"] : []),
    ],
    ...rows,
  ]);
}

/** Renders all that came of a run, below a caption in lines. */
export function renderResults(
  results: readonly Result[],
  caption: readonly string[],
  base: string,
): string {
  const shown = results.filter(({ samples }) => samples.size > 0);
  return [
    caption.map((line) => `- ${line}`).join("\n"),
    "A value is the median of the turns. The quartiles are within ± of it.",
    "## Ratios",
    ratioTable(shown, base),
    ...shown.flatMap((result) => [
      `## ${titleOf(result.contest)}`,
      contestTable(result, base),
    ]),
  ].join("\n\n");
}
