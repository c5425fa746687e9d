/**
 * What a connection has read and not yet sent back.
 *
 * @module
 */

/**
 * A queue that holds more than this is full, in bytes. So no more than this passes
 * through a connection in the time of its latency.
 */
export const QUEUE_BYTES: number = 1 << 20;

/** What a reply counts for at least, in bytes: it is an object, too. */
export const LEAST_REPLY_BYTES = 256;

/** What a {@linkcode ReplyQueue} needs of a reply. */
export interface QueuedReply {
  /** Its bytes. */
  readonly bytes: Uint8Array;
}

/**
 * Replies between one that reads and one that writes. The queue takes a reply even
 * when it is full; it is up to the reader to wait then.
 */
export class ReplyQueue<Reply extends QueuedReply> {
  readonly #replies: Reply[] = [];
  #bytes = 0;
  #isEnded = false;
  #isClosed = false;
  #wakeReader: () => void = () => {};
  #wakeWriter: () => void = () => {};

  /** Whether the reader should wait until there is room. */
  get isFull(): boolean {
    return this.#bytes >= QUEUE_BYTES && !this.#isClosed;
  }

  /** Whether it was closed. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * Adds a reply behind the others.
   *
   * @param reply The reply.
   */
  push(reply: Reply): void {
    this.#replies.push(reply);
    this.#bytes += sizeOf(reply);
    this.#wakeWriter();
  }

  /** Lets {@linkcode ReplyQueue.next} return `undefined` behind the last reply. */
  end(): void {
    this.#isEnded = true;
    this.#wakeWriter();
  }

  /** Forgets all replies, and ends every wait. */
  close(): void {
    this.#isClosed = true;
    this.#replies.length = 0;
    this.#wakeReader();
    this.#wakeWriter();
  }

  /**
   * Waits for the oldest reply. It stays in the queue until
   * {@linkcode ReplyQueue.removeFirst}.
   *
   * @returns The reply; `undefined` when the queue is closed, or ended and empty.
   */
  async next(): Promise<Reply | undefined> {
    while (this.#replies.length === 0 && !this.#isEnded && !this.#isClosed) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wakeWriter = resolve;
      await promise;
    }
    return this.#replies[0];
  }

  /** Removes the oldest reply, if the queue was not closed meanwhile. */
  removeFirst(): void {
    const reply = this.#replies.shift();
    if (!reply) return;
    this.#bytes -= sizeOf(reply);
    this.#wakeReader();
  }

  /** Waits while the queue is full. */
  async untilRoom(): Promise<void> {
    while (this.isFull) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wakeReader = resolve;
      await promise;
    }
  }
}

function sizeOf({ bytes }: QueuedReply): number {
  return Math.max(bytes.length, LEAST_REPLY_BYTES);
}
