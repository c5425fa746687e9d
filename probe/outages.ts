/**
 * The times during which nothing came back.
 *
 * @module
 */

import type { FailureReason } from "./failure.ts";

/**
 * A time during which nothing came back: from the sending of the first message that
 * was lost until a reply to any message came.
 */
export interface Outage {
  /** When its first message was sent, as `performance.now()`. */
  startedAt: number;
  /** When a reply came again, as `performance.now()`. */
  endedAt: number;
  /** How many messages were lost. */
  messages: number;
  /** Why the first of them was. */
  reason: FailureReason;
}

/** What is known of the outages of a run. */
export interface OutageSummary {
  /** How many there were. */
  count: number;
  /** How long the longest was, in milliseconds. */
  longestMs: number;
  /** The latest ones, in the order of time. */
  latest: Outage[];
}

/** How many outages are kept. */
const MOST_KEPT = 20;

/** Finds outages in what becomes of messages. */
export class Outages {
  /** In the order of their beginnings. */
  readonly #latest: Outage[] = [];
  #count = 0;
  /** The longest of those that are over. */
  #longestMs = 0;
  /** The one that goes on. */
  #open: Outage | undefined;

  /**
   * Counts a message that was lost.
   *
   * @param sentAt When it was sent, as `performance.now()`.
   * @param reason Why it was lost.
   * @param repliedAt When the first reply came after that, if one came before the
   * message was found to be lost.
   */
  addLost(sentAt: number, reason: FailureReason, repliedAt = Infinity): void {
    let outage = this.#latest.find(({ startedAt, endedAt }) =>
      sentAt <= endedAt && startedAt <= repliedAt
    );
    if (!outage) {
      outage = { startedAt: sentAt, endedAt: repliedAt, messages: 0, reason };
      this.#count++;
      this.#latest.push(outage);
    }
    outage.messages++;
    if (sentAt < outage.startedAt) {
      outage.startedAt = sentAt;
      outage.reason = reason;
    }
    outage.endedAt = Math.max(outage.endedAt, repliedAt);
    // Messages are found to be lost in another order than they were sent.
    this.#latest.sort((one, other) => one.startedAt - other.startedAt);
    if (this.#latest.length > MOST_KEPT) this.#latest.shift();
    if (outage.endedAt === Infinity) this.#open = outage;
    else this.#addLength(outage);
  }

  /**
   * Ends the outage, if there is one: a message came back.
   *
   * @param now The time, as `performance.now()`.
   */
  addVerified(now: number): void {
    if (!this.#open) return;
    this.#open.endedAt = now;
    this.#addLength(this.#open);
    this.#open = undefined;
  }

  /**
   * Sums up.
   *
   * @param now The time, as `performance.now()`, which ends the outage that goes on.
   */
  summary(now: number): OutageSummary {
    const lastMs = this.#open ? now - this.#open.startedAt : 0;
    return {
      count: this.#count,
      longestMs: Math.max(this.#longestMs, lastMs),
      latest: this.#latest.map((outage) => ({
        ...outage,
        endedAt: Math.min(outage.endedAt, now),
      })),
    };
  }

  #addLength({ startedAt, endedAt }: Outage): void {
    this.#longestMs = Math.max(this.#longestMs, endedAt - startedAt);
  }
}
