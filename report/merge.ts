/**
 * One report of several loads.
 *
 * @module
 */

import type { LoadSummary } from "../probe/load.ts";
import { mergeLoads, type PlacedLoad } from "../probe/load_merge.ts";
import { connectionsOfRuns, targetRateOfRuns } from "../probe/load_runs.ts";
import { formatBytes } from "./format.ts";
import { bytesOf, type LoadReport } from "./load_text.ts";

/**
 * Places loads in time.
 *
 * @param reports The reports of the loads.
 * @returns The loads, in the same order, and when the first of them started, if one
 * did.
 */
export function placeLoads(
  reports: readonly LoadReport[],
): { loads: PlacedLoad[]; startedAt: Date | undefined } {
  const starts = reports.flatMap(({ context }) =>
    context.startedAt ? [context.startedAt.getTime()] : []
  );
  const first = starts.length > 0 ? Math.min(...starts) : undefined;
  const loads = reports.map(({ summary, context }) => ({
    // What one that never started tells is put where the others begin.
    startMs: (context.startedAt?.getTime() ?? first ?? 0) - (first ?? 0),
    summary,
  }));
  return {
    loads,
    startedAt: first === undefined ? undefined : new Date(first),
  };
}

/**
 * Tells in what the messages of two loads differ so much that they are not one load.
 *
 * @param one The report of a load.
 * @param other The report of another one.
 * @returns What the other one is, and what the one is; `undefined` if they are alike.
 */
export function differenceOf(
  one: LoadReport,
  other: LoadReport,
): string | undefined {
  const [kind, otherKind] = [kindOf(one), kindOf(other)];
  return kind === otherKind ? undefined : `${otherKind}, not ${kind}`;
}

function kindOf({ context }: LoadReport): string {
  const { target, ratePerSecond } = context;
  return `messages of ${formatBytes(bytesOf(context))} over ` +
    `${target.transport.toUpperCase()} ` +
    (ratePerSecond === undefined ? "without --rate" : "with --rate");
}

/**
 * Makes one report of several.
 *
 * @param reports The reports, at least one, of loads that are alike.
 * @returns The report, as if one machine had run all loads.
 */
export function mergeReports(reports: readonly LoadReport[]): LoadReport {
  const { loads, startedAt } = placeLoads(reports);
  const summary = mergeLoads(loads);
  const contexts = reports.map(({ context }) => context);
  return {
    summary: { ...summary, error: errorOf(reports) },
    context: {
      ...contexts[0]!,
      connections: connectionsOfRuns(summary.runs),
      ratePerSecond: targetRateOfRuns(summary.runs),
      isWarm: contexts.every(({ isWarm }) => isWarm),
      ...{ startedAt, id: undefined },
      origins: contexts.flatMap(({ origins = [] }) => origins),
    },
  };
}

/** A load that could not even begin is not told by the number of its failures. */
function errorOf(reports: readonly LoadReport[]): LoadSummary["error"] {
  const errors = reports.map(({ summary }) => summary.error)
    .filter((error) => error !== undefined);
  if (errors.length === 0 || reports.length === 1) return errors[0];
  const [first] = errors as Error[];
  return new Error(
    `${errors.length} of ${reports.length} loads failed: ${first!.message}`,
  );
}
