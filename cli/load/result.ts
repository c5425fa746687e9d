import type { Summary } from "../../probe/tally.ts";
import type { Terminal } from "../terminal.ts";
import type { Condition } from "../../report/conditions.ts";
import { type LoadReport, rateOf, renderLoad } from "../../report/load_text.ts";
import { isGoodRun } from "../../report/common.ts";
import { judge, printResult, type Verdict } from "../verdict.ts";

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
  const print = (text: string) => printResult(terminal, text, () => isStopped);
  if (json) {
    // What it encodes histograms with takes long to load.
    const { jsonLoad } = await import("../../report/load_json.ts");
    const verdict = await judgeLoad(summary, conditions, terminal);
    const time = terminal.now().toISOString();
    const fields = { ...jsonLoad(report), ...verdict.json };
    await print(JSON.stringify({ time, ...fields }));
    if (error !== undefined) throw error;
    return verdict.status;
  }
  if (error !== undefined && summary.messages === 0) throw error;
  await print(renderLoad(report, terminal.columns));
  const { status } = await judgeLoad(summary, conditions, terminal);
  if (error !== undefined) throw error;
  return status;
}

async function judgeLoad(
  summary: Summary,
  conditions: readonly Condition[],
  terminal: Terminal,
): Promise<Verdict> {
  const { messages, failed, latencyMs, outages } = summary;
  const measured = {
    ...{ sent: messages + failed, lost: failed, latencyMs },
    ...{ longestOutageMs: outages.longestMs, ratePerSecond: rateOf(summary) },
  };
  return await judge(
    isGoodRun(summary, conditions),
    conditions,
    measured,
    terminal,
  );
}
