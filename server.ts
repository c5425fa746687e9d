/**
 * A TCP server that sends back every byte it gets, in order, until the client
 * ends its stream, as {@link https://www.rfc-editor.org/rfc/rfc862 | RFC 862}
 * asks. It may do so with UDP datagrams, too.
 *
 * @example In a test
 * ```ts
 * import { serve } from "@echo/echo/server";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = serve({ port: 0 });
 * using conn = await Deno.connect({ port: server.addr.port });
 * await conn.write(new TextEncoder().encode("hello"));
 * const reply = new Uint8Array(5);
 * await conn.read(reply);
 * assertEquals(new TextDecoder().decode(reply), "hello");
 * ```
 *
 * @module
 */

import type { TcpAddress, TlsAddress } from "./net/address.ts";
import { DEFAULT_HOSTNAME, DEFAULT_PORT } from "./net/defaults.ts";
import { isReset } from "./net/errors.ts";
import { FairnessBarrier } from "./net/fairness.ts";
import { checkCount, checkPort, checkTime } from "./net/options.ts";
import { startTimer } from "./net/time.ts";
import { BufferPool } from "./server/buffer_pool.ts";
import {
  Acceptor,
  type ServerConn,
  type ServerListener,
} from "./server/accepting.ts";
import {
  DEFAULT_DRAIN_TIMEOUT_MS,
  DEFAULT_HANDSHAKE_TIMEOUT_MS,
  type EchoServer,
  type FaultCounts,
  type ServeOptions,
  type ServeStats,
  type ShutdownOptions,
} from "./server/api.ts";
import type {
  Connection,
  ConnectionLoop,
  LoopContext,
} from "./server/connection.ts";
import { echoLoop } from "./server/echo_loop.ts";
import {
  type CloseReason,
  PREVIEW_BYTES,
  type ServeEvent,
  type ToldFault,
} from "./server/events.ts";
import { faultLoop } from "./server/faults/fault_loop.ts";
import { checkFaults, type Faults } from "./server/faults/options.ts";
import { type HandshakeFailure, Handshakes } from "./server/handshakes.ts";
import { sweepIdle } from "./server/idle.ts";
import { listenOn } from "./server/listening.ts";
import { releaseSlots, type SharedCounts, Slots } from "./server/slots.ts";
import { UdpServer } from "./server/udp.ts";

export type {
  Address,
  TcpAddress,
  TlsAddress,
  UdpAddress,
} from "./net/address.ts";
export {
  type Failure,
  isNetworkError,
  type NetworkError,
  type Operation,
  type Reason,
  type TlsReason,
} from "./net/errors.ts";
export {
  type DatagramStats,
  DEFAULT_DRAIN_TIMEOUT_MS,
  DEFAULT_HANDSHAKE_TIMEOUT_MS,
  type EchoServer,
  type FaultCounts,
  type ServeOptions,
  type ServerTls,
  type ServeStats,
  type ShutdownOptions,
} from "./server/api.ts";
export {
  type AcceptFailedEvent,
  type CloseEvent,
  type CloseReason,
  type CrowdEvent,
  type DataEvent,
  type DropEvent,
  type FaultEvent,
  type FullEvent,
  type HandshakeFailedEvent,
  type OpenEvent,
  PREVIEW_BYTES,
  type ResetEvent,
  type ServeEvent,
} from "./server/events.ts";
export type { HandshakeFailure } from "./server/handshakes.ts";
export type { DropReason } from "./server/datagram_limits.ts";
export { DEFAULT_UDP_RATE } from "./server/datagrams.ts";
export {
  type FaultKind,
  type FaultOptions,
  MAX_FAULT_SEED,
} from "./server/faults/options.ts";
export { releaseSlots, type SharedCounts };

/**
 * The pause between two closings of the barrier at which busy connections wait for
 * each other, see {@linkcode FairnessBarrier}: about the longest wait among a few.
 * Without a pause the throughput of many small messages is less.
 */
const BARRIER_PAUSE_MS = 8;

/**
 * What a server does: it listens; on shutdown it still accepts the clients in the
 * kernel's queue; it drains while it listens no more and connections are open; then
 * it is finished.
 */
type State = "listening" | "accepting queue" | "draining" | "finished";

