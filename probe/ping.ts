/**
 * One verified message after another, at regular times.
 *
 * @module
 */

import { sleep } from "../net/time.ts";
import { DEFAULT_INTERVAL_MS } from "./defaults.ts";
import { type FailureReason, failureReason } from "./failure.ts";
import { Latencies, type LatencySummary } from "./latency.ts";
import type { ProbeClient, ProbeOptions } from "./probe_client.ts";

/** Options for {@linkcode ping}. */
export interface PingOptions extends ProbeOptions {
  /**
   * How many messages are sent.
   *
   * @default {Infinity}
   */
  count?: number | undefined;

  /**
   * The time from one sending to the next, in milliseconds. When a message takes
   * longer, the turns that it covers are left out.
   *
   * @default {1000}
   */
  intervalMs?: number | undefined;

  /**
   * Make a new connection for each message.
   *
   * @default {false}
   */
  reconnect?: boolean | undefined;

  /** Called for each event; the next message waits for its promise. */
  onEvent?: ((event: PingEvent) => Promise<void> | void) | undefined;
}

/** A connection was made. */
export interface ConnectedEvent {
  /** The kind of event. */
  type: "connected";
  /** How long connecting took, in milliseconds. */
  connectMs: number;
}

/** A message came back, every byte of it. */
export interface ReplyEvent {
  /** The kind of event. */
  type: "reply";
  /** The message's number, from 1. */
  seq: number;
  /** How many bytes it has. */
  bytes: number;
  /** The round trip, in milliseconds. */
  rttMs: number;
  /** How long connecting for it took, in milliseconds, with `reconnect`. */
  connectMs: number | undefined;
}

/** A message did not come back, or not as it was sent. */
export interface LostEvent {
  /** The kind of event. */
  type: "lost";
  /** The message's number, from 1. */
  seq: number;
  /** Why it was lost. */
  reason: FailureReason;
  /** What was thrown. */
  error: unknown;
}

/** Any event of a ping. */
export type PingEvent = ConnectedEvent | ReplyEvent | LostEvent;

/** What a ping found. */
export interface PingSummary {
  /** How many messages were sent, or could not be. */
  sent: number;
  /** How many came back, every byte verified. */
  verified: number;
  /** How many did not. */
  lost: number;
  /** The longest time from sending a message that was lost until one came back. */
  longestOutageMs: number;
  /** How long all of it took, in milliseconds. */
  durationMs: number;
  /** How the round trips are spread, if any message came back. */
  rttMs: LatencySummary | undefined;
}

/**
 * Sends one message after another, at regular times, and verifies each. A lost
 * message is not the end: the next one connects again.
 *
 * @param options What to send, where and how often; `retryMs` is for the first
 * connection.
 * @returns What it found.
 */
export async function ping(options: PingOptions): Promise<PingSummary> {
  const { count = Infinity, intervalMs = DEFAULT_INTERVAL_MS } = options;
  const { signal, onEvent } = options;
  const sender = new Sender(options, count);
  const tally = new PingTally();
  const turns = new Turns(intervalMs);
  try {
    for (let seq = 1; seq <= count; seq++) {
      if (seq > 1) await turns.untilNext(signal);
      if (signal?.aborted) break;
      const sentAt = performance.now();
      const event = await sender.send(seq);
      // What the abort cut off is nobody's loss.
      if (event.type === "lost" && signal?.aborted) break;
      tally.add(event, sentAt);
      await onEvent?.(event);
    }
  } finally {
    sender.hangUp();
  }
  return tally.summary();
}

/** Sends messages over a connection that it makes anew when it must. */
class Sender {
  readonly #options: PingOptions;
  readonly #count: number;
  #client: ProbeClient | undefined;

  constructor(options: PingOptions, count: number) {
    this.#options = options;
    this.#count = count;
  }

  /** Sends a message, and tells what became of it. */
  async send(seq: number): Promise<ReplyEvent | LostEvent> {
    const { reconnect, onEvent } = this.#options;
    let connectMs: number | undefined;
    try {
      connectMs = await this.#prepare(seq);
    } catch (error) {
      return this.#lost(seq, error);
    }
    if (connectMs !== undefined && !reconnect) {
      await onEvent?.({ type: "connected", connectMs });
      connectMs = undefined;
    }
    try {
      return await this.#exchange(seq, connectMs);
    } catch (error) {
      return this.#lost(seq, error);
    }
  }

  /**
   * Connects and returns how long that took, or checks that nothing came on the
   * open connection.
   */
  async #prepare(seq: number): Promise<number | undefined> {
    const { connect, retryMs = 0 } = this.#options;
    if (!this.#client) {
      this.#client = await connect(seq === 1 ? retryMs : 0);
      return this.#client.connectMs;
    }
    await this.#client.expectSilence();
    return undefined;
  }

  async #exchange(
    seq: number,
    connectMs: number | undefined,
  ): Promise<ReplyEvent> {
    const { message, reconnect } = this.#options;
    const { bytes, durationMs } = await this.#client!.echo(message);
    // Nothing may come after the last reply of a connection.
    if (reconnect || seq === this.#count) await this.#client!.end();
    if (reconnect) this.hangUp();
    return { type: "reply", seq, bytes, rttMs: durationMs, connectMs };
  }

  #lost(seq: number, error: unknown): LostEvent {
    this.hangUp();
    return { type: "lost", seq, reason: failureReason(error), error };
  }

  hangUp(): void {
    this.#client?.close();
    this.#client = undefined;
  }
}

/** The times at which messages are sent: whole intervals after the start. */
class Turns {
  readonly #startedAt = performance.now();
  readonly #intervalMs: number;
  #turn = 0;

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  /** Waits for the next turn that is not over yet. */
  async untilNext(signal: AbortSignal | undefined): Promise<void> {
    const elapsedMs = performance.now() - this.#startedAt;
    const due = Math.ceil(elapsedMs / this.#intervalMs);
    this.#turn = Math.max(this.#turn + 1, due);
    const waitMs = this.#turn * this.#intervalMs - elapsedMs;
    if (waitMs > 0) await sleep(waitMs, signal);
  }
}

/** Sums up what became of messages. */
class PingTally {
  readonly #startedAt = performance.now();
  readonly #latencies = new Latencies();
  #sent = 0;
  #verified = 0;
  /** When the first message of the outage that goes on was sent. */
  #outageSince: number | undefined;
  #longestOutageMs = 0;

  add(event: ReplyEvent | LostEvent, sentAt: number): void {
    this.#sent++;
    if (event.type === "lost") {
      this.#outageSince ??= sentAt;
      return;
    }
    this.#verified++;
    this.#latencies.record(event.rttMs);
    this.#endOutage();
  }

  summary(): PingSummary {
    this.#endOutage();
    return {
      sent: this.#sent,
      verified: this.#verified,
      lost: this.#sent - this.#verified,
      longestOutageMs: this.#longestOutageMs,
      durationMs: performance.now() - this.#startedAt,
      rttMs: this.#latencies.summary(),
    };
  }

  #endOutage(): void {
    if (this.#outageSince === undefined) return;
    const outageMs = performance.now() - this.#outageSince;
    this.#longestOutageMs = Math.max(this.#longestOutageMs, outageMs);
    this.#outageSince = undefined;
  }
}
