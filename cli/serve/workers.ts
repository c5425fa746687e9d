/**
 * Serving in this thread, or in several that share the port.
 *
 * @module
 */

import { connect } from "../client.ts";
import { formatAddress, withContext, type Writer } from "../net.ts";
import { serve, type ServeOptions, type ServeStats } from "../server.ts";
import { UsageError } from "./flags.ts";
import type { EventLog, LogStyle } from "./log.ts";
import type { FromWorker, ToWorker } from "./worker_messages.ts";

/** A server, in however many threads. */
export interface Serving {
  /** The address that it listens on. */
  readonly addr: Deno.NetAddr;
  /** Its totals, once it listens no more and every connection ended. */
  readonly finished: Promise<ServeStats>;
  /** Counts the connections that are open. */
  countOpen(): Promise<number>;
  /** Stops listening, and lets open connections finish for a while. */
  shutdown(): void;
  /** Closes everything at once. */
  stop(): void;
}

/**
 * Serves in this thread.
 *
 * @param options Where to listen, and limits.
 * @param log Where its events go, if anywhere.
 * @returns The server, which listens already.
 * @throws {Error} If it cannot listen: see {@linkcode serve}.
 */
export function serveHere(options: ServeOptions, log?: EventLog): Serving {
  const stopNow = new AbortController();
  const server = serve({
    ...options,
    signal: stopNow.signal,
    ...(log && { onEvent: (event) => log.add(event) }),
  });
  return {
    addr: server.addr,
    finished: server.finished.then(() => server.stats),
    countOpen: () => Promise.resolve(server.stats.open),
    shutdown: () => void server.shutdown(),
    stop: () => stopNow.abort(),
  };
}

/** How long another server on the port has to answer, in milliseconds. */
const LOOK_MS = 1000;

const WORKER = new URL("./worker.ts", import.meta.url);

/**
 * Checks that workers can be had here.
 *
 * @throws {UsageError} That says what to do instead.
 */
export function checkWorkers(): void {
  const { os, standalone } = Deno.build;
  if (os !== "linux") {
    throw new UsageError(
      `--workers needs Linux, whose kernel shares a port fairly, not ${os}: ` +
        "leave it out",
    );
  }
  // A compiled executable carries the worker's code in itself. From source it
  // takes more than the one file: what that one imports.
  const read = { name: "read", path: new URL("..", WORKER) } as const;
  if (
    !standalone && WORKER.protocol === "file:" &&
    Deno.permissions.querySync(read).state !== "granted"
  ) {
    throw new UsageError(
      "--workers needs to read its own code: " +
        "run it with deno run --allow-net --allow-read, or compiled",
    );
  }
}

/**
 * Serves in several threads, each with a listener of its own on the same port:
 * the kernel spreads connections over them (`SO_REUSEPORT`, socket(7)).
 *
 * @param count How many threads.
 * @param options Where to listen, and limits, which each thread has by itself.
 * @param style How the log looks.
 * @param out Where it goes, whole pieces at a time.
 * @param script The code of a worker.
 * @returns The server; its `finished` rejects when a worker dies.
 * @throws {Error} If a worker cannot listen, with the name of the error it had.
 */
export async function serveInWorkers(
  count: number,
  options: ServeOptions,
  style: LogStyle,
  out: Writer,
  script: URL = WORKER,
): Promise<Serving> {
  await refusePortInUse(options);
  const workers: ServeWorker[] = [];
  const start = async (port: number) => {
    const worker = new ServeWorker(script, workers.length + 1, out);
    workers.push(worker);
    return await worker.serve({ ...options, port, reusePort: true }, style);
  };
  const stopAll = (error: unknown): never => {
    for (const worker of workers) worker.terminate();
    throw error;
  };

  let addr: Deno.NetAddr;
  try {
    // With port 0 the first one takes a port, and the others join it.
    addr = await start(options.port ?? 0);
    const others = Array.from({ length: count - 1 }, () => start(addr.port));
    await Promise.all(others);
  } catch (error) {
    return stopAll(error);
  }

  const tellAll = (message: ToWorker) => {
    for (const worker of workers) worker.tell(message);
  };
  return {
    addr,
    finished: Promise.all(workers.map((worker) => worker.finished))
      .then(sum, stopAll),
    async countOpen() {
      const counts = workers.map((worker) => worker.countOpen());
      return (await Promise.all(counts)).reduce((a, b) => a + b);
    },
    shutdown: () => tellAll({ type: "shutdown" }),
    stop: () => tellAll({ type: "stop" }),
  };
}

