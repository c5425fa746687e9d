import { sleep } from "../net/time.ts";
import { DEFAULT_INTERVAL_MS } from "./defaults.ts";
import { Ending } from "./ending.ts";
import { couldNotLeave, detailOf, failureReason } from "./failure.ts";
import { IrregularFlow } from "./irregular_flow.ts";
import { type Connection, endsOf, FAILURE_PAUSE_MS, Link } from "./link.ts";
import { Messages } from "./messages.ts";
import { OpenLoop, type Sent } from "./open_loop.ts";
import type { PingEvent } from "./ping_events.ts";
import type { ProbeClient, ProbeOptions } from "./probe_client.ts";
import { type Summary, Tally } from "./tally.ts";

export type { PingEvent } from "./ping_events.ts";

/** Options for {@linkcode ping}. */
export interface PingOptions extends ProbeOptions {
  /**
   * How many messages are sent.
   *
   * @default {Infinity}
   */
  count?: number | undefined;

  /**
   * The time from one sending to the next, in milliseconds, whatever is under way.
   * With 0 each message is sent when the one before it is settled.
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

  /**
   * Called for each event, one after another. A message counts as under way until
   * the promise of its event settles.
   */
  onEvent?: ((event: PingEvent) => Promise<void> | void) | undefined;
}

/**
 * Sends one message after another, at regular times, and verifies each. A lost
 * message is not the end: the next one connects again.
 *
 * @throws What `onEvent` throws.
 */
export async function ping(options: PingOptions): Promise<Summary> {
  return await new Ping(options).run();
}

/**
 * How late a message may leave, in milliseconds. What was due while this process was
 * stopped is not sent all at once afterwards.
 */
const MOST_LATE_MS = 1000;

class Ping {
  readonly #options: PingOptions;
  readonly #count: number;
  readonly #intervalMs: number;
  readonly #messages: Messages;
  readonly #tally: Tally;
  readonly #irregular = new IrregularFlow((event) => void this.#tell(event));
  /** Told to stop, or an event was not taken. */
  readonly #stop: AbortSignal;
  readonly #failed = new AbortController();
  readonly #ending: Ending;
  readonly #link: Link;
  /** What the look for a second reply found before a message was sent. */
  #disturbance: unknown;
  #told: Promise<void> = Promise.resolve();
  /** The links of messages that are under way, but for the lasting one. */
  readonly #links = new Set<Link>();

