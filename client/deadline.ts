import { MAX_TIMER_MS } from "../net/time.ts";

/**
 * If what should happen at a deadline happens so much later, this process was stopped
 * or busy meanwhile, and the reply may lie in the kernel: in milliseconds.
 */
const HELD_UP_MS = 5;

/** For how long it is looked for there then. */
const GRACE_MS = 5;

/**
 * One timer for all waits of a connection. A wait that ends leaves the timer
 * running, and the next one that begins is watched by it: setting a timer anew for
 * each message would cost more than the message.
 */
export class Deadline {
  readonly #onExpired: () => void;
  /** When the wait is over, and when the timer fires: `performance.now()`. */
  #dueAt = Infinity;
  #timerAt = Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isStopped = false;

  constructor(onExpired: () => void) {
    this.#onExpired = onExpired;
  }

  /** Begins a wait, unless one has begun already; with `Infinity` it never ends. */
  start(ms: number, from: number = performance.now()): void {
    if (this.#dueAt !== Infinity || this.#isStopped) return;
    this.#dueAt = from + ms;
    if (this.#timerAt > this.#dueAt) this.#setTimer();
  }

  /**
   * Expires now, if time is up and the timer did not fire yet. To be called before
   * what came is taken: the timer may be a little late.
   */
  check(now: number): void {
    const lateMs = now - this.#dueAt;
    if (lateMs > 0 && lateMs < HELD_UP_MS) this.#expire();
  }

  /** Ends the wait: what was waited for came, or is not due any more. */
  clear(): void {
    this.#dueAt = Infinity;
  }

  /** Ends the wait and stops the timer, for good. */
  stop(): void {
    this.#isStopped = true;
    this.clear();
    clearTimeout(this.#timer);
  }

  #setTimer(): void {
    clearTimeout(this.#timer);
    this.#timerAt = this.#dueAt;
    const ms = Math.max(0, this.#dueAt - performance.now());
    this.#timer = setTimeout(() => this.#fired(), Math.min(ms, MAX_TIMER_MS));
  }

  #fired(): void {
    this.#timerAt = Infinity;
    if (this.#dueAt === Infinity) return;
    const lateMs = performance.now() - this.#dueAt;
    if (lateMs < 0) return this.#setTimer();
    if (lateMs < HELD_UP_MS) return this.#expire();
    this.#timerAt = this.#dueAt;
    this.#timer = setTimeout(() => this.#graceEnded(), GRACE_MS);
  }

  #graceEnded(): void {
    this.#timerAt = Infinity;
    if (this.#dueAt === Infinity) return;
    if (performance.now() < this.#dueAt) return this.#setTimer();
    this.#expire();
  }

  #expire(): void {
    this.clear();
    this.#onExpired();
  }
}
