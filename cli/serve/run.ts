/**
 * Running the server: its log, its signals, its exit status.
 *
 * @module
 */

import { writeAll } from "../../net/streams.ts";
import { sleep } from "../../net/time.ts";
import { isNetworkError, type ServeOptions } from "../../server.ts";
import { News } from "../../server/news.ts";
import { encode, printLine } from "../command.ts";
import { OutputClosedError, type Terminal } from "../terminal.ts";
import { formatFaults, kindsOfOnly } from "./faults.ts";
import type { MetricsAddress } from "../metrics/flag.ts";
import {
  certificateOf,
  type ServerCertificate,
  type TlsSource,
} from "./certificate.ts";
import { EventLog, type LogOutput, type LogStyle } from "./log.ts";
import type { MetricsServer } from "../metrics/server.ts";
import type { ServeMetricsOptions } from "./metrics.ts";
import {
  type RunningServer,
  serveInThisThread,
  warmUp,
} from "./running_server.ts";
import { serveInWorkers } from "./workers.ts";

/** After a second signal, the longest wait for connections or log. */
const STOP_GRACE_MS = 50;

/**
 * How long a write to stdout is; it ends with the line that reaches so far. Of a write
 * that failed Deno does not tell how much was written. A pipe takes up to 4096 bytes
 * whole or not at all (`PIPE_BUF`, pipe(7)): a pipe that does not block gets no line
 * twice. Of a full disk at most one write is counted as lost though it was written.
 */
const WRITE_BYTES = 3072;

/** The end of a line. */
const LINE_END = encode("\n");

/** What {@linkcode runServe} is asked to do. */
export interface RunServeOptions {
  /** Where to listen, and limits. */
  readonly serve: ServeOptions & { drainTimeoutMs: number };
  /** Where the certificate comes from, if the server speaks TLS. */
  readonly tls?: TlsSource;
  /** How many threads serve. */
  readonly workers: number;
  /** How the log looks. */
  readonly log: LogStyle;
  /** Where metrics are served, if anywhere. */
  readonly metrics?: MetricsAddress | undefined;
}

/**
 * Serves until a signal or `once` ends the server.
 *
 * @param options Where to listen, limits, threads and the log's style.
 * @param terminal Where it logs, and where signals come from.
 * @returns The exit status.
 * @throws {Error} If it cannot listen, for clients or for metrics.
 */
export async function runServe(
  options: RunServeOptions,
  terminal: Terminal,
): Promise<number> {
  const startedAt = performance.now();
  let listening: RunningServer | undefined = undefined;
  let signals = 0;
  // Without metrics nothing is waited for: a signal may come at once.
  await using metrics = options.metrics &&
    await exposeMetrics(options.metrics, options, terminal, {
      server: () => listening,
      isEnding: () => signals > 0,
    });
  const out = logWriter(terminal);
  // Who reads the first line of the log finds the certificate on stderr.
  let certificatePrinted: Promise<void> | undefined;
  const logOut: LogOutput = {
    write: async (lines) => {
      await certificatePrinted;
      return await out.write(lines);
    },
  };
  const log = new EventLog(logOut, options.log, () => terminal.now());

  const certificate = options.tls && await certificateOf(options.tls, terminal);

  // Until it listens, which may wait for the resolver, a signal ends the process.
  const starting = start(options, certificate, log, out, () => {
    if (certificate?.event.names) {
      const { cert } = certificate.tls;
      certificatePrinted = printLine(terminal.stderr, cert.trimEnd());
    }
  }).catch((error) => {
    throw metrics && isTakenBy(metrics, error) ? onMetricsPort(error) : error;
  });
  const stoppedNow = Promise.withResolvers<void>();
  const stop = async (isFirst: boolean) => {
    if (!isFirst) stoppedNow.resolve();
    // The signal may come while the workers start.
    const server = await starting;
    if (!isFirst) return server.stop();
    const open = server.countOpen();
    const { drainTimeoutMs } = options.serve;
    const waiting = server.countWaiting();
    log.add({ type: "shutdown", open, waiting, drainTimeoutMs });
    server.shutdown();
  };
  using _ = terminal.onStopSignal(() => {
    const isFirst = ++signals === 1;
    // A server that cannot start is reported below.
    stop(isFirst).catch(() => {});
  });
  const ended = new AbortController();
  const graceOver = stoppedNow.promise
    .then(() => sleep(STOP_GRACE_MS, ended.signal));
  const server = await Promise.race([starting, graceOver]);
  if (!server) return 130;
  listening = server;
  if (metrics) log.add({ type: "metrics", addr: metrics.addr });

  const stats = await Promise.race([server.finished, graceOver]);
  if (stats) {
    const durationMs = performance.now() - startedAt;
    log.add({ type: "stopped", stats, durationMs });
    await Promise.race([log.flush(), graceOver]);
  }
  ended.abort();
  return signals > 1 ? 130 : 0;
}

