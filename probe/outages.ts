import type { FailureReason } from "./failure.ts";

/**
 * A time during which nothing came back that should have: from the sending of the first
 * message that was lost until a reply to any message came, right or wrong, or until the
 * sending ended.
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

/** The time from one reply to the next, and what was lost that was sent in it. */
interface Gap {
  from: number;
  to: number;
  outage: Outage | undefined;
  /** Whether it is an outage: not just a connection that was found cut. */
  isSure: boolean;
}

/** How many outages are kept. */
export const MOST_OUTAGES = 20;

/** How many gaps are kept: a loss is found when its timeout is over. */
const MOST_GAPS = 10_000;

/** Replies that come faster leave no outage between them, in milliseconds. */
const LEAST_MS = 1;

/** Finds outages in what becomes of messages. */
export class Outages {
  /** Those that are over, in the order of time. */
  #gaps: Gap[] = [];
  /** The one since the last reply. */
  #open: Gap = newGap(-Infinity);
  #latest: Gap[] = [];
  #count = 0;
  /** The longest of those that are over. */
  #longestMs = 0;

  /** Takes note that a reply came, at a time of `performance.now()`. */
  addReply(now: number): void {
    const gap = this.#open;
    if (now - gap.from <= LEAST_MS && !gap.outage) {
      gap.from = now;
      return;
    }
    gap.to = now;
    this.#measure(gap);
    this.#gaps.push(gap);
    if (this.#gaps.length >= 2 * MOST_GAPS) {
      this.#gaps = this.#gaps.slice(-MOST_GAPS);
    }
    this.#open = newGap(now);
  }

  /** Counts a message that was lost. */
  addLost(sentAt: number, reason: FailureReason, isCut = false): void {
    const gap = this.#gapAt(sentAt);
    if (!gap) return;
    gap.outage ??= { startedAt: sentAt, endedAt: gap.to, messages: 0, reason };
    gap.outage.messages++;
    if (sentAt < gap.outage.startedAt) {
      gap.outage.startedAt = sentAt;
      gap.outage.reason = reason;
    }
    if (!isCut && !gap.isSure) {
      gap.isSure = true;
      this.#count++;
      // Losses are found in another order than the messages were sent.
      this.#latest.push(gap);
      this.#latest.sort((one, other) => one.from - other.from);
      if (this.#latest.length > MOST_OUTAGES) this.#latest.shift();
    }
    this.#measure(gap);
  }

  /** Sums up. */
  summary(now: number): OutageSummary {
    const latest = this.#latest.map(({ to, outage }) => ({
      ...outage!,
      endedAt: to === Infinity ? Math.max(outage!.startedAt, now) : to,
    }));
    const last = latest.at(-1);
    return {
      count: this.#count,
      longestMs: Math.max(
        this.#longestMs,
        last ? last.endedAt - last.startedAt : 0,
      ),
      latest,
    };
  }

  #gapAt(moment: number): Gap | undefined {
    if (moment >= this.#open.from) return this.#open;
    let [low, high] = [0, this.#gaps.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#gaps[middle]!.to <= moment) low = middle + 1;
      else high = middle;
    }
    const gap = this.#gaps[low];
    return gap && gap.from <= moment ? gap : undefined;
  }

  #measure({ outage, isSure, to }: Gap): void {
    if (!outage) return;
    outage.endedAt = to;
    if (!isSure || to === Infinity) return;
    this.#longestMs = Math.max(this.#longestMs, to - outage.startedAt);
  }
}

function newGap(from: number): Gap {
  return { from, to: Infinity, outage: undefined, isSure: false };
}