/**
 * Sharing a port means sharing it with anyone: another server, say. Listening
 * there for a moment would tell, but turn away a client that comes in it.
 */
async function refusePortInUse(
  { hostname, port }: ServeOptions,
): Promise<void> {
  if (!hostname || !port) return;
  let reason: unknown = new Deno.errors.AddrInUse("address already in use");
  try {
    // Only an address of this machine is worth a look.
    Deno.listen({ hostname, port: 0 }).close();
    (await connect({ hostname, port, timeoutMs: LOOK_MS })).close();
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return;
    // A server whose queue is full does not answer.
    if (!(error instanceof Deno.errors.TimedOut)) reason = error;
  }
  throw withContext(
    `Cannot listen on ${formatAddress({ hostname, port })}`,
    reason,
  );
}

function sum(all: ServeStats[]): ServeStats {
  const total = { accepted: 0, open: 0, bytes: 0 };
  for (const { accepted, open, bytes } of all) {
    total.accepted += accepted;
    total.open += open;
    total.bytes += bytes;
  }
  return total;
}

/** A worker, seen from the command. */
class ServeWorker {
  readonly finished: Promise<ServeStats>;
  readonly #worker: Worker;
  readonly #number: number;
  readonly #out: Writer;
  readonly #listening = Promise.withResolvers<Deno.NetAddr>();
  readonly #finished = Promise.withResolvers<ServeStats>();
  #open = Promise.withResolvers<number>();

  constructor(script: URL, number: number, out: Writer) {
    this.#number = number;
    this.#out = out;
    this.finished = this.#finished.promise;
    // Whoever waits for the one may not wait for the other.
    this.finished.catch(() => {});
    this.#listening.promise.catch(() => {});
    this.#worker = new Worker(script, { type: "module" });
    this.#worker.onmessage = ({ data }) => this.#receive(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#died(event);
    };
  }

  serve(options: ServeOptions, log: LogStyle): Promise<Deno.NetAddr> {
    this.tell({ type: "serve", options, log });
    return this.#listening.promise;
  }

  countOpen(): Promise<number> {
    this.#open = Promise.withResolvers();
    this.tell({ type: "count open" });
    return this.#open.promise;
  }

  tell(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  terminate(): void {
    this.#worker.terminate();
  }

  #receive(message: FromWorker): void {
    switch (message.type) {
      case "listening":
        return this.#listening.resolve(message.addr);
      case "log":
        return void this.#log(message.lines);
      case "open":
        return this.#open.resolve(message.count);
      case "finished":
        this.#finished.resolve(message.stats);
        return this.terminate();
      case "failed":
        return this.#died(message);
    }
  }

  async #log(lines: Uint8Array): Promise<void> {
    const isOpen = await this.#out.write(lines).then(() => true, () => false);
    this.tell({ type: "log written", isOpen });
  }

  #died({ name, message }: { name?: string; message: string }): void {
    // Before it listens it tells why it cannot, as a server in this thread does.
    const cannotListen = new Error(message);
    if (name) cannotListen.name = name;
    this.#listening.reject(cannotListen);
    this.#finished.reject(new Error(`Worker ${this.#number} died: ${message}`));
    this.#open.resolve(0);
  }
}
