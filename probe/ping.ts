/**
 * One verified message after another, for as long as one likes.
 *
 * @module
 */

import { setTimeout as delay } from "node:timers/promises";
import { connect, type ConnectOptions, type EchoClient } from "../client.ts";
import { type FailureReason, failureReason } from "./failure.ts";
import { Latencies, type LatencySummary } from "./latency.ts";

/** Options for {@linkcode ping}. */
export interface PingOptions extends ConnectOptions {
  /** What is sent each time. */
  message: Uint8Array;

  /**
   * How many times.
   *
   * @default {Infinity}
   */
  count?: number;

  /**
   * The time from one sending to the next, in milliseconds. When a message takes
   * longer, the turns that it covers are left out.
   *
   * @default {1000}
   */
  intervalMs?: number;

  /**
   * Make a new connection for each.
   *
   * @default {false}
   */
  reconnect?: boolean;

  /** Called for each thing that happens; the next waits for its promise. */
  onEvent?: (event: PingEvent) => Promise<void> | void;
}

/** A connection was made. */
export interface ConnectedEvent {
  /** Which event this is. */
  type: "connected";
  /** How long that took, in milliseconds. */
  connectMs: number;
}

/** A message came back, every byte of it. */
export interface ReplyEvent {
  /** Which event this is. */
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
  /** Which event this is. */
  type: "lost";
  /** The message's number, from 1. */
  seq: number;
  /** Why. */
  reason: FailureReason;
  /** What was thrown. */
  error: unknown;
}

/** What {@linkcode PingOptions.onEvent} is called with. */
export type PingEvent = ConnectedEvent | ReplyEvent | LostEvent;

/** What came of it all. */
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
 * @param options What to send, where, how often. Its `signal` ends it, without
 * counting the message that is under way; `retryMs` is for the first connection.
 * @returns What came of it.
 */
export async function ping(options: PingOptions): Promise<PingSummary> {
  const { message, count = Infinity, intervalMs = 1000, signal } = options;
  const { reconnect = false, retryMs = 0, onEvent } = options;
  const latencies = new Latencies();
  const startedAt = performance.now();
  let client: EchoClient | undefined;
  /** Which of the times that lie whole intervals after the start it is. */
  let turn = 0;
  let sent = 0;
  let verified = 0;
  let outageSince: number | undefined;
  let longestOutageMs = 0;

  const send = async (seq: number): Promise<ReplyEvent> => {
    let connectMs: number | undefined;
    if (client) {
      await client.expectSilence();
    } else {
      client = await connect({ ...options, retryMs: seq === 1 ? retryMs : 0 });
      if (reconnect) ({ connectMs } = client);
      else await onEvent?.({ type: "connected", connectMs: client.connectMs });
    }
    const { bytes, durationMs } = await client.echo(message);
    // Nothing may come after the last reply of a connection.
    if (reconnect || seq === count) await client.end();
    return { type: "reply", seq, bytes, rttMs: durationMs, connectMs };
  };
  const hangUp = () => {
    client?.close();
    client = undefined;
  };
  const endOutage = () => {
    if (outageSince === undefined) return;
    const outageMs = performance.now() - outageSince;
    longestOutageMs = Math.max(longestOutageMs, outageMs);
  };

  try {
    for (let seq = 1; seq <= count && !signal?.aborted; seq++) {
      const sentAt = performance.now();
      let event: PingEvent;
      try {
        event = await send(seq);
        latencies.record(event.rttMs);
        verified++;
        endOutage();
        outageSince = undefined;
        if (reconnect) hangUp();
      } catch (error) {
        hangUp();
        if (signal?.aborted) break;
        outageSince ??= sentAt;
        event = { type: "lost", seq, reason: failureReason(error), error };
      }
      sent++;
      await onEvent?.(event);
      if (seq < count) {
        const elapsedMs = performance.now() - startedAt;
        turn = Math.max(turn + 1, Math.ceil(elapsedMs / intervalMs) || 0);
        await sleep(turn * intervalMs - elapsedMs, signal);
      }
    }
  } finally {
    hangUp();
  }
  endOutage();
  return {
    sent,
    verified,
    lost: sent - verified,
    longestOutageMs,
    durationMs: performance.now() - startedAt,
    rttMs: latencies.summary(),
  };
}

async function sleep(
  ms: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (!(ms > 0)) return;
  await delay(ms, undefined, signal && { signal }).catch(() => {});
}
