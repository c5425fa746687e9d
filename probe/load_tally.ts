/**
 * What a load counts.
 *
 * @module
 */

import { ConnectTimes } from "./connect_times.ts";
import type { IrregularKind } from "../client.ts";
import type { ProbeCounts } from "./counts.ts";
import {
  detailOf,
  type FailureReason,
  failureReason,
  isCut,
} from "./failure.ts";
import { noIrregularities } from "./irregularities.ts";
import { Latencies } from "./latency.ts";
import { endsOf } from "./link.ts";
import { type LoadSummary, statisticsOf } from "./load_summary.ts";
import type { Sent } from "./open_loop.ts";
import { Outages } from "./outages.ts";
import type { Ends, ProbeClient } from "./probe_client.ts";
import { type RecordedRow, Timeline, type TimelineRow } from "./timeline.ts";

/** What a load does at the moment. */
export interface LoadProgress {
  /** When the clock started, as `performance.now()`. */
  readonly startedAt: number;
  /** When it ends, as `performance.now()`. */
  readonly endsAt: number;
  /** How many messages or connections failed so far. */
  readonly failed: number;
  /** The latest second that is over, or the first one. */
  lastSecond(): TimelineRow;
  /** How many messages are under way, and when the oldest of them was sent. */
  underWayNow(): { messages: number; sinceAt: number | undefined };
  /** What the load found so far. */
  summary(): LoadSummary | Promise<LoadSummary>;
}

/** What a load does at the moment, in this thread. */
export interface RunningLoad extends LoadProgress {
  /** The latest second that is over, or the first one, with its latencies. */
  lastRecorded(): RecordedRow;
  /** What the load found so far. */
  summary(): LoadSummary;
}

/** Options for a {@linkcode LoadTally}. */
export interface LoadTallyOptions {
  /** How many connections there are. */
  readonly connections: number;
  /** How many messages are due a second, if they are due at times. */
  readonly ratePerSecond?: number | undefined;
}

/** Counts what becomes of messages. */
export class LoadTally implements RunningLoad {
  readonly #options: LoadTallyOptions;
  readonly #failures: Partial<Record<FailureReason, number>> = {};
  readonly #firstErrors: Partial<Record<FailureReason, string>> = {};
  /** When each of them was found, as `performance.now()`. */
  readonly #firstErrorsAt: Partial<Record<FailureReason, number>> = {};
  readonly #latencies = new Latencies();
  readonly #late = new Latencies();
  readonly #connectTimes = new ConnectTimes();
  readonly #outages = new Outages();
  readonly #irregular = noIrregularities();
  /** When each connection's message was sent; 0 if none is under way. */
  readonly #sentAt: Float64Array;
  #timeline = new Timeline(performance.now());
  #sent = 0;
  #inTime = 0;
  #lastAfterMs = 0;
  /** For how long messages were under way in the time of the load, all together. */
  #busyMs = 0;
  #unsent = 0;
  #tooLate = 0;
  /** How many connections failed before the clock started. */
  #failedEarly = 0;
  /** How many failures were found after the time of the load. */
  #failedLate = 0;
  #processorMs = 0;
  #endedAt: number | undefined;
  #ends: Ends | undefined;

  startedAt: number = performance.now();
  endsAt: number = this.startedAt;
  /** Not the difference of the two, which would be rounded. */
  #durationMs = 0;
  /** Whether the clock was started. */
  #isStarted = false;
  failed = 0;
  /** What made the first connection impossible. */
  error: unknown;
  /** With a rate: the messages under way, the oldest first. */
  underWay: ReadonlySet<Sent> = new Set();

  /**
   * Makes a tally of nothing.
   *
   * @param options What is counted.
   */
  constructor(options: LoadTallyOptions) {
    this.#options = options;
    this.#sentAt = new Float64Array(options.connections);
  }

  /** The longest latency, in milliseconds. */
  get longestMs(): number {
    return this.#latencies.longestMs;
  }

  /**
   * Starts the clock.
   *
   * @param durationMs For how long messages will be sent, in milliseconds.
   */
  start(durationMs: number): void {
    this.#isStarted = true;
    this.startedAt = performance.now();
    this.endsAt = this.startedAt + durationMs;
    this.#durationMs = durationMs;
    this.#timeline = new Timeline(this.startedAt);
  }

  /** Ends the time of the load: it was told to stop. */
  stop(): void {
    const now = performance.now();
    if (now >= this.endsAt) return;
    this.endsAt = now;
    this.#durationMs = now - this.startedAt;
  }

  /**
   * Takes note that the last message is settled.
   *
   * @param processorMs How much processor time the load took, in milliseconds.
   */
  end(processorMs: number): void {
    this.#endedAt = performance.now();
    this.#processorMs = processorMs;
  }

  /**
   * Takes note of a connection.
   *
   * @param client Its client.
   */
  addConnected(client: ProbeClient): void {
    this.#ends ??= endsOf(client);
    this.#connectTimes.add(client);
  }

  /**
   * Takes note that a connection's message is sent.
   *
   * @param connection The connection's number, from 0.
   * @param sentAt The time, as `performance.now()`.
   */
  begin(connection: number, sentAt: number): void {
    this.#sentAt[connection] = sentAt;
    this.#sent++;
  }

  /**
   * Takes note that a connection has no message under way.
   *
   * @param connection The connection's number, from 0.
   */
  settle(connection: number): void {
    this.#sentAt[connection] = 0;
  }

