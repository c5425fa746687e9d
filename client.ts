/**
 * A TCP client that sends bytes to an echo server and compares every byte that
 * comes back with the one that was sent.
 *
 * @example One verified round trip
 * ```ts
 * import { connect } from "@echo/echo/client";
 * import { serve } from "@echo/echo/server";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = serve({ port: 0 });
 * using client = await connect({ port: server.addr.port });
 * const { bytes } = await client.echo(new TextEncoder().encode("hello"));
 * assertEquals(bytes, 5);
 * ```
 *
 * @module
 */

import { Buffer } from "node:buffer";
import {
  setImmediate as nextTurn,
  setTimeout as delay,
} from "node:timers/promises";
import {
  DEFAULT_HOSTNAME,
  DEFAULT_PORT,
  formatAddress,
  type Reader,
  reasonOf,
  withContext,
  writeAll,
  type Writer,
} from "./net.ts";

export type { Reader, Writer };

/** Options for {@linkcode connect}. */
export interface ConnectOptions {
  /**
   * Connect to this IPv4 or IPv6 address or name.
   *
   * @default {"127.0.0.1"}
   */
  hostname?: string;

  /**
   * Connect to this TCP port.
   *
   * @default {12345}
   */
  port?: number;

  /**
   * The longest wait for the connection, and then for the next byte of a reply,
   * in milliseconds, at most 2,147,483,647 (24.8 days).
   *
   * @default {5000}
   */
  timeoutMs?: number;

  /**
   * Try again for this long when the connection cannot be made, in milliseconds.
   * The last attempt begins at the end of that time.
   *
   * @default {0}
   */
  retryMs?: number;

  /** Gives up connecting, or closes the connection, when it is aborted. */
  signal?: AbortSignal;
}

/** What came back, every byte of it verified. */
export interface EchoResult {
  /** How many bytes were sent and came back. */
  bytes: number;

  /** From the first byte's sending to the last one's verification, in milliseconds. */
  durationMs: number;
}

/** Other bytes came back than were sent. */
export class MismatchError extends Error {
  /** The error's name, `MismatchError`. */
  override readonly name = "MismatchError";

  /** Where in the echo the first wrong byte is, counted from 0. */
  readonly offset: number;

  /** The byte that was sent there, `undefined` where nothing was. */
  readonly sent: number | undefined;

  /** The byte that came back. */
  readonly received: number;

  /**
   * Makes the error and its message.
   *
   * @param from The server's address, for the message.
   * @param offset Where in the echo the first wrong byte is.
   * @param sent The byte that was sent there, `undefined` where nothing was.
   * @param received The byte that came back.
   */
  constructor(
    from: string,
    offset: number,
    sent: number | undefined,
    received: number,
  ) {
    const was = sent === undefined
      ? "nothing was sent there"
      : `sent ${hex(sent)}`;
    super(
      `Wrong echo from ${from}: byte at offset ${count(offset)} differs, ` +
        `${was}, received ${hex(received)}`,
    );
    this.offset = offset;
    this.sent = sent;
    this.received = received;
  }
}

/** The connection ended before everything came back. */
export class ShortEchoError extends Error {
  /** The error's name, `ShortEchoError`. */
  override readonly name = "ShortEchoError";

  /** How many bytes were sent, or were about to be. */
  readonly sent: number;

  /** How many of them came back, all as they were sent. */
  readonly received: number;

  /**
   * Makes the error and its message.
   *
   * @param from The server's address, for the message.
   * @param sent How many bytes were sent.
   * @param received How many came back.
   * @param cause What broke the connection, if the server did not simply end it.
   */
  constructor(from: string, sent: number, received: number, cause?: unknown) {
    const how = cause === undefined
      ? "connection closed by server"
      : reasonOf(cause);
    super(`Short echo from ${from}: ${how}, ${progress(received, sent)}`, {
      cause,
    });
    this.sent = sent;
    this.received = received;
  }
}

/** What a stream may have under way before it waits for replies: its memory. */
const WINDOW_BYTES = 16 * 1024 * 1024;

/** What one read may take. */
const BUFFER_BYTES = 256 * 1024;

