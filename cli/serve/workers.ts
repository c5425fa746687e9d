/**
 * Serving in several threads that share the port.
 *
 * @module
 */

import { describeError } from "../../net/errors.ts";
import { sleep } from "../../net/time.ts";
import { serve, type ServeOptions, type ServeStats } from "../../server.ts";
import { releaseSlots } from "../../server/slots.ts";
import { UsageError } from "../flags.ts";
import { checkWorkerCode, threadCode } from "../thread_code.ts";
import type { LogOutput, LogStyle } from "./log.ts";
import type { LogEvent } from "./log_events.ts";
import type { RunningServer } from "./running_server.ts";
import { closedByDeath, NO_STATS, sumStats } from "./stats.ts";
import { ServeWorker } from "./worker_handle.ts";

/** The least time from one start of a worker that replaces another to the next. */
const RESTART_PAUSE_MS = 1000;

const WORKER = threadCode("serve/worker");

/**
 * Checks that workers can run here.
 *
 * @throws {UsageError} If they cannot; it says what to do instead.
 */
export function checkWorkers(): void {
  const { os } = Deno.build;
  if (os !== "linux") {
    throw new UsageError(
      `--workers needs Linux, whose kernel shares a port fairly, not ${os}: ` +
        "leave it out",
    );
  }
  checkWorkerCode(WORKER);
}

/** What {@linkcode serveInWorkers} is asked to do. */
export interface WorkersOptions {
  /** How many threads serve. */
  readonly count: number;
  /** Where to listen, and limits for all threads together. */
  readonly serve: ServeOptions;
  /** How the log looks. */
  readonly style: LogStyle;
  /** Where the log goes, whole batches at a time. */
  readonly out: LogOutput;
  /** Logs what happens to a worker. */
  readonly tell: (event: LogEvent) => void;
  /**
   * The code of a worker.
   *
   * @default {worker.ts}
   */
  readonly script?: URL;
}

/**
 * Serves in several threads, each with a listener of its own on the same port:
 * the kernel spreads connections over them (`SO_REUSEPORT`, socket(7)). A worker
 * that dies is replaced.
 *
 * @param options How many threads, and what they serve.
 * @returns The server.
 * @throws {Error} If something else listens on the port, or if a worker cannot
 * listen, with the name of the error it had.
 */
export async function serveInWorkers(
  options: WorkersOptions,
): Promise<RunningServer> {
  await checkPortIsFree(options.serve);
  const workers = new Workers(options);
  await workers.start();
  return workers;
}

/** The threads of a server. */
class Workers implements RunningServer {
  readonly finished: Promise<ServeStats>;
  readonly #options: WorkersOptions;
  /** The connections of all workers: see `SharedCounts`. */
  readonly #open: Int32Array<SharedArrayBuffer> = makeCounter();
  readonly #workers: ServeWorker[] = [];
  readonly #finished = Promise.withResolvers<ServeStats>();
  readonly #stopping = new AbortController();
  #addr: Deno.NetAddr | undefined;
  /** What workers counted that died. */
  #statsOfDead: ServeStats = NO_STATS;
  /** When the next worker may be replaced, as `performance.now()`. */
  #replacesAt = 0;

  constructor(options: WorkersOptions) {
    this.#options = options;
    this.finished = this.#finished.promise;
  }

  get addr(): Deno.NetAddr {
    return this.#addr!;
  }

  async start(): Promise<void> {
    const { count, serve } = this.#options;
    const others = Array.from({ length: count - 1 }, (_, at) => at + 2);
    try {
      // With port 0 the first worker takes a port, and the others join it.
      this.#addr = await this.#startWorker(1, serve.port ?? 0);
      const { port } = this.#addr;
      await Promise.all(others.map((index) => this.#startWorker(index, port)));
    } catch (error) {
      for (const worker of this.#workers) worker?.terminate();
      throw error;
    }
    const all = [1, ...others].map((index) => this.#keepRunning(index));
    this.#finished.resolve(Promise.all(all).then(() => this.#sum()));
  }

  countOpen(): number {
    return Atomics.load(this.#open, 0);
  }

  countWaiting(): number {
    // Several threads serve neither datagrams nor faults.
    return 0;
  }

  async stats(): Promise<ServeStats> {
    await Promise.all(this.#workers.map((worker) => worker.updateStats()));
    return this.#sum();
  }

  shutdown(): void {
    this.#end("shutdown");
  }

  stop(): void {
    this.#end("stop");
  }

  /** Ends all workers, but for one if it is given, and replaces none any more. */
  #end(type: "shutdown" | "stop", except?: ServeWorker): void {
    this.#stopping.abort();
    for (const worker of this.#workers) {
      if (worker !== except) worker.tell({ type });
    }
  }

  #startWorker(index: number, port: number): Promise<Deno.NetAddr> {
    const { serve, style, out, script = WORKER } = this.#options;
    const shared = { total: this.#open, own: makeCounter() };
    const worker: ServeWorker = new ServeWorker(script, {
      index,
      shared,
      out,
      // The one client of `--once` is there: the others have nothing to wait for.
      onTaken: () => this.#end("shutdown", worker),
    });
    this.#workers[index - 1] = worker;
    return worker.serve({ ...serve, port, reusePort: true }, style);
  }

  /** Adds up what all counted. A worker that dies is in one of the two. */
  #sum(): ServeStats {
    const living = this.#workers.map(({ stats }) => stats.value);
    return sumStats([this.#statsOfDead, ...living]);
  }

  /** Waits until a worker is finished, and replaces each that dies before. */
  async #keepRunning(index: number): Promise<void> {
    const { signal } = this.#stopping;
    while (true) {
      const worker = this.#workers[index - 1]!;
      try {
        await worker.finished;
        return;
      } catch (error) {
        releaseSlots(worker.shared);
        const dead = [this.#statsOfDead, closedByDeath(worker.stats.value)];
        this.#statsOfDead = sumStats(dead);
        worker.stats.take(NO_STATS);
        const reason = describeError(error);
        this.#options.tell({ type: "worker_died", worker: index, reason });
      }
      const now = performance.now();
      const startsAt = Math.max(now, this.#replacesAt);
      this.#replacesAt = startsAt + RESTART_PAUSE_MS;
      await sleep(startsAt - now, signal);
      if (signal.aborted) return;
      // If it cannot start, it is not finished either.
      this.#startWorker(index, this.addr.port).catch(() => {});
    }
  }
}

/**
 * Listens for a moment, without sharing the port. This fails if anything listens
 * there, and does not touch it. A client that comes in this moment is reset.
 */
async function checkPortIsFree({ hostname, port }: ServeOptions) {
  await serve({ hostname, port, signal: AbortSignal.abort() }).finished;
}

function makeCounter(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
}
