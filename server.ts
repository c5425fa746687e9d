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
import { checkCount, checkPort, checkTime } from "./net/options.ts";
import { startTimer } from "./net/time.ts";
import { Acceptor, type ServerListener } from "./server/accepting.ts";
import {
  DEFAULT_DRAIN_TIMEOUT_MS,
  DEFAULT_HANDSHAKE_TIMEOUT_MS,
  type EchoServer,
  type FaultCounts,
  type ServeOptions,
  type ServeStats,
  type ShutdownOptions,
} from "./server/api.ts";
import type { ConnectionLoop } from "./server/connection.ts";
import { Connections, remoteOf } from "./server/connections.ts";
import { echoLoop } from "./server/echo_loop.ts";
import type { ServeEvent, ToldFault } from "./server/events.ts";
import { faultLoop } from "./server/faults/fault_loop.ts";
import { checkFaults, type Faults } from "./server/faults/options.ts";
import { sweepIdle } from "./server/idle.ts";
import { listenOn } from "./server/listening.ts";
import { type SharedCounts, Slots } from "./server/slots.ts";
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
export type {
  DatagramStats,
  EchoServer,
  FaultCounts,
  ServeOptions,
  ServerTls,
  ServeStats,
  ShutdownOptions,
} from "./server/api.ts";
export type {
  AcceptFailedEvent,
  CloseEvent,
  CloseReason,
  CrowdEvent,
  DataEvent,
  DropEvent,
  FaultEvent,
  FullEvent,
  HandshakeFailedEvent,
  OpenEvent,
  ResetEvent,
  ServeEvent,
} from "./server/events.ts";
export type { HandshakeFailure } from "./server/handshakes.ts";
export type { DropReason } from "./server/datagram_limits.ts";
export type { FaultKind, FaultOptions } from "./server/faults/options.ts";
export type { SharedCounts };

/**
 * What a server does: it listens; it drains while it takes no more clients than those
 * in the kernel's queue; then it is finished.
 */
type State = "listening" | "draining" | "finished";

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
  readonly #faults: Faults | undefined;
  readonly #faultCounts: FaultCounts = {};
  readonly #connections: Connections;
  #state: State = "listening";
  /** What {@linkcode ServeOptions.onEvent} threw first. */
  #onEventError: { error: unknown } | undefined;
  /** When open connections are closed, as `performance.now()`. */
  #drainEndsAt = Infinity;
  #drainTimer: Disposable | undefined;

  constructor(options: ServeOptions) {
    const { hostname = DEFAULT_HOSTNAME, port = DEFAULT_PORT } = options;
    const { maxConnections = Infinity, idleTimeoutMs = Infinity } = options;
    const { once = false, udp = false } = options;
    const { drainTimeoutMs = DEFAULT_DRAIN_TIMEOUT_MS } = options;
    const { handshakeTimeoutMs = DEFAULT_HANDSHAKE_TIMEOUT_MS } = options;
    this.#options = options;
    this.#drainTimeoutMs = checkTime("drainTimeoutMs", drainTimeoutMs);
    this.#idleTimeoutMs = checkTime("idleTimeoutMs", idleTimeoutMs);
    checkTime("handshakeTimeoutMs", handshakeTimeoutMs);
    checkCount("maxConnections", maxConnections);
    checkCount("udpRatePerSecond", options.udpRatePerSecond ?? Infinity);
    checkPort(port);
    this.#faults = options.faults && checkFaults(options.faults, udp);
    this.#slots = new Slots(once ? 1 : maxConnections, options.shared);
    const emit = options.onEvent && ((event: ServeEvent) => this.#emit(event));
    this.#connections = new Connections({
      ...{ loop: this.#chooseLoop(), handshakeTimeoutMs, emit },
      countOthers: () => this.#udp ? 1 : 0,
      countAllOpen: () => this.#slots.taken + (this.#udp?.senders ?? 0),
      onSlotFree: () => this.#freeSlot(),
    });
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
      ...{ barrier: this.#connections.barrier, emit },
      countOpen: () => this.#slots.taken,
      onOnce: () => this.#acceptor.stop(),
      faults: this.#faults && {
        faults: this.#faults,
        isRef: () => this.#connections.isRef,
        onFault: (remote, fault) => this.#tellFault(remote, fault),
      },
    });
    this.#acceptor = new Acceptor(this.#listener, {
      address: {
        transport,
        hostname: this.addr.hostname,
        port: this.addr.port,
      },
      slots: this.#slots,
      once,
      onConnection: (conn) => this.#connections.add(conn),
      onFailure: (error) => this.#emit({ type: "error", error }),
      onReset: () => this.#emit({ type: "reset" }),
      onFull: () => this.#emit({ type: "full", open: this.#slots.taken }),
    });
    this.finished = this.#run();
  }

  get stats(): ServeStats {
    const udp = this.#udp?.stats;
    const { size: open, closed, failedHandshakes } = this.#connections;
    const bytes = this.#connections.bytes + (udp?.bytes ?? 0);
    return {
      ...{ accepted: this.#acceptor.accepted, open, closed, bytes },
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
      this.#state = "draining";
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
    if (this.#options.tls) {
      // Deno has no way to unref the `accept()` of a TLS listener, nor a handshake.
      throw new Deno.errors.NotSupported("A server with TLS cannot be unref'd");
    }
    this.#setRef(false);
  }

  #setRef(isRef: boolean): void {
    const method = isRef ? "ref" : "unref";
    this.#listener[method]();
    this.#connections.setRef(isRef);
    this.#udp?.[method]();
  }

  async #run(): Promise<void> {
    const { signal } = this.#options;
    const abort = () => this.#closeNow();
    signal?.addEventListener("abort", abort);
    if (signal?.aborted) abort();
    const sweeps = sweepIdle(this.#connections, {
      idleTimeoutMs: this.#idleTimeoutMs,
      untilAllRead: () => this.#connections.barrier.untilAllRead(),
      end: (connection) => this.#connections.close(connection, "idle"),
    });

    await Promise.all([this.#runAcceptor(), this.#udp?.run()]);
    this.#state = "draining";
    await this.#connections.untilNone();
    this.#state = "finished";
    sweeps[Symbol.dispose]();
    this.#drainTimer?.[Symbol.dispose]();
    await this.#connections[Symbol.asyncDispose]();
    signal?.removeEventListener("abort", abort);
    if (this.#onEventError) throw this.#onEventError.error;
  }

  async #runAcceptor(): Promise<void> {
    await this.#acceptor.run();
    // The one that it serves is a connection: a datagram takes no slot.
    if (this.#options.once && !this.#slots.hasFree) this.#udp?.stop();
  }

  #freeSlot(): void {
    if (!this.#options.once) this.#slots.release();
    this.#acceptor.wake();
  }

  #closeNow(): void {
    this.#acceptor.stop();
    this.#udp?.stop();
    this.#connections.closeAll();
  }

  #chooseLoop(): ConnectionLoop {
    const faults = this.#faults;
    return faults === undefined ? echoLoop : faultLoop({
      faults,
      isRef: () => this.#connections.isRef,
      onFault: (connection, fault) =>
        this.#tellFault(remoteOf(connection), fault),
    });
  }

  #tellFault(remote: Deno.NetAddr, fault: ToldFault): void {
    const { kind } = fault;
    this.#faultCounts[kind] = (this.#faultCounts[kind] ?? 0) + 1;
    this.#emit({ type: "fault", remote, ...fault });
  }

  #emit(event: ServeEvent): void {
    try {
      this.#options.onEvent?.(event);
    } catch (error) {
      this.#onEventError ??= { error };
    }
  }
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
