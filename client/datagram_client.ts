import { type Address, formatAddress, ZONE } from "../net/address.ts";
import { datagramBuffer, RECEIVE_PAUSE_MS } from "../net/datagrams.ts";
import { isReset, networkError, reasonOf, withFields } from "../net/errors.ts";
import { checkTime } from "../net/options.ts";
import { sleep } from "../net/time.ts";
import type { UdpClient } from "./api.ts";
import { EXCERPT_BYTES } from "./comparison.ts";
import { DatagramQueue, type QueuedDatagram } from "./datagram_queue.ts";
import { Deadline } from "./deadline.ts";
import type { UdpRoute } from "./dial.ts";
import { clientClosedError } from "./errors.ts";
import type { EchoResult, Irregularity } from "./types.ts";

/** The most bytes of a datagram: 65,535 less the headers of IPv4 and UDP. */
export const MAX_DATAGRAM_BYTES = 65_507;

/** The pause before a message is sent again: doubled each time. */
const AGAIN_PAUSE_MS = { first: 250, last: 1000 };

/** How long the end waits for second and late replies, in milliseconds. */
const LINGER_MS = { least: 20, most: 500 };

/** What a {@linkcode DatagramClient} is made of. */
export interface DatagramClientOptions {
  /** The ways to the server, whose sockets the client closes. */
  readonly routes: readonly UdpRoute[];
  /** Where the server was said to be. */
  readonly address: Address;
  /** How long it took to look its name up and to open the sockets, in milliseconds. */
  readonly connectMs: number;
  /** The longest wait for a reply, in milliseconds. */
  readonly timeoutMs: number;
  /** Closes the client when it is aborted. */
  readonly signal: AbortSignal | undefined;
  /** Takes note of what came and should not have. */
  readonly onIrregular: ((irregularity: Irregularity) => void) | undefined;
}

/**
 * An echo client over UDP: each message is a datagram, which comes back whole and
 * alone, in any order, or not at all.
 *
 * No connection tells which address of a name is the server's. So messages go to all
 * of them, each from a socket of its own, until one answers, which is kept.
 */
export class DatagramClient implements UdpClient {
  readonly connectMs: number;
  readonly #address: Address;
  #routes: readonly UdpRoute[];
  readonly #timeoutMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = () => this.#close(this.#signal?.reason);
  readonly #onIrregular: (irregularity: Irregularity) => void;
  readonly #queue: DatagramQueue;
  readonly #deadline = new Deadline(() => this.#expired());
  /** Messages that are not sent yet, the oldest first. */
  readonly #outbox: QueuedDatagram[] = [];
  #isSending = false;
  #isReceiving = false;
  /** Why the client takes nothing more. */
  #closed: { why: unknown } | undefined;
  /** Ends all pauses. */
  readonly #closing = new AbortController();
  /** The first sender of strays. */
  #stray: Address | undefined;

