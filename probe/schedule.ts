import { sleep } from "../net/time.ts";

/** How late the runtime's timers may be, in milliseconds. */
const TIMER_SLACK_MS = 2;

/**
 * Waits until shortly before a moment: as long before as a timer may be late.
 */
export async function untilNear(
  moment: number,
  signal: AbortSignal,
): Promise<void> {
  const sleepMs = moment - performance.now() - TIMER_SLACK_MS;
  if (sleepMs > 0) await sleep(sleepMs, signal);
}

/** How late {@linkcode block} may be, in milliseconds. */
export const BLOCK_SLACK_MS = 0.1;

const NOTHING = new Int32Array(new SharedArrayBuffer(4));

/**
 * Lets this thread sleep, and nothing else happen in it. That is rather exact,
 * and leaves the processor to the server, which a loop that looks at the clock
 * would not: a round trip over loopback takes longer beside one.
 */
export function block(ms: number): void {
  Atomics.wait(NOTHING, 0, 0, ms);
}
