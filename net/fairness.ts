/**
 * Fairness among more connections than Deno's event loop is fair to.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import { unrefTimer } from "./time.ts";

/**
 * The most reads that Deno finishes in one turn of its event loop: the
 * {@link https://docs.rs/tokio/latest/tokio/task/coop | cooperative budget} that
 * tokio, its runtime, gives a task.
 */
const READS_PER_TURN = 128;

/**
 * How often a closed barrier checks for reads, in milliseconds. It opens after
 * one to two of these intervals in which no read finished.
 */
const WATCHDOG_INTERVAL_MS = 2;

/** What a loop over reads needs of a barrier. */
export interface Barrier {
  /** Whether a connection must pass the barrier before it reads again. */
  readonly isClosed: boolean;

  /** Waits until the barrier opens. Called after a read while it is closed. */
  pass(): Promise<void>;
}

/**
 * A barrier that closes now and then. While it is closed, a connection that had
 * its read is held back until every other connection whose read is ready had one
 * too.
 *
 * Reads past the budget of a turn go behind newly ready ones. So among more than
 * 128 busy connections some would wait for up to a second, while others have
 * thousands of reads. The barrier bounds that wait by the pause between two
 * closings.
 */
export class FairnessBarrier implements Barrier {
  readonly #countOpen: () => number;
  readonly #pauseMs: number;
  #opening: PromiseWithResolvers<void> | undefined;
  /** How many connections the barrier holds back. */
  #held = 0;
  /** How many reads finished in this turn of the event loop. */
  #readsThisTurn = 0;
  /** Whether a turn ended since the watchdog looked last. */
  #hadTurn = false;
  #isStopped = false;
  #pause: ReturnType<typeof setTimeout> | undefined;
  #watchdog: ReturnType<typeof setInterval> | undefined;

  /**
   * Makes a barrier that is open.
   *
   * @param countOpen Returns how many connections are open.
   * @param pauseMs The time from its opening to its next closing, in
   * milliseconds.
   */
  constructor(countOpen: () => number, pauseMs: number) {
    this.#countOpen = countOpen;
    this.#pauseMs = pauseMs;
  }

  /** Whether a connection must pass the barrier before it reads again. */
  get isClosed(): boolean {
    return this.#opening !== undefined;
  }

  /**
   * Lets the barrier close after the pause, if there are more connections than
   * reads in a turn. It then closes again and again for as long as there are.
   */
  schedule(): void {
    if (this.#pause || this.#opening || this.#isStopped) return;
    if (this.#countOpen() <= READS_PER_TURN) return;
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.#opening = Promise.withResolvers();
    }, this.#pauseMs);
    // The reads of the connections keep the process alive, if they should.
    unrefTimer(this.#pause);
  }

  /** Waits until the barrier opens. Called after a read while it is closed. */
  pass(): Promise<void> {
    const opened = this.#opening!.promise;
    if (this.#held++ === 0) this.#startWatchdog();
    if (this.#readsThisTurn++ === 0) setImmediate(() => this.#endTurn());
    return opened;
  }

  /** Opens the barrier for good. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#pause);
    this.#pause = undefined;
    this.#open();
  }

  #startWatchdog(): void {
    // The last turn may have used its whole budget, and no read follows it.
    this.#watchdog = setInterval(() => {
      if (this.#readsThisTurn > 0) return;
      if (!this.#hadTurn) this.#reopen();
      this.#hadTurn = false;
    }, WATCHDOG_INTERVAL_MS);
  }

  #endTurn(): void {
    if (!this.#opening) return;
    const isEveryReadDone = this.#readsThisTurn < READS_PER_TURN ||
      this.#held >= this.#countOpen();
    if (isEveryReadDone) return this.#reopen();
    this.#hadTurn = true;
    this.#readsThisTurn = 0;
  }

  #open(): void {
    clearInterval(this.#watchdog);
    this.#opening?.resolve();
    this.#opening = undefined;
    this.#held = 0;
    this.#readsThisTurn = 0;
  }

  #reopen(): void {
    this.#open();
    this.schedule();
  }
}
