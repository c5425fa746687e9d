/**
 * What a ping counts.
 *
 * @module
 */

import type { IrregularKind } from "../client.ts";
import type { ProbeCounts } from "./counts.ts";
import { type FailureReason, failureReason, isCut } from "./failure.ts";
import { type IrregularCounts, noIrregularities } from "./irregularities.ts";
import { type ConnectSummary, ConnectTimes } from "./connect_times.ts";
import { Latencies, type LatencySummary } from "./latency.ts";
import { Outages, type OutageSummary } from "./outages.ts";
import type { Ends } from "./probe_client.ts";

/** What a ping found. */
export interface PingSummary {
  /** How many messages were sent, or could not be for want of a connection. */
  sent: number;
  /** How many came back, every byte verified. */
  verified: number;
  /** How many did not. */
  lost: number;
  /** How many of those had a wrong reply. */
  wrong: number;
  /** How many are under way, before the end. */
  underWay: number;
  /** How many were due and not sent, as too many were under way. */
  unsent: number;
  /** How many were due and not sent, as this process was stopped meanwhile. */
  tooLate: number;
  /** How often more came back than was sent, after the last message. */
  surplus: number;
  /** How many replies were irregular, by kind. */
  irregular: IrregularCounts;
  /** The times during which nothing came back. */
  outages: OutageSummary;
  /** From the first connection until the last message was settled, in milliseconds. */
  durationMs: number;
  /** How the round trips are spread, if any message came back. */
  rttMs: LatencySummary | undefined;
  /**
   * The mean difference of a round trip and the one before it, in milliseconds, if
   * there were two.
   */
  jitterMs: number | undefined;
  /**
   * How late messages left, which is the client's own doing; `undefined` if they
   * were not due at any time.
   */
  lateMs: LatencySummary | undefined;
  /** The latest connection, if there was one. */
  ends: Ends | undefined;
  /** How long its connections took to make, if they spoke TLS. */
  connectTimes?: ConnectSummary;
}

/** Sums up what became of messages. */
export class PingTally {
  #startedAt = performance.now();
  #endedAt: number | undefined;
  readonly #rtts = new Latencies();
  readonly #late = new Latencies();
  readonly #outages = new Outages();
  #sent = 0;
  #verified = 0;
  #lost = 0;
  readonly #failures: Partial<Record<FailureReason, number>> = {};
  #wrong = 0;
  #unsent = 0;
  #tooLate = 0;
  #surplus = 0;
  /** How long connections took to make. */
  readonly connectTimes: ConnectTimes = new ConnectTimes();
  readonly #irregular = noIrregularities();
  #lastRttMs: number | undefined;
  /** When the last message was sent that was lost. */
  #lastSentAt = -Infinity;
  readonly #intervalMs: number;
  /** The sum of the differences between neighbouring round trips. */
  #differencesMs = 0;
  /** The latest connection. */
  ends: Ends | undefined;

  constructor({ intervalMs }: { readonly intervalMs: number }) {
    this.#intervalMs = intervalMs;
  }

  /** The longest round trip, in milliseconds. */
  get longestMs(): number {
    return this.#rtts.longestMs;
  }

  /** Starts the clock: the first connection is made. */
  start(): void {
    this.#startedAt = performance.now();
  }

  /** Stops the clock: the last message is settled. */
  end(): void {
    this.#endedAt = performance.now();
  }

  /** Counts a message that is sent, or cannot be for want of a connection. */
  addSent(): void {
    this.#sent++;
  }

  /** Counts how late a message left, in milliseconds. */
  addLate(ms: number): void {
    this.#late.record(ms);
  }

  /** Counts a message that is not sent, as too many are under way. */
  addUnsent(): void {
    this.#unsent++;
  }

  /** Counts a message that is not sent, as this process was stopped. */
  addTooLate(): void {
    this.#tooLate++;
  }

  /** Takes note that more came back than was sent. */
  addSurplus(): void {
    this.#surplus++;
  }

  /** Counts a message that came back, with its round trip in milliseconds. */
  addReply(rttMs: number): void {
    this.#verified++;
    this.#rtts.record(rttMs);
    if (this.#lastRttMs !== undefined) {
      this.#differencesMs += Math.abs(rttMs - this.#lastRttMs);
    }
    this.#lastRttMs = rttMs;
    this.#outages.addReply(performance.now());
  }

  /**
   * Counts a reply that is irregular.
   *
   * @param kind What is wrong with it.
   */
  addIrregular(kind: IrregularKind): void {
    this.#irregular[kind]++;
    if (kind === "corrupt") this.#outages.addReply(performance.now());
  }

  /**
   * Counts a message that was lost.
   *
   * @param sentAt When it was sent, as `performance.now()`.
   * @param error Why it was lost.
   */
  addLost(sentAt: number, error: unknown): void {
    const reason = failureReason(error);
    this.#lost++;
    this.#failures[reason] = (this.#failures[reason] ?? 0) + 1;
    this.#lastSentAt = Math.max(this.#lastSentAt, sentAt);
    if (reason === "mismatch") {
      this.#wrong++;
      this.#outages.addReply(performance.now());
    } else this.#outages.addLost(sentAt, reason, isCut(error));
  }

  /**
   * Tells what was counted so far, but for connections.
   *
   * @param boundsMs The bounds of the distributions, in milliseconds.
   */
  counts(
    boundsMs: readonly number[],
  ): Omit<ProbeCounts, "connected" | "open"> {
    return {
      ...{ sent: this.#sent, verified: this.#verified },
      failures: { ...this.#failures },
      ...{ unsent: this.#unsent, tooLate: this.#tooLate },
      irregular: { ...this.#irregular },
      latencies: this.#rtts.spread(boundsMs),
      late: this.#late.spread(boundsMs),
    };
  }

  /** The outage of a last message ends when the next one would have been due. */
  #sendingEndsAt(now: number): number {
    const isOver = this.#endedAt !== undefined && this.#intervalMs > 0;
    return isOver ? Math.min(now, this.#lastSentAt + this.#intervalMs) : now;
  }

  /** Sums up what was found so far. */
  summary(): PingSummary {
    const now = this.#endedAt ?? performance.now();
    return {
      ...{ sent: this.#sent, verified: this.#verified, lost: this.#lost },
      wrong: this.#wrong,
      underWay: this.#sent - this.#verified - this.#lost,
      ...{ unsent: this.#unsent, tooLate: this.#tooLate },
      surplus: this.#surplus,
      irregular: { ...this.#irregular },
      outages: this.#outages.summary(this.#sendingEndsAt(now)),
      durationMs: now - this.#startedAt,
      rttMs: this.#rtts.summary(),
      jitterMs: this.#verified > 1
        ? this.#differencesMs / (this.#verified - 1)
        : undefined,
      lateMs: this.#late.summary(),
      ends: this.ends,
      ...this.connectTimes.summary(),
    };
  }
}