class Server implements EchoServer {
  readonly addr: Deno.NetAddr;
  readonly finished: Promise<void>;
  readonly #options: ServeOptions;
  readonly #drainTimeoutMs: number;
  readonly #idleTimeoutMs: number;
  readonly #listener: ServerListener;
  readonly #acceptor: Acceptor;
  readonly #slots: Slots;
  readonly #udp: UdpServer | undefined;
  readonly #loop: ConnectionLoop;
  readonly #faults: Faults | undefined;
  readonly #faultCounts: FaultCounts = {};
  readonly #connections = new Set<Connection>();
  readonly #handshakes: Handshakes<Deno.TlsConn>;
  #failedHandshakes = 0;
  readonly #barrier = new FairnessBarrier({
    // Datagrams are read, too, as those of one more connection.
    countOpen: () => this.#connections.size + (this.#udp ? 1 : 0),
    pauseMs: BARRIER_PAUSE_MS,
  });
  readonly #pool = new BufferPool();
  readonly #context: LoopContext = {
    barrier: this.#barrier,
    pool: this.#pool,
    onFirstBytes: (connection, bytes) => this.#tellData(connection, bytes),
    onEnd: (connection, error, reason) =>
      this.#loopEnded(connection, error, reason),
  };
  readonly #allEnded = Promise.withResolvers<void>();
  #state: State = "listening";
  /** Bytes of connections that ended; open ones count their own. */
  #bytes = 0;
  readonly #closed: ServeStats["closed"] = {};
  #isRef = true;
  /** What {@linkcode ServeOptions.onEvent} threw first. */
  #onEventError: { error: unknown } | undefined;
  /** When open connections are closed, as `performance.now()`. */
  #drainEndsAt = Infinity;
  #drainTimer: Disposable | undefined;

  constructor(options: ServeOptions) {
    const { hostname = DEFAULT_HOSTNAME, port = DEFAULT_PORT } = options;
    const { maxConnections = Infinity, idleTimeoutMs = Infinity } = options;
    const { once = false } = options;
    const { drainTimeoutMs = DEFAULT_DRAIN_TIMEOUT_MS } = options;
    const { handshakeTimeoutMs = DEFAULT_HANDSHAKE_TIMEOUT_MS } = options;
    this.#options = options;
    this.#drainTimeoutMs = checkTime("drainTimeoutMs", drainTimeoutMs);
    this.#idleTimeoutMs = checkTime("idleTimeoutMs", idleTimeoutMs);
    this.#handshakes = new Handshakes({
      timeoutMs: checkTime("handshakeTimeoutMs", handshakeTimeoutMs),
      onDone: (conn, handshakeMs) => this.#open(conn, handshakeMs),
      onFailed: (failure) => this.#handshakeFailed(failure),
    });
    checkCount("maxConnections", maxConnections);
    checkCount("udpRatePerSecond", options.udpRatePerSecond ?? Infinity);
    checkPort(port);
    const { udp = false } = options;
    this.#faults = options.faults && checkFaults(options.faults, udp);
    this.#loop = this.#faults ? this.#faultLoop(this.#faults) : echoLoop;
    this.#slots = new Slots(once ? 1 : maxConnections, options.shared);
    const transport = options.tls ? "tls" : "tcp";
    const address: TcpAddress | TlsAddress = { transport, hostname, port };
    const { listener, socket } = listenOn(address, options);
    this.#listener = listener;
    // A TLS listener of Deno 2.6 does not tell the transport.
    this.addr = { ...listener.addr, transport: "tcp" };
    try {
      options.onListen?.(this.addr);
    } catch (error) {
      listener.close();
      socket?.close();
      throw error;
    }
    this.#udp = socket && new UdpServer(socket, {
      ...options,
      barrier: this.#barrier,
      countOpen: () => this.#slots.taken,
      faults: this.#faults && {
        faults: this.#faults,
        isRef: () => this.#isRef,
        onFault: (remote, fault) => this.#tellFault(remote, fault),
      },
      emit: options.onEvent && ((event) => this.#emit(event)),
    });
    this.#acceptor = new Acceptor(this.#listener, {
      address: {
        transport,
        hostname: this.addr.hostname,
        port: this.addr.port,
      },
      slots: this.#slots,
      once,
      onConnection: (conn) => this.#admit(conn),
      onFailure: (error) => this.#emit({ type: "error", error }),
      onReset: () => this.#emit({ type: "reset" }),
      onFull: () => this.#emit({ type: "full", open: this.#slots.taken }),
    });
    this.finished = this.#run();
  }

  get stats(): ServeStats {
    const udp = this.#udp?.stats;
    let bytes = this.#bytes + (udp?.bytes ?? 0);
    for (const connection of this.#connections) bytes += connection.bytes;
    const { accepted } = this.#acceptor;
    const open = this.#countOpen();
    const failedHandshakes = this.#failedHandshakes;
    return {
      ...{ accepted, open, closed: { ...this.#closed }, bytes },
      ...(this.#options.tls && { failedHandshakes }),
      ...(udp && { udp }),
      ...(this.#faults && { faults: { ...this.#faultCounts } }),
    };
  }

  get faultSeed(): number | undefined {
    return this.#faults?.seed;
  }

  shutdown(options: ShutdownOptions = {}): Promise<void> {
    const timeoutMs = options.timeoutMs ?? this.#drainTimeoutMs;
    checkTime("timeoutMs", timeoutMs);
    const closesAt = performance.now() + timeoutMs;
    if (this.#state !== "finished" && closesAt < this.#drainEndsAt) {
      this.#drainEndsAt = closesAt;
      this.#drainTimer?.[Symbol.dispose]();
      this.#drainTimer = startTimer(timeoutMs, () => this.#closeNow());
    }
    if (this.#state === "listening") {
      this.#state = "accepting queue";
      this.#acceptor.acceptQueue();
      this.#udp?.answerQueue();
    }
    if (timeoutMs === 0) this.#closeNow();
    return this.finished;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  ref(): void {
    this.#setRef(true);
  }

  unref(): void {
    this.#setRef(false);
  }

  #setRef(isRef: boolean): void {
    this.#isRef = isRef;
    const method = isRef ? "ref" : "unref";
    this.#listener[method]();
    this.#udp?.[method]();
    for (const { conn } of this.#connections) conn[method]();
  }

  async #run(): Promise<void> {
    const { signal } = this.#options;
    const abort = () => this.#closeNow();
    signal?.addEventListener("abort", abort);
    if (signal?.aborted) abort();
    const sweeps = sweepIdle(this.#connections, {
      idleTimeoutMs: this.#idleTimeoutMs,
      untilAllRead: () => this.#barrier.untilAllRead(),
      end: (connection) => this.#close(connection, "idle"),
    });

    await Promise.all([this.#runAcceptor(), this.#runUdp()]);
    this.#state = "draining";
    if (this.#countOpen() > 0) await this.#allEnded.promise;
    this.#state = "finished";
    sweeps[Symbol.dispose]();
    this.#drainTimer?.[Symbol.dispose]();
    await this.#barrier.stop();
    this.#pool[Symbol.dispose]();
    signal?.removeEventListener("abort", abort);
    if (this.#onEventError) throw this.#onEventError.error;
  }

  async #runAcceptor(): Promise<void> {
    await this.#acceptor.run();
    // The one that it served was a connection.
    if (this.#options.once) this.#udp?.stop();
  }

  async #runUdp(): Promise<void> {
    await this.#udp?.run();
    if (this.#udp && this.#options.once) this.#acceptor.stop();
  }

  /** How many connections there are, those in their TLS handshake included. */
  #countOpen(): number {
    return this.#connections.size + this.#handshakes.size;
  }

  #admit(conn: ServerConn): void {
    if (!this.#isRef) conn.unref();
    if ("handshake" in conn) this.#handshakes.start(conn);
    else this.#open(conn);
  }

  #handshakeFailed(failure: HandshakeFailure): void {
    this.#failedHandshakes++;
    this.#emit({ type: "handshake_failed", ...failure });
    if (!this.#options.once) this.#slots.release();
    this.#acceptor.wake();
    this.#tellIfAllEnded();
  }

  #tellIfAllEnded(): void {
    const isLast = this.#state === "draining" && this.#countOpen() === 0;
    if (isLast) this.#allEnded.resolve();
  }

  #open(conn: ServerConn, handshakeMs?: number): void {
    const connection: Connection = {
      conn,
      openedAt: performance.now(),
      bytes: 0,
      idleSweeps: 0,
      onClose: undefined,
    };
    this.#connections.add(connection);
    this.#emit({
      ...{ type: "open", remote: remoteOf(connection) },
      ...(handshakeMs !== undefined && { handshakeMs }),
    });
    // A connection with TLS has neither setting.
    if ("handshake" in conn) return void this.#loop(connection, this.#context);
    try {
      // A reply must not wait for the acknowledgement of the one before it.
      conn.setNoDelay();
      // A client that lost power sends nothing more: the kernel finds out.
      conn.setKeepAlive();
    } catch (error) {
      return this.#loopEnded(connection, error);
    }
    this.#loop(connection, this.#context);
  }

  #loopEnded(
    connection: Connection,
    error?: unknown,
    reason: CloseReason = "eof",
  ): void {
    if (error === undefined) this.#close(connection, reason);
    else this.#close(connection, isReset(error) ? "reset" : "error", error);
    // Not earlier: before Deno 2.9 a write that is under way outlives `close()`, and
    // keeps the descriptor until the client reads or leaves.
    if (!this.#options.once) this.#slots.release();
    this.#acceptor.wake();
  }

  /** Ends a connection once: its own loop may end it, or the server. */
  #close(connection: Connection, reason: CloseReason, error?: unknown): void {
    if (!this.#connections.delete(connection)) return;
    const { conn, openedAt, bytes } = connection;
    const remote = remoteOf(connection);
    conn[Symbol.dispose]();
    connection.onClose?.();
    this.#bytes += bytes;
    this.#closed[reason] = (this.#closed[reason] ?? 0) + 1;
    this.#emit({
      type: "close",
      remote,
      bytes,
      durationMs: performance.now() - openedAt,
      reason,
      ...(error !== undefined && { error }),
    });
    this.#tellIfAllEnded();
  }

  #tellData(connection: Connection, bytes: Uint8Array<ArrayBuffer>): void {
    // Without `onEvent` nothing is copied.
    if (!this.#options.onEvent) return;
    this.#emit({
      type: "data",
      remote: remoteOf(connection),
      preview: bytes.slice(0, PREVIEW_BYTES),
      bytes: bytes.length,
      open: this.#slots.taken + (this.#udp?.senders ?? 0),
    });
  }

  #faultLoop(faults: Faults): ConnectionLoop {
    return faultLoop({
      faults,
      isRef: () => this.#isRef,
      onFault: (connection, fault) =>
        this.#tellFault(remoteOf(connection), fault),
    });
  }

  #tellFault(remote: Deno.NetAddr, fault: ToldFault): void {
    const { kind } = fault;
    this.#faultCounts[kind] = (this.#faultCounts[kind] ?? 0) + 1;
    this.#emit({ type: "fault", remote, ...fault });
  }

  #closeNow(): void {
    this.#acceptor.stop();
    this.#udp?.stop();
    this.#handshakes.close();
    for (const connection of this.#connections) {
      this.#close(connection, "shutdown");
    }
  }

  #emit(event: ServeEvent): void {
    try {
      this.#options.onEvent?.(event);
    } catch (error) {
      this.#onEventError ??= { error };
    }
  }
}

