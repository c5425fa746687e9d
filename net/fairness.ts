import { SelfPipe, type SocketPoll } from "./self_pipe.ts";

/**
 * A turn of Deno's event loop in which this many reads finish may have left others
 * behind. It finishes 128 operations at most, which is the
 * {@link https://docs.rs/tokio/latest/tokio/task/coop | cooperative budget} that
 * tokio, its runtime, gives a task; some of them are no reads.
 */
const READS_OF_A_FULL_TURN = 64;

/** A barrier looks at the clock each time that so much work was done. */
const WORK_BETWEEN_CLOCKS = 256 * 1024;

/** How many bytes could be echoed in the time that one read and one write take. */
const WORK_OF_A_READ = 4096;

/**
 * How many bytes all connections together may read while the barrier is closed:
 * those that send more are given less at a time. It takes about eight milliseconds
 * at 1.5 GiB/s.
 */
const ROUND_BYTES = 12 << 20;

/**
 * The least and the most that one read may bring, in bytes. The most is what a
 * stream gains from.
 */
export const READ_BYTES = { least: 16 << 10, most: 512 << 10 };

/** What a loop over reads needs of a barrier. */
export interface Barrier {
  /** How many bytes a connection should read at once, at most. */
  readonly readBytes: number;

  /** Notes a read. Returns whether its connection must then pass the barrier. */
  addRead(bytes: number): boolean;

  /** Waits until the barrier opens. */
  pass(): Promise<void>;
}

/** Options for a {@linkcode FairnessBarrier}. */
export interface BarrierOptions {
  /** Returns how many connections are open. */
  countOpen: () => number;

  /** The least time from its opening to its next closing, in milliseconds. */
  pauseMs: number;

  /**
   * Tells when the event loop has looked at its sockets.
   *
   * @default {new SelfPipe()}
   */
  poll?: SocketPoll;
}

/**
 * A barrier that closes now and then. While it is closed, a connection that had its
 * read is held back until every other connection whose bytes have arrived had one
 * too.
 *
 * Without it some connections wait for seconds while others have thousands of
 * reads, for two reasons. The event loop asks the kernel for sockets that became
 * ready only when nothing else is left to do, or once in 61 turns: among
 * connections that stream there is always something. And reads past the budget of a
 * turn go behind those that became ready later.
 */
export class FairnessBarrier implements Barrier {
  readonly #countOpen: () => number;
  readonly #pauseMs: number;
  readonly #poll: SocketPoll;
  #opened: PromiseWithResolvers<void> | undefined;
  /** When it may close again, as `performance.now()`. */
  #closesAt = -Infinity;
  /** The work since the clock was looked at, in bytes. */
  #work = 0;
  /** How many reads were done since it closed. */
  #reads = 0;
  /** How many bytes were read since it closed. */
  #bytes = 0;
  #readBytes = READ_BYTES.most;
  #isStopped = false;

  constructor({ countOpen, pauseMs, poll = new SelfPipe() }: BarrierOptions) {
    this.#countOpen = countOpen;
    this.#pauseMs = pauseMs;
    this.#poll = poll;
  }

  get readBytes(): number {
    return this.#readBytes;
  }

  addRead(bytes: number): boolean {
    if (!this.#opened) {
      this.#work += bytes + WORK_OF_A_READ;
      if (this.#work < WORK_BETWEEN_CLOCKS) return false;
      this.#work = 0;
      if (performance.now() < this.#closesAt || this.#isStopped) return false;
      if (this.#countOpen() < 2) {
        this.#readBytes = READ_BYTES.most;
        return false;
      }
      this.#close();
    }
    this.#reads++;
    this.#bytes += bytes;
    return true;
  }

  pass(): Promise<void> {
    return this.#opened?.promise ?? Promise.resolve();
  }

  /**
   * Waits until every connection whose bytes had arrived before this call had a
   * read.
   */
  async untilAllRead(): Promise<void> {
    // A closing that is under way may have begun before the bytes arrived.
    await this.pass();
    if (!this.#opened && !this.#isStopped) this.#close();
    await this.pass();
  }

  /** Opens the barrier for good. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#poll.close();
    await this.pass();
  }

  #close(): void {
    this.#opened = Promise.withResolvers();
    this.#reads = 0;
    this.#bytes = 0;
    this.#reopen(this.#opened);
  }

  async #reopen({ resolve }: PromiseWithResolvers<void>): Promise<void> {
    const closedAt = performance.now();
    await this.#untilReadsAreDone();
    this.#fitReads();
    const now = performance.now();
    // Closings take half of the time at most.
    this.#closesAt = now + Math.max(this.#pauseMs, now - closedAt);
    this.#opened = undefined;
    resolve();
  }

  async #untilReadsAreDone(): Promise<void> {
    // Reads that a full turn left behind come after those that the next poll finds,
    // so it takes one more poll to know that there are none.
    const isFew = this.#countOpen() < READS_OF_A_FULL_TURN;
    const quietPollsNeeded = isFew ? 1 : 2;
    let quietPolls = 0;
    while (quietPolls < quietPollsNeeded && this.#reads < this.#countOpen()) {
      const before = this.#reads;
      await this.#poll.untilPolled();
      const isFull = this.#reads - before >= READS_OF_A_FULL_TURN;
      quietPolls = isFull ? 0 : quietPolls + 1;
    }
  }

  #fitReads(): void {
    const { least, most } = READ_BYTES;
    const fitting = Math.floor(this.#readBytes * ROUND_BYTES / this.#bytes);
    this.#readBytes = Math.max(least, Math.min(fitting, most));
  }
}
