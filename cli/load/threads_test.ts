import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  type LoadProgress,
  type Summary,
  Tally,
  type TallyRecord,
} from "../../probe/tally.ts";
import { failure } from "../../testing/probe.ts";
import { stopClock } from "../../testing/clock.ts";
import { replace } from "../../testing/replace.ts";
import { Watched } from "../../testing/waiting.ts";
import { UsageError } from "../flags.ts";
import type { LoadHooks } from "./runner.ts";
import { ThreadDiedError } from "./runner.ts";
import { LoadThreads, shareLoad } from "./threads.ts";
import type {
  FromLoadWorker,
  LoadShare,
  ToLoadWorker,
} from "./worker_messages.ts";
import type { ReadRun } from "../metrics/probe.ts";
import type { Target } from "../target.ts";

const TARGET: Target = {
  ...{ transport: "tcp", hostname: "127.0.0.1", port: 7 },
  ...{ timeoutMs: 5000, retryMs: 0 },
};

const TASK = {
  ...{ message: 64, connections: 5, durationMs: 1000 },
  ratePerSecond: undefined,
};

/** Makes what a thread counted that sent so many messages, one of them in vain. */
function counted(sent: number, oldestMs = 0): TallyRecord {
  const none = new Tally().toRecord();
  return {
    ...{ ...none, failures: { timeout: 1 } },
    counts: { ...none.counts, sent, connected: 3, open: 2 },
    longest: { ...none.longest, oldestMs },
  };
}

/** What a thread answers. */
function answer(tally: TallyRecord, withRows = false): FromLoadWorker {
  return { type: "tally", tally, withRows };
}

/** A worker that a test plays. */
class PlayedWorker {
  /** What it was told. */
  readonly told: ToLoadWorker[] = [];
  isTerminated = false;
  onmessage: (event: { data: FromLoadWorker }) => void = () => {};
  onerror: (event: ErrorEvent) => void = () => {};

  postMessage(message: ToLoadWorker): void {
    this.told.push(structuredClone(message));
    watched.changed();
  }

  terminate(): void {
    this.isTerminated = true;
    watched.changed();
  }

  /** Says something to the command. */
  say(message: FromLoadWorker): void {
    this.onmessage({ data: structuredClone(message) });
  }

  /** The types of what it was told, without the first. */
  get types(): string[] {
    return this.told.slice(1).map(({ type }) => type);
  }

  /** Waits until it was told something. */
  until(type: ToLoadWorker["type"]): Promise<ToLoadWorker> {
    return watched.until(
      () => this.told.find((message) => message.type === type),
      () => `"${type}" among ${this.types}`,
    );
  }
}

const watched = new Watched();

/** Makes what a thread found of which so many messages came back. */
function found(share: LoadShare, messages: number): TallyRecord {
  const { connections, ratePerSecond } = share;
  const tally = new Tally({ connections, ratePerSecond });
  tally.start(1000);
  for (let at = 0; at < messages; at++) {
    tally.addSent();
    tally.addVerified(undefined, 1 + at);
  }
  tally.end(0);
  return tally.toRecord();
}

/** What a thread says in the end. */
function finished(share: LoadShare, messages: number): FromLoadWorker {
  const tally = found(share, messages);
  return { type: "finished", tally, error: undefined };
}

/** Starts threads that a test plays, which do not get ready. */
function startOnly(threads: number, signal?: AbortSignal) {
  const workers: PlayedWorker[] = [];
  using _ = replace(
    globalThis,
    "Worker",
    class {
      constructor() {
        const worker = new PlayedWorker();
        workers.push(worker);
        return worker;
      }
    } as unknown as typeof Worker,
  );
  const script = new URL("data:text/javascript,");
  const options = { threads, target: TARGET, task: TASK, script, signal };
  return { workers, starting: LoadThreads.start(options) };
}

