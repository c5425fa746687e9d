import type { Terminal } from "../terminal.ts";
import type { Condition } from "../../report/conditions.ts";
import { type LoadReport, rateOf, renderLoad } from "../../report/load_text.ts";
import { conclude } from "../verdict.ts";

/** How the result of a load is printed and judged. */
export interface ResultOptions {
  /** Whether it is printed as JSON. */
  readonly json: boolean;
  /** On what the command fails besides. */
  readonly conditions: readonly Condition[];
  /** Whether the load was told to stop: what it gave up then is no failure. */
  readonly isStopped: boolean;
}

/**
 * Prints the report of a load, and judges the load.
 *
 * @throws The load's `error`, if it has one, after the report. If nothing came back
 * then, that is no result, and only JSON has a report.
 */
export async function printLoad(
  report: LoadReport,
  { json, conditions, isStopped }: ResultOptions,
  terminal: Terminal,
): Promise<number> {
  const { summary } = report;
  const error = isStopped ? undefined : summary.error;
  const reporter = json ? await jsonReporter(terminal) : textReporter(terminal);
  const status = await conclude(summary, {
    ...{ conditions, ratePerSecond: rateOf(summary) },
    isStopped: () => isStopped,
    render: (json) => reporter(report, error, json),
  }, terminal);
  if (error !== undefined) throw error;
  return status;
}

/** Renders a result, and what JSON says of the conditions. */
type LoadReporter = (
  report: LoadReport,
  error: unknown,
  conditions: Record<string, unknown>,
) => string | undefined;

function textReporter({ columns }: Terminal): LoadReporter {
  return (report, error) =>
    error !== undefined && report.summary.messages === 0
      ? undefined
      : renderLoad(report, columns);
}

async function jsonReporter(terminal: Terminal): Promise<LoadReporter> {
  // What it encodes histograms with takes long to load.
  const { jsonLoad } = await import("../../report/load_json.ts");
  return (report, _error, conditions) => {
    const time = terminal.now().toISOString();
    return JSON.stringify({ time, ...jsonLoad(report), ...conditions });
  };
}
