/**
 * Finding connections on which no byte moves.
 *
 * @module
 */

import { startTimer } from "../net/time.ts";

/** What is looked at. */
export interface Swept {
  /**
   * How many idle sweeps passed since a byte moved; a loop sets it to 0, and to
   * `-Infinity` while it holds a reply back, which no sweep finds idle.
   */
  idleSweeps: number;
}

/** How often connections are looked at within the idle timeout. */
const SWEEPS_PER_TIMEOUT = 4;

/** What {@linkcode sweepIdle} needs of its server. */
export interface SweepOptions<T extends Swept> {
  /**
   * How long a connection may move no byte, in milliseconds; with `Infinity` for
   * ever.
   */
  readonly idleTimeoutMs: number;

  /**
   * Waits until every connection whose bytes have arrived had a read. The timer of a
   * sweep may come long before that: on a busy server, or on a machine that was
   * suspended.
   */
  untilAllRead(): Promise<void>;

  /** Ends a connection that was idle for the timeout, up to a quarter of it later. */
  end(connection: T): void;
}

/**
 * Looks at all connections a few times within the idle timeout, which costs less
 * than a timer for each of their reads and writes.
 *
 * @param connections The connections; the set may change meanwhile.
 * @param options The timeout, and what the sweeps need of their server.
 * @returns Disposing of it ends the sweeps.
 */
export function sweepIdle<T extends Swept>(
  connections: Iterable<T>,
  { idleTimeoutMs, untilAllRead, end }: SweepOptions<T>,
): Disposable {
  let timer: Disposable;
  let isOver = false;
  const sweep = async () => {
    await untilAllRead();
    if (isOver) return;
    for (const connection of connections) {
      // The first sweep may follow the last byte at once, so it does not count.
      if (++connection.idleSweeps > SWEEPS_PER_TIMEOUT) end(connection);
    }
    // Not earlier: a sweep that is late must not be followed by the next at once.
    if (!isOver) timer = schedule();
  };
  const schedule = () =>
    startTimer(idleTimeoutMs / SWEEPS_PER_TIMEOUT, sweep, {
      persistent: false,
    });
  timer = schedule();
  return {
    [Symbol.dispose]() {
      isOver = true;
      timer[Symbol.dispose]();
    },
  };
}
