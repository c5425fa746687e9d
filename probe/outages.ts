/**
 * The times during which nothing came back.
 *
 * @module
 */

import type { FailureReason } from "./failure.ts";

/**
 * A time during which nothing came back: from the sending of the first message that
 * was lost until a reply came to this message or a later one.
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
  readonly #latest: Outage[] = [];
  #count = 0;
  /** The longest of those that are over. */
  #longestMs = 0;
  /** Whether the last one goes on. */
  #isOut = false;

  /**
   * Counts a message that was lost.
   *
   * @param sentAt When it was sent, as `performance.now()`.
   * @param reason Why it was lost.
   * @param repliedAt When the first reply came after that, if one came before the
   * message was found to be lost.
   */
  addLost(sentAt: number, reason: FailureReason, repliedAt?: number): void {
    const last = this.#latest.at(-1);
    if (last && (this.#isOut || sentAt <= last.endedAt)) {
      last.messages++;
      if (repliedAt === undefined) {
        last.startedAt = Math.min(last.startedAt, sentAt);
      }
      if (repliedAt !== undefined && !this.#isOut) this.#end(last, repliedAt);
      return;
    }
    const outage = {
      ...{ startedAt: sentAt, endedAt: Infinity, messages: 1, reason },
    };
    this.#count++;
    this.#latest.push(outage);
    if (this.#latest.length > MOST_KEPT) this.#latest.shift();
    if (repliedAt === undefined) this.#isOut = true;
    else this.#end(outage, repliedAt);
  }

  /**
   * Ends the outage, if there is one: a message came back.
   *
   * @param now The time, as `performance.now()`.
   */
  addVerified(now: number): void {
    if (!this.#isOut) return;
    this.#isOut = false;
    this.#end(this.#latest.at(-1)!, now);
  }

  /** When the outage that goes on began, as `performance.now()`. */
  get since(): number | undefined {
    return this.#isOut ? this.#latest.at(-1)!.startedAt : undefined;
  }

  /**
   * Sums up.
   *
   * @param now The time, as `performance.now()`, which ends the outage that goes on.
   */
  summary(now: number): OutageSummary {
    const { since } = this;
    const lastMs = since === undefined ? 0 : now - since;
    return {
      count: this.#count,
      longestMs: Math.max(this.#longestMs, lastMs),
      latest: this.#latest.map((outage) => ({
        ...outage,
        endedAt: Math.min(outage.endedAt, now),
      })),
    };
  }

  #end(outage: Outage, endedAt: number): void {
    outage.endedAt = Number.isFinite(outage.endedAt)
      ? Math.max(outage.endedAt, endedAt)
      : endedAt;
    const lastedMs = outage.endedAt - outage.startedAt;
    this.#longestMs = Math.max(this.#longestMs, lastedMs);
  }
}
