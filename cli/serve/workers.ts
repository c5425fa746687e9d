/**
 * Serving in several threads that share the port.
 *
 * @module
 */

import { connect } from "../../client.ts";
import type { Address } from "../../net/address.ts";
import { networkError, reasonOf } from "../../net/errors.ts";
import type { Writer } from "../../net/streams.ts";
import { serve, type ServeOptions, type ServeStats } from "../../server.ts";
import { UsageError } from "../flags.ts";
import type { LogStyle } from "./log.ts";
import type { RunningServer } from "./running_server.ts";
import type { ToWorker } from "./worker_messages.ts";
import { ServeWorker } from "./worker_handle.ts";

/** How long another server on the port has to accept, in milliseconds. */
const PORT_PROBE_TIMEOUT_MS = 1000;

const WORKER = new URL("./worker.ts", import.meta.url);

/**
 * Checks that workers can run here.
 *
 * @throws {UsageError} If they cannot; it says what to do instead.
 */
export function checkWorkers(): void {
  const { os, standalone } = Deno.build;
  if (os !== "linux") {
    throw new UsageError(
      `--workers needs Linux, whose kernel shares a port fairly, not ${os}: ` +
        "leave it out",
    );
  }
  // A compiled executable carries the worker's code in itself. From source the
  // worker reads its file and all that the file imports.
  const read = { name: "read", path: new URL("../..", WORKER) } as const;
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
 * @param out Where the log goes, whole batches at a time.
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
): Promise<RunningServer> {
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
    // With port 0 the first worker takes a port, and the others join it.
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
 * SO_REUSEPORT would silently join a foreign server. The port is probed by
 * connecting: listening briefly could swallow a client.
 */
async function refusePortInUse(
  { hostname, port }: ServeOptions,
): Promise<void> {
  if (!hostname || !port) return;
  const address: Address = { transport: "tcp", hostname, port };
  try {
    // Only an address of this machine can be in use here.
    await serve({ hostname, port: 0, signal: AbortSignal.abort() }).finished;
  } catch (error) {
    throw networkError("listen", address, error);
  }
  try {
    const timeoutMs = PORT_PROBE_TIMEOUT_MS;
    (await connect({ hostname, port, timeoutMs })).close();
  } catch (error) {
    const reason = reasonOf(error);
    if (reason === "refused") return;
    // A server whose queue is full does not answer: the port is in use.
    if (reason !== "timeout") throw networkError("listen", address, error);
  }
  throw networkError(
    "listen",
    address,
    new Deno.errors.AddrInUse("address already in use"),
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
