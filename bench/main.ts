// Measures echo beside other servers and clients, under the same load, in one run:
//
//   deno task bench [OPTIONS]        --help lists the options
//
// A contest starts all its entrants at once, loads them by turns in random order, and
// ends them. A round takes all contests, one after the other.

// deno-lint-ignore-file no-console

import { cpus } from "node:os";
import { chart } from "./chart.ts";
import {
  build,
  type Contest,
  CONTESTS,
  DRAWN,
  type Entrant,
  ENTRANTS,
  fill,
  findPrograms,
  ROOT,
  STREAM_MIB,
} from "./entrants.ts";
import {
  type Options,
  parseOptions,
  TURNS,
  USAGE,
  UsageError,
} from "./options.ts";
import { freePort, PLACEMENT, Processes } from "./process.ts";
import { renderResults, type Result, type Sample } from "./report.ts";

/** Everything that a turn needs. */
interface Bench {
  readonly processes: Processes;
  /** What was built, the certificate, and the input of clients. */
  readonly folder: string;
  readonly timeMs: number;
}

/** An entrant whose server runs. */
interface Runner extends AsyncDisposable {
  /** Loads the server, or runs the client, and returns what came of it. */
  measure(lastsMs: number): Promise<Sample>;
}

async function start(
  { processes, folder }: Bench,
  { role = "tcp", load, script }: Contest,
  { commands }: Entrant,
): Promise<Runner> {
  const port = freePort();
  const values = {
    PORT: `${port}`,
    CERT: `${folder}/cert.pem`,
    KEY: `${folder}/key.pem`,
    DENO: Deno.execPath(),
    FOLDER: folder,
    ROOT,
  };
  const line = fill(commands[role]!, values);
  const server = await processes.startServer(
    script ? fill(ENTRANTS[0]!.commands.tcp!, values) : line,
    port,
    role === "udp" ? "udp" : "tcp",
  );

  async function runClient(): Promise<Sample> {
    const startedAt = performance.now();
    await processes.run(["sh", "-c", script!, `${folder}/input`, ...line], 0);
    return { value: STREAM_MIB / (performance.now() - startedAt) * 1000 };
  }

  async function runLoad(lastsMs: number): Promise<Sample> {
    const [kind, connections, bytes] = load!;
    let residentMiB = 0;
    const text = await processes.run(
      [
        `${folder}/${LOADS[role]}`,
        kind,
        `${port}`,
        `${connections}`,
        `${bytes}`,
        `${lastsMs / 4 / 1000}`,
        `${lastsMs / 1000}`,
      ],
      lastsMs,
      () => residentMiB = server.residentMiB(),
    );
    const { rate, wrong = 0, ...rest } = JSON.parse(text);
    if (wrong > 0) throw new Error(`${wrong} wrong replies`);
    return { value: kind === "idle" ? residentMiB : rate, ...rest };
  }

  return {
    measure: script ? runClient : runLoad,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

const LOADS = { tcp: "load", tls: "load_tls", udp: "load_udp", client: "" };

/** Holds a contest in one round. An entrant that fails is out of the contest. */
async function hold(
  bench: Bench,
  { contest, samples }: Result,
  entrants: readonly Entrant[],
  fail: (entrant: Entrant, error: unknown) => void,
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const runners = new Map<Entrant, Runner>();
  const each = async (act: (entrant: Entrant) => Promise<void>) => {
    for (const entrant of shuffled(entrants)) {
      if (!samples.has(entrant.name)) continue;
      try {
        await act(entrant);
      } catch (error) {
        samples.delete(entrant.name);
        fail(entrant, error);
      }
    }
  };
  const { timeMs } = bench;
  await each(async (entrant) => {
    const runner = stack.use(await start(bench, contest, entrant));
    runners.set(entrant, runner);
    // A runtime compiles the code that is much used.
    if (!contest.isLong) await runner.measure(2 * timeMs);
  });
  // A turn slows the next one by what it leaves behind. A random order spreads that
  // over all entrants.
  for (let turn = 0; turn < (contest.isLong ? 1 : TURNS); turn++) {
    await each(async (entrant) => {
      const lastsMs = contest.isLong ? TURNS * timeMs : timeMs;
      const sample = await runners.get(entrant)!.measure(lastsMs);
      samples.get(entrant.name)!.push(sample);
    });
  }
}

function shuffled<T>(values: readonly T[]): T[] {
  return values
    .map((value) => ({ value, place: Math.random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ value }) => value);
}

/** Holds all contests, and returns the exit status. */
async function run(
  options: Options,
  programs: Readonly<Record<string, string>>,
  bench: Bench,
): Promise<number> {
  const { folder } = bench;
  const { rounds, contests, entrants, added, output } = options;
  if (output) await Deno.mkdir(output, { recursive: true });
  await build(folder, programs);
  // A file with nothing but a hole takes no room on the disk.
  await Deno.writeFile(`${folder}/input`, new Uint8Array());
  await Deno.truncate(`${folder}/input`, STREAM_MIB * 1024 ** 2);

  const failures: string[] = [];
  let isBad = false;
  const results = contests.map((contest): Result => ({
    contest,
    samples: new Map(
      entrants
        .filter(({ commands }) => commands[contest.role ?? "tcp"])
        .map(({ name }) => [name, []]),
    ),
  }));
  for (let round = 1; round <= rounds; round++) {
    for (const result of results) {
      const { name } = result.contest;
      console.error(`round ${round} of ${rounds}: ${name}`);
      await hold(bench, result, entrants, (it, error) => {
        failures.push(`${it.name} at ${name}`);
        isBad ||= isOurs(it.name) || added.includes(it);
        console.error(`${it.name} failed: ${error}`);
      });
    }
  }

  const caption = captionOf(options, programs);
  if (failures.length > 0) caption.push(`Failed: ${failures.join(", ")}.`);
  const text = renderResults(results, caption, entrants[0]!.name);
  console.log(text);
  if (output) {
    const head = "# Results\n\n`deno task bench --output bench` writes this " +
      "file and its chart.\n\n![Bars, the best first](results.svg)\n\n";
    const drawn = results.filter(({ contest }) =>
      CONTESTS.indexOf(contest) < DRAWN
    );
    await Deno.writeTextFile(`${output}/RESULTS.md`, `${head}${text}\n`);
    await Deno.writeTextFile(
      `${output}/results.svg`,
      chart(drawn, caption, isOurs),
    );
  }
  return isBad || results.some(({ samples }) => samples.size === 0) ? 1 : 0;
}

function isOurs(entrant: string): boolean {
  return /^(\.\/)?echo$/.test(entrant);
}

/** Says where and how all was measured, and what could not be. */
function captionOf(
  { rounds, timeMs, added }: Options,
  programs: Readonly<Record<string, string>>,
): string[] {
  const missing = [
    ...ENTRANTS.filter(({ needs }) => needs && !(needs in programs))
      .map(({ name, needs }) => `${name} (no ${needs})`),
    ...("libssl" in programs ? [] : ["TLS (no headers of OpenSSL)"]),
  ];
  return [
    `${new Date().toISOString().slice(0, 10)}, ${cpus()[0]?.model}, ` +
    `${cpus().length} cores, ${Deno.build.os} ${Deno.osRelease()}`,
    Object.entries(programs).map((it) => it.join(" ")).join(", "),
    `${PLACEMENT} ${rounds} × ${TURNS} turns of ${timeMs} ms.`,
    `Missing here: ${missing.join(", ") || "nothing"}.`,
    ...added.map(({ name, commands }) =>
      `${name}: \`${Object.values(commands).join("`, `")}\``
    ),
  ];
}

/** Gives `work` a folder and processes. Both end with it, or with a signal. */
async function withBench<T>(
  timeMs: number,
  work: (bench: Bench) => Promise<T>,
): Promise<T> {
  const processes = new Processes();
  const folder = await Deno.makeTempDir({ prefix: "echo-bench-" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, () => {
      processes.killAll();
      Deno.removeSync(folder, { recursive: true });
      Deno.exit(130);
    });
  }
  try {
    return await work({ processes, folder, timeMs });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function main(args: string[]): Promise<number> {
  try {
    const programs = await findPrograms();
    const options = parseOptions(args, programs);
    if (!options) {
      console.log(USAGE);
      return 0;
    }
    if (Deno.build.os !== "linux" || !programs.cc) {
      throw new UsageError("the benchmark needs Linux and a C compiler, cc");
    }
    return await withBench(
      options.timeMs,
      (bench) => run(options, programs, bench),
    );
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`bench: ${error.message}`);
    return 2;
  }
}

Deno.exit(await main(Deno.args));
