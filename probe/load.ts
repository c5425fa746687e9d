/**
 * Many connections at once, every message verified.
 *
 * @module
 */

import { setImmediate as nextTurn } from "node:timers/promises";
import { describeError, reasonOf } from "../net/errors.ts";
import { type Barrier, FairnessBarrier } from "../net/fairness.ts";
import { sleep } from "../net/time.ts";
import { DEFAULT_CONNECTIONS, DEFAULT_DURATION_MS } from "./defaults.ts";
import { type FailureReason, failureReason } from "./failure.ts";
import { type Bucket, Latencies, type LatencySummary } from "./latency.ts";
import type { ProbeClient, ProbeOptions } from "./probe_client.ts";

/** Options for {@linkcode load}. */
export interface LoadOptions extends ProbeOptions {
  /**
   * How many connections there are, each with one message under way at most.
   *
   * @default {1}
   */
  connections?: number | undefined;

  /**
   * For how long messages are sent, in milliseconds.
   *
   * @default {10000}
   */
  durationMs?: number | undefined;

  /**
   * How many messages are due a second, in all, at equal distances, whatever the
   * replies do. A message's latency then counts from when it was due: one stall
   * shows in every message that it delayed (the opposite is known as coordinated
   * omission). By default each message is sent when the one before it is back.
   */
  ratePerSecond?: number | undefined;

  /** Called before the clock starts, with counters that go on counting. */
  onStart?: ((counters: Readonly<LoadCounters>) => void) | undefined;
}

/** What a load counted up to now. */
export interface LoadCounters {
  /** When the clock started, as `performance.now()`. */
  startedAt: number;
  /** How many messages came back, every byte verified. */
  messages: number;
  /** How many did not, and how many connections could not be made. */
  failed: number;
}

/** What a load found. */
export interface LoadSummary {
  /** How many messages came back, every byte verified. */
  messages: number;
  /** How many did not, and how many connections could not be made. */
  failed: number;
  /** How many failures there were, by reason. */
  failures: Partial<Record<FailureReason, number>>;
  /** What the first failure of each reason said. */
  firstErrors: Partial<Record<FailureReason, string>>;
  /** How many bytes came back, one way. */
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
const CONNECTS_AT_ONCE = 16;

/** The pause before a connection that failed is replaced. */
const FAILURE_PAUSE_MS = 100;

/** How late the runtime's timers may be: the rest of a wait is spent polling. */
const TIMER_SLACK_MS = 2;

/**
 * The pause between two closings of the barrier at which connections wait for each
 * other. It is short, as a latency should be the server's doing, not the client's.
 */
const BARRIER_PAUSE_MS = 2;

/** The most rows that the histogram has. */
const MOST_BUCKETS = 12;

/**
 * Loads a server: sends messages over many connections and verifies each. A
 * connection that fails is counted and replaced, and the load goes on.
 *
 * @param options What to send, where and how much.
 * @returns What it found.
 * @throws What `options.connect` throws for the first connection: a server that is
 * not there at all is no result.
 */
export async function load(options: LoadOptions): Promise<LoadSummary> {
  const { connections = DEFAULT_CONNECTIONS, onStart } = options;
  const { durationMs = DEFAULT_DURATION_MS, ratePerSecond } = options;
  const tally = new LoadTally();
  const clients = await openClients(options, connections, tally);

  const schedule = new Schedule(durationMs, connections, ratePerSecond);
  tally.counters.startedAt = schedule.startedAt;
  onStart?.(tally.counters);
  const barrier = new FairnessBarrier({
    countOpen: () => connections,
    pauseMs: BARRIER_PAUSE_MS,
  });

  const run = { options, tally, schedule, barrier };
  const left = await Promise.all(
    clients.map((client, index) => runConnection(run, client, index)),
  );
  await barrier.stop();
  const elapsedMs = performance.now() - schedule.startedAt;
  await endClients(left, tally);

  const { messages, failed } = tally.counters;
  return {
    messages,
    failed,
    failures: tally.failures,
    firstErrors: tally.firstErrors,
    bytes: messages * options.message.length,
    durationMs: elapsedMs,
    unsent: schedule.unsent(elapsedMs),
    latencyMs: tally.latencies.summary(),
    histogram: tally.latencies.buckets(MOST_BUCKETS),
  };
}

/** Counts what becomes of messages. */
class LoadTally {
  readonly counters: LoadCounters = { startedAt: 0, messages: 0, failed: 0 };
  readonly failures: Partial<Record<FailureReason, number>> = {};
  readonly firstErrors: Partial<Record<FailureReason, string>> = {};
  readonly latencies = new Latencies();

