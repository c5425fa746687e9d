// Compares this server and client with others, all of them in one run:
//
//   deno task bench [OPTIONS]        --help tells which
//
// Each round takes each contest in turn, and in each contest every entrant, with
// a server process of its own that is started for it and ended after it. What is
// printed are medians over the rounds.

import { availableParallelism, cpus, totalmem } from "node:os";
import { printLine } from "../cli/command.ts";
import {
  parseCommandLine,
  parseTime,
  parseWhole,
  renderFlags,
  switchFlag,
  UsageError,
} from "../cli/flags.ts";
import { chart } from "./chart.ts";
import {
  contestsOf,
  type RunnableContest,
  TABLES,
  TARGETS,
} from "./contests.ts";
import { PLACEMENT } from "./process.ts";
import {
  judge,
  latencyTable,
  type Result,
  type Sample,
  targetTable,
  valueTable,
} from "./report.ts";
import { findEquipment, isOurs } from "./servers.ts";

const list = (text: string) => text.split(",").map((name) => name.trim());

const FLAGS = {
  rounds: {
    value: "N",
    help: "how many times everything is measured",
    default: 5,
    parse: (text: string) => parseWhole(text, 1, 1000),
  },
  time: {
    short: "t",
    value: "TIME",
    help: "how long each load lasts, after a warm-up of half of that",
    default: 1000,
    defaultText: "1s",
    parse: (text: string) => parseTime(text, 10),
  },
  contests: {
    short: "c",
    value: "WORDS",
    help: "only contests that have one of these in their names or tables",
    default: [""],
    defaultText: "all",
    parse: list,
  },
  entrants: {
    short: "e",
    value: "WORDS",
    help: "only entrants that have one of these in their names",
    default: [""],
    defaultText: "all",
    parse: list,
  },
  output: {
    short: "o",
    value: "DIR",
    help: "write results.json and results.svg there",
    default: "",
    defaultText: "nowhere",
    parse: (text: string) => text,
  },
  help: switchFlag("print this help", "h"),
};

const print = (text: string) => printLine(Deno.stdout, text);

/**
 * Measures all contests, one after the other, so many times. Who fails once is
 * out of that contest.
 */
async function measure(
  contests: readonly RunnableContest[],
  rounds: number,
  failed: string[],
): Promise<Result[]> {
  const results = contests.map((contest) => ({
    contest,
    samples: new Map<string, Sample[]>(),
  }));
  for (let round = 1; round <= rounds; round++) {
    for (const { contest, samples } of results) {
      for (const [entrant, run] of contest.entrants) {
        await printLine(
          Deno.stderr,
          `round ${round} of ${rounds}, ${contest.name}: ${entrant}`,
        );
        try {
          const sample = await run();
          samples.set(entrant, [...samples.get(entrant) ?? [], sample]);
        } catch (error) {
          contest.entrants.delete(entrant);
          samples.delete(entrant);
          failed.push(`${entrant} at ${contest.name}`);
          await printLine(Deno.stderr, `${error}`);
        }
      }
    }
  }
  return results;
}

async function bench(args: readonly string[]): Promise<void> {
  const { values } = parseCommandLine(args, FLAGS);
  if (values.help) {
    return await print(`Usage: deno task bench [OPTIONS]

Compares this server and client with others.

Options:
${renderFlags(FLAGS)}`);
  }
  const folder = await Deno.makeTempDir({ prefix: "echo-bench-" });
  try {
    const equipment = await findEquipment(folder);
    const has = (words: string[], ...names: string[]) =>
      words.some((word) => names.some((name) => name.includes(word)));
    const contests = contestsOf(equipment, folder, values.time)
      .filter(({ name, table }) => has(values.contests, name, table))
      .map((contest) => ({
        ...contest,
        entrants: new Map(
          [...contest.entrants].filter(([name]) => has(values.entrants, name)),
        ),
      }));
    const cores = availableParallelism();
    const memoryGiB = Math.round(totalmem() / 1024 ** 3);
    const date = new Date().toISOString().slice(0, 10);
    const caption = [
      `${date}, ${cpus()[0]?.model ?? "unknown processor"}, ${cores} cores, ` +
      `${memoryGiB} GiB, ${Deno.osRelease()}`,
      Object.entries(equipment.versions).map(([name, version]) =>
        `${name} ${version}`
      ).join(", "),
      `Load: ${equipment.loadName}. ${PLACEMENT}. Median of ` +
      `${values.rounds} rounds of ${values.time / 1000} s, least to greatest.`,
      `Missing here: ${equipment.missing.join(", ") || "nothing"}.`,
    ];

    const failed: string[] = [];
    const results = await measure(contests, values.rounds, failed);
    if (failed.length > 0) caption.push(`Failed: ${failed.join(", ")}.`);
    const outcomes = judge(results, TARGETS);
    for (const line of caption) await print(line);
    for (const name of TABLES) {
      if (!contests.some(({ table }) => table === name)) continue;
      const render = name === "latency" ? latencyTable : valueTable;
      await print(`\n${render(results, name)}`);
    }
    if (outcomes.length > 0) await print(`\n${targetTable(outcomes)}`);
    if (!values.output) return;

    await Deno.mkdir(values.output, { recursive: true });
    const shown = results.filter(({ contest }) => contest.table !== "latency");
    await Deno.writeTextFile(
      `${values.output}/results.svg`,
      chart(shown, caption, isOurs),
    );
    const json = {
      caption,
      results: results.map(({ contest: { name, unit, table }, samples }) => ({
        ...{ name, unit, table },
        samples: Object.fromEntries(samples),
      })),
      targets: outcomes,
    };
    await Deno.writeTextFile(
      `${values.output}/results.json`,
      `${JSON.stringify(json, null, 2)}\n`,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

try {
  await bench(Deno.args);
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  await printLine(Deno.stderr, `bench: ${error.message}`);
  Deno.exit(2);
}
