import type { TcpAddress, TlsAddress } from "../net/address.ts";
import { DEFAULT_HOSTNAME, DEFAULT_PORT } from "../net/defaults.ts";
import { checkCount, checkPort, checkTime } from "../net/options.ts";
import { startTimer } from "../net/time.ts";
import { Acceptor, type ServerListener } from "./accepting.ts";
import {
  DEFAULT_DRAIN_TIMEOUT_MS,
  DEFAULT_HANDSHAKE_TIMEOUT_MS,
  type EchoServer,
  type FaultCounts,
  type ServeOptions,
  type ServerTls,
  type ServeStats,
  type ShutdownOptions,
} from "./api.ts";
import type { ConnectionLoop } from "./connection.ts";
import { Connections, remoteOf } from "./connections.ts";
import { echoLoop } from "./echo_loop.ts";
import type { ServeEvent, ToldFault } from "./events.ts";
import { faultLoop } from "./faults/fault_loop.ts";
import { checkFaults, type Faults } from "./faults/options.ts";
import { sweepIdle } from "./idle.ts";
import { listenOn } from "./listening.ts";
import { type SharedCounts, Slots } from "./slots.ts";
import { UdpServer } from "./udp.ts";

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

  constructor(options: ServeOptions, shared?: SharedCounts) {
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
    this.#slots = new Slots(once ? 1 : maxConnections, shared);
    const emit = options.onEvent && ((event: ServeEvent) => this.#emit(event));
    this.#connections = new Connections({
      ...{ loop: this.#chooseLoop(), handshakeTimeoutMs, emit },
      countOthers: () => this.#udp ? 1 : 0,
      countAllOpen: () => this.#slots.taken + (this.#udp?.senders ?? 0),
      onSlotFree: () => this.#freeSlot(),
    });
    const tls = tlsOf(options);
    const transport = tls ? "tls" : "tcp";
    const address: TcpAddress | TlsAddress = { transport, hostname, port };
    const { listener, socket } = listenOn(address, options, tls);
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

  stats(): ServeStats {
    const udp = this.#udp?.stats;
    const { size: open, closed, failedHandshakes } = this.#connections;
    const bytes = this.#connections.bytes + (udp?.bytes ?? 0);
    return {
      ...{ accepted: this.#acceptor.accepted, open, closed, bytes },
      ...(this.#options.cert !== undefined && { failedHandshakes }),
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
    if (this.#options.cert !== undefined) {
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

function tlsOf({ cert, key }: ServeOptions): ServerTls | undefined {
  if (cert === undefined && key === undefined) return undefined;
  if (cert !== undefined && key !== undefined) return { cert, key };
  throw new TypeError("cert and key go together");
}

/**
 * Starts a server, which may share the limits of `once` and `maxConnections` with
 * servers in other threads: one that did not get the one client of `once` goes on
 * listening.
 */
export function startServer(
  options: ServeOptions,
  shared?: SharedCounts,
): EchoServer {
  return new Server(options, shared);
}