/** Starts threads that a test plays. */
function start(threads: number, areWarm: (boolean | Error)[] = []) {
  const { workers, starting } = startOnly(threads);
  workers.forEach((worker, at) => {
    const isWarm = areWarm[at] ?? true;
    if (typeof isWarm === "boolean") worker.say({ type: "prepared", isWarm });
    else worker.say({ type: "failed", error: isWarm });
  });
  const shareOf = (at: number) => {
    const [prepare] = workers[at]!.told;
    return (prepare as Extract<ToLoadWorker, { type: "prepare" }>).share;
  };
  const running = starting.then((loading) => {
    const stop = new AbortController();
    const told: string[] = [];
    const begin = Promise.withResolvers<void>();
    let progress: LoadProgress | undefined;
    let read: ReadRun | undefined;
    const hooks: LoadHooks = {
      signal: stop.signal,
      onCounting: (given) => void (read = given),
      onOpening: (opened) => told.push(`opening ${opened}`),
      untilStart() {
        told.push("ready");
        watched.changed();
        return begin.promise;
      },
      onStart(given) {
        progress = given;
        told.push("start");
      },
    };
    return {
      ...{ loading, told, stop: () => stop.abort(), begin: begin.resolve },
      counts: async () => (await read!()).counts,
      get progress() {
        return progress!;
      },
      untilTold: (what: string) =>
        watched.until(
          () => told.includes(what) || undefined,
          () => `"${what}" among ${told}`,
        ),
      run: () => loading.run(hooks),
    };
  });
  return { workers, shareOf, running };
}

/** Starts threads, and lets them open all their connections. */
async function open(threads: number) {
  const { workers, shareOf, running } = start(threads);
  const it = await running;
  const summary = it.run();
  summary.catch(() => {});
  for (const [at, worker] of workers.entries()) {
    await worker.until("open");
    worker.say({ type: "opening", opened: shareOf(at).connections });
    worker.say({ type: "opened" });
  }
  await it.untilTold("ready");
  return Object.assign(it, { workers, shareOf, summary });
}

/** Starts threads, and lets them begin. */
async function begin(threads: number) {
  const it = await open(threads);
  it.begin();
  for (const worker of it.workers) await worker.until("start");
  return it;
}

describe("shareLoad()", () => {
  it("shares connections, the first threads have what is left over", () => {
    const shares = shareLoad({ ...TASK, connections: 11 }, 4);
    assertEquals(shares.map((it) => it.connections), [3, 3, 3, 2]);
    assertEquals(
      shares.map((it) => it.ratePerSecond),
      Array(4).fill(undefined),
    );
    const { run } = shares[0]!.part;
    assertEquals(
      shares.map(({ part }) => part),
      [0, 1, 2, 3].map((index) => ({ run, index, count: 4 })),
    );
  });

  it("shares a rate", () => {
    const shares = shareLoad({ ...TASK, ratePerSecond: 10 }, 4);
    assertEquals(shares.map((it) => it.ratePerSecond), Array(4).fill(2.5));
  });
});