  /**
   * Counts a message that came back.
   *
   * @param connection The number of the connection whose only message it was.
   * @param latencyMs How long it took, in milliseconds.
   * @returns The time, as `performance.now()`.
   */
  addVerified(connection: number | undefined, latencyMs: number): number {
    const now = performance.now();
    if (connection !== undefined) this.#sentAt[connection] = 0;
    this.#latencies.record(latencyMs);
    this.#outages.addReply(now);
    const afterMs = now - this.endsAt;
    if (afterMs < 0) {
      this.#inTime++;
      this.#timeline.addVerified(now, latencyMs);
    } else this.#lastAfterMs = afterMs;
    this.#busyMs += Math.max(0, latencyMs - Math.max(0, afterMs));
    return now;
  }

  /**
   * Counts a message that failed, or a connection that could not be made.
   *
   * @param error What was thrown.
   * @param sentAt When it was sent or begun, as `performance.now()`.
   * @param why Why it failed, in words, if not the error's own.
   */
  addFailed(error: unknown, sentAt: number, why?: string): void {
    const reason = failureReason(error);
    this.#failures[reason] = (this.#failures[reason] ?? 0) + 1;
    const now = performance.now();
    this.#firstErrors[reason] ??= why ?? detailOf(error);
    this.#firstErrorsAt[reason] ??= now;
    this.failed++;
    // What failed before the start or after the end was no message that was begun.
    if (!this.#isStarted || this.#endedAt !== undefined) this.#sent++;
    if (!this.#isStarted) {
      this.#failedEarly++;
      return;
    }
    if (now < this.endsAt) this.#timeline.addFailed(now);
    else this.#failedLate++;
    this.#busyMs += Math.max(0, Math.min(now, this.endsAt) - sentAt);
    if (reason === "mismatch") this.#outages.addReply(now);
    else this.#outages.addLost(sentAt, reason, isCut(error));
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

  /** Counts a message that was due and is on its way. */
  addSent(): void {
    this.#sent++;
  }

  /** Counts how late a message left, or a timer was, in milliseconds. */
  addLate(ms: number): void {
    this.#late.record(ms);
  }

  /** Counts a message that was due and not sent, as too many were under way. */
  addUnsent(): void {
    this.#unsent++;
  }

  /**
   * Counts messages that were due and not sent, as the client was late.
   *
   * @param messages How many.
   */
  addTooLate(messages: number): void {
    this.#tooLate += messages;
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
      ...{ sent: this.#sent, verified: this.#latencies.count },
      failures: { ...this.#failures },
      ...{ unsent: this.#unsent, tooLate: this.#tooLate },
      irregular: { ...this.#irregular },
      latencies: this.#latencies.spread(boundsMs),
      late: this.#options.ratePerSecond !== undefined
        ? this.#late.spread(boundsMs)
        : undefined,
    };
  }

  /** The time, but for the end of the load: the rows cover all of it, and no more. */
  #now(): number {
    if (this.#endedAt !== undefined) return this.endsAt;
    return Math.min(performance.now(), this.endsAt);
  }

  lastSecond(): TimelineRow {
    return this.#timeline.lastSecond(this.#now());
  }

  lastRecorded(): RecordedRow {
    return this.#timeline.lastRecorded(this.#now());
  }

  underWayNow(): { messages: number; sinceAt: number | undefined } {
    if (this.#options.ratePerSecond !== undefined) {
      const [oldest] = this.underWay;
      return { messages: this.underWay.size, sinceAt: oldest?.sentAt };
    }
    const sentAt = this.#sentAt.filter((at) => at > 0);
    const sinceAt = sentAt.reduce((a, b) => Math.min(a, b), Infinity);
    return {
      messages: sentAt.length,
      sinceAt: sentAt.length > 0 ? sinceAt : undefined,
    };
  }

  summary(): LoadSummary {
    const now = this.#endedAt ?? performance.now();
    // The last message may be settled before the time is over.
    const isOver = this.#endedAt !== undefined || now >= this.endsAt;
    const durationMs = isOver ? this.#durationMs : now - this.startedAt;
    const { connections, ratePerSecond } = this.#options;
    const { messages: underWay, sinceAt = now } = this.underWayNow();
    const isKnown = this.#endedAt !== undefined && ratePerSecond === undefined;
    const elapsedMs = now - this.startedAt;
    const messagesInTime = this.#inTime;
    const recorded = {
      latencies: this.#latencies,
      late: this.#late,
      rows: this.#isStarted ? this.#timeline.recorded(this.#now()) : [],
    };
    return {
      messages: this.#latencies.count,
      messagesInTime,
      lastAfterMs: this.#lastAfterMs,
      failed: this.failed,
      failures: this.#failures,
      firstErrors: this.#firstErrors,
      firstErrorsMs: Object.fromEntries(
        Object.entries(this.#firstErrorsAt)
          .map(([reason, at]) => [reason, at - this.startedAt]),
      ),
      irregular: { ...this.#irregular },
      failedEarly: this.#failedEarly,
      failedLate: this.#failedLate,
      error: this.error,
      ...{ underWay, oldestMs: now - sinceAt },
      durationMs,
      unsent: this.#unsent,
      tooLate: this.#tooLate,
      longestOutageMs: this.#outages.summary(Math.min(now, this.endsAt))
        .longestMs,
      busyShare: isKnown
        ? this.#busyMs / (durationMs * connections)
        : undefined,
      processorShare: this.#processorMs / elapsedMs,
      ends: this.#ends,
      runs: [{
        ...{ startMs: 0, durationMs, connections, messagesInTime },
        ratePerSecond,
      }],
      recorded,
      ...statisticsOf(recorded),
      ...this.#connectTimes.summary(),
    };
  }
}