  constructor(options: DatagramClientOptions) {
    const { routes, address, connectMs, timeoutMs, signal } = options;
    this.connectMs = connectMs;
    this.#address = address;
    this.#routes = routes;
    this.#timeoutMs = timeoutMs;
    this.#signal = signal;
    this.#onIrregular = options.onIrregular ?? (() => {});
    this.#queue = new DatagramQueue(this.remoteAddr);
    signal?.addEventListener("abort", this.#onAbort);
    if (signal?.aborted) this.#onAbort();
  }

  get localAddr(): Address {
    const { hostname, port } = this.#routes[0]!.socket.addr as Deno.NetAddr;
    return { transport: "udp", hostname, port };
  }

  get remoteAddr(): Address {
    const [route, other] = this.#routes;
    return other ? this.#address : route!.remote;
  }

  get isOpen(): boolean {
    return this.#closed === undefined;
  }

  echo(message: Uint8Array): Promise<EchoResult> {
    const refusal = this.#refusal(message);
    if (refusal !== undefined) return Promise.reject(refusal);
    const queued = this.#queue.add(message, performance.now());
    this.#await();
    this.#outbox.push(queued);
    if (!this.#isSending) this.#sendAll();
    if (!this.#isReceiving) {
      this.#isReceiving = true;
      for (const route of this.#routes) this.#receive(route);
    }
    return queued.result;
  }

  async echoUntilReply(
    message: Uint8Array,
    retryMs: number,
  ): Promise<EchoResult> {
    const refusal = this.#refusal(message);
    if (refusal !== undefined) throw refusal;
    checkTime("retryMs", retryMs);
    const lastAt = performance.now() + retryMs;
    const answered = new AbortController();
    const enough = AbortSignal.any([answered.signal, this.#closing.signal]);
    const replies: Promise<EchoResult>[] = [];
    let last: Promise<EchoResult>;
    let pauseMs = AGAIN_PAUSE_MS.first;
    while (true) {
      last = this.echo(message);
      last.then(() => answered.abort(), () => {});
      replies.push(last);
      const leftMs = lastAt - performance.now();
      // A timer may fire a little before its time.
      if (leftMs < 1) break;
      await sleep(Math.min(pauseMs, leftMs), enough);
      if (enough.aborted) break;
      pauseMs = Math.min(pauseMs * 2, AGAIN_PAUSE_MS.last);
    }
    try {
      return await Promise.any(replies);
    } catch {
      // If all fail, the last one tells why.
      if (this.#closed) throw this.#closed.why;
      const error = await last.catch((error) => error);
      const isSilence = reasonOf(error) === "timeout" && replies.length > 1;
      if (!isSilence) throw error;
      throw this.#noReply(retryMs + this.#timeoutMs, replies.length);
    }
  }

  expectSilence(): Promise<void> {
    // What comes unasked is told at once, and is taken for no other message's reply.
    return Promise.resolve();
  }

  async end(): Promise<void> {
    const { least, most } = LINGER_MS;
    const waitMs = Math.min(most, Math.max(least, 2 * this.#queue.longestMs));
    if (this.isOpen && this.#isReceiving) {
      await sleep(waitMs, this.#closing.signal);
    }
    this.close();
  }

  close(): void {
    this.#close(clientClosedError(this.remoteAddr));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end();
  }

  #refusal(message: Uint8Array): unknown {
    if (!(message instanceof Uint8Array)) {
      return new TypeError("Cannot echo a message that is no Uint8Array");
    }
    if (message.length > MAX_DATAGRAM_BYTES) {
      return new RangeError(
        `A datagram has at most ${MAX_DATAGRAM_BYTES} B: ${message.length}`,
      );
    }
    return this.#closed?.why;
  }

  /** Sends one message after another: two at once may leave in the other order. */
  async #sendAll(): Promise<void> {
    this.#isSending = true;
    for (let next; this.isOpen && (next = this.#outbox.shift());) {
      // Nobody waits for its reply any more.
      if (next.isSettled()) continue;
      let failed = 0;
      const routes = this.#routes;
      for (const { socket, remote } of routes) {
        try {
          await socket.send(next.message, remote);
        } catch (error) {
          if (++failed < routes.length) continue;
          next.giveUp(networkError("send", this.remoteAddr, error));
        }
      }
    }
    this.#isSending = false;
  }

  async #receive(route: UdpRoute): Promise<void> {
    const { socket, remote: { port } } = route;
    // Deno shows a sender without its zone.
    const hostname = route.remote.hostname.replace(ZONE, "");
    const buffer = datagramBuffer();
    while (this.isOpen) {
      try {
        const [reply, sender] = await socket.receive(buffer);
        // Another address answered in the same turn.
        if (!this.#routes.includes(route)) return;
        const from = sender as Deno.NetAddr;
        if (from.port === port && from.hostname === hostname) {
          if (this.#routes.length > 1) this.#keep([route]);
          this.#take(reply);
        } else this.#takeStray(reply, from);
      } catch (error) {
        if (!this.isOpen || !this.#routes.includes(route)) return;
        await this.#receiveFailed(error, route);
      }
    }
  }

  /** Closes the sockets of all routes but some. */
  #keep(routes: readonly UdpRoute[]): void {
    const others = this.#routes.filter((route) => !routes.includes(route));
    this.#routes = routes;
    for (const { socket } of others) socket.close();
  }

  #take(reply: Uint8Array): void {
    const now = performance.now();
    this.#deadline.check(now);
    const irregularity = this.#queue.take(reply, now);
    this.#await();
    if (irregularity) this.#tellIrregular(irregularity);
  }

  /** What the user's function throws is no failure of the socket. */
  #tellIrregular(irregularity: Irregularity): void {
    try {
      this.#onIrregular(irregularity);
    } catch (error) {
      reportError(error);
    }
  }

  #takeStray(reply: Uint8Array, { hostname, port }: Deno.NetAddr): void {
    const from: Address = { transport: "udp", hostname, port };
    this.#stray ??= from;
    const excerpt = reply.slice(0, EXCERPT_BYTES);
    this.#tellIrregular({ kind: "stray", reply: excerpt, from });
  }

  async #receiveFailed(error: unknown, route: UdpRoute): Promise<void> {
    const isRefusal = isReset(error) ||
      error instanceof Deno.errors.ConnectionRefused;
    if (isRefusal && this.#routes.length > 1) {
      return this.#keep(this.#routes.filter((other) => other !== route));
    }
    // ICMP says that nobody is there, which not every system tells.
    const cause = isRefusal
      ? new Deno.errors.ConnectionRefused("connection refused")
      : error;
    const why = networkError("send", this.remoteAddr, cause);
    this.#queue.giveUpUntil(performance.now(), () => why);
    this.#await();
    await sleep(RECEIVE_PAUSE_MS, this.#closing.signal);
  }

  /** Lets the deadline watch the oldest message. */
  #await(): void {
    this.#deadline.clear();
    const { waitingSince } = this.#queue;
    if (waitingSince !== undefined) {
      this.#deadline.start(this.#timeoutMs, waitingSince);
    }
  }

  #expired(): void {
    const dueSince = performance.now() - this.#timeoutMs;
    this.#queue.giveUpUntil(dueSince, () => this.#noReply());
    this.#await();
  }

  #noReply(waitedMs = this.#timeoutMs, datagrams = 1): unknown {
    const address = this.remoteAddr;
    const other = this.#stray
      ? `; a datagram came from ${formatAddress(this.#stray)}`
      : "";
    const detail =
      "the datagram or its reply was lost or filtered, the server " +
      "limits its rate, or nothing is listening (UDP cannot tell these apart)" +
      other;
    const what = datagrams === 1 ? "" : `to ${datagrams} datagrams `;
    const message = `No reply from ${formatAddress(address)} ${what}` +
      `within ${waitedMs / 1000} s: ${detail}`;
    return withFields(new Deno.errors.TimedOut(message), {
      ...{ operation: "echo", address, reason: "timeout", detail },
    });
  }

  #close(why: unknown): void {
    if (!this.isOpen) return;
    this.#closed = { why };
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#closing.abort();
    this.#deadline.stop();
    for (const { socket } of this.#routes) socket.close();
    this.#queue.giveUpUntil(Infinity, () => why);
  }
}
