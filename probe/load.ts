import process from "node:process";
import type { Irregularity } from "../client.ts";
import { reasonOf } from "../net/errors.ts";
import { FairnessBarrier } from "../net/fairness.ts";
import { sleep } from "../net/time.ts";
import { DEFAULT_CONNECTIONS, DEFAULT_DURATION_MS } from "./defaults.ts";
import { Ending } from "./ending.ts";
import { couldNotLeave } from "./failure.ts";
import { FAILURE_PAUSE_MS, Link } from "./link.ts";
import { Messages, type MessagesPart } from "./messages.ts";
import { OpenLoop, type Sent } from "./open_loop.ts";
import type { ProbeOptions } from "./probe_client.ts";
import { type Summary, Tally } from "./tally.ts";

export type { LoadProgress, Summary } from "./tally.ts";

/** Options for {@linkcode load}. */
export interface LoadOptions extends ProbeOptions {
  /**
   * How many connections there are. Without a rate each has one message under way.
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
   * How many messages are due a second, in all, at equal distances. A message leaves
   * when it is due, whatever is under way, so that one stall shows in every message
   * that it delayed (the opposite is known as coordinated omission). By default each
   * message is sent when the one before it is back.
   */
  ratePerSecond?: number | undefined;

  /**
   * Which part of a load this is, whose other parts run in other threads. Connections
   * and rate are those of the part. Only the first part ends when its first connection
   * cannot be made. The messages of all parts take turns in time, too.
   */
  part?: MessagesPart | undefined;

  /** Called when a connection was opened or could not be, with how many were. */
  onOpening?: ((opened: number) => void) | undefined;

  /**
   * Called when the connections are open. The clock starts when what this returns
   * settles; after a stop that must be soon, and the clock does not start.
   */
  untilStart?: (() => Promise<unknown>) | undefined;

  /** Called before the clock starts, with what goes on counting. */
  onStart?: ((tally: Tally) => void) | undefined;
}

/** How many connections are made at once, before the clock starts. */
const CONNECTS_AT_ONCE = 16;

/**
 * The pause between two closings of the barrier at which connections wait for each
 * other. It is short, as a latency should be the server's doing, not the client's.
 */
const BARRIER_PAUSE_MS = 2;

/**
 * Loads a server: sends messages over many connections and verifies each. A
 * connection that fails is counted and replaced, and the load goes on. If the very
 * first cannot be made, the load ends with that, unless the server reset it. The run
 * of a load that is stopped before its clock starts has a duration of 0.
 */
export async function load(options: LoadOptions): Promise<Summary> {
  return await new Load(options).run();
}

/** From one look at how late a timer is to the next, in milliseconds. */
const CLOCK_MS = 10;

class Load {
  readonly #options: LoadOptions;
  readonly #stop: AbortSignal;
  readonly #messages: Messages;
  readonly #tally: Tally;
  readonly #ending: Ending;
  readonly #links: Link[];
  readonly #durationMs: number;