/** The longest wait for the server to end its side once every byte is back. */
const END_TIMEOUT_MS = 1000;

/** How long reading has to find a reply when its time is over. */
const LAST_LOOK_MS = 5;

/** The pause before another attempt to connect: doubled for each one. */
const RETRY_PAUSE_MS = { first: 20, last: 250 };

const DEFAULT_TIMEOUT_MS = 5000;

/** A connection to an echo server, as {@linkcode connect} returns it. */
export class EchoClient implements Disposable {
  /** How long connecting took, in milliseconds, without failed attempts. */
  readonly connectMs: number;

  /** The address of the client's own end. */
  readonly localAddr: Deno.NetAddr;

  /** The address of the server. */
  readonly remoteAddr: Deno.NetAddr;

  readonly #conn: Deno.TcpConn;
  readonly #from: string;
  readonly #timeoutMs: number;
  readonly #signal: AbortSignal | undefined;

  /** Why nothing more can be sent, and a promise that rejects with it. */
  #closed: { why: unknown } | undefined;
  readonly #closing = Promise.withResolvers<never>();

  // The exchange under way: how much of it was sent (the last of that may still
  // be in a write), how much of that came back, whether that was all, and what
  // the last read brought.
  #busy = false;
  #sent = 0;
  #verified = 0;
  #writing = false;
  #ended = false;
  #received = new Uint8Array();
  /** A read that nothing came of yet: the next one is this one. */
  #pendingRead: Promise<number | null> | undefined;

  // When the next byte is due, and the one timer that watches it. The timer is
  // not set anew for each message: when it fires early, it is set for the rest.
  #waiting = false;
  #dueAt = Infinity;
  #timerAt = Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * Takes over a connection; {@linkcode connect} makes one.
   *
   * @param conn The connection to the server.
   * @param connectMs How long connecting took, in milliseconds.
   * @param options The timeout for replies, and the signal that closes it.
   */
  constructor(
    conn: Deno.TcpConn,
    connectMs: number,
    options: Pick<ConnectOptions, "timeoutMs" | "signal"> = {},
  ) {
    // A message must not wait for the acknowledgement of the one before it.
    conn.setNoDelay();
    this.connectMs = connectMs;
    this.localAddr = conn.localAddr as Deno.NetAddr;
    this.remoteAddr = conn.remoteAddr as Deno.NetAddr;
    this.#conn = conn;
    this.#from = formatAddress(this.remoteAddr);
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#signal = options.signal;
    this.#signal?.addEventListener("abort", this.#onAbort);
    this.#closing.promise.catch(() => {});
  }

