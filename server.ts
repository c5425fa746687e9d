/**
 * A TCP server that sends back every byte it gets, in order, until the client
 * ends its stream, as {@link https://www.rfc-editor.org/rfc/rfc862 | RFC 862}
 * asks.
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

import { setTimeout as delay } from "node:timers/promises";
import {
  DEFAULT_HOSTNAME,
  DEFAULT_PORT,
  formatAddress,
  isReset,
  withContext,
} from "./net.ts";
import { Rounds } from "./rounds.ts";

/** Options for {@linkcode serve}. */
export interface ServeOptions {
  /**
   * Listen on this IPv4 or IPv6 address or name.
   *
   * @default {"127.0.0.1"}
   */
  hostname?: string;

  /**
   * Listen on this TCP port. With 0 the system chooses a free one, which
   * {@linkcode EchoServer.addr} tells.
   *
   * @default {12345}
   */
  port?: number;

  /**
   * Serve the first connection only, and finish when it ends.
   *
   * @default {false}
   */
  once?: boolean;

  /**
   * Serve at most this many connections at once. Further clients wait in the
   * kernel's queue, and are served in turn as others leave.
   *
   * @default {Infinity}
   */
  maxConnections?: number;

  /**
   * Close a connection that moved no byte in either direction for this long, in
   * milliseconds. It is looked at four times in that span, so a connection ends
   * up to a quarter later.
   *
   * @default {Infinity}
   */
  idleTimeoutMs?: number;

  /**
   * Share the port with others that ask for the same, so that the kernel spreads
   * connections over them: a listener in each of several workers. Linux only;
   * needs Deno's `--unstable-net`.
   *
   * @default {false}
   */
  reusePort?: boolean;

  /**
   * How long {@linkcode EchoServer.shutdown} lets open connections go on before
   * it closes them, in milliseconds, at most 2,147,483,647 (24.8 days).
   *
   * @default {5000}
   */
  drainTimeoutMs?: number;

  /** Closes the server and all its connections at once when it is aborted. */
  signal?: AbortSignal;

  /**
   * Called once the server listens, with the address it listens on. What it
   * throws, {@linkcode serve} throws, and listens no more.
   */
  onListen?: (addr: Deno.NetAddr) => void;

  /**
   * Called for what happens from then on. It runs between reading and echoing,
   * so it should be quick, and it must not throw.
   */
  onEvent?: (event: ServeEvent) => void;
}

/**
 * Why a connection ended: `eof` when the client ended its stream and got
 * everything back, `idle` when the server closed it because no byte moved,
 * `reset` when the client broke the connection, `shutdown` when the server closed
 * it as it stopped, `error` for anything else.
 */
export type CloseReason = "eof" | "idle" | "reset" | "shutdown" | "error";

/** A connection was accepted. */
export interface OpenEvent {
  /** Which event this is. */
  type: "open";
  /** The client's address. */
  remote: Deno.NetAddr;
}

/** The first bytes of a connection arrived; later ones have no event. */
export interface DataEvent {
  /** Which event this is. */
  type: "data";
  /** The client's address. */
  remote: Deno.NetAddr;
  /** A copy of the first bytes, at most {@linkcode PREVIEW_BYTES}. */
  preview: Uint8Array;
  /** How many bytes arrived at once. */
  bytes: number;
}

/** A connection ended. */
export interface CloseEvent {
  /** Which event this is. */
  type: "close";
  /** The client's address. */
  remote: Deno.NetAddr;
  /** How many bytes were echoed. */
  bytes: number;
  /** How long the connection was open, in milliseconds. */
  durationMs: number;
  /** Why it ended. */
  reason: CloseReason;
  /** What was thrown, where the reason is `reset` or `error`. */
  error?: unknown;
}

/**
 * A connection could not be accepted. The server goes on; failures of the same
 * kind have no event of their own until there were none for ten seconds.
 */
export interface ErrorEvent {
  /** Which event this is. */
  type: "error";
  /** Says what could not be done and why. */
  error: Error;
}

/** What {@linkcode ServeOptions.onEvent} is called with. */
export type ServeEvent = OpenEvent | DataEvent | CloseEvent | ErrorEvent;

