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

/** What {@linkcode Handshakes} need of their server. */
export interface HandshakesOptions {
  /** How long a handshake may take, in milliseconds. */
  readonly timeoutMs: number;
  /** Takes a connection whose handshake is done. */
  onDone(conn: Deno.TlsConn, handshakeMs: number): void;
  /**
   * Takes a connection whose handshake failed. It may still be under way: Deno does
   * not cancel a handshake. `over` settles when it is not.
   */
  onFailed(
    conn: Deno.TlsConn,
    over: Promise<unknown>,
    failure: HandshakeFailure,
  ): void;
}

/**
 * The handshakes that are under way. They run beside each other and beside the
 * acceptor, so that a client that stops in the midst of one holds up no other.
 */
export class Handshakes {
  readonly #options: HandshakesOptions;
  /** Ends each of them as the server stops. */
  readonly #underWay = new Set<() => void>();

  constructor(options: HandshakesOptions) {
    this.#options = options;
  }

  /** How many are under way. */
  get size(): number {
    return this.#underWay.size;
  }

  /** Starts a handshake. Never rejects. */
  async start(conn: Deno.TlsConn): Promise<void> {
    const { timeoutMs, onDone, onFailed } = this.#options;
    const startedAt = performance.now();
    const remote = conn.remoteAddr;
    const ended = Promise.withResolvers<
      Pick<HandshakeFailure, "reason" | "detail">
    >();
    const stop = () =>
      ended.resolve({ reason: "shutdown", detail: "the server stopped" });
    this.#underWay.add(stop);
    using _timer = startTimer(timeoutMs, () => {
      const detail = `not done within ${timeoutMs / 1000} s`;
      ended.resolve({ reason: "timeout", detail });
    });
    const over = conn.handshake().then(
      () => undefined,
      (error) => ({ reason: reasonOf(error), detail: describeError(error) }),
    );
    const failure = await Promise.race([over, ended.promise]);
    this.#underWay.delete(stop);
    const durationMs = performance.now() - startedAt;
    if (!failure) return onDone(conn, durationMs);
    onFailed(conn, over, { remote, durationMs, ...failure });
  }

  /** Ends all of them, as the server stops. */
  close(): void {
    for (const stop of this.#underWay) stop();
  }
}
