// Compares this server and client with others, all of them in one run:
//
//   deno task bench [OPTIONS]        --help tells which
//
// Each round takes each contest in turn. For it, it starts every server as a
// process of its own, loads them by turns, a fraction of a second at a time, and
// ends them. What is printed are medians.

import { availableParallelism, cpus, totalmem } from "node:os";
import { printLine } from "../cli/command.ts";
import {
  parseCommandLine,
  parseTime,
  parseWhole,
  renderFlags,
  switchFlag,
  UsageError,
  type Values,
} from "../cli/flags.ts";
import { formatCount, formatTime } from "../cli/format.ts";
import { chart } from "./chart.ts";
import {
  contestsOf,
  type Entrant,
  type RunnableContest,
  TABLES,
  TARGETS,
} from "./contests.ts";
import { killAll, PLACEMENT } from "./process.ts";
import {
  judge,
  latencyTable,
  type Outcome,
  type Result,
  type Sample,
  targetTable,
  valueTable,
} from "./report.ts";
import { type Equipment, findEquipment, isOurs, NAMES } from "./servers.ts";

const list = (text: string) =>
  text.split(",").map((name) => name.trim()).filter((name) => name !== "");

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
    help: "how long a round loads each server, after a warm-up of half of that",
    default: 800,
    defaultText: "800ms",
    parse: (text: string) => parseTime(text, 10),
  },
  contests: {
    short: "c",
    value: "WORDS",
    help: "only contests with one of these names, or these in name or table " +
      `(${TABLES.join(", ")})`,
    default: [""],
    defaultText: "all",
    parse: list,
  },
  entrants: {
    short: "e",
    value: "WORDS",
    help: "only entrants with one of these names, or these in it",
    default: [""],
    defaultText: "all",
    parse: list,
  },
  server: {
    short: "s",
    value: "COMMAND",
    help: "add a server: a command line, cut at spaces, with PORT in it",
    default: "",
    defaultText: "none",
    parse: (text: string) => {
      if (!/\bPORT\b/.test(text)) throw new UsageError("expected a PORT in it");
      return text;
    },
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

/** Who could not be measured, and where. */
interface Failure {
  readonly entrant: string;
  readonly contest: string;
}

/**
 * Measures all contests, one after the other, so many times. Who fails once is
 * out of that contest.
 */
async function measure(
  contests: readonly RunnableContest[],
  rounds: number,
  failed: Failure[],
): Promise<Result[]> {
  const results = contests.map((contest) => ({
    contest,
    samples: new Map<string, Sample[]>(
      [...contest.entrants.keys()].map((name) => [name, []]),
    ),
  }));
  for (let round = 1; round <= rounds; round++) {
    for (const result of results) {
      const { name } = result.contest;
      const log = (text: string) =>
        printLine(Deno.stderr, `round ${round} of ${rounds}, ${name}: ${text}`);
      await measureRound(result, log, failed);
    }
  }
  return results;
}

async function measureRound(
  { contest, samples }: {
    contest: RunnableContest;
    samples: Map<string, Sample[]>;
  },
  log: (text: string) => Promise<void>,
  failed: Failure[],
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const ready = new Map<string, Entrant>();
  /** Does something with each of these that are still in it. */
  const each = async (
    names: Iterable<string>,
    act: (entrant: string) => Promise<void>,
  ) => {
    for (const entrant of names) {
      try {
        await act(entrant);
      } catch (error) {
        ready.delete(entrant);
        contest.entrants.delete(entrant);
        samples.delete(entrant);
        failed.push({ entrant, contest: contest.name });
        await printLine(Deno.stderr, `${error}`);
      }
    }
  };
  await each([...contest.entrants.keys()], async (entrant) => {
    await log(`start of ${entrant}`);
    ready.set(entrant, stack.use(await contest.entrants.get(entrant)!()));
  });
  for (let turn = 0; turn < contest.turns; turn++) {
    // Whoever comes next finds what the one before left behind: by chance.
    const order = [...ready.keys()]
      .map((entrant) => ({ entrant, place: Math.random() }))
      .sort((a, b) => a.place - b.place);
    await each(order.map(({ entrant }) => entrant), async (entrant) => {
      await log(entrant);
      samples.get(entrant)!.push(await ready.get(entrant)!.measure());
    });
  }
}

/** Tells where and how this is measured, a line each. */
function captionOf(equipment: Equipment, rounds: number, time: number) {
  const memoryGiB = Math.round(totalmem() / 1024 ** 3);
  const versions = Object.entries(equipment.versions)
    .map(([name, version]) => `${name} ${version}`);
  return [
    [
      new Date().toISOString().slice(0, 10),
      cpus()[0]?.model ?? "unknown processor",
      formatCount(availableParallelism(), "core"),
      `${memoryGiB} GiB`,
      `${Deno.build.os} ${Deno.osRelease()}`,
    ].join(", "),
    versions.join(", "),
    `Load: ${equipment.loadName}. ${PLACEMENT}. ` +
    `Medians of ${formatCount(rounds, "round")} of ${formatTime(time)}.`,
    `Missing here: ${equipment.missing.join(", ") || "nothing"}.`,
  ];
}

async function save(
  folder: string,
  caption: readonly string[],
  results: readonly Result[],
  targets: readonly Outcome[],
): Promise<void> {
  const json = {
    caption,
    results: results.map(({ contest: { name, unit, table }, samples }) => ({
      ...{ name, unit, table },
      samples: Object.fromEntries(samples),
    })),
    targets,
  };
  await Deno.writeTextFile(
    `${folder}/results.json`,
    `${JSON.stringify(json, null, 2)}\n`,
  );
  const drawn = results.filter(({ contest }) => contest.table !== "latency");
  await Deno.writeTextFile(
    `${folder}/results.svg`,
    chart(drawn, caption, isOurs),
  );
}

/**
 * Makes what tells whether something is meant by these words.
 *
 * @param words Words, each of which must mean something.
 * @param things The texts of each thing, its name first.
 * @throws {UsageError} If one means nothing.
 */
function selector(
  words: readonly string[],
  things: readonly (readonly string[])[],
): (...texts: string[]) => boolean {
  const isMeant = (word: string, texts: readonly string[]) =>
    // A word that is somebody's whole name means nobody else.
    things.some(([name]) => name === word)
      ? texts[0] === word
      : texts.some((text) => text.toLowerCase().includes(word.toLowerCase()));
  for (const word of words) {
    if (things.some((texts) => isMeant(word, texts))) continue;
    const names = [...new Set(things.map(([name]) => name))].join(", ");
    throw new UsageError(`"${word}" is in none of what is here: ${names}`);
  }
  return (...texts) => words.some((word) => isMeant(word, texts));
}

/**
 * Returns the exit status: others may fail, but neither ours nor the one that
 * was named.
 */
async function bench(values: Values<typeof FLAGS>): Promise<number> {
  if (values.output) {
    await Deno.mkdir(values.output, { recursive: true }).catch((error) => {
      throw new UsageError(
        `cannot write to ${values.output}: ${error.message}`,
      );
    });
  }
  const folder = await Deno.makeTempDir({ prefix: "echo-bench-" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, () => {
      killAll();
      Deno.removeSync(folder, { recursive: true });
      Deno.exit(130);
    });
  }
  try {
    const equipment = await findEquipment(folder, values.server);
    const all = contestsOf(equipment, folder, values.time);
    const isContest = selector(
      values.contests,
      all.map(({ name, table }) => [name, table]),
    );
    const isEntrant = selector(
      values.entrants,
      all.flatMap(({ entrants }) => [...entrants.keys()].map((name) => [name])),
    );
    const contests = all
      .filter(({ name, table }) => isContest(name, table))
      .map((contest) => ({
        ...contest,
        entrants: new Map(
          [...contest.entrants]
            .filter(([name]) => isEntrant(name) || name === values.server),
        ),
      }))
      .filter(({ entrants }) => entrants.size > 0);
    if (contests.length === 0) {
      throw new UsageError("none of these entrants is in these contests");
    }
    const failed: Failure[] = [];
    const results = await measure(contests, values.rounds, failed);

    const caption = captionOf(equipment, values.rounds, values.time);
    if (failed.length > 0) {
      const names = failed.map((it) => `${it.entrant} at ${it.contest}`);
      caption.push(`Failed: ${names.join(", ")}.`);
    }
    const outcomes = judge(results, [
      ...TARGETS,
      ...contests.map(({ name: contest }) => ({
        ...{ contest, entrant: values.server, beside: NAMES.ours, ratio: 1 },
      })),
    ]);
    if (values.output) await save(values.output, caption, results, outcomes);
    for (const line of caption) await print(line);
    for (const name of TABLES) {
      if (!contests.some(({ table }) => table === name)) continue;
      const render = name === "latency" ? latencyTable : valueTable;
      await print(`\n${render(results, name)}`);
    }
    if (outcomes.length > 0) await print(`\n${targetTable(outcomes)}`);
    const mayFail = (entrant: string) =>
      !isOurs(entrant) && entrant !== values.server;
    return failed.every(({ entrant }) => mayFail(entrant)) ? 0 : 1;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

try {
  const { values, words: [word] } = parseCommandLine(Deno.args, FLAGS);
  if (values.help) {
    await print(`Usage: deno task bench [OPTIONS]

Compares this server and client with others.

Options:
${renderFlags(FLAGS)}

It exits with 1 if one of ours failed, or the one that --server adds.`);
    Deno.exit(0);
  }
  if (word !== undefined) throw new UsageError(`"${word}" is no option`);
  Deno.exit(await bench(values));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  await printLine(Deno.stderr, `bench: ${error.message}`);
  Deno.exit(2);
}
