/**
 * Many connections at once, every message verified.
 *
 * @module
 */

import {
  setImmediate as nextTurn,
  setTimeout as delay,
} from "node:timers/promises";
import {
  connect,
  type ConnectOptions,
  type EchoClient,
  MismatchError,
} from "../client.ts";
import { reasonOf } from "../net.ts";
import { Rounds } from "../rounds.ts";
import { type FailureReason, failureReason } from "./failure.ts";
import { type Bucket, Latencies, type LatencySummary } from "./latency.ts";

/** Options for {@linkcode load}. */
export interface LoadOptions extends ConnectOptions {
  /** What is sent each time. */
  message: Uint8Array;

  /**
   * How many connections there are, each with one message under way at most.
   *
   * @default {1}
   */
  connections?: number;

  /**
   * For how long messages are sent, in milliseconds.
   *
   * @default {10000}
   */
  durationMs?: number;

  /**
   * How many messages are due a second, in all, at equal distances, whatever the
   * replies do. A message's latency then counts from when it was due: one stall
   * shows in every message that it delayed (the opposite is known as coordinated
   * omission). By default each message is sent when the one before it is back.
   */
  ratePerSecond?: number;

  /** Called before the clock starts, with counters that go on counting. */
  onStart?: (counters: Readonly<LoadCounters>) => void;
}

/** What happened until now. */
export interface LoadCounters {
  /** When the clock started, as `performance.now()`. */
  startedAt: number;
  /** How many messages came back, every byte verified. */
  messages: number;
  /** How many did not, and how many connections could not be made. */
  failed: number;
}

/** What came of it all. */
export interface LoadSummary {
  /** How many messages came back, every byte verified. */
  messages: number;
  /** How many did not, and how many connections could not be made. */
  failed: number;
  /** How many of these for which reason. */
  failures: Partial<Record<FailureReason, number>>;
  /** What the first of these said. */
  firstErrors: Partial<Record<FailureReason, string>>;
  /** How many bytes came back. */
  bytes: number;
  /** From the first message to the end of the last, in milliseconds. */
  durationMs: number;
  /** How many messages were due and not sent when the time was over. */
  unsent: number;
  /** How the latencies are spread, if any message came back. */
  latencyMs: LatencySummary | undefined;
  /** How many latencies lie in which range. */
  histogram: Bucket[];
}

/** How many connections are made at once, before the clock starts. */
const CONNECTING = 16;

/** The pause before a connection that failed is replaced. */
const FAILURE_PAUSE_MS = 100;

/** How late the runtime's timers may be: the rest of a wait is spent awake. */
const TIMER_SLACK_MS = 2;

/** The histogram is drawn, and more rows tell no more. */
const BUCKETS = 12;

/**
 * Loads a server: sends messages over many connections and verifies each. A
 * connection that fails is counted and replaced, and the run goes on.
 *
 * @param options What to send, where, how much. Its `signal` ends it, without
 * counting the messages that are under way.
 * @returns What came of it.
 * @throws What {@linkcode connect} throws, if the first connection cannot be made.
 */
export async function load(options: LoadOptions): Promise<LoadSummary> {
  const { message, connections = 1, durationMs = 10_000, signal } = options;
  const { ratePerSecond } = options;
  const latencies = new Latencies();
  const failures: Partial<Record<FailureReason, number>> = {};
  const firstErrors: Partial<Record<FailureReason, string>> = {};
  const counters = { startedAt: 0, messages: 0, failed: 0 };
  const where = { ...options, retryMs: 0 };
  const fail = (error: unknown) => {
    const reason = failureReason(error);
    failures[reason] = (failures[reason] ?? 0) + 1;
    firstErrors[reason] ??= reasonOf(error);
    counters.failed++;
  };

  // A server that is not there at all is no load test's result.
  const clients: (EchoClient | undefined)[] = [await connect(options)];
  const open = async () => {
    while (clients.length < connections && !signal?.aborted) {
      const at = clients.push(undefined) - 1;
      await connect(where).then((client) => clients[at] = client, (error) => {
        if (!signal?.aborted) fail(error);
      });
    }
  };
  await Promise.all(Array.from({ length: CONNECTING }, open));

  const startedAt = performance.now();
  const endsAt = startedAt + durationMs;
  counters.startedAt = startedAt;
  options.onStart?.(counters);
  let sent = 0;

  // Without a pause: a latency should be the server's doing, not this client's.
  const rounds = new Rounds(() => connections, 0);
  rounds.plan();
  const run = async (at: number) => {
    let client = clients[at];
    // The messages of the schedule go round the connections.
    let turn = at;
    while (!signal?.aborted) {
      let dueAt: number | undefined;
      if (ratePerSecond !== undefined) {
        dueAt = startedAt + turn * 1000 / ratePerSecond;
        turn += connections;
        await until(Math.min(dueAt, endsAt), signal);
      }
      if (performance.now() >= endsAt) break;
      try {
        sent++;
        client ??= await connect(where);
        const { durationMs } = await client.echo(message);
        latencies.record(
          dueAt === undefined ? durationMs : performance.now() - dueAt,
        );
        counters.messages++;
        if (rounds.isOn) await rounds.wait();
      } catch (error) {
        client?.close();
        client = undefined;
        if (signal?.aborted) break;
        fail(error);
        if (performance.now() >= endsAt) break;
        await delay(FAILURE_PAUSE_MS, undefined, signal && { signal })
          .catch(() => {});
      }
    }
    clients[at] = client;
  };
  await Promise.all(clients.map((_, at) => run(at)));
  rounds.stop();

  const elapsedMs = performance.now() - startedAt;
  // Nothing may come after the last reply of a connection.
  await Promise.all(clients.map(async (client) => {
    try {
      await client?.end();
    } catch (error) {
      if (error instanceof MismatchError) fail(error);
    }
  }));
  const due = ratePerSecond === undefined
    ? sent
    : Math.ceil(Math.min(elapsedMs, durationMs) * ratePerSecond / 1000);
  return {
    messages: counters.messages,
    failed: counters.failed,
    failures,
    firstErrors,
    bytes: counters.messages * message.length,
    durationMs: elapsedMs,
    unsent: Math.max(0, due - sent),
    latencyMs: latencies.summary(),
    histogram: latencies.buckets(BUCKETS),
  };
}

/** Waits until a moment, more exactly than a timer does. */
async function until(
  moment: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const sleepMs = moment - performance.now() - TIMER_SLACK_MS;
  if (sleepMs > 0) {
    await delay(sleepMs, undefined, signal && { signal }).catch(() => {});
  }
  while (performance.now() < moment && !signal?.aborted) await nextTurn();
}
