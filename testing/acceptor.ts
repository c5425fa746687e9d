/**
 * An acceptor whose listener is the test's own.
 *
 * @module
 */

import type { NetworkError } from "../net/errors.ts";
import { type AcceptListener, Acceptor } from "../server/accepting.ts";

/** A connection of which an acceptor uses no more than this. */
export class FakeConn {
  /** Whether it was closed. */
  isClosed = false;

  /** Closes it. */
  close(): void {
    this.isClosed = true;
  }
}

/** A listener that accepts and fails when a test says so. */
export class FakeListener implements AcceptListener {
  /** When accept was called, as `performance.now()`. */
  readonly calls: number[] = [];
  /** How often the listener was closed. */
  closed = 0;
  /** What each call fails with at once; without it, calls wait. */
  failure: Error | undefined;
  #next = Promise.withResolvers<Deno.TcpConn>();

  accept(): Promise<Deno.TcpConn> {
    this.calls.push(performance.now());
    if (this.failure) return Promise.reject(this.failure);
    return this.#next.promise;
  }

  close(): void {
    this.closed++;
    this.#next.promise.catch(() => {});
    this.#next.reject(new Deno.errors.BadResource("closed"));
  }

  /**
   * Lets the pending accept return a connection.
   *
   * @returns The connection.
   */
  connect(): FakeConn {
    const conn = new FakeConn();
    const { resolve } = this.#next;
    this.#next = Promise.withResolvers();
    resolve(conn as unknown as Deno.TcpConn);
    return conn;
  }

  /**
   * Lets the pending accept fail.
   *
   * @param error What it throws.
   */
  fail(error: Error): void {
    const { reject } = this.#next;
    this.#next = Promise.withResolvers();
    reject(error);
  }
}

/** Where a {@linkcode FakeListener} says that it listens. */
export const ADDRESS = {
  transport: "tcp",
  hostname: "::1",
  port: 7,
} as const;

/** More attempts to accept than a test takes. */
const MOST_ATTEMPTS = 10_000;

/** An acceptor that runs, with what is around it. */
export interface Acceptance {
  /** The acceptor. */
  readonly acceptor: Acceptor;
  /** Its listener. */
  readonly listener: FakeListener;
  /** Settles when it does not run any more. */
  readonly running: Promise<void>;
  /** Whether its server has a free slot. */
  hasRoom: boolean;
  /** Whether another server takes the slot that seemed free. */
  isTooLate: boolean;
  /** The connections that its server got. */
  readonly conns: unknown[];
  /** The failures that its server was told. */
  readonly failures: NetworkError[];
  /** What else its server was told. */
  readonly told: ("reset" | "full")[];
}

/** Options for {@linkcode startAcceptor}. */
export interface AcceptanceOptions {
  /** What the server does with a connection besides. */
  readonly onConnection?: (acceptor: Acceptor) => void;
  /** Whether it stops after the first connection. */
  readonly once?: boolean;
  /** Whether servers in other threads take of the same slots. */
  readonly isShared?: boolean;
}

/**
 * Runs an acceptor of a {@linkcode FakeListener}.
 *
 * @param options How it is with slots, and what is done with a connection.
 * @returns The acceptor, and what is around it.
 */
export function startAcceptor(
  { onConnection, once = false, isShared = false }: AcceptanceOptions = {},
): Acceptance {
  const listener = new FakeListener();
  const around: Omit<Acceptance, "acceptor" | "listener" | "running"> = {
    hasRoom: true,
    isTooLate: false,
    conns: [],
    failures: [],
    told: [],
  };
  let attempts = 0;
  const acceptor = new Acceptor(listener, {
    address: ADDRESS,
    once,
    slots: {
      isShared,
      get hasFree() {
        // The event loop would never turn again, nor the test fail.
        if (++attempts > MOST_ATTEMPTS) throw new Error("the acceptor spins");
        return around.hasRoom;
      },
      take: () => !around.isTooLate,
    },
    onConnection(conn) {
      around.conns.push(conn);
      onConnection?.(acceptor);
    },
    onFailure: (error) => around.failures.push(error),
    onReset: () => around.told.push("reset"),
    onFull: () => around.told.push("full"),
  });
  return Object.assign(around, { listener, acceptor, running: acceptor.run() });
}