describe("LoadThreads", () => {
  it("opens the very first connection, then the others, then begins", async () => {
    const { workers, running, shareOf } = start(2);
    const { loading, told, run, untilTold, begin } = await running;
    assertEquals(loading.isWarm, true);
    const summary = run();
    const [first, second] = workers as [PlayedWorker, PlayedWorker];
    assertEquals([first.types, second.types], [["open"], []]);
    first.say({ type: "opening", opened: 1 });
    await second.until("open");
    second.say({ type: "opening", opened: 2 });
    first.say({ type: "opening", opened: 3 });
    first.say({ type: "opened" });
    second.say({ type: "opened" });
    await untilTold("ready");
    assertEquals(told, ["opening 1", "opening 3", "opening 5", "ready"]);
    assertEquals([first.types, second.types], [["open"], ["open"]]);
    begin();
    await second.until("start");
    assertEquals(told.at(-1), "start");
    first.say(finished(shareOf(0), 10));
    second.say(finished(shareOf(1), 20));
    const { messages, runs, latencyMs, error } = await summary;
    assertEquals([messages, error], [30, undefined]);
    assertEquals([latencyMs!.min, latencyMs!.max], [1, 20]);
    assertEquals(runs.map((it) => [it.connections, it.durationMs]), [[
      5,
      1000,
    ]]);
    // They tell what they counted until the command has printed it.
    assertEquals([first.isTerminated, second.isTerminated], [false, false]);
    loading[Symbol.dispose]();
    assertEquals([first.isTerminated, second.isTerminated], [true, true]);
  });

  it("is warm when all threads are", async () => {
    const { running } = start(3, [true, false, true]);
    assertEquals((await running).loading.isWarm, false);
  });

  it("tells only of the first connection when that is impossible", async () => {
    const { workers, running, shareOf } = start(2);
    const { told, run } = await running;
    const summary = run();
    const [first, second] = workers as [PlayedWorker, PlayedWorker];
    const error = { name: "Error", message: "Cannot connect" };
    const tally = found(shareOf(0), 0);
    first.say({ type: "finished", tally, error: toFailure(error) });
    const result = await summary;
    assertEquals(`${result.error}`, "Error: Cannot connect");
    assertEquals(result.messages, 0);
    assertEquals([told, second.types], [[], []]);
  });

  it("stops all threads, also before they begin", async () => {
    for (const enter of [open, begin]) {
      const { workers, shareOf, stop, begin, summary } = await enter(2);
      stop();
      begin();
      for (const worker of workers) await worker.until("stop");
      workers.forEach((worker, at) => worker.say(finished(shareOf(at), 1)));
      assertEquals((await summary).messages, 2);
    }
  });

  it("opens no more after a stop", async () => {
    const { workers, running, shareOf } = start(2);
    const { run, stop } = await running;
    const summary = run();
    const [first, second] = workers as [PlayedWorker, PlayedWorker];
    stop();
    assertEquals(first.types, ["open", "stop"]);
    first.say({ type: "opening", opened: 1 });
    first.say({ type: "opened" });
    first.say(finished(shareOf(0), 0));
    assertEquals((await summary).messages, 0);
    assertEquals(second.types, []);
  });

  it("ends the others when a thread dies, and tells what they found", async () => {
    const deaths: ((worker: PlayedWorker) => void)[] = [
      (it) => it.say({ type: "failed", error: new Error("boom") }),
      (it) => it.onerror(new ErrorEvent("error", { message: "boom" })),
    ];
    for (const die of deaths) {
      const { workers, shareOf, summary } = await begin(2);
      die(workers[1]!);
      await workers[0]!.until("stop");
      workers[0]!.say(finished(shareOf(0), 7));
      const { messages, error } = await summary;
      assert(error instanceof ThreadDiedError);
      const text = "ThreadDiedError: Thread 2 of the load died: boom";
      assertEquals(`${error}`, text);
      assertEquals(messages, 7);
    }
  });

  it("does not wait for the start when a thread died", async () => {
    const { workers, shareOf, summary } = await open(2);
    workers[0]!.say({ type: "failed", error: new Error("boom") });
    await workers[1]!.until("stop");
    workers[1]!.say(finished(shareOf(1), 0));
    assert((await summary).error instanceof ThreadDiedError);
  });

  it("fails when nothing is left", async () => {
    const { workers, summary } = await begin(2);
    for (const worker of workers) {
      worker.say({ type: "failed", error: new Error("boom") });
    }
    await assertRejects(() => summary, ThreadDiedError, "Thread 1 of the load");
    const { workers: others, running } = start(2, [
      true,
      new Error("boom"),
    ]);
    await assertRejects(() => running, ThreadDiedError, "Thread 2 of the load");
    assertEquals(others.map((it) => it.isTerminated), [true, true]);
  });

  it("adds what its threads do at the moment", async () => {
    const { loading, workers, shareOf, progress, stop } = await begin(2);
    assertEquals(progress.underWayNow(), { messages: 0, sinceAt: undefined });
    assertEquals(progress.lastSecond().messages, 0);
    workers.forEach((worker, at) => {
      assertEquals(worker.types.at(-1), "ask");
      const { rows, ...record } = found(shareOf(at), 10);
      const counts = { ...record.counts, sent: 12 + 2 * at };
      const longest = { ...record.longest, oldestMs: at * 500 };
      const failures = { timeout: 2 + at };
      const lastSecond = { ...rows[0]!, startMs: 3000, durationMs: 1000 };
      worker.say(
        answer({ ...record, counts, longest, failures, rows, lastSecond }),
      );
    });
    const { messages, p50Ms, durationMs } = progress.lastSecond();
    assertEquals([messages, p50Ms, durationMs], [20, 5, 1000]);
    assertEquals(progress.failed, 5);
    const underWay = progress.underWayNow();
    assertEquals(underWay.messages, 1);
    assert(underWay.sinceAt! <= performance.now() - 500);
    const { endsAt } = progress;
    assertEquals(endsAt, progress.startedAt + 1000);
    stop();
    assert(progress.endsAt <= performance.now());
    loading[Symbol.dispose]();
  });

  it("tells the age of what is under way as its threads told it", async () => {
    using clock = stopClock();
    const { workers, progress } = await begin(2);
    const tell = (worker: PlayedWorker, underWay: number, oldestMs: number) =>
      worker.say(answer(counted(1 + underWay, oldestMs)));
    const oldestMs = () => performance.now() - progress.underWayNow().sinceAt!;
    tell(workers[0]!, 2, 1);
    tell(workers[1]!, 2, 5);
    clock.passAtOnce(250);
    assertEquals([progress.underWayNow().messages, oldestMs()], [4, 5]);
    // One that does not answer is taken at its word.
    clock.passAtOnce(750);
    tell(workers[0]!, 2, 1);
    assertEquals([progress.underWayNow().messages, oldestMs()], [4, 1005]);
  });

  it("adds what its threads found so far", async () => {
    const { workers, shareOf, progress } = await begin(3);
    const asking = Promise.resolve(progress.summary());
    // One is over, one dies, and one goes on.
    workers[0]!.say(finished(shareOf(0), 1));
    workers[1]!.say({ type: "failed", error: new Error("boom") });
    const record = found(shareOf(2), 20);
    const counts = { ...record.counts, sent: 24 };
    const longest = { ...record.longest, oldestMs: 9 };
    workers[2]!.say(answer({ ...record, counts, longest }, true));
    const { messages, underWay, oldestMs }: Summary = await asking;
    assertEquals([messages, underWay, oldestMs], [21, 4, 9]);
  });

  it("adds what its threads counted, before they begin and after the end", async () => {
    const { workers, running, shareOf } = start(2);
    const { loading, run, counts, begin } = await running;
    const summary = run();
    const [first, second] = workers as [PlayedWorker, PlayedWorker];
    const ask = async (...sent: number[]) => {
      const before = workers.map(({ told }) => told.length);
      const asking = counts();
      for (const [at, worker] of workers.entries()) {
        // One that was not told to open has counted nothing.
        const isAsked = at < sent.length;
        const question = { type: "ask", withRows: false } as const;
        const told = worker.told.slice(before[at]);
        assertEquals(told, isAsked ? [question] : []);
        if (!isAsked) continue;
        worker.say(answer(counted(sent[at]!)));
      }
      return await asking;
    };
    assertEquals(await ask(10), counted(10).counts);
    first.say({ type: "opening", opened: 1 });
    await second.until("open");
    const expected = { ...counted(31).counts, connected: 6, open: 4 };
    assertEquals(await ask(11, 20), expected);
    begin();
    for (const [at, worker] of workers.entries()) {
      worker.say({ type: "opened" });
      worker.say(finished(shareOf(at), 1));
    }
    await summary;
    assertEquals((await ask(12, 22)).sent, 34);
    // Later nobody answers, and nothing is open.
    loading[Symbol.dispose]();
    const { sent, open } = await counts();
    assertEquals([sent, open], [34, 0]);
  });

  it("keeps what a thread counted that died or does not answer", async () => {
    using clock = stopClock();
    const { workers, counts, summary } = await begin(3);
    const [first, second, third] = workers as PlayedWorker[];
    const early = counts();
    for (const worker of workers) {
      worker.say(answer(counted(10)));
    }
    const { sent, open } = await early;
    assertEquals([sent, open], [30, 6]);
    const late = counts();
    first!.say(answer(counted(15)));
    second!.say({ type: "failed", error: new Error("boom") });
    await clock.pass(1000);
    const { sent: sentLate, open: openLate } = await late;
    assertEquals([sentLate, openLate, clock.timers], [35, 4, 0]);
    // What comes too late counts the next time.
    third!.say(answer(counted(17)));
    const next = counts();
    first!.say(answer(counted(15)));
    third!.say({ type: "failed", error: new Error("boom") });
    assertEquals((await next).sent, 42);
    first!.say({ type: "failed", error: new Error("boom") });
    await assertRejects(() => summary, ThreadDiedError);
    const { sent: sentInTheEnd, open: openInTheEnd } = await counts();
    assertEquals([sentInTheEnd, openInTheEnd], [42, 0]);
  });

  it("gives up starting at an abort", async () => {
    const stop = new AbortController();
    const { workers, starting } = startOnly(2, stop.signal);
    assertEquals(workers.length, 2);
    stop.abort(new Error("stopped"));
    await assertRejects(() => starting, Error, "stopped");
    assertEquals(workers.map((it) => it.isTerminated), [true, true]);
  });

  it("needs to read its code", async () => {
    await assertRejects(
      () => LoadThreads.start({ threads: 2, target: TARGET, task: TASK }),
      UsageError,
      "--workers needs to read its own code: " +
        "run it with deno run --allow-net --allow-read, or compiled",
    );
  });
});

/** Makes what crosses of an error. */
function toFailure(error: { name: string; message: string }) {
  return { ...error, failure: { ...failure("refused") } };
}
