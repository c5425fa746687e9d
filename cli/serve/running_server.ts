/**
 * A server that the command runs, in this thread or in several.
 *
 * @module
 */

import { sleep, startTimer } from "../../net/time.ts";
import { serve, type ServeOptions, type ServeStats } from "../../server.ts";
import { EventLog, type LogStyle } from "./log.ts";

/** The longest warm-up, in milliseconds: loopback may drop what is sent. */
const WARM_UP_MS = 100;

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
    finished: server.finished.then(() => server.stats()),
    countOpen: () => server.stats().open,
    countWaiting: () => server.stats().udp?.waiting ?? 0,
    stats: () => Promise.resolve(server.stats()),
    shutdown: () => void server.shutdown(),
    stop: () => stopNow.abort(),
  };
}

/**
 * Has another server echo over loopback, which nobody hears of. The runtime compiles
 * at its first use what the first client would wait for.
 *
 * @returns Closes that server, which is for later: it also takes a few milliseconds.
 */
export async function warmUp(
  { udp = false }: ServeOptions,
  style: LogStyle,
): Promise<AsyncDisposable> {
  // Without the right to it, connecting would ask the user.
  const right = { name: "net", host: "127.0.0.1" } as const;
  const isAllowed = Deno.permissions.querySync(right).state === "granted";
  const over = new AbortController();
  const { signal } = over;
  using _ = startTimer(WARM_UP_MS, () => over.abort());
  const nowhere = { write: () => Promise.resolve(0) };
  const log = new EventLog(nowhere, style, () => new Date());
  let finished: Promise<void> | undefined;
  try {
    if (!isAllowed) throw new Deno.errors.NotCapable("no right to connect");
    const server = serve({
      ...{ port: 0, udp, signal },
      ...(style !== "none" && { onEvent: (event) => log.add(event) }),
    });
    finished = server.finished;
    await Promise.all([
      askOnce(server.addr, signal),
      udp && askOnceOverUdp(server.addr, signal),
    ]);
  } catch {
    // The first reply is slower.
  }
  return {
    async [Symbol.asyncDispose]() {
      // First the log says that the real server listens.
      await sleep(0);
      over.abort();
      await finished;
      await log.flush();
    },
  };
}

async function askOnce(
  { hostname, port }: Deno.NetAddr,
  signal: AbortSignal,
): Promise<void> {
  const conn = await Deno.connect({ hostname, port, signal });
  signal.addEventListener("abort", () => conn.close());
  await conn.write(new Uint8Array(1));
  await conn.read(new Uint8Array(1));
}

async function askOnceOverUdp(
  { hostname, port }: Deno.NetAddr,
  signal: AbortSignal,
): Promise<void> {
  const transport = "udp";
  const socket = Deno.listenDatagram({ transport, hostname, port: 0 });
  signal.addEventListener("abort", () => socket.close());
  await socket.send(new Uint8Array(1), { transport, hostname, port });
  await socket.receive(new Uint8Array(1));
}
