/**
 * `echo merge`: one report from the results of many loads.
 *
 * @module
 */

import { escapeText } from "../../net/text.ts";
import { type Command, makeCommand, PROGRAM } from "../command.ts";
import {
  type CommandLine,
  type Flags,
  switchFlag,
  UsageError,
} from "../flags.ts";
import { FLAGS as SEND_FLAGS } from "../send/flags.ts";
import type { MergeOptions } from "./run.ts";

const FLAGS = {
  "fail-if": SEND_FLAGS["fail-if"],
  json: switchFlag("print the report as JSON, which can be merged again"),
} satisfies Flags;

const NOTES = `\
Reads what send --json printed for loads: any number of results, one on a line, after
whatever a log puts before it (docker logs -t, kubectl logs --prefix --timestamps).
Counts and rates are added, percentiles are those of the added histograms, the
timeline is aligned by the time of day:

  cat load-*.json | ${PROGRAM} merge --fail-if 'p99>20ms'

Other lines of a log are skipped and counted on stderr. What should have been counted
and was not is named with its line: JSON that is no result of a load, of another
version, cut off, damaged, over several lines (jq -c mends that), or counted already.

Exit status: 0 all bytes came back; 1 some did not, or something was not counted;
2 the command line is wrong; 3 a --fail-if held.`;

/** The command `echo merge`. */
export const mergeCommand: Command = makeCommand({
  name: "merge",
  about: "Print one report from the JSON results of many loads on stdin",
  synopsis: "[OPTIONS]",
  notes: NOTES,
  flags: FLAGS,
  options,
  async run(options, terminal) {
    // The histogram takes long to load.
    const { runMerge } = await import("./run.ts");
    return await runMerge(options, terminal);
  },
});

function options(line: CommandLine<typeof FLAGS>): MergeOptions {
  const { values, operands, afterDashes } = line;
  const [operand] = [...operands, ...afterDashes];
  if (operand !== undefined) {
    throw new UsageError(
      `merge takes no argument "${escapeText(operand)}", it reads stdin`,
    );
  }
  return { json: values.json, conditions: values["fail-if"] };
}
