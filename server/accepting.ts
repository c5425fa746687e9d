/**
 * Taking connections out of the kernel's queue.
 *
 * @module
 */

import type { Address, TcpAddress, TlsAddress } from "../net/address.ts";
import { type NetworkError, networkError } from "../net/errors.ts";
import { startTimer } from "../net/time.ts";
import type { ServerTls } from "./api.ts";
import { News } from "./news.ts";
import { untilQueueIsEmpty } from "./queue.ts";
import type { Slots } from "./slots.ts";

/**
 * How many clients the kernel's queue holds until they are accepted. Beyond that
 * the kernel drops what clients send, and a client tries again only a second
 * later. The kernel has a limit of its own, 4096 by default on Linux
 * (`net.core.somaxconn`).
 */
const BACKLOG = 4096;

/**
 * Errors of accept(2) that concern the one connection it took from the queue, and,
 * for ENOTCONN and ECONNRESET, of reading its address afterwards.
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
const FAILURE_PAUSE_MS = { first: 5, last: 500 };

/** How often a server looks for a slot that a server in another thread gave back. */
const SHARED_SLOTS_INTERVAL_MS = 5;

/** A connection that was accepted; one with TLS had no handshake yet. */
export type ServerConn = Deno.TcpConn | Deno.TlsConn;

/** Where connections come in, plain or with TLS. */
export type ServerListener = Deno.Listener<ServerConn, Deno.NetAddr>;

/**
 * Listens on an address.
 *
 * @param address The address; port 0 takes a free one.
 * @param reusePort Whether other listeners may share the port.
 * @param tls The certificate and its key, where the address speaks TLS.
 * @returns The listener.
 * @throws {NetworkError} If it cannot listen there, or not with that certificate.
 */
export function listen(
  address: TcpAddress | TlsAddress,
  reusePort: boolean,
  tls?: ServerTls,
): ServerListener {
  const { hostname, port } = address;
  const options = {
    hostname,
    port,
    tcpBacklog: BACKLOG,
    // Even `reusePort: false` takes --unstable-net.
    ...(reusePort && { reusePort }),
  };
  try {
    if (!tls) return Deno.listen(options);
    return Deno.listenTls({ ...options, ...tls });
  } catch (error) {
    throw networkError("listen", address, error);
  }
}

/** What an {@linkcode Acceptor} needs of a listener. */
export type AcceptListener = Pick<ServerListener, "accept" | "close">;

/** What an {@linkcode Acceptor} needs of its server. */
export interface AcceptorOptions {
  /** The address that the listener listens on. */
  readonly address: Address;
  /** The places for connections. The acceptor takes them, its server gives them back. */
  readonly slots: Pick<Slots, "hasFree" | "isShared" | "take">;
  /** Whether the acceptor stops after the first connection. */
  readonly once: boolean;
  /** Takes a connection. */
  onConnection(conn: ServerConn): void;
  /** Takes note of a failure, which is not told too often. */
  onFailure(error: NetworkError): void;
  /** Learns that a client left before it was accepted; not told too often. */
  onReset(): void;
  /** Learns that all slots are taken; not told too often. */
  onFull(): void;
}

/** Accepts connections, whatever fails, until it is stopped. */
export class Acceptor {
  readonly #listener: AcceptListener;
  readonly #options: AcceptorOptions;
  readonly #stopped = new AbortController();
  readonly #news = new News();
  #accepted = 0;
  #wake: () => void = () => {};

  /**
   * Makes an acceptor, which does nothing before {@linkcode Acceptor.run}.
   *
   * @param listener The listener, which the acceptor closes when it is stopped.
   * @param options What it needs of its server.
   */
  constructor(listener: AcceptListener, options: AcceptorOptions) {
    this.#listener = listener;
    this.#options = options;
  }

  /** How many connections were accepted. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Accepts connections until {@linkcode Acceptor.stop} is called. */
  async run(): Promise<void> {
    const { signal } = this.#stopped;
    const { slots } = this.#options;
    let pauseMs = 0;
    while (!signal.aborted) {
      if (!slots.hasFree) {
        await this.#untilSlotsChange();
        continue;
      }
      try {
        await this.#admit(await this.#listener.accept());
        pauseMs = 0;
      } catch (error) {
        if (signal.aborted) return;
        // A client that left before its turn must not hold up the next one.
        if (CLIENT_ERRORS.has((error as { code?: string }).code ?? "")) {
          if (this.#news.has("reset")) this.#options.onReset();
          continue;
        }
        this.#tellFailure(error);
        if (signal.aborted) return;
        // A lack of descriptors or memory passes: trying at once would spin.
        pauseMs = Math.min(
          pauseMs * 2 || FAILURE_PAUSE_MS.first,
          FAILURE_PAUSE_MS.last,
        );
        await this.#untilWoken(pauseMs);
      }
    }
  }

  /** Lets an acceptor that waits try again: a slot or a descriptor is free. */
  wake(): void {
    this.#wake();
  }

  /** Closes the listener, which turns the clients in the kernel's queue away. */
  stop(): void {
    if (this.#stopped.signal.aborted) return;
    this.#stopped.abort();
    this.#listener.close();
    this.#wake();
  }

  /**
   * Accepts the clients that are in the kernel's queue already, then stops. They
   * may have sent a message, which closing the listener would throw away.
   */
  async acceptQueue(): Promise<void> {
    await untilQueueIsEmpty(() => this.#accepted, this.#stopped.signal);
    this.stop();
  }

  async #untilWoken(mostMs = Infinity): Promise<void> {
    const woken = Promise.withResolvers<void>();
    this.#wake = woken.resolve;
    using _ = startTimer(mostMs, woken.resolve);
    await woken.promise;
  }

  /** Waits until a slot may be free. One that serves once then has nothing to do. */
  async #untilSlotsChange(): Promise<void> {
    const { once, slots } = this.#options;
    if (once) return this.stop();
    await this.#untilWoken(
      slots.isShared ? SHARED_SLOTS_INTERVAL_MS : Infinity,
    );
  }

  async #admit(conn: ServerConn): Promise<void> {
    const { once, slots, onConnection, onFull } = this.#options;
    const { signal } = this.#stopped;
    // The connection may come in the same turn of the event loop as the stop. A
    // server in another thread may have taken the slot that was free.
    while (!signal.aborted && !slots.take()) await this.#untilSlotsChange();
    if (signal.aborted) return conn.close();
    this.#accepted++;
    if (once) this.stop();
    onConnection(conn);
    if (!once && !slots.hasFree && this.#news.has("full")) onFull();
  }

  #tellFailure(cause: unknown): void {
    const error = networkError("accept", this.#options.address, cause);
    if (this.#news.has(error.detail)) this.#options.onFailure(error);
  }
}