/** Totals since the server started. */
export interface ServeStats {
  /** Connections that were accepted. */
  accepted: number;
  /** Connections that are open now. */
  open: number;
  /** Bytes that were echoed. */
  bytes: number;
}

/** A running echo server, as {@linkcode serve} returns it. */
export interface EchoServer extends AsyncDisposable {
  /** The address that the server listens on. */
  readonly addr: Deno.NetAddr;

  /** Settles once the server listens no more and every connection ended. */
  readonly finished: Promise<void>;

  /** Totals up to now. */
  readonly stats: ServeStats;

  /**
   * Stops listening, lets open connections finish within
   * {@linkcode ServeOptions.drainTimeoutMs}, then closes them. `await using`
   * calls it at the end of the scope.
   *
   * @returns The promise of {@linkcode EchoServer.finished}.
   */
  shutdown(): Promise<void>;
}

/** How many of a connection's first bytes a {@linkcode DataEvent} holds at most. */
export const PREVIEW_BYTES = 512;

/**
 * The sizes of a connection's buffer. It starts small, so that ten thousand idle
 * connections cost little, and grows when a read fills it, so that a stream gets
 * as much at once as makes a difference. From the least the factor leads to the
 * most.
 */
const BUFFER_BYTES = { least: 512, most: 512 * 1024, factor: 4 };

/**
 * A buffer shrinks after this many reads in a row that a smaller one would have
 * held. With fewer a stream, whose reads vary, would shrink and grow all the time.
 */
const READS_BEFORE_SHRINKING = 32;

/**
 * How many clients the kernel may hold until they are accepted. Beyond that it
 * drops what they send, and a client only tries again a second later. The
 * kernel has a limit of its own, 4096 by default on Linux.
 */
const BACKLOG = 4096;

/**
 * A shutdown takes clients out of the kernel's queue until none came in so many
 * turns of the event loop in a row, so far apart, for so long at most.
 */
const QUEUE_DRAIN = { quietTurns: 3, turnMs: 5, mostMs: 1000 };

/** How often idle connections are looked for within the idle timeout. */
const SWEEPS_PER_TIMEOUT = 4;

/**
 * What accept(2) says of the one connection that it took from the queue, and,
 * for ENOTCONN and ECONNRESET, the look at its address that follows.
 */
const CLIENT_ERRORS = new Set([
  "ECONNABORTED",
  "ECONNRESET",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "ENETDOWN",
  "ENETUNREACH",
  "ENOTCONN",
  "EPERM",
  "EPROTO",
]);

/** The pause after a failed accept: doubled for each further failure in a row. */
const ACCEPT_PAUSE_MS = { first: 5, last: 500 };

/** Failures of one kind no further apart than this are told once. */
const ACCEPT_BURST_MS = 10_000;

/**
 * How long after a round, in which busy clients wait for each other, there is
 * another one, see {@linkcode Rounds}: about the longest wait among them. With a
 * shorter one there is less throughput, as in a round no client's data is in the
 * processor's caches any more.
 */
const ROUND_PAUSE_MS = 100;

interface Connection {
  readonly conn: Deno.TcpConn;
  readonly openedAt: number;
  buffer: Uint8Array<ArrayBuffer>;
  /** How many reads in a row a smaller buffer would have held. */
  smallReads: number;
  /** Bytes that were written. */
  bytes: number;
  /** Bytes that were read and written, now and at the last sweep that saw more. */
  moved: number;
  movedBefore: number;
  /** How many sweeps in a row saw no more. */
  idleSweeps: number;
}

class Server implements EchoServer {
  readonly addr: Deno.NetAddr;
  readonly finished: Promise<void>;
  readonly #options: ServeOptions;
  readonly #listener: Deno.TcpListener;
  readonly #connections = new Set<Connection>();
  readonly #rounds = new Rounds(() => this.#connections.size, ROUND_PAUSE_MS);
  /** When accept failed last, by the kind of failure. */
  readonly #acceptFailures = new Map<string, number>();
  #accepted = 0;
  /** Bytes of connections that ended; open ones count their own. */
  #bytes = 0;
  #isListening = true;
  #isShuttingDown = false;
  #isFinished = false;
  #drainTimer: ReturnType<typeof setTimeout> | undefined;
  /** Called when a connection ended or no more are wanted. */
  #wake: () => void = () => {};