  constructor(options: PingOptions) {
    const { count = Infinity, intervalMs = DEFAULT_INTERVAL_MS } = options;
    const { signal } = options;
    this.#options = options;
    this.#count = count;
    this.#intervalMs = intervalMs;
    this.#tally = new Tally({ connections: 1, intervalMs });
    this.#messages = new Messages(options.message);
    this.#stop = signal
      ? AbortSignal.any([signal, this.#failed.signal])
      : this.#failed.signal;
    this.#ending = new Ending(this.#stop, () => this.#tally.longestMs);
    this.#link = this.#newLink();
  }

  async run(): Promise<Summary> {
    this.#tally.start();
    this.#tally.countOpen = () =>
      [this.#link, ...this.#links].filter((link) => link.open).length;
    this.#options.onTally?.(this.#tally);
    const ending = this.#ending;
    try {
      await ending.wait(this.#sendAll());
      this.#tally.end();
      await ending.wait(this.#expectEnd());
      this.#irregular[Symbol.dispose]();
      await this.#told;
    } finally {
      this.#irregular[Symbol.dispose]();
      this.#link.open?.client.close();
    }
    return this.#tally.summary();
  }

  async #sendAll(): Promise<void> {
    if (this.#count < 1 || this.#stop.aborted) return;
    // The clock starts when the first connection is made, or is found impossible.
    const first = await this.#connectFirst() ? 1 : 2;
    if (this.#intervalMs === 0) return await this.#sendInTurn(first);
    const loop = new OpenLoop({
      ...{ startedAt: performance.now(), intervalMs: this.#intervalMs },
      ...{ first: 1, last: this.#count, endsAt: Infinity },
      ...{ messageBytes: this.#messages.bytes, stop: this.#stop },
      onIdle: () => this.#expectSilence(),
      onUnsent: () => this.#tally.addUnsent(),
      mostLateMs: MOST_LATE_MS,
      onTooLate: () => this.#tally.addTooLate(),
      send: (sent, lateMs) => {
        if (sent.number < first) return Promise.resolve();
        const settled = this.#exchange(sent);
        this.#tally.addLate(lateMs);
        return settled;
      },
    });
    await loop.run();
    await loop.untilSettled();
  }

  /** Sends each message when the one before it is settled. */
  async #sendInTurn(first: number): Promise<void> {
    for (let number = first; number <= this.#count; number++) {
      if (this.#stop.aborted) return;
      const sentAt = performance.now();
      const sent = { number, sentAt };
      const hasLeft = await this.#exchange(sent);
      // A server that is not there must not make this spin.
      if (!hasLeft) await sleep(FAILURE_PAUSE_MS, this.#stop);
    }
  }

  /** Connects for the first message, and returns whether it can be sent. */
  async #connectFirst(): Promise<boolean> {
    const { reconnect, retryMs = 0 } = this.#options;
    if (reconnect && retryMs === 0) return true;
    const sentAt = performance.now();
    try {
      await this.#link.connect(retryMs);
      this.#tally.start();
      return true;
    } catch (error) {
      this.#tally.addSent();
      const sent = { number: 1, sentAt };
      await this.#lose(sent, undefined, error);
      return false;
    }
  }

  /** Finds what came unasked: it must not be taken for the next reply. */
  async #expectSilence(): Promise<void> {
    const connection = this.#link.open;
    try {
      await connection?.client.expectSilence();
    } catch (error) {
      this.#disturbance = error;
    }
  }

  /** Sends a message, and tells what became of it. */
  async #exchange(sent: Sent): Promise<boolean> {
    this.#tally.addSent();
    const link = this.#options.reconnect ? this.#linkFor(sent) : this.#link;
    // Only a message that asks for a connection does not wait for it.
    const isAsking = !link.open && !link.isConnecting;
    let connection = link.open;
    try {
      if (this.#disturbance !== undefined) {
        const why = this.#disturbance;
        this.#disturbance = undefined;
        throw why;
      }
      connection ??= await link.connect();
      const waitedMs = isAsking ? 0 : performance.now() - sent.sentAt;
      await this.#echo(sent, link, connection, waitedMs);
    } catch (error) {
      link.drop(connection);
      await this.#lose(sent, connection, error);
      // A client that takes further messages gets none.
      if (this.#options.reconnect) await link.end();
      if (couldNotLeave(error)) return false;
    } finally {
      this.#links.delete(link);
    }
    return connection !== undefined;
  }

  async #echo(
    { number }: Sent,
    link: Link,
    connection: Connection,
    waitedMs: number,
  ): Promise<void> {
    const { client, messages } = connection;
    const { reconnect } = this.#options;
    const message = messages.take(number);
    const { bytes, durationMs } = await client.echo(message);
    messages.giveBack(message);
    const echoedAt = performance.now();
    // Nothing may come after the last reply of a connection.
    if (reconnect) await link.end();
    const rttMs = durationMs + waitedMs;
    this.#tally.addVerified(undefined, rttMs);
    await this.#tell({
      ...{ type: "reply", seq: number, bytes, rttMs, ends: endsOf(client) },
      connectMs: reconnect ? client.connectMs : undefined,
      ...(reconnect && handshakeOf(client)),
      endMs: reconnect ? performance.now() - echoedAt : undefined,
    });
  }

  async #lose(
    sent: Sent,
    connection: Connection | undefined,
    error: unknown,
  ): Promise<void> {
    const { number, sentAt } = sent;
    const reason = failureReason(error);
    this.#tally.addFailed(error, sentAt);
    await this.#tell({
      ...{ type: "lost", seq: number, reason, error },
      detail: connection?.messages.explain(error, number) ?? detailOf(error),
      ageMs: performance.now() - sentAt,
      ends: connection && endsOf(connection.client),
    });
  }

  /** Checks that nothing comes after the last reply. */
  async #expectEnd(): Promise<void> {
    const connection = this.#link.open;
    if (!connection) return;
    try {
      await this.#link.end();
    } catch (error) {
      // How the connection ends is the server's affair.
      if (failureReason(error) !== "mismatch") return;
      this.#tally.addSurplus();
      const detail = connection.messages.explain(error) ?? detailOf(error);
      const ends = endsOf(connection.client);
      await this.#tell({ type: "surplus", error, detail, ends });
    }
  }

  #newLink(): Link {
    const { connect, reconnect } = this.#options;
    return new Link({
      ...{ connect, messages: this.#messages, pauseMs: 0 },
      giveUp: this.#ending.giveUp,
      onConnected: (client: ProbeClient) => {
        this.#tally.addConnection();
        const { connectMs } = client;
        const ends = endsOf(client);
        this.#tally.ends = ends;
        this.#tally.addConnected(client);
        const times = { connectMs, ...handshakeOf(client) };
        if (!reconnect) this.#tell({ type: "connected", ...times, ends });
      },
      onIrregular: ({ kind, ageMs, from }, seq) => {
        this.#tally.addIrregular(kind);
        // A reply that is in good order but for its place is told as any other.
        if (kind === "reordered") return;
        const { ends } = this.#tally;
        this.#irregular.add({
          ...{ type: "irregular", kind, seq, ageMs, from, ends },
        });
      },
    });
  }

  /** With `reconnect` each message has a link of its own. */
  #linkFor({ number }: Sent): Link {
    if (number === 1 && this.#link.open) return this.#link;
    const link = this.#newLink();
    this.#links.add(link);
    return link;
  }

  /** Tells an event when those before it are taken. */
  #tell(event: PingEvent): Promise<void> {
    this.#told = this.#told.then(() => this.#options.onEvent?.(event));
    // It is thrown in the end.
    this.#told.catch((error) => this.#failed.abort(error));
    return this.#told.catch(() => {});
  }
}

/** Returns the field of an event, if there was a TLS handshake. */
function handshakeOf(
  { handshakeMs }: Pick<ProbeClient, "handshakeMs">,
): { handshakeMs?: number } {
  return handshakeMs === undefined ? {} : { handshakeMs };
}
