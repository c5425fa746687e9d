// Compares this server and client with others, all of them in one run:
//
//   deno task bench [OPTIONS]        --help lists the options
//
// Each round takes one contest after the other. For a contest it starts every
// server as a process of its own, loads them by turns, a fraction of a second at a
// time, and ends them. The result is medians.

import { printLine } from "../cli/command.ts";
import { parseCommandLine, renderFlags, UsageError } from "../cli/flags.ts";
import { chart } from "./chart.ts";
import { comparisonsWithOurs, contestsOf, TARGETS } from "./contests.ts";
import { captionOf, type Equipment, findEquipment } from "./equipment.ts";
import { type Failure, measure, type Plan } from "./measure.ts";
import { FLAGS, type Options, planOf } from "./options.ts";
import { Processes } from "./process.ts";
import { judge } from "./report.ts";
import { type Comparison, renderResults, renderTables } from "./results.ts";
import { quickly, select } from "./selection.ts";
import { isFloor, isOurs } from "./servers.ts";
import { worstFirst } from "./standings.ts";

const CHART = "results.svg";

/** The exit status after a signal. */
const STOPPED = 130;

/** Makes the folder of the results before anything is measured. */
async function makeOutputFolder(path: string): Promise<void> {
  await Deno.mkdir(path, { recursive: true }).catch((error) => {
    throw new UsageError(`cannot write to ${path}: ${error.message}`);
  });
}

/** Makes a folder and processes, both of which end with `work` or a signal. */
async function withProcesses<T>(
  work: (processes: Processes, folder: string) => Promise<T>,
): Promise<T> {
  const processes = new Processes();
  const folder = await Deno.makeTempDir({ prefix: "echo-bench-" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, () => {
      processes.killAll();
      Deno.removeSync(folder, { recursive: true });
      Deno.exit(STOPPED);
    });
  }
  try {
    return await work(processes, folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Holds the contests that the options select. */
async function compare(
  equipment: Equipment,
  options: Options,
  plan: Plan,
): Promise<{ comparison: Comparison; failures: readonly Failure[] }> {
  const { quick, server: added } = options;
  const all = contestsOf(equipment, plan);
  const contests = select(
    quick ? quickly(all, TARGETS, added?.name) : all,
    options,
    added?.name,
  );
  const log = (line: string) => printLine(Deno.stderr, line);
  const { results, failures } = await measure(contests, plan.rounds, log);

  const caption = captionOf(equipment, plan);
  if (failures.length > 0) {
    const names = failures.map((it) => `${it.entrant} at ${it.contest}`);
    caption.push(`Failed: ${names.join(", ")}.`);
  }
  const outcomes = judge(results, [
    ...TARGETS,
    ...(added ? comparisonsWithOurs(contests, added) : []),
  ]);
  const standings = worstFirst(results, { isOurs, isFloor });
  return { comparison: { caption, results, standings, outcomes }, failures };
}

async function save(folder: string, comparison: Comparison): Promise<void> {
  const { results, caption } = comparison;
  const drawn = results.filter(({ contest }) => contest.table !== "latency");
  await Deno.writeTextFile(
    `${folder}/${CHART}`,
    chart(drawn, caption, isOurs),
  );
  await Deno.writeTextFile(
    `${folder}/RESULTS.md`,
    renderResults(comparison, CHART),
  );
}

/** Runs the benchmark, and returns the exit status. */
async function bench(options: Options, plan: Plan): Promise<number> {
  const { output, server: added } = options;
  if (output) await makeOutputFolder(output);
  return await withProcesses(async (processes, folder) => {
    const equipment = await findEquipment(processes, folder, added);
    const { comparison, failures } = await compare(
      equipment,
      options,
      plan,
    );
    if (output) await save(output, comparison);
    await printLine(Deno.stdout, renderTables(comparison));
    const isBad = failures.some(({ entrant }) =>
      isOurs(entrant) || entrant === added?.name
    );
    return isBad ? 1 : 0;
  });
}

function usage(): string {
  return `Usage: deno task bench [OPTIONS]

Compares this server and client with others.

Options:
${renderFlags(FLAGS)}

The exit status is 1 if an entrant of ours failed, or the server of --server.`;
}

async function main(args: readonly string[]): Promise<number> {
  try {
    const commandLine = parseCommandLine(args, FLAGS);
    const { values, given, operands: [operand] } = commandLine;
    if (values.help) {
      await printLine(Deno.stdout, usage());
      return 0;
    }
    if (operand !== undefined) {
      throw new UsageError(`"${operand}" is no option`);
    }
    return await bench(values, planOf(values, given));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    await printLine(Deno.stderr, `bench: ${error.message}`);
    return 2;
  }
}

Deno.exit(await main(Deno.args));
