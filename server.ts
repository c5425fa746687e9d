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

import { delay } from "@std/async/delay";
import {
  DEFAULT_HOSTNAME,
  DEFAULT_PORT,
  formatAddress,
  withContext,
} from "./net.ts";

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
   * How long {@linkcode EchoServer.shutdown} lets open connections go on before
   * it closes them, in milliseconds, at most 2,147,483,647 (24.8 days).
   *
   * @default {5000}
   */
  drainTimeoutMs?: number;

  /** Closes the server and all its connections at once when it is aborted. */
  signal?: AbortSignal;

  /** Called once the server listens, with the address it listens on. */
  onListen?: (addr: Deno.NetAddr) => void;

  /**
   * Called for what happens from then on. It runs between reading and echoing,
   * so it should be quick, and it must not throw.
   */
  onEvent?: (event: ServeEvent) => void;
}

/**
 * Why a connection ended: `eof` when the client ended its stream and got
 * everything back, `reset` when the client broke the connection, `shutdown`
 * when the server closed it as it stopped, `error` for anything else.
 */
export type CloseReason = "eof" | "reset" | "shutdown" | "error";

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
 * A connection could not be accepted. The server goes on; further failures in
 * a row have no event of their own.
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

/** The size at which larger reads no longer make streams faster. */
const BUFFER_BYTES = 64 * 1024;

/** The pause after a failed accept: doubled for each further failure in a row. */
const ACCEPT_PAUSE_MS = { first: 5, last: 500 };

interface Connection {
  readonly conn: Deno.TcpConn;
  readonly remote: Deno.NetAddr;
  readonly openedAt: number;
  bytes: number;
}

class Server implements EchoServer {
  readonly addr: Deno.NetAddr;
  readonly finished: Promise<void>;
  readonly #options: ServeOptions;
  readonly #listener: Deno.TcpListener;
  readonly #connections = new Set<Connection>();
  #accepted = 0;
  /** Bytes of connections that ended; open ones count their own. */
  #bytes = 0;
  #listening = true;
  #drainTimer: ReturnType<typeof setTimeout> | undefined;
  #lastClosed: (() => void) | undefined;

  constructor(options: ServeOptions) {
    const { hostname = DEFAULT_HOSTNAME, port = DEFAULT_PORT } = options;
    this.#options = options;
    try {
      this.#listener = Deno.listen({ hostname, port });
    } catch (error) {
      throw withContext(
        `Cannot listen on ${formatAddress({ hostname, port })}`,
        error,
      );
    }
    this.addr = this.#listener.addr;
    this.finished = this.#run();
  }

  get stats(): ServeStats {
    let bytes = this.#bytes;
    for (const connection of this.#connections) bytes += connection.bytes;
    return { accepted: this.#accepted, open: this.#connections.size, bytes };
  }

  shutdown(): Promise<void> {
    this.#stopListening();
    if (this.#connections.size > 0) {
      this.#drainTimer ??= setTimeout(
        () => this.#closeAll(),
        this.#options.drainTimeoutMs ?? 5000,
      );
    }
    return this.finished;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  async #run(): Promise<void> {
    const { signal, onListen } = this.#options;
    const abort = () => {
      this.#stopListening();
      this.#closeAll();
    };
    signal?.addEventListener("abort", abort);
    onListen?.(this.addr);
    if (signal?.aborted) abort();

    await this.#acceptAll();
    if (this.#connections.size > 0) {
      await new Promise<void>((resolve) => this.#lastClosed = resolve);
    }
    clearTimeout(this.#drainTimer);
    signal?.removeEventListener("abort", abort);
  }

  async #acceptAll(): Promise<void> {
    let pauseMs = 0;
    while (this.#listening) {
      let conn: Deno.TcpConn;
      try {
        conn = await this.#listener.accept();
      } catch (error) {
        if (!this.#listening) return;
        // EMFILE, ENFILE, ECONNABORTED and the like pass: other clients must
        // not pay for them, and asking again at once would only spin.
        if (pauseMs === 0) this.#reportAcceptFailure(error);
        pauseMs = Math.min(
          pauseMs * 2 || ACCEPT_PAUSE_MS.first,
          ACCEPT_PAUSE_MS.last,
        );
        await delay(pauseMs);
        continue;
      }
      pauseMs = 0;
      this.#serveConnection(conn);
      if (this.#options.once) this.#stopListening();
    }
  }

  #reportAcceptFailure(cause: unknown): void {
    const error = withContext(
      `Cannot accept a connection on ${formatAddress(this.addr)}`,
      cause,
    );
    this.#options.onEvent?.({ type: "error", error });
  }

  #stopListening(): void {
    if (!this.#listening) return;
    this.#listening = false;
    this.#listener.close();
  }

  async #serveConnection(conn: Deno.TcpConn): Promise<void> {
    const remote = conn.remoteAddr as Deno.NetAddr;
    const connection = { conn, remote, openedAt: performance.now(), bytes: 0 };
    this.#accepted++;
    this.#connections.add(connection);
    this.#options.onEvent?.({ type: "open", remote });
    try {
      await this.#echo(connection);
      this.#ended(connection, "eof");
    } catch (error) {
      this.#ended(connection, isReset(error) ? "reset" : "error", error);
    }
  }

  async #echo(connection: Connection): Promise<void> {
    const { conn, remote } = connection;
    // A reply must not wait for the acknowledgement of the one before it.
    conn.setNoDelay();
    const buffer = new Uint8Array(BUFFER_BYTES);
    let length = await conn.read(buffer);
    if (length !== null) {
      const preview = buffer.slice(0, Math.min(length, PREVIEW_BYTES));
      this.#options.onEvent?.({ type: "data", remote, preview, bytes: length });
    }
    while (length !== null) {
      for (let sent = 0; sent < length;) {
        const written = await conn.write(buffer.subarray(sent, length));
        sent += written;
        connection.bytes += written;
      }
      length = await conn.read(buffer);
    }
  }

  /**
   * Ends a connection once, whoever ends it first: its own loop, or
   * `#closeAll()`, which cannot wait for the loop (before Deno 2.9 a write that
   * is under way outlives `close()`).
   */
  #ended(connection: Connection, reason: CloseReason, error?: unknown): void {
    if (!this.#connections.delete(connection)) return;
    const { conn, remote, openedAt, bytes } = connection;
    conn[Symbol.dispose]();
    this.#bytes += bytes;
    this.#options.onEvent?.({
      type: "close",
      remote,
      bytes,
      durationMs: performance.now() - openedAt,
      reason,
      ...(error !== undefined && { error }),
    });
    if (this.#connections.size === 0) this.#lastClosed?.();
  }

  #closeAll(): void {
    for (const connection of this.#connections) {
      this.#ended(connection, "shutdown");
    }
  }
}

function isReset(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.ConnectionAborted ||
    error instanceof Deno.errors.BrokenPipe;
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
