// Nothing in net/ comes from a package: both ends can be imported by their path.

/**
 * The longest time that a timer of the runtime waits, in milliseconds: beyond, it fires
 * after a millisecond. The timers here never fire at `Infinity`.
 */
export const MAX_TIMER_MS: number = 2 ** 31 - 1;

/** Calls a function once, after some time. The process stays alive for it if asked. */
export function startTimer(
  ms: number,
  callback: () => void,
  { persistent = true }: { readonly persistent?: boolean } = {},
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
 * Lets the process end while a timer runs: a number, or since Deno 2.9 an object, whose
 * number `Deno.unrefTimer` does not know.
 */
export function unrefTimer(timer: ReturnType<typeof setTimeout>): void {
  Deno.unrefTimer(timer as unknown as number);
}

/** Waits. An abort ends the wait early, without an error. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = () => resolve();
  using _timer = startTimer(ms, end);
  signal?.addEventListener("abort", end);
  await promise;
  signal?.removeEventListener("abort", end);
}