  constructor(options: LoadOptions) {
    const { connections = DEFAULT_CONNECTIONS, ratePerSecond } = options;
    this.#options = options;
    this.#stop = options.signal ?? new AbortController().signal;
    this.#durationMs = options.durationMs ?? DEFAULT_DURATION_MS;
    this.#messages = new Messages(options.message, options.part);
    this.#tally = new Tally({ connections, ratePerSecond });
    this.#ending = new Ending(this.#stop, () => this.#tally.longestMs);
    const shared = {
      ...{ connect: options.connect, messages: this.#messages },
      giveUp: this.#ending.giveUp,
      onConnected: () => this.#tally.addConnection(),
      onIrregular: ({ kind }: Irregularity) => this.#tally.addIrregular(kind),
      // Without a rate each connection makes its own pause.
      pauseMs: ratePerSecond === undefined ? 0 : FAILURE_PAUSE_MS,
    };
    this.#links = Array.from({ length: connections }, () => new Link(shared));
  }

  async run(): Promise<Summary> {
    const tally = this.#tally;
    const ending = this.#ending;
    tally.countOpen = () => this.#links.filter((link) => link.open).length;
    this.#options.onTally?.(tally);
    await ending.wait(this.#open());
    if (tally.error !== undefined) return tally.summary();
    await this.#options.untilStart?.();
    if (this.#stop.aborted) {
      await ending.wait(this.#end());
      return tally.summary();
    }

    const onStop = () => tally.stop();
    this.#stop.addEventListener("abort", onStop);
    const cpu = process.cpuUsage();
    tally.start(this.#durationMs);
    this.#options.onStart?.(tally);
    await ending.wait(
      this.#options.ratePerSecond === undefined
        ? this.#runClosedLoop()
        : this.#runOpenLoop(this.#options.ratePerSecond),
    );
    const { user, system } = process.cpuUsage(cpu);
    tally.end((user + system) / 1000);
    this.#stop.removeEventListener("abort", onStop);
    await ending.wait(this.#end());
    return tally.summary();
  }

  /** Opens the connections, a few at a time; one that fails is counted. */
  async #open(): Promise<void> {
    const { retryMs = 0, onOpening, part } = this.#options;
    const tally = this.#tally;
    let opened = 0;
    const open = async (link: Link, retryMs: number) => {
      const askedAt = performance.now();
      try {
        const { client } = await link.connect(retryMs);
        tally.addConnected(client);
      } catch (error) {
        tally.addFailed(error, askedAt);
        // A server that resets its connections is there.
        const isThere = reasonOf(error) === "reset";
        if (opened === 0 && !isThere && (part?.index ?? 0) === 0) {
          tally.error = error;
          return;
        }
      }
      opened++;
      onOpening?.(opened);
    };
    const [first, ...others] = this.#links;
    await open(first!, retryMs);
    if (tally.error !== undefined) return;
    const openOthers = async () => {
      while (!this.#stop.aborted) {
        const link = others.pop();
        if (!link) return;
        await open(link, 0);
      }
    };
    await Promise.all(Array.from({ length: CONNECTS_AT_ONCE }, openOthers));
  }

  /** Sends over each connection when the message before is back. */
  async #runClosedLoop(): Promise<void> {
    const barrier = new FairnessBarrier({
      countOpen: () => this.#links.length,
      pauseMs: BARRIER_PAUSE_MS,
    });
    using _clock = this.#watchClock();
    const running = this.#links.map((link, index) =>
      this.#sendInTurn(link, index, barrier)
    );
    await Promise.all(running);
    await barrier.stop();
  }

  /** Notes how late timers are: without a rate, nothing else says that this end was. */
  #watchClock(): Disposable {
    let due = performance.now() + CLOCK_MS;
    const timer = setInterval(() => {
      const now = performance.now();
      this.#tally.addLate(Math.max(0, now - due));
      due = now + CLOCK_MS;
    }, CLOCK_MS);
    return { [Symbol.dispose]: () => clearInterval(timer) };
  }

  async #sendInTurn(
    link: Link,
    index: number,
    barrier: FairnessBarrier,
  ): Promise<void> {
    const tally = this.#tally;
    const bytes = this.#messages.bytes;
    // One look at the clock a message: it takes longer than all that is counted.
    let sentAt = performance.now();
    for (let number = 1;; number++) {
      if (this.#stop.aborted || sentAt >= tally.endsAt) return;
      tally.begin(index, sentAt);
      let connection = link.open;
      let waitedMs = 0;
      try {
        if (!connection) {
          connection = await link.connect();
          waitedMs = performance.now() - sentAt;
        }
        const { client, messages } = connection;
        const message = messages.take(number);
        const { durationMs } = await client.echo(message);
        messages.giveBack(message);
        sentAt = tally.addVerified(index, waitedMs + durationMs);
        if (barrier.addRead(bytes)) {
          await barrier.pass();
          sentAt = performance.now();
        }
      } catch (error) {
        link.drop(connection);
        tally.settle(index);
        const why = connection?.messages.explain(error, number);
        tally.addFailed(error, sentAt, why);
        // A datagram that was lost is waited for already.
        const isOver = performance.now() >= tally.endsAt;
        const isWaitedFor = connection?.client.isOpen && !couldNotLeave(error);
        if (!isWaitedFor && !isOver) {
          await sleep(FAILURE_PAUSE_MS, this.#stop);
        }
        sentAt = performance.now();
      }
    }
  }

  /** Sends when a message is due, over one connection after the other. */
  async #runOpenLoop(ratePerSecond: number): Promise<void> {
    const tally = this.#tally;
    const intervalMs = 1000 / ratePerSecond;
    const { index, count } = this.#options.part ?? { index: 0, count: 1 };
    const loop = new OpenLoop({
      startedAt: tally.startedAt + intervalMs * index / count,
      intervalMs,
      ...{ first: 1, last: Infinity, endsAt: tally.endsAt },
      ...{ messageBytes: this.#messages.bytes, stop: this.#stop },
      onUnsent: () => tally.addUnsent(),
      send: (sent, lateMs) => {
        const settled = this.#exchange(sent, lateMs);
        tally.addSent();
        return settled;
      },
    });
    tally.underWay = loop.underWay;
    tally.addTooLate(await loop.run());
    await loop.untilSettled();
  }

  async #exchange(sent: Sent, lateMs: number): Promise<void> {
    const { number } = sent;
    let { sentAt } = sent;
    const link = this.#links[number % this.#links.length]!;
    let connection = link.open;
    let waitedMs = 0;
    try {
      if (!connection) {
        await link.pause();
        const pausedMs = performance.now() - sentAt;
        sentAt += pausedMs;
        lateMs += pausedMs;
        connection = await link.connect();
        waitedMs = performance.now() - sentAt;
      }
      const { client, messages } = connection;
      const message = messages.take(number);
      const echoed = client.echo(message);
      this.#tally.addLate(lateMs);
      const { durationMs } = await echoed;
      messages.giveBack(message);
      this.#tally.addVerified(undefined, waitedMs + durationMs);
    } catch (error) {
      link.drop(connection);
      const why = connection?.messages.explain(error, number);
      this.#tally.addFailed(error, sentAt, why);
    }
  }

  /** Ends the connections. Nothing may come after the last reply of one. */
  async #end(): Promise<void> {
    await Promise.all(this.#links.map(async (link) => {
      const { messages } = link.open ?? {};
      try {
        await link.end();
      } catch (error) {
        if (reasonOf(error) !== "mismatch") return;
        const why = messages?.explain(error);
        this.#tally.addFailed(error, performance.now(), why);
      }
    }));
  }
}
