/**
 * Barriers whose polls a test plays.
 *
 * @module
 */

import { setImmediate as nextTurn } from "node:timers/promises";
import { FairnessBarrier } from "../net/fairness.ts";
import { noting } from "./pipe.ts";
import { replace } from "./replace.ts";

/** The pause between two closings, in milliseconds. */
export const PAUSE_MS = 100;

/** The event loop's sockets, at which it looks when a test says so. */
export class PlayedPoll {
  /** How often a barrier asked for a poll. */
  asked = 0;
  /** Whether the barrier is done with it. */
  isClosed = false;
  #polled = Promise.withResolvers<void>();

  untilPolled(): Promise<void> {
    this.asked++;
    return this.isClosed ? Promise.resolve() : this.#polled.promise;
  }

  /** Polls, and lets all go on that waited for it. */
  async poll(): Promise<void> {
    this.#polled.resolve();
    this.#polled = Promise.withResolvers();
    await nextTurn();
  }

  async close(): Promise<void> {
    this.isClosed = true;
    await this.poll();
  }
}

/** A barrier, and what a test plays for it. */
export interface PlayedBarrier {
  /** The barrier. */
  readonly barrier: FairnessBarrier;
  /** Among how many connections it is. */
  readonly among: { open: number };
  /** Its polls. */
  readonly poll: PlayedPoll;
}

/**
 * Makes a barrier with a played poll.
 *
 * @param open Among how many connections.
 * @param pauseMs The pause between two closings, in milliseconds.
 * @returns The barrier, and what the test plays.
 */
export function play(open = 2, pauseMs = PAUSE_MS): PlayedBarrier {
  const among = { open };
  const poll = new PlayedPoll();
  const countOpen = () => among.open;
  const barrier = new FairnessBarrier({ countOpen, pauseMs, poll });
  return { among, barrier, poll };
}

/** What became of reads. */
export interface Reads {
  /** After how many the connection had to wait. */
  held: number;
  /** How many of these still wait. */
  waiting: number;
}

/**
 * Has connections read.
 *
 * @param barrier The barrier that they pass if they must.
 * @param count How many connections.
 * @param bytes How many bytes each read brings.
 * @returns What becomes of the reads.
 */
export function read(
  barrier: FairnessBarrier,
  count: number,
  bytes = 0,
): Reads {
  const reads = { held: 0, waiting: 0 };
  for (let at = 0; at < count; at++) {
    if (!barrier.addRead(bytes)) continue;
    reads.held++;
    reads.waiting++;
    barrier.pass().then(() => reads.waiting--);
  }
  return reads;
}

/**
 * Tells whether a barrier is open.
 *
 * @param barrier The barrier.
 * @returns Whether who passes it need not wait.
 */
export async function isOpen(barrier: FairnessBarrier): Promise<boolean> {
  const passed = noting(barrier.pass());
  await nextTurn();
  return passed.isSettled;
}

/** Knows when a sweep for idle connections is over. */
export interface WatchedSweeps extends Disposable {
  /** Waits until no sweep is under way: the next one has its timer. */
  untilSwept(): Promise<void>;
}

/**
 * Watches sweeps for idle connections, of all servers.
 *
 * @returns What is seen; disposing of it ends the watch.
 */
export function watchSweeps(): WatchedSweeps {
  const { untilAllRead } = FairnessBarrier.prototype;
  let underWay = 0;
  const watched = replace(
    FairnessBarrier.prototype,
    "untilAllRead",
    async function (this: FairnessBarrier) {
      underWay++;
      await untilAllRead.call(this);
      underWay--;
    },
  );
  const untilSwept = async () => {
    do await nextTurn(); while (underWay > 0);
  };
  return { untilSwept, [Symbol.dispose]: () => watched[Symbol.dispose]() };
}
