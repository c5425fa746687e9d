import process from "node:process";
import { describeError } from "../../net/errors.ts";
import { sleep } from "../../net/time.ts";
import { drawRun } from "../../probe/messages.ts";
import { type LoadProgress, type Summary, Tally } from "../../probe/tally.ts";
import { checkWorkerCode, threadCode } from "../thread_code.ts";
import {
  type LoadHooks,
  type LoadRunner,
  type LoadTask,
  ThreadDiedError,
} from "./runner.ts";
import { LoadThread } from "./thread.ts";
import type { LoadShare } from "./worker_messages.ts";
import type { Target } from "../target.ts";

const WORKER = threadCode("load/worker");

/** For how long threads are made in one turn of the event loop, in milliseconds. */
const MOST_BLOCKED_MS = 50;

/** A thread is asked four times a second: one that answers so late is stuck. */
const SILENT_MS = 1000;

/** What threads are to load. */
export interface LoadThreadsOptions {
  /** How many threads there are, at most as many as connections. */
  readonly threads: number;
  /** Where they connect, and how long they wait. */
  readonly target: Target;
  /** What they send all together. */
  readonly task: LoadTask;
  /**
   * The code of a thread.
   *
   * @default {load_worker.ts}
   */
  readonly script?: URL;
  /** Gives up starting them when it is aborted. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Shares a load among threads: the connections that are left over go to the first
 * ones, and of the messages that are due at times each thread has the next one in turn.
 */
export function shareLoad(
  { message, connections, durationMs, ratePerSecond }:
    LoadThreadsOptions["task"],
  threads: number,
): LoadShare[] {
  const run = drawRun();
  return Array.from({ length: threads }, (_, index) => ({
    ...{ message, durationMs },
    connections: Math.floor(connections / threads) +
      (index < connections % threads ? 1 : 0),
    ratePerSecond: ratePerSecond && ratePerSecond / threads,
    part: { run, index, count: threads },
  }));
}

/** Threads that load together. */
export class LoadThreads implements LoadRunner {
  readonly #threads: LoadThread[];
  readonly #durationMs: number;
  /** Those that opened connections. */
  #going: LoadThread[] = [];
  #error: ThreadDiedError | undefined;
  readonly #over = Promise.withResolvers<void>();
  #processorShare = 0;

  /** Whether the first calls of all threads are not in the numbers. */
  readonly isWarm: boolean;

  private constructor(
    threads: LoadThread[],
    durationMs: number,
    isWarm: boolean,
  ) {
    this.#threads = threads;
    this.#durationMs = durationMs;
    this.isWarm = isWarm;
  }

