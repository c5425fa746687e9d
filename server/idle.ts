/**
 * Finding connections on which no byte moves.
 *
 * @module
 */

import { startTimer } from "../net/time.ts";
import type { Connection } from "./connection.ts";

/** How often connections are looked at within the idle timeout. */
const SWEEPS_PER_TIMEOUT = 4;

/**
 * Looks at all connections a few times within the idle timeout, which costs less
 * than a timer for each of their reads and writes.
 *
 * @param connections The connections; the set may change meanwhile.
 * @param idleTimeoutMs How long a connection may move no byte, in milliseconds;
 * with `Infinity` for ever.
 * @param end Ends a connection that was idle for that long, up to a quarter of it
 * later.
 * @returns Disposing of it ends the sweeps.
 */
export function sweepIdle(
  connections: Iterable<Connection>,
  idleTimeoutMs: number,
  end: (connection: Connection) => void,
): Disposable {
  let timer: Disposable;
  const sweep = () => {
    timer = schedule();
    for (const connection of connections) {
      // The first sweep may follow the last byte at once, so it does not count.
      if (++connection.idleSweeps > SWEEPS_PER_TIMEOUT) end(connection);
    }
  };
  const schedule = () =>
    startTimer(idleTimeoutMs / SWEEPS_PER_TIMEOUT, sweep, {
      persistent: false,
    });
  timer = schedule();
  return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
}
