/**
 * Running the server: its log, its signals, its exit status.
 *
 * @module
 */

import { writeAll, type Writer } from "../../net/streams.ts";
import { sleep } from "../../net/time.ts";
import type { ServeOptions } from "../../server.ts";
import { printLine } from "../command.ts";
import { OutputClosedError, type Terminal } from "../terminal.ts";
import { EventLog, type LogStyle } from "./log.ts";
import { type RunningServer, serveInThisThread } from "./running_server.ts";
import { serveInWorkers } from "./workers.ts";

/** After a second signal, the longest wait for connections or log. */
const STOP_GRACE_MS = 50;

/** What {@linkcode runServe} is asked to do. */
export interface RunServeOptions {
  /** Where to listen, and limits. */
  readonly serve: ServeOptions & { drainTimeoutMs: number };
  /** How many threads serve. */
  readonly workers: number;
  /** How the log looks. */
  readonly log: LogStyle;
}

/**
 * Serves until a signal or `once` ends the server.
 *
 * @param options Where to listen, limits, threads and the log's style.
 * @param terminal Where it logs, and where signals come from.
 * @returns The exit status.
 * @throws {Error} If it cannot listen, or a worker died.
 */
export async function runServe(
  options: RunServeOptions,
  terminal: Terminal,
): Promise<number> {
  const startedAt = performance.now();
  const out = logWriter(terminal);
  const log = new EventLog(out, options.log, () => terminal.now());

  const starting = start(options, log, out);
  let signals = 0;
  const stoppedNow = Promise.withResolvers<void>();
  const stop = async () => {
    // The signal may come while the workers start.
    const server = await starting;
    if (signals > 1) {
      stoppedNow.resolve();
      return server.stop();
    }
    const open = await server.countOpen();
    const { drainTimeoutMs } = options.serve;
    log.add({ type: "shutdown", open, drainTimeoutMs });
    server.shutdown();
  };
  using _ = terminal.onStopSignal(() => {
    signals++;
    // A server that cannot start is reported below.
    stop().catch(() => {});
  });
  const server = await starting;

  const ended = new AbortController();
  const graceOver = stoppedNow.promise
    .then(() => sleep(STOP_GRACE_MS, ended.signal));
  const stats = await Promise.race([server.finished, graceOver]);
  if (stats) {
    const durationMs = performance.now() - startedAt;
    log.add({ type: "stopped", stats, durationMs });
    await Promise.race([log.flush(), graceOver]);
  }
  ended.abort();
  return signals > 1 ? 130 : 0;
}

/** Starts the server, and logs that it listens before anything else. */
async function start(
  { serve, workers, log: style }: RunServeOptions,
  log: EventLog,
  out: Writer,
): Promise<RunningServer> {
  if (workers === 1) {
    // Without a log the server has no events to make.
    const server = serveInThisThread(serve, style === "none" ? undefined : log);
    log.add({ type: "listening", addr: server.addr });
    return server;
  }
  // A worker may serve before the others listen, but must not log before.
  const listening = Promise.withResolvers<void>();
  const workersOut: Writer = {
    write: (p) => listening.promise.then(() => out.write(p)),
  };
  const server = await serveInWorkers(workers, serve, style, workersOut);
  log.add({ type: "listening", addr: server.addr });
  await log.flush();
  listening.resolve();
  return server;
}

/**
 * Writes batches one after the other, from any thread. A full disk is reported
 * once, and the lines are lost; only a reader that is gone ends the log.
 *
 * @param terminal Where the batches go, and where a failure is reported.
 * @returns The writer.
 */
export function logWriter(
  { stdout, stderr }: Pick<Terminal, "stdout" | "stderr">,
): Writer {
  let last: Promise<unknown> = Promise.resolve();
  let hasFailed = false;
  const write = async (p: Uint8Array) => {
    try {
      await writeAll(stdout, p);
    } catch (error) {
      if (error instanceof OutputClosedError) throw error;
      if (!hasFailed) {
        await printLine(stderr, `echo: ${(error as Error).message}`);
      }
      hasFailed = true;
    }
    return p.length;
  };
  return {
    write(p) {
      const written = last.then(() => write(p));
      last = written.catch(() => {});
      return written;
    },
  };
}