  addVerified(latencyMs: number): void {
    this.latencies.record(latencyMs);
    this.counters.messages++;
  }

  addFailed(error: unknown): void {
    const reason = failureReason(error);
    this.failures[reason] = (this.failures[reason] ?? 0) + 1;
    this.firstErrors[reason] ??= describeError(error);
    this.counters.failed++;
  }
}

/** When messages are due. */
class Schedule {
  readonly startedAt = performance.now();
  readonly #durationMs: number;
  readonly #endsAt: number;
  readonly #connections: number;
  readonly #ratePerSecond: number | undefined;
  #sent = 0;

  constructor(
    durationMs: number,
    connections: number,
    ratePerSecond: number | undefined,
  ) {
    this.#durationMs = durationMs;
    this.#endsAt = this.startedAt + durationMs;
    this.#connections = connections;
    this.#ratePerSecond = ratePerSecond;
  }

  get isOver(): boolean {
    return performance.now() >= this.#endsAt;
  }

  /**
   * Waits until a connection's next message is due, or the time is over. Messages
   * go round the connections.
   *
   * @param connection The connection's number, from 0.
   * @param turn How many messages it has sent.
   * @returns When the message was due, as `performance.now()`.
   */
  async untilDue(
    connection: number,
    turn: number,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    const seq = connection + turn * this.#connections;
    const dueAt = this.startedAt + seq * 1000 / this.#ratePerSecond!;
    await until(Math.min(dueAt, this.#endsAt), signal);
    return dueAt;
  }

  get hasRate(): boolean {
    return this.#ratePerSecond !== undefined;
  }

  addSent(): void {
    this.#sent++;
  }

  /** Returns how many messages were due and not sent. */
  unsent(elapsedMs: number): number {
    if (this.#ratePerSecond === undefined) return 0;
    const durationMs = Math.min(elapsedMs, this.#durationMs);
    const due = Math.ceil(durationMs * this.#ratePerSecond / 1000);
    return Math.max(0, due - this.#sent);
  }
}

/** Opens connections, a few at a time; one that fails is counted. */
async function openClients(
  { connect, retryMs = 0, signal }: LoadOptions,
  connections: number,
  tally: LoadTally,
): Promise<(ProbeClient | undefined)[]> {
  const clients: (ProbeClient | undefined)[] = [await connect(retryMs)];
  const open = async () => {
    while (clients.length < connections && !signal?.aborted) {
      const index = clients.push(undefined) - 1;
      try {
        clients[index] = await connect(0);
      } catch (error) {
        if (!signal?.aborted) tally.addFailed(error);
      }
    }
  };
  await Promise.all(Array.from({ length: CONNECTS_AT_ONCE }, open));
  return clients;
}

/** What the connections of a load share. */
interface Run {
  readonly options: LoadOptions;
  readonly tally: LoadTally;
  readonly schedule: Schedule;
  readonly barrier: Barrier;
}

/** Sends over one connection until the time is over, and returns its client. */
async function runConnection(
  { options, tally, schedule, barrier }: Run,
  client: ProbeClient | undefined,
  index: number,
): Promise<ProbeClient | undefined> {
  const { connect, message, signal } = options;
  for (let turn = 0;; turn++) {
    const dueAt = schedule.hasRate
      ? await schedule.untilDue(index, turn, signal)
      : undefined;
    if (signal?.aborted || schedule.isOver) break;
    try {
      schedule.addSent();
      client ??= await connect(0);
      const { durationMs } = await client.echo(message);
      tally.addVerified(
        dueAt === undefined ? durationMs : performance.now() - dueAt,
      );
      if (barrier.addRead(message.length)) await barrier.pass();
    } catch (error) {
      client?.close();
      client = undefined;
      if (signal?.aborted) break;
      tally.addFailed(error);
      if (schedule.isOver) break;
      await sleep(FAILURE_PAUSE_MS, signal);
    }
  }
  return client;
}

/** Ends the connections. Nothing may come after the last reply of one. */
async function endClients(
  clients: readonly (ProbeClient | undefined)[],
  tally: LoadTally,
): Promise<void> {
  await Promise.all(clients.map(async (client) => {
    try {
      await client?.end();
    } catch (error) {
      if (reasonOf(error) === "mismatch") tally.addFailed(error);
    }
  }));
}

/** Waits until a moment, more exactly than a timer does. */
async function until(
  moment: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const sleepMs = moment - performance.now() - TIMER_SLACK_MS;
  if (sleepMs > 0) await sleep(sleepMs, signal);
  while (performance.now() < moment && !signal?.aborted) await nextTurn();
}
