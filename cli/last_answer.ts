/**
 * What a thread told last.
 *
 * @module
 */

import { startTimer } from "../net/time.ts";

/** The longest wait for an answer, in milliseconds. */
const TIMEOUT_MS = 1000;

/** The answer that a thread gave last to a question that is asked again and again. */
export class LastAnswer<T> {
  #value: T;
  /** Settles with the next answer, if one is due. */
  #due: PromiseWithResolvers<void> | undefined;
  #isOver = false;

  /**
   * Begins without an answer.
   *
   * @param value What counts as the answer before the first one.
   */
  constructor(value: T) {
    this.#value = value;
  }

  /** The last answer. */
  get value(): T {
    return this.#value;
  }

  /**
   * Brings the answer up to date. Those who ask while an answer is due share it. If
   * none comes within a second, or the thread is over, the last one stays.
   *
   * @param ask Asks the thread.
   */
  async update(ask: () => void): Promise<void> {
    if (this.#isOver) return;
    if (!this.#due) {
      this.#due = Promise.withResolvers();
      ask();
    }
    const { promise, resolve } = this.#due;
    using _ = startTimer(TIMEOUT_MS, resolve);
    await promise;
  }

  /**
   * Takes an answer.
   *
   * @param value The answer.
   */
  take(value: T): void {
    this.#value = value;
    this.#due?.resolve();
    this.#due = undefined;
  }

  /** Takes note that the thread is over: there will be no other answer. */
  end(): void {
    this.#isOver = true;
    this.#due?.resolve();
  }
}
