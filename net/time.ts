/**
 * Timers for which `Infinity` is never. The runtime's own fire after a millisecond
 * when a time is beyond 2,147,483,647 ms.
 *
 * Nothing here comes from a package: both ends can be imported by their path.
 *
 * @module
 */

/** The longest time that a timer of the runtime waits, in milliseconds. */
export const MAX_TIMER_MS: number = 2 ** 31 - 1;

/** Options for {@linkcode startTimer}. */
export interface TimerOptions {
  /**
   * Whether the process stays alive for the call.
   *
   * @default {true}
   */
  persistent?: boolean;
}

/**
 * Calls a function once, after some time.
 *
 * @param ms When, in milliseconds from now; with `Infinity` never.
 * @param callback The function.
 * @param options Whether the process waits for it.
 * @returns Disposing of it cancels the call.
 */
export function startTimer(
  ms: number,
  callback: () => void,
  { persistent = true }: TimerOptions = {},
): Disposable {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const wait = (leftMs: number) => {
    const stepMs = Math.min(leftMs, MAX_TIMER_MS);
    timer = setTimeout(
      () => leftMs > stepMs ? wait(leftMs - stepMs) : callback(),
      stepMs,
    );
    if (!persistent) unrefTimer(timer);
  };
  if (ms < Infinity) wait(ms);
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}

/**
 * Lets the process end while a timer runs.
 *
 * @param timer What `setTimeout` returned: a number, or since Deno 2.9 an object,
 * whose number `Deno.unrefTimer` does not know.
 */
export function unrefTimer(timer: ReturnType<typeof setTimeout>): void {
  Deno.unrefTimer(timer as unknown as number);
}

/**
 * Waits. An abort ends the wait early, without an error.
 *
 * @param ms How long, in milliseconds; `Infinity` waits for the abort.
 * @param signal What ends the wait early.
 */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = () => resolve();
  using _timer = startTimer(ms, end);
  signal?.addEventListener("abort", end);
  await promise;
  signal?.removeEventListener("abort", end);
}