  /**
   * Sends a message and reads until all of it came back, at the same time, so
   * that a message of any size passes. After any failure the connection is
   * closed: a late reply must not be taken for the next message's.
   *
   * @param message The bytes to send.
   * @returns How many bytes came back, and how long that took.
   * @throws {MismatchError} If other bytes came back than were sent.
   * @throws {ShortEchoError} If the connection ended before all came back.
   * @throws {Deno.errors.TimedOut} If no byte came back for the timeout.
   * @throws {Error} If an exchange is under way, or the connection is closed.
   */
  async echo(message: Uint8Array): Promise<EchoResult> {
    // Not through #exchange(): a load test calls this a hundred thousand times
    // a second.
    this.#begin();
    try {
      // One byte more than can come back, so that a surplus shows at once.
      const most = Math.min(message.length + 1, BUFFER_BYTES);
      this.#sent = message.length;
      this.#verified = 0;
      const startedAt = performance.now();
      const sending = this.#write(message);
      while (this.#verified < this.#sent) {
        this.#verify(await this.#read(most), message);
      }
      const durationMs = performance.now() - startedAt;
      if (this.#writing) await this.#finishWrite(sending);
      return { bytes: message.length, durationMs };
    } catch (error) {
      this.#close(error);
      throw error;
    } finally {
      this.#busy = false;
    }
  }

  /**
   * Sends all that a source yields, ends the client's side of the connection
   * (half-close), and reads until everything came back and the server ended its
   * side too, or did not within a second. At most 16 MiB are under way at once:
   * memory stays bounded, and a server that wants more before it answers runs
   * into the timeout. The connection is closed in the end.
   *
   * @param source Where the bytes come from.
   * @param sink Where each byte goes once it is verified, by default nowhere.
   * @returns How many bytes came back, and how long that took.
   * @throws {MismatchError} If other bytes came back than were sent.
   * @throws {ShortEchoError} If the connection ended before all came back.
   * @throws {Deno.errors.TimedOut} If no byte came back for the timeout.
   * @throws {Error} If an exchange is under way, if the connection is closed, or
   * what the source or the sink throws.
   */
  echoStream(source: Reader, sink?: Writer): Promise<EchoResult> {
    return this.#exchange(async () => {
      this.#sent = 0;
      this.#verified = 0;
      const window = new Uint8Array(WINDOW_BYTES);
      let room = Promise.withResolvers<void>();
      let startedAt = 0;
      let durationMs = 0;

      const send = async () => {
        while (true) {
          while (this.#sent - this.#verified === WINDOW_BYTES) {
            room = Promise.withResolvers();
            await room.promise;
          }
          const at = this.#sent % WINDOW_BYTES;
          const free = WINDOW_BYTES - (this.#sent - this.#verified);
          const chunk = window.subarray(at, at + Math.min(BUFFER_BYTES, free));
          const length = await source.read(chunk);
          if (length === null) return await this.#endInput();
          startedAt ||= performance.now();
          this.#sent += length;
          if (!await this.#write(chunk.subarray(0, length))) return;
        }
      };
      send().catch((error) => this.#close(error));

      while (true) {
        const length = await this.#read(BUFFER_BYTES);
        if (length === 0) break;
        this.#verify(length, window);
        durationMs = performance.now() - startedAt;
        room.resolve();
        if (sink) await writeAll(sink, this.#received.subarray(0, length));
      }
      this.close();
      return { bytes: this.#verified, durationMs };
    });
  }

  /**
   * Looks whether anything came since the last exchange, which nothing should:
   * a second reply would be taken for the next message's. It takes two turns of
   * the event loop, so {@linkcode EchoClient.echo} does not do it by itself.
   *
   * @throws {MismatchError} If more bytes came than were sent.
   * @throws {ShortEchoError} If the connection ended.
   * @throws {Error} If an exchange is under way, or the connection is closed.
   */
  expectSilence(): Promise<void> {
    return this.#exchange(async () => {
      let hasCome = false;
      const come = () => hasCome = true;
      this.#startReading(1).then(come, come);
      // The runtime looks at the socket between two turns of its event loop.
      for (let turn = 0; turn < 2; turn++) await nextTurn();
      if (hasCome) this.#verify(await this.#read(1), new Uint8Array());
    });
  }

  /**
   * Ends the client's side of the connection (half-close) and waits for the
   * server to end its side, for a second at most. Then closes the connection.
   *
   * @throws {MismatchError} If more bytes came than were sent.
   * @throws {Error} If an exchange is under way, or the connection is closed.
   */
  end(): Promise<void> {
    return this.#exchange(async () => {
      await this.#endInput();
      const length = await this.#read(1);
      if (length > 0) this.#verify(length, new Uint8Array());
      this.close();
    });
  }