/** Tells whether the server cannot listen where its own metrics are served. */
function isTakenBy({ addr }: MetricsServer, error: unknown): boolean {
  return isNetworkError(error) && error.operation === "listen" &&
    error.reason === "address_in_use" && error.address.port === addr.port;
}

/** Makes an error that does not send the user to `--port`. */
function onMetricsPort(cause: Error): Error {
  return new Error(
    `${cause.message} by --metrics, choose another port for it`,
    { cause },
  );
}

/** Serves metrics, before anything else is opened. */
async function exposeMetrics(
  address: MetricsAddress,
  { serve: { once = false } }: RunServeOptions,
  terminal: Terminal,
  hooks: Pick<ServeMetricsOptions, "server" | "isEnding">,
): Promise<MetricsServer> {
  const startedAt = terminal.now();
  // A server without metrics starts faster without this.
  const { startServeMetrics } = await import("./metrics.ts");
  return startServeMetrics({ ...{ address, startedAt, once }, ...hooks });
}

/** Starts the server, and logs that it listens before anything else. */
async function start(
  { serve: plain, workers, log: style }: RunServeOptions,
  certificate: ServerCertificate | undefined,
  log: EventLog,
  out: LogOutput,
  onListen: () => void,
): Promise<RunningServer> {
  const serve = certificate ? { ...plain, ...certificate.tls } : plain;
  const tellListening = ({ addr, faultSeed: seed }: RunningServer) => {
    onListen();
    const { faults, udp = false } = serve;
    const tls = certificate !== undefined;
    log.add({
      ...{ type: "listening", addr, udp, tls },
      ...(faults && {
        faults: {
          ...{ text: formatFaults(faults), seed },
          ...(udp && { ofConnections: kindsOfOnly("connections", faults) }),
        },
      }),
    });
    if (certificate) log.add(certificate.event);
  };
  if (workers === 1) {
    await using _warm = await warmUp(serve, style);
    // Without a log the server has no events to make.
    const server = serveInThisThread(serve, style === "none" ? undefined : log);
    tellListening(server);
    return server;
  }
  // A worker may serve before the others listen, but must not log before.
  const listening = Promise.withResolvers<void>();
  const workersOut: LogOutput = {
    write: (lines) => listening.promise.then(() => out.write(lines)),
  };
  const server = await serveInWorkers({
    count: workers,
    serve,
    style,
    out: workersOut,
    tell: (event) => void listening.promise.then(() => log.add(event)),
  });
  tellListening(server);
  await log.flush();
  listening.resolve();
  return server;
}

/**
 * Writes batches one after the other, from any thread. A full disk is reported once
 * until ten seconds passed without, and the lines are lost; only a reader that is gone ends the log. A line of
 * which only a part was written is lost, and its part gets a line of its own.
 *
 * @param terminal Where the batches go, and where a failure is reported.
 * @returns The writer.
 */
export function logWriter(
  { stdout, stderr }: Pick<Terminal, "stdout" | "stderr">,
): LogOutput {
  let last: Promise<unknown> = Promise.resolve();
  const news = new News();
  let isTorn = false;
  const write = async (lines: Uint8Array) => {
    let written = 0;
    try {
      if (isTorn) await writeAll(stdout, LINE_END);
      isTorn = false;
      while (written < lines.length) {
        const lineEnd = lines.indexOf(LINE_END[0]!, written + WRITE_BYTES);
        const end = lineEnd < 0 ? lines.length : lineEnd + 1;
        written += await stdout.write(lines.subarray(written, end));
      }
    } catch (error) {
      if (error instanceof OutputClosedError) throw error;
      if (written > 0) isTorn = lines[written - 1] !== LINE_END[0];
      const { message } = error as Error;
      if (news.has(message)) await printLine(stderr, `echo: ${message}`);
    }
    return countLines(lines.subarray(written));
  };
  return {
    write(lines) {
      const lost = last.then(() => write(lines));
      last = lost.catch(() => {});
      return lost;
    },
  };
}

function countLines(bytes: Uint8Array): number {
  return bytes.reduce((n, byte) => byte === LINE_END[0] ? n + 1 : n, 0);
}
