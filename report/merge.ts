import { Tally } from "../probe/tally.ts";
import { connectionsOfRuns, targetRateOfRuns } from "../probe/runs.ts";
import { formatBytes } from "./format.ts";
import { bytesOf, type LoadReport, type ReportContext } from "./load_text.ts";

/** The result of a load, to which others can be added. */
export interface LoadResult {
  readonly tally: Tally;
  readonly context: ReportContext;
}

/** Says in what the messages of two loads differ so much that they are not one load. */
export function differenceOf(
  one: LoadResult,
  other: LoadResult,
): string | undefined {
  const [kind, otherKind] = [kindOf(one), kindOf(other)];
  return kind === otherKind ? undefined : `${otherKind}, not ${kind}`;
}

function kindOf({ context }: LoadResult): string {
  const { target, ratePerSecond } = context;
  return `messages of ${formatBytes(bytesOf(context))} over ` +
    `${target.transport.toUpperCase()} ` +
    (ratePerSecond === undefined ? "without --rate" : "with --rate");
}

/** Makes one report of several results that are alike, as of one load of one machine. */
export function mergeReports(results: readonly LoadResult[]): LoadReport {
  const contexts = results.map(({ context }) => context);
  const starts = contexts.flatMap(({ startedAt }) =>
    startedAt?.getTime() ?? []
  );
  const first = starts.length > 0 ? Math.min(...starts) : undefined;
  const sum = new Tally();
  for (const { tally, context } of results) {
    // What one that never started says is put where the others begin.
    const startMs = context.startedAt?.getTime() ?? first ?? 0;
    sum.add(tally, startMs - (first ?? 0));
  }
  sum.error = errorOf(results);
  const summary = sum.summary();
  return {
    summary,
    context: {
      ...contexts[0]!,
      connections: connectionsOfRuns(summary.runs),
      ratePerSecond: targetRateOfRuns(summary.runs),
      isWarm: contexts.every(({ isWarm }) => isWarm),
      isAlike: contexts.some(({ isAlike }) => isAlike) || undefined,
      ...{ startedAt: first === undefined ? undefined : new Date(first) },
      ...{ id: undefined },
      origins: contexts.flatMap(({ origins = [] }) => origins),
    },
  };
}

/** A load that could not even begin is not told by the number of its failures. */
function errorOf(results: readonly LoadResult[]): unknown {
  const errors = results.map(({ tally }) => tally.error)
    .filter((error) => error !== undefined);
  if (errors.length === 0 || results.length === 1) return errors[0];
  const [first] = errors as Error[];
  return new Error(
    `${errors.length} of ${results.length} loads failed: ${first!.message}`,
  );
}