function remoteOf({ conn }: Connection): Deno.NetAddr {
  return conn.remoteAddr as Deno.NetAddr;
}

/**
 * Starts an echo server, which serves any number of clients at once until
 * {@linkcode EchoServer.shutdown} or its signal ends it. An error of one
 * connection ends that connection alone.
 *
 * @example On a free port
 * ```ts
 * import { serve } from "@echo/echo/server";
 * import { assertNotEquals } from "@std/assert";
 *
 * const server = serve({ port: 0 });
 * assertNotEquals(server.addr.port, 0);
 * await server.shutdown();
 * ```
 *
 * @param options Where to listen, limits and callbacks.
 * @returns The server, which listens already.
 * @throws {Deno.errors.AddrInUse} If something else listens there.
 * @throws {Deno.errors.AddrNotAvailable} If the machine has no such address.
 * @throws {Deno.errors.PermissionDenied} If the port needs privileges.
 * @throws {Deno.errors.NotCapable} If Deno may not listen there.
 * @throws {RangeError} If an option is no time, no port, no number of connections or
 * no fault.
 * @throws {URIError} If the host name is not valid.
 * @throws {Deno.errors.InvalidData} If the certificate or its key is no PEM.
 * @throws {Error} If the name does not resolve, or the key is not the certificate's.
 */
export function serve(options: ServeOptions = {}): EchoServer {
  return new Server(options);
}
