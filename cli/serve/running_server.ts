/**
 * A server that the command runs, in this thread or in several.
 *
 * @module
 */

import { serve, type ServeOptions, type ServeStats } from "../../server.ts";
import type { EventLog } from "./log.ts";

/** A running server, in one thread or several. */
export interface RunningServer {
  /** The address that it listens on. */
  readonly addr: Deno.NetAddr;
  /** What chose its faults, if it has any. */
  readonly faultSeed?: number | undefined;
  /** Its totals, once it listens no more and every connection ended. */
  readonly finished: Promise<ServeStats>;
  /** Counts the connections that are open. */
  countOpen(): number;
  /** Counts the replies to datagrams that wait for their time, because of a fault. */
  countWaiting(): number;
  /** Totals up to now, which never fall but for what is open. */
  stats(): Promise<ServeStats>;
  /** Stops listening, and lets open connections finish for a while. */
  shutdown(): void;
  /** Closes everything at once. */
  stop(): void;
}

/**
 * Serves in this thread.
 *
 * @param options Where to listen, and limits.
 * @param log The log of its events, if any.
 * @returns The server, which listens already.
 * @throws {Error} If it cannot listen: see {@linkcode serve}.
 */
export function serveInThisThread(
  options: ServeOptions,
  log?: EventLog,
): RunningServer {
  const stopNow = new AbortController();
  const server = serve({
    ...options,
    signal: stopNow.signal,
    ...(log && { onEvent: (event) => log.add(event) }),
  });
  return {
    addr: server.addr,
    faultSeed: server.faultSeed,
    finished: server.finished.then(() => server.stats),
    countOpen: () => server.stats.open,
    countWaiting: () => server.stats.udp?.waiting ?? 0,
    stats: () => Promise.resolve(server.stats),
    shutdown: () => void server.shutdown(),
    stop: () => stopNow.abort(),
  };
}
