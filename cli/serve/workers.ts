/**
 * Serving in several threads that share the port.
 *
 * @module
 */

import type { Address } from "../../net/address.ts";
import { describeError } from "../../net/errors.ts";
import { sleep } from "../../net/time.ts";
import {
  releaseSlots,
  serve,
  type ServeOptions,
  type ServeStats,
} from "../../server.ts";
import { UsageError } from "../flags.ts";
import { checkWorkerCode, threadCode } from "../thread_code.ts";
import type { LogOutput, LogStyle } from "./log.ts";
import type { LogEvent } from "./log_events.ts";
import type { RunningServer } from "./running_server.ts";
import { closedByDeath, NO_STATS, sumStats } from "./stats.ts";
import { ServeWorker } from "./worker_handle.ts";

/**
 * How many file descriptors a worker takes: eight of its runtime, two with which its
 * server knows when the event loop has looked at its sockets, and two for clients.
 */
const DESCRIPTORS_PER_WORKER = 12;

/** The least time from one start of a worker that replaces another to the next. */
const RESTART_PAUSE_MS = 1000;

/** How often, and how many times, a start waits for another one on the same port. */
const STARTING = { intervalMs: 50, attempts: 100 };

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
 * @throws {Error} If something else listens on the port, if there are too few file
 * descriptors, or if a worker cannot listen, with the name of the error it had.
 */
export async function serveInWorkers(
  options: WorkersOptions,
): Promise<RunningServer> {
  const { hostname, port } = options.serve;
  using _lock = hostname && port ? await lockPort(hostname, port) : undefined;
  const address = await addressOfFreePort(options.serve);
  checkDescriptors(options.count, address);

  const workers = new Workers(options);
  await workers.start();
  return workers;
}

/** The threads of a server. */
class Workers implements RunningServer {
  readonly finished: Promise<ServeStats>;
  readonly #options: WorkersOptions;
  /** The connections of all workers, and those of each: see `SharedCounts`. */
  readonly #counts: Int32Array<SharedArrayBuffer>;
  readonly #workers: ServeWorker[] = [];
  readonly #finished = Promise.withResolvers<ServeStats>();
  readonly #stopping = new AbortController();
  #addr: Deno.NetAddr | undefined;
  /** What workers counted that died, as far as they told. */
  #statsOfDead: ServeStats = NO_STATS;
  /** When the next worker may be replaced, as `performance.now()`. */
  #replacesAt = 0;

  constructor(options: WorkersOptions) {
    this.#options = options;
    const bytes = (1 + options.count) * Int32Array.BYTES_PER_ELEMENT;
    this.#counts = new Int32Array(new SharedArrayBuffer(bytes));
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
    this.#finished.resolve(Promise.all(all).then(sumStats));
  }

  async countOpen(): Promise<number> {
    const counts = this.#workers.map((worker) => worker.countOpen());
    return (await Promise.all(counts)).reduce((a, b) => a + b);
  }

  countWaiting(): number {
    // Several threads serve neither datagrams nor faults.
    return 0;
  }

  async stats(): Promise<ServeStats> {
    await Promise.all(this.#workers.map((worker) => worker.updateStats()));
    // One that dies meanwhile is in one of the two.
    const living = this.#workers.map(({ stats }) => stats.value);
    return sumStats([this.#statsOfDead, ...living]);
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
    const worker: ServeWorker = new ServeWorker(script, {
      out,
      // The one client of `--once` is there: the others have nothing to wait for.
      onTaken: () => this.#end("shutdown", worker),
    });
    this.#workers[index - 1] = worker;
    const shared = { counts: this.#counts, index };
    return worker.serve({ ...serve, port, reusePort: true, shared }, style);
  }

  /** Waits until a worker is finished, and replaces each that dies before. */
  async #keepRunning(index: number): Promise<ServeStats> {
    const { signal } = this.#stopping;
    while (true) {
      const worker = this.#workers[index - 1]!;
      try {
        return await worker.finished;
      } catch (error) {
        releaseSlots({ counts: this.#counts, index });
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
      // What the worker counted is lost with it.
      if (signal.aborted) return NO_STATS;
      // If it cannot start, it is not finished either.
      this.#startWorker(index, this.addr.port).catch(() => {});
    }
  }
}

/**
 * Keeps others from starting on the same port at the same time: listening with
 * SO_REUSEPORT does not fail when somebody else does it, too. The lock is the UDP
 * port of the same number, for the moment of the start. Where another program uses
 * that port, there is no lock.
 */
async function lockPort(
  hostname: string,
  port: number,
): Promise<Disposable | undefined> {
  for (let attempt = 0; attempt < STARTING.attempts; attempt++) {
    try {
      const lock = Deno.listenDatagram({ hostname, port, transport: "udp" });
      return { [Symbol.dispose]: () => lock.close() };
    } catch (error) {
      // Listening will fail in the same way, and say so.
      if (!(error instanceof Deno.errors.AddrInUse)) return undefined;
    }
    await sleep(STARTING.intervalMs);
  }
}

/**
 * Listens for a moment, without sharing the port. This fails if anything listens
 * there, and does not touch it. A client that comes in this moment is reset.
 */
async function addressOfFreePort(
  { hostname, port }: ServeOptions,
): Promise<Address> {
  const server = serve({ hostname, port, signal: AbortSignal.abort() });
  await server.finished;
  return { ...server.addr, transport: "tcp" };
}

/** Without descriptors the runtime of a worker would end the process. */
function checkDescriptors(count: number, { hostname }: Address): void {
  const descriptors = count * DESCRIPTORS_PER_WORKER;
  const held: Deno.Listener[] = [];
  try {
    while (held.length < descriptors) {
      held.push(Deno.listen({ hostname, port: 0 }));
    }
  } catch (error) {
    throw new Error(
      `Cannot start ${count} workers: they take ${descriptors} file ` +
        `descriptors and ${held.length} are left (${describeError(error)}), ` +
        "raise the limit (ulimit -n) or start fewer",
    );
  } finally {
    for (const listener of held) listener.close();
  }
}