  /**
   * Starts threads, and lets them get ready.
   *
   * @throws {UsageError} If their code cannot be read.
   * @throws {ThreadDiedError} If one of them dies.
   * @throws The reason of an abort.
   */
  static async start(options: LoadThreadsOptions): Promise<LoadThreads> {
    const { target, task, threads: count, script = WORKER, signal } = options;
    checkWorkerCode(script);
    const threads: LoadThread[] = [];
    const aborted = Promise.withResolvers<never>();
    aborted.promise.catch(() => {});
    const onAbort = () => aborted.reject(signal?.reason);
    signal?.addEventListener("abort", onAbort);
    try {
      const preparing: Promise<boolean>[] = [];
      let turnedAt = performance.now();
      for (const [at, share] of shareLoad(task, count).entries()) {
        // Making a thread blocks this one, which signals and the terminal need, too.
        if (performance.now() - turnedAt >= MOST_BLOCKED_MS) {
          await sleep(0);
          turnedAt = performance.now();
        }
        signal?.throwIfAborted();
        const thread = new LoadThread(script);
        threads.push(thread);
        const prepared = thread.prepare({ type: "prepare", target, share })
          .catch((error) => {
            throw deathOf(at, error);
          });
        prepared.catch(() => {});
        preparing.push(prepared);
      }
      const areWarm = await Promise.race([
        Promise.all(preparing),
        aborted.promise,
      ]);
      const durationMs = task.durationMs ?? Infinity;
      return new LoadThreads(threads, durationMs, areWarm.every(Boolean));
    } catch (error) {
      for (const thread of threads) thread.terminate();
      throw error;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /**
   * Loads. If the very first connection cannot be made, only the first thread tries.
   * If a thread dies the others end as at Ctrl-C.
   *
   * @throws {ThreadDiedError} If nothing is left of the load.
   */
  async run(hooks: LoadHooks): Promise<Summary> {
    const { signal, onCounting, onOpening, untilStart, onStart } = hooks;
    onCounting?.(() => this.#counts());
    const stop = () => this.#stop();
    signal.addEventListener("abort", stop);
    const counted = () =>
      onOpening(this.#going.reduce((sum, thread) => sum + thread.opened, 0));
    const [first, ...others] = this.#threads;

    const finishing = [this.#open(first!, counted)];
    await finishing[0]!.begun;
    if (first!.opened > 0 && !this.#isOver(signal)) {
      finishing.push(...others.map((thread) => this.#open(thread, counted)));
    }
    await Promise.all(finishing.map(({ opened }) => opened));
    const isStarting = first!.opened > 0 && !this.#isOver(signal);
    if (isStarting) {
      await Promise.race([untilStart(), this.#over.promise]);
    }
    const hasBegun = isStarting && !this.#isOver(signal);
    const cpu = process.cpuUsage();
    const startedAt = performance.now();
    if (hasBegun) {
      for (const thread of this.#going) thread.tell({ type: "start" });
      onStart(this.#progress(startedAt, signal));
    }
    const found = await Promise.all(finishing.map(({ finished }) => finished));
    const { user, system } = process.cpuUsage(cpu);
    const elapsedMs = performance.now() - startedAt;
    this.#processorShare = (user + system) / 1000 / elapsedMs;
    signal.removeEventListener("abort", stop);
    const summary = this.#sum(found);
    if (summary) return summary;
    throw this.#error!;
  }

  /** Ends the threads at once. */
  [Symbol.dispose](): void {
    for (const thread of this.#threads) thread.terminate();
  }

  #isOver(signal: AbortSignal): boolean {
    return signal.aborted || this.#error !== undefined;
  }

  #stop(): void {
    for (const thread of this.#going) thread.tell({ type: "stop" });
  }

  /** Lets a thread open its connections, and load to its end. */
  #open(thread: LoadThread, onOpening: () => void): {
    begun: Promise<void>;
    opened: Promise<void>;
    finished: Promise<Tally | undefined>;
  } {
    this.#going.push(thread);
    const finished = thread.finished.catch((error) => {
      this.#error ??= deathOf(this.#threads.indexOf(thread), error);
      this.#going = this.#going.filter((it) => it !== thread);
      this.#stop();
      this.#over.resolve();
      return undefined;
    });
    return { ...thread.open(onOpening), finished };
  }

  /** Of a thread that is dead, or does not answer, what it told last counts. */
  async #counts(): Promise<Tally> {
    await Promise.all(this.#threads.map((it) => it.updateCounts()));
    // All are read at once: no later answer has less of any of them.
    return sumOf(this.#threads.map(({ counts }) => counts));
  }

  #progress(startedAt: number, signal: AbortSignal): LoadProgress {
    const told = () => sumOf(this.#going.map(({ counts }) => counts));
    const progress = {
      startedAt,
      endsAt: startedAt + this.#durationMs,
      get failed() {
        return told().failed;
      },
      lastSecond: () => {
        // What they answer is shown the next time.
        for (const it of this.#going) void it.updateCounts();
        const row = told().lastSecond();
        const durationMs = row.durationMs || performance.now() - startedAt;
        return { ...row, durationMs };
      },
      underWayNow: () => this.#underWayNow(),
      summary: async () => {
        const asked = this.#going.map((thread) => thread.found());
        const summary = this.#sum(await Promise.all(asked));
        if (summary) return summary;
        throw this.#error!;
      },
    };
    signal.addEventListener("abort", () => {
      progress.endsAt = Math.min(progress.endsAt, performance.now());
    });
    return progress;
  }

  #underWayNow(): { messages: number; sinceAt: number | undefined } {
    const now = performance.now();
    let messages = 0;
    let sinceAt: number | undefined;
    for (const { counts, toldAt } of this.#going) {
      const told = counts?.underWayNow();
      if (told?.sinceAt === undefined) continue;
      messages += told.messages;
      // What it told is a while ago. Only where it is silent for long may the same
      // message still be under way.
      const silentMs = now - toldAt;
      const at = told.sinceAt - (silentMs >= SILENT_MS ? silentMs : 0);
      sinceAt = Math.min(sinceAt ?? at, at);
    }
    return { messages, sinceAt };
  }

  /** Adds what threads found; one that died found nothing. */
  #sum(found: readonly (Tally | undefined)[]): Summary | undefined {
    if (found.every((it) => it === undefined)) return undefined;
    const sum = sumOf(found);
    sum.asOneRun(this.#processorShare);
    sum.error = this.#error ?? sum.error;
    return sum.summary();
  }
}

/** Adds what threads counted, which began together. */
function sumOf(tallies: readonly (Tally | undefined)[]): Tally {
  const sum = new Tally();
  for (const tally of tallies) if (tally) sum.add(tally);
  return sum;
}

function deathOf(index: number, error: unknown): ThreadDiedError {
  return new ThreadDiedError(
    `Thread ${index + 1} of the load died: ${describeError(error)}`,
  );
}
