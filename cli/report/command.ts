import { describeError } from "../../net/errors.ts";
import { escapeText } from "../../net/text.ts";
import { type Command, makeCommand, PROGRAM } from "../command.ts";
import { type CommandLine, type Flags, switchFlag } from "../flags.ts";
import { PROBING_FLAGS } from "../probing.ts";
import type { Terminal } from "../terminal.ts";
import { parseFile } from "../values.ts";
import type { ReportOptions } from "./run.ts";

const FLAGS = {
  "fail-if": PROBING_FLAGS["fail-if"],
  json: switchFlag("print JSON, which can be reported again"),
} satisfies Flags;

/** The most bytes of a file: some thousand results. */
const MOST_BYTES = 64 * 1024 * 1024;

/** What is still to be read. */
type Options = Omit<ReportOptions, "sources"> & {
  readonly files: readonly string[];
  readonly sources: ReportOptions["sources"];
};

/** The command `echo report`. */
export const reportCommand: Command = makeCommand({
  name: "report",
  about: "Make one report of the results of one or many loads.",
  synopsis: "[OPTIONS] [FILE...]",
  operand: "FILE",
  examples: [
    `${PROGRAM} report load-*.json --fail-if 'p99>20ms'`,
    `kubectl logs -l app=load --prefix | ${PROGRAM} report`,
  ],
  notes: `\
Reads what load --json printed, one result on a line, from files or stdin (-),
also in the log of a container. Counts and rates are added, percentiles are
those of all messages, and timelines are aligned by the time of day.

Lines without JSON are skipped and counted on stderr. Any other line that cannot
be counted (another version, cut off, damaged, a duplicate) is named there.

COND: p50, p90, p99, p99.9, max, mean or outage with a TIME; loss with a number
or a percentage; rate with a number: 'p99>20ms', 'loss>0.1%', 'rate<1000'.
Exit status: 0 all bytes came back; 1 some did not, or a line was not counted;
2 usage; 3 a --fail-if held.`,
  page: "report.md",
  flags: FLAGS,
  options,
  read,
  async run(options, terminal) {
    // The histogram takes long to load.
    const { runReport } = await import("./run.ts");
    return await runReport(options, terminal);
  },
});

function options(line: CommandLine<typeof FLAGS>): Options {
  const { values, operands, afterDashes } = line;
  const files = [...operands, ...afterDashes.map(parseFile)];
  return {
    files: files.length > 0 ? files : ["-"],
    sources: [],
    json: values.json,
    conditions: values["fail-if"],
  };
}

async function read(options: Options, terminal: Terminal): Promise<Options> {
  const sources = [];
  for (const path of options.files) {
    const name = path === "-" ? "" : escapeText(path);
    try {
      const bytes = path === "-"
        ? undefined
        : await terminal.readFile(path, MOST_BYTES);
      sources.push({ name, bytes });
    } catch (error) {
      throw new Error(`Cannot read ${name}: ${describeError(error)}`);
    }
  }
  return { ...options, sources };
}