  /** Closes the connection at once, also in the midst of an exchange. */
  close(): void {
    this.#close(
      new Error(`Cannot send to ${this.#from}: the client is closed`),
    );
  }

  /** Closes the connection: see {@linkcode EchoClient.close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  #onAbort = () => this.#close(this.#signal?.reason);

  #close(why: unknown): void {
    if (this.#closed) return;
    this.#closed = { why };
    this.#signal?.removeEventListener("abort", this.#onAbort);
    clearTimeout(this.#timer);
    this.#conn[Symbol.dispose]();
    this.#closing.reject(why);
  }

  #begin(): void {
    if (this.#closed) throw this.#closed.why;
    if (this.#busy) {
      throw new Error(`Cannot send to ${this.#from}: an exchange is under way`);
    }
    this.#busy = true;
  }

  async #exchange<T>(exchange: () => Promise<T>): Promise<T> {
    this.#begin();
    try {
      return await exchange();
    } catch (error) {
      this.#close(error);
      throw error;
    } finally {
      this.#busy = false;
    }
  }

  /** Begins to read up to so many bytes, unless a read is pending already. */
  #startReading(most: number): Promise<number | null> {
    if (!this.#pendingRead) {
      if (this.#received.length < most) this.#received = new Uint8Array(most);
      this.#pendingRead = this.#conn.read(this.#received);
    }
    return this.#pendingRead;
  }

  /**
   * A failed write has no error of its own: reading finds out why, and how much
   * came back all the same.
   */
  async #write(bytes: Uint8Array): Promise<boolean> {
    this.#writing = true;
    this.#watch();
    try {
      await writeAll(this.#conn, bytes);
      return true;
    } catch {
      return false;
    } finally {
      this.#writing = false;
      this.#watch();
    }
  }

  /**
   * Waits for a write whose reply is here already, from a server that answers
   * before it reads. Before Deno 2.9, closing the connection does not end it.
   */
  async #finishWrite(writing: Promise<boolean>): Promise<void> {
    this.#waiting = true;
    this.#watch();
    await Promise.race([writing, this.#closing.promise]);
    this.#waiting = false;
    this.#dueAt = Infinity;
  }

  async #endInput(): Promise<void> {
    this.#ended = true;
    this.#watch();
    try {
      await this.#conn.closeWrite();
    } catch {
      // The connection is broken: reading finds out.
    }
  }

  /** Reads into `#received`; 0 is the end of a stream that was due to end. */
  async #read(most: number): Promise<number> {
    let cause: unknown;
    this.#waiting = true;
    this.#watch();
    try {
      const length = await this.#startReading(most);
      this.#pendingRead = undefined;
      if (length !== null) return length;
    } catch (error) {
      cause = error;
    } finally {
      this.#waiting = false;
      this.#dueAt = Infinity;
    }
    // With every byte back, how the server ends its side is its own affair.
    if (this.#isComplete()) return 0;
    if (this.#closed) throw this.#closed.why;
    throw new ShortEchoError(this.#from, this.#sent, this.#verified, cause);
  }

  #isComplete(): boolean {
    return this.#ended && this.#sent === this.#verified;
  }

  /** Compares what was read with what was sent, whose window may wrap around. */
  #verify(length: number, window: Uint8Array): void {
    let checked = 0;
    while (checked < length) {
      const at = this.#verified % window.length;
      const due = this.#sent - this.#verified;
      const run = Math.min(length - checked, due, window.length - at);
      if (due === 0) this.#mismatch(undefined, checked);
      const received = this.#received.subarray(checked, checked + run);
      const sent = window.subarray(at, at + run);
      // memcmp first: a loop over the bytes is ten times as slow.
      if (Buffer.compare(received, sent) !== 0) {
        const same = received.findIndex((byte, index) => byte !== sent[index]);
        this.#verified += same;
        this.#mismatch(sent[same], checked + same);
      }
      this.#verified += run;
      checked += run;
    }
  }

  #mismatch(sent: number | undefined, index: number): never {
    const received = this.#received[index]!;
    throw new MismatchError(this.#from, this.#verified, sent, received);
  }

  /** Sets when the server must have done something, or that nothing is due. */
  #watch(): void {
    if (!this.#waiting) return;
    const isReplyDue = this.#writing || this.#sent > this.#verified;
    if (!isReplyDue && !this.#ended) {
      this.#dueAt = Infinity;
    } else if (this.#dueAt === Infinity) {
      this.#dueAt = performance.now() +
        (isReplyDue
          ? this.#timeoutMs
          : Math.min(this.#timeoutMs, END_TIMEOUT_MS));
      if (this.#timerAt > this.#dueAt) this.#setTimer();
    }
  }

  #setTimer(): void {
    clearTimeout(this.#timer);
    this.#timerAt = this.#dueAt;
    const ms = Math.max(0, this.#dueAt - performance.now());
    this.#timer = setTimeout(() => this.#onTimer(false), ms);
  }

  #onTimer(isLastLook: boolean): void {
    this.#timerAt = Infinity;
    if (this.#dueAt === Infinity) return;
    if (performance.now() < this.#dueAt) return this.#setTimer();
    if (!isLastLook) {
      // If this process was stopped meanwhile, the reply may lie there unread.
      this.#timerAt = this.#dueAt;
      this.#timer = setTimeout(() => this.#onTimer(true), LAST_LOOK_MS);
      return;
    }
    this.#close(
      new Deno.errors.TimedOut(
        `No reply from ${this.#from} within ${this.#timeoutMs / 1000} s: ` +
          progress(this.#verified, this.#sent),
      ),
    );
  }
}

/** Why trying again cannot help. */
function isFinal(error: unknown): boolean {
  return error instanceof Deno.errors.NotCapable ||
    error instanceof URIError || error instanceof RangeError;
}

async function connectOnce(
  options: ConnectOptions,
  where: { hostname: string; port: number },
): Promise<EchoClient> {
  const { timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const timeout = new AbortController();
  const timer = setTimeout(() => {
    const why = `timed out after ${timeoutMs / 1000} s`;
    timeout.abort(new Deno.errors.TimedOut(why));
  }, timeoutMs);
  const signal = options.signal
    ? AbortSignal.any([options.signal, timeout.signal])
    : timeout.signal;
  // The signal given to Deno.connect does not interrupt looking up a name.
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  const startedAt = performance.now();
  const connecting = Deno.connect({ ...where, signal });
  try {
    const conn = await Promise.race([connecting, aborted.promise]);
    return new EchoClient(conn, performance.now() - startedAt, options);
  } catch (error) {
    connecting.then((conn) => conn.close(), () => {});
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}

/**
 * Connects to an echo server.
 *
 * @example Wait for a server that is about to start
 * ```ts
 * import { connect } from "@echo/echo/client";
 * import { serve } from "@echo/echo/server";
 * import { assertRejects } from "@std/assert";
 *
 * const { port } = serve({ port: 0, signal: AbortSignal.abort() }).addr;
 * await assertRejects(
 *   () => connect({ port, retryMs: 100 }),
 *   Deno.errors.ConnectionRefused,
 * );
 * ```
 *
 * @param options Where to connect to, timeouts and a signal.
 * @returns The connected client.
 * @throws {Deno.errors.ConnectionRefused} If nothing listens there.
 * @throws {Deno.errors.TimedOut} If there is no connection within the timeout.
 * @throws {Deno.errors.NotCapable} If Deno may not connect there.
 * @throws {URIError} If the host name is not valid.
 * @throws {Error} If the name does not resolve, or for other network errors.
 */
export async function connect(
  options: ConnectOptions = {},
): Promise<EchoClient> {
  const { hostname = DEFAULT_HOSTNAME, port = DEFAULT_PORT } = options;
  const { retryMs = 0, signal } = options;
  const lastAttemptAt = performance.now() + retryMs;
  let pauseMs = RETRY_PAUSE_MS.first;
  while (true) {
    signal?.throwIfAborted();
    try {
      return await connectOnce(options, { hostname, port });
    } catch (error) {
      signal?.throwIfAborted();
      const leftMs = lastAttemptAt - performance.now();
      if (leftMs <= 0 || isFinal(error)) {
        const where = formatAddress({ hostname, port });
        throw withContext(`Cannot connect to ${where}`, error);
      }
      await delay(Math.min(pauseMs, leftMs), undefined, signal && { signal })
        .catch(() => signal?.throwIfAborted());
      pauseMs = Math.min(pauseMs * 2, RETRY_PAUSE_MS.last);
    }
  }
}

function hex(byte: number): string {
  return `0x${byte.toString(16).padStart(2, "0")}`;
}

function count(bytes: number): string {
  return bytes.toLocaleString("en-US");
}

function progress(received: number, sent: number): string {
  return received === sent
    ? `all ${count(sent)} B sent so far came back`
    : `${count(received)} of ${count(sent)} B came back`;
}
