/**
 * Fairness among more connections than Deno's event loop is fair to.
 *
 * @module
 */

import { setImmediate } from "node:timers";

/**
 * Of the reads that are ready Deno finishes so many in a turn of its event loop:
 * the {@link https://docs.rs/tokio/latest/tokio/task/coop | budget} of a task of
 * tokio, its runtime.
 */
const TURN_READS = 128;

/** A round is over once nobody had a read for so long, or for twice that. */
const LONGEST_TURN_MS = 2;

/**
 * Rounds, in which a connection that had its read waits until all others whose
 * reads are ready had theirs. What Deno leaves over in a turn it puts behind all
 * that becomes ready meanwhile; so among more busy connections than a turn has
 * reads some would wait for a second, while others have thousands of reads.
 */
export class Rounds {
  readonly #countOpen: () => number;
  readonly #pauseMs: number;
  #round: PromiseWithResolvers<void> | undefined;
  /** How many had a read in this round, and in this turn. */
  #waiting = 0;
  #reads = 0;
  #isMoving = false;
  #isStopped = false;
  #pause: ReturnType<typeof setTimeout> | undefined;
  #watchdog: ReturnType<typeof setInterval> | undefined;

  /**
   * Makes rounds, of which there is none before {@linkcode Rounds.plan}.
   *
   * @param countOpen Tells how many connections there are.
   * @param pauseMs How long after a round there is another one, in milliseconds.
   */
  constructor(countOpen: () => number, pauseMs: number) {
    this.#countOpen = countOpen;
    this.#pauseMs = pauseMs;
  }

  /** Whether there is a round now. */
  get isOn(): boolean {
    return this.#round !== undefined;
  }

  /** Has rounds from now on, while there are connections enough to need them. */
  plan(): void {
    if (this.#pause || this.#round || this.#isStopped) return;
    if (this.#countOpen() <= TURN_READS) return;
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.#round = Promise.withResolvers();
    }, this.#pauseMs);
  }

  /** Waits, after a read while there is a round, until that is over. */
  wait(): Promise<void> {
    if (this.#waiting++ === 0) this.#begin();
    if (this.#reads++ === 0) setImmediate(() => this.#endTurn());
    return this.#round!.promise;
  }

  /** Has no more rounds, and ends the one that there is. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#pause);
    this.#end();
  }

  #begin(): void {
    // A full turn may have been the last one, and no other comes.
    this.#watchdog = setInterval(() => {
      if (this.#reads > 0) return;
      if (!this.#isMoving) this.#finish();
      this.#isMoving = false;
    }, LONGEST_TURN_MS);
  }

  #endTurn(): void {
    if (!this.#round) return;
    if (this.#reads < TURN_READS || this.#waiting >= this.#countOpen()) {
      return this.#finish();
    }
    this.#isMoving = true;
    this.#reads = 0;
  }

  #end(): void {
    clearInterval(this.#watchdog);
    this.#round?.resolve();
    this.#round = undefined;
    this.#waiting = 0;
    this.#reads = 0;
  }

  #finish(): void {
    this.#end();
    this.plan();
  }
}
