/**
 * All that came of a comparison, as one text.
 *
 * @module
 */

import {
  latencyTable,
  type Outcome,
  type Result,
  type TableName,
  TABLES,
  targetTable,
  valueTable,
  worstOutcomesFirst,
} from "./report.ts";
import { type Standing, standingTable } from "./standings.ts";

/** All that came of a comparison. */
export interface Comparison {
  /** Where, when and how it was made, in lines. */
  readonly caption: readonly string[];
  /** What came of each contest. */
  readonly results: readonly Result[];
  /** Where ours are behind the best of the others, the worst first. */
  readonly standings: readonly Standing[];
  /** What came of each target. */
  readonly outcomes: readonly Outcome[];
}

/** The headings of the tables. */
const HEADINGS: Record<TableName, string> = {
  servers: "Servers",
  latency: "Latencies",
  tls: "TLS",
  datagrams: "Datagrams",
  clients: "Clients",
  startup: "Startup",
};

/** What the section of each table has. */
const SECTIONS: Record<TableName, readonly typeof valueTable[]> = {
  servers: [valueTable],
  latency: [latencyTable],
  tls: [valueTable],
  datagrams: [valueTable, latencyTable],
  clients: [valueTable],
  startup: [valueTable],
};

/**
 * Renders a comparison for a terminal.
 *
 * @param comparison The comparison.
 * @returns The caption and all tables, in Markdown: first where ours are behind, the
 * worst on top.
 */
export function renderTables(
  { caption, results, standings, outcomes }: Comparison,
): string {
  const measured = TABLES.filter((name) =>
    results.some(({ contest }) => contest.table === name)
  );
  return [
    caption.map((line) => `- ${line}`).join("\n"),
    ...(standings.length > 0
      ? [`## Behind the best of the others\n\n${standingTable(standings)}`]
      : []),
    ...(outcomes.length > 0
      ? [`## Ratios\n\n${targetTable(worstOutcomesFirst(outcomes))}`]
      : []),
    ...measured.map((name) => {
      const tables = SECTIONS[name].map((render) => render(results, name));
      return [`## ${HEADINGS[name]}`, ...tables].join("\n\n");
    }),
  ].join("\n\n");
}

/**
 * Renders a comparison for a file.
 *
 * @param comparison The comparison.
 * @param chart The path of its chart, from that file.
 * @returns The chart, the caption and all tables, in Markdown.
 */
export function renderResults(comparison: Comparison, chart: string): string {
  return `# Results

\`deno task bench --output DIR\` writes this file. A value is a median; behind ± is
how far the quartiles are from it at most.

![A bar for each server and client in each contest](${chart})

${renderTables(comparison)}
`;
}
