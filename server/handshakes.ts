/**
 * TLS handshakes of clients that were accepted.
 *
 * @module
 */

import { describeError, type Reason, reasonOf } from "../net/errors.ts";
import { startTimer } from "../net/time.ts";

/** What failed in a handshake. */
export interface HandshakeFailure {
  /** The client's address. */
  readonly remote: Deno.NetAddr;
  /** Why, for a program: `shutdown` when the server closed the connection. */
  readonly reason: Reason | "shutdown";
  /** Why, in words that go on in a sentence. */
  readonly detail: string;
  /** How long the handshake took until then, in milliseconds. */
  readonly durationMs: number;
}

/** What {@linkcode Handshakes} need of a connection. */
export type Handshaking = Pick<
  Deno.TlsConn,
  "handshake" | "remoteAddr" | typeof Symbol.dispose
>;

/** What {@linkcode Handshakes} need of their server. */
export interface HandshakesOptions<C extends Handshaking> {
  /** How long a handshake may take, in milliseconds. */
  readonly timeoutMs: number;
  /** Takes a connection whose handshake is done. */
  onDone(conn: C, handshakeMs: number): void;
  /** Learns that a handshake failed; its connection is closed. */
  onFailed(failure: HandshakeFailure): void;
}

/**
 * The handshakes that are under way. They run beside each other and beside the
 * acceptor, so that a client that stops in the midst of one holds up no other.
 */
export class Handshakes<C extends Handshaking> {
  readonly #options: HandshakesOptions<C>;
  /** Ends each of them: the server gives the reason. */
  readonly #underWay = new Map<C, (why: "timeout" | "shutdown") => void>();

  /**
   * Makes an empty set of handshakes.
   *
   * @param options How long each may take, and what becomes of it.
   */
  constructor(options: HandshakesOptions<C>) {
    this.#options = options;
  }

  /** How many are under way. */
  get size(): number {
    return this.#underWay.size;
  }

  /**
   * Starts a handshake.
   *
   * @param conn The connection, which is closed if the handshake fails.
   * @returns Settles when it is done, or failed; never rejects.
   */
  async start(conn: C): Promise<void> {
    const { timeoutMs, onDone, onFailed } = this.#options;
    const startedAt = performance.now();
    let ending: "timeout" | "shutdown" | undefined;
    const end = (why: "timeout" | "shutdown") => {
      ending ??= why;
      // The pending handshake fails. The runtime keeps the descriptor until the
      // client goes on or leaves: it does not give up a handshake.
      conn[Symbol.dispose]();
    };
    this.#underWay.set(conn, end);
    let failure: { error: unknown } | undefined;
    {
      using _timer = startTimer(timeoutMs, () => end("timeout"));
      await conn.handshake().catch((error) => failure = { error });
    }
    this.#underWay.delete(conn);
    const durationMs = performance.now() - startedAt;
    if (!ending && !failure) return onDone(conn, durationMs);
    conn[Symbol.dispose]();
    const remote = conn.remoteAddr;
    if (ending === "timeout") {
      const detail = `not done within ${timeoutMs / 1000} s`;
      return onFailed({ remote, reason: "timeout", detail, durationMs });
    }
    if (ending === "shutdown") {
      const detail = "the server stopped";
      return onFailed({ remote, reason: "shutdown", detail, durationMs });
    }
    onFailed({
      remote,
      reason: reasonOf(failure!.error),
      detail: describeError(failure!.error),
      durationMs,
    });
  }

  /** Ends all of them, as the server stops. */
  close(): void {
    for (const end of this.#underWay.values()) end("shutdown");
  }
}
