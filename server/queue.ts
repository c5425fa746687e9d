/**
 * Emptying a queue of the kernel before a socket is closed.
 *
 * @module
 */

import { sleep } from "../net/time.ts";

/**
 * A queue counts as empty after this many pauses in a row that brought nothing. A
 * pause lets the event loop look for more. In all it takes `mostMs` at most.
 */
const QUIET = { pauses: 3, pauseMs: 1, mostMs: 1000 };

/**
 * Waits until nothing more comes out of a queue, for a second at most.
 *
 * @param countTaken Returns how much came out of it up to now.
 * @param signal Ends the wait early.
 */
export async function untilQueueIsEmpty(
  countTaken: () => number,
  signal: AbortSignal,
): Promise<void> {
  const endsAt = performance.now() + QUIET.mostMs;
  let quiet = 0;
  while (quiet < QUIET.pauses && performance.now() < endsAt) {
    const before = countTaken();
    await sleep(QUIET.pauseMs, signal);
    if (signal.aborted) return;
    quiet = countTaken() === before ? quiet + 1 : 0;
  }
}