  constructor(options: ServeOptions) {
    const { hostname = DEFAULT_HOSTNAME, port = DEFAULT_PORT } = options;
    const { reusePort = false } = options;
    this.#options = options;
    try {
      this.#listener = Deno.listen({
        hostname,
        port,
        tcpBacklog: BACKLOG,
        // Asking for it, even with false, takes --unstable-net.
        ...(reusePort && { reusePort }),
      });
    } catch (error) {
      throw withContext(
        `Cannot listen on ${formatAddress({ hostname, port })}`,
        error,
      );
    }
    this.addr = this.#listener.addr;
    try {
      options.onListen?.(this.addr);
    } catch (error) {
      this.#listener.close();
      throw error;
    }
    this.finished = this.#run();
  }

  get stats(): ServeStats {
    let bytes = this.#bytes;
    for (const connection of this.#connections) bytes += connection.bytes;
    return { accepted: this.#accepted, open: this.#connections.size, bytes };
  }

  shutdown(): Promise<void> {
    if (!this.#isShuttingDown && !this.#isFinished) {
      this.#isShuttingDown = true;
      this.#drain();
    }
    return this.finished;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  async #run(): Promise<void> {
    const { signal, idleTimeoutMs = Infinity } = this.#options;
    const abort = () => {
      this.#stopListening();
      this.#closeAll();
    };
    signal?.addEventListener("abort", abort);
    if (signal?.aborted) abort();
    const sweeper = idleTimeoutMs < Infinity
      ? setInterval(() => this.#closeIdle(), idleTimeoutMs / SWEEPS_PER_TIMEOUT)
      : undefined;

    await this.#acceptAll();
    while (this.#connections.size > 0) await this.#untilWoken();
    this.#isFinished = true;
    clearInterval(sweeper);
    clearTimeout(this.#drainTimer);
    this.#rounds.stop();
    signal?.removeEventListener("abort", abort);
  }

  async #drain(): Promise<void> {
    const { drainTimeoutMs = 5000 } = this.#options;
    this.#drainTimer = setTimeout(() => {
      this.#stopListening();
      this.#closeAll();
    }, drainTimeoutMs);
    // Who is in the kernel's queue already may have sent a message, which closing
    // the listener would throw away.
    const endsAt = performance.now() + QUEUE_DRAIN.mostMs;
    let quietTurns = 0;
    while (quietTurns < QUEUE_DRAIN.quietTurns && performance.now() < endsAt) {
      const before = this.#accepted;
      await delay(QUEUE_DRAIN.turnMs);
      quietTurns = this.#accepted === before ? quietTurns + 1 : 0;
    }
    this.#stopListening();
  }

  /** Waits for something to change, for a time at most. */
  #untilWoken(mostMs?: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = mostMs === undefined
        ? undefined
        : setTimeout(resolve, mostMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #acceptAll(): Promise<void> {
    const { maxConnections = Infinity, once } = this.#options;
    let pauseMs = 0;
    while (this.#isListening) {
      if (this.#connections.size >= maxConnections) {
        await this.#untilWoken();
        continue;
      }
      let conn: Deno.TcpConn;
      try {
        conn = await this.#listener.accept();
      } catch (error) {
        if (!this.#isListening) return;
        this.#reportAcceptFailure(error);
        // A client that left before its turn must not hold up the next one.
        if (CLIENT_ERRORS.has((error as { code?: string }).code ?? "")) {
          continue;
        }
        // A lack of descriptors or memory passes: asking again would only spin.
        const { first, last } = ACCEPT_PAUSE_MS;
        pauseMs = Math.min(pauseMs * 2 || first, last);
        await this.#untilWoken(pauseMs);
        continue;
      }
      // It may have come in the same turn as the end.
      if (!this.#isListening) return conn.close();
      pauseMs = 0;
      this.#serveConnection(conn);
      if (once) this.#stopListening();
    }
  }

  #reportAcceptFailure(cause: unknown): void {
    const error = withContext(
      `Cannot accept a connection on ${formatAddress(this.addr)}`,
      cause,
    );
    const now = performance.now();
    const before = this.#acceptFailures.get(error.message) ?? -Infinity;
    this.#acceptFailures.set(error.message, now);
    if (now - before < ACCEPT_BURST_MS) return;
    this.#options.onEvent?.({ type: "error", error });
  }

  #stopListening(): void {
    if (!this.#isListening) return;
    this.#isListening = false;
    this.#listener.close();
    this.#wake();
  }

  /** One function, not two: its state is most of what an idle client costs. */
  async #serveConnection(conn: Deno.TcpConn): Promise<void> {
    const connection: Connection = {
      conn,
      openedAt: performance.now(),
      buffer: new Uint8Array(BUFFER_BYTES.least),
      smallReads: 0,
      bytes: 0,
      moved: 0,
      movedBefore: -1,
      idleSweeps: 0,
    };
    this.#accepted++;
    this.#connections.add(connection);
    this.#rounds.plan();
    this.#options.onEvent?.({ type: "open", remote: remoteOf(conn) });
    try {
      // A reply must not wait for the acknowledgement of the one before it.
      conn.setNoDelay();
      // A client that lost power sends nothing more: the kernel finds out.
      conn.setKeepAlive();
      while (true) {
        const length = await conn.read(connection.buffer);
        if (length === null) break;
        if (connection.moved === 0) this.#reportData(connection, length);
        connection.moved += length;
        for (let sent = 0; sent < length;) {
          const rest = connection.buffer.subarray(sent, length);
          const written = await conn.write(rest);
          sent += written;
          connection.bytes += written;
          connection.moved += written;
        }
        fitBuffer(connection, length);
        if (this.#rounds.isOn) await this.#rounds.wait();
      }
      this.#ended(connection, "eof");
    } catch (error) {
      this.#ended(connection, isReset(error) ? "reset" : "error", error);
    }
  }

  #reportData({ conn, buffer }: Connection, bytes: number): void {
    const { onEvent } = this.#options;
    if (!onEvent) return;
    const preview = buffer.slice(0, Math.min(bytes, PREVIEW_BYTES));
    onEvent({ type: "data", remote: remoteOf(conn), preview, bytes });
  }

  /**
   * Ends a connection once, whoever ends it first: its own loop, or the server,
   * which cannot wait for the loop (before Deno 2.9 a write that is under way
   * outlives `close()`).
   */
  #ended(connection: Connection, reason: CloseReason, error?: unknown): void {
    if (!this.#connections.delete(connection)) return;
    const { conn, openedAt, bytes } = connection;
    conn[Symbol.dispose]();
    this.#bytes += bytes;
    this.#options.onEvent?.({
      type: "close",
      remote: remoteOf(conn),
      bytes,
      durationMs: performance.now() - openedAt,
      reason,
      ...(error !== undefined && { error }),
    });
    this.#wake();
  }

  #closeAll(): void {
    for (const connection of this.#connections) {
      this.#ended(connection, "shutdown");
    }
  }

  /**
   * Looks at all connections at once, which costs less than a timer for each of
   * their reads and writes.
   */
  #closeIdle(): void {
    for (const connection of this.#connections) {
      if (connection.moved !== connection.movedBefore) {
        connection.movedBefore = connection.moved;
        connection.idleSweeps = 0;
      } else if (++connection.idleSweeps === SWEEPS_PER_TIMEOUT) {
        this.#ended(connection, "idle");
      }
    }
  }
}

/** Gives a connection a buffer that suits what it reads. */
function fitBuffer(connection: Connection, length: number): void {
  const size = connection.buffer.length;
  const { least, most, factor } = BUFFER_BYTES;
  const isSmall = length < size / factor && size > least;
  connection.smallReads = isSmall ? connection.smallReads + 1 : 0;
  if (length === size && size < most) {
    connection.buffer = new Uint8Array(size * factor);
  } else if (connection.smallReads === READS_BEFORE_SHRINKING) {
    connection.buffer = new Uint8Array(size / factor);
    connection.smallReads = 0;
  }
}

function remoteOf(conn: Deno.TcpConn): Deno.NetAddr {
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
 * @throws {URIError} If the host name is not valid.
 * @throws {Error} If the name does not resolve.
 */
export function serve(options: ServeOptions = {}): EchoServer {
  return new Server(options);
}
