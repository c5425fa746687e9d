/**
 * Sending datagrams back.
 *
 * @module
 */

import type { UdpAddress } from "../net/address.ts";
import {
  bindUdp,
  datagramBuffer,
  LOOPBACK,
  RECEIVE_PAUSE_MS,
} from "../net/datagrams.ts";
import {
  describeError,
  isReset,
  type NetworkError,
  networkError,
} from "../net/errors.ts";
import type { Barrier } from "../net/fairness.ts";
import { sleep, startTimer } from "../net/time.ts";
import {
  type DropReason,
  LoopLimit,
  networkOf,
  RateLimit,
  refusal,
} from "./datagram_limits.ts";
import type { DatagramStats } from "./api.ts";
import { holdPeer, type Peer, releasePeer } from "./datagram_peers.ts";
import {
  type DatagramFaultOptions,
  DatagramFaults,
} from "./faults/datagram_faults.ts";
import { untilQueueIsEmpty } from "./queue.ts";

/** How many datagrams a second one address gets by default. */
export const DEFAULT_UDP_RATE = 1000;

/**
 * A reply that the kernel does not take within this time, or twice it, no longer holds
 * up the reading, in milliseconds. Replies to neighbours that do not exist fill the
 * socket's send buffer for the three seconds in which the kernel asks for them (ARP).
 */
const SEND_LIMIT_MS = 50;

/**
 * Opens a socket for datagrams.
 *
 * @param address Where it receives.
 * @returns The socket.
 * @throws {NetworkError} If it cannot listen there.
 */
export function listenUdp(address: UdpAddress): Deno.DatagramConn {
  try {
    return bindUdp(address);
  } catch (error) {
    throw networkError("listen", address, error);
  }
}

/** What {@linkcode DatagramEcho} needs of its server. */
export interface DatagramOptions {
  /**
   * How many datagrams a second one address gets at most.
   *
   * @default {1000, and no limit on a loopback address}
   */
  readonly ratePerSecond?: number | undefined;
  /** Whether it stops after the first datagram that it answered. */
  readonly once: boolean;
  /** Where it waits for connections after a datagram. */
  readonly barrier: Barrier;
  /**
   * Takes note of a datagram, before it is sent back.
   *
   * @param remote The sender.
   * @param bytes What it sent, which is valid during the call alone.
   * @returns Where it is counted besides, if anywhere.
   */
  onDatagram(
    remote: Deno.NetAddr,
    bytes: Uint8Array<ArrayBuffer>,
  ): Peer | undefined;
  /** Learns, with `once`, that the one datagram came: its reply may have to wait. */
  onOnce?(): void;
  /** What goes wrong with replies on purpose, and who is told of it. */
  readonly faults?:
    | Omit<DatagramFaultOptions, "send" | "onDiscard">
    | undefined;
  /** Takes note of a datagram that is not answered. */
  onDrop(drop: Drop): void;
  /** Takes note that the socket could not receive. */
  onFailure(error: NetworkError): void;
}

/** A datagram that is not answered. */
export interface Drop {
  /** The sender. */
  readonly remote: Deno.NetAddr;
  /** Why it is not answered. */
  readonly reason: DropReason;
  /** Why its reply could not be sent, in words, where the reason is `failed`. */
  readonly detail?: string;
}

/** A socket with the two methods that Deno's types leave out. */
type DatagramSocket = Deno.DatagramConn & Pick<Deno.Conn, "ref" | "unref">;

/** Sends datagrams back, whatever fails, until it is stopped. */
export class DatagramEcho {
  readonly #socket: DatagramSocket;
  readonly #options: DatagramOptions;
  readonly #address: UdpAddress;
  readonly #rate: RateLimit | undefined;
  readonly #loops: LoopLimit | undefined;
  readonly #faults: DatagramFaults | undefined;
  /** Replies with faults leave one after another. */
  #leaving: Promise<unknown> = Promise.resolve();
  readonly #stopped = new AbortController();
  /** Settles when it has stopped, once it receives no more. */
  #finishing: Promise<void> | undefined;
  readonly #dropped: Partial<Record<DropReason, number>> = {};
  /** Goes up when a reply is handed to the kernel, and when it took it: odd between. */
  #steps = 0;
  #watch: Disposable | undefined;
  /** Whether a loop waits for the kernel, and others that it does not take replies. */
  #isFull = false;
  /** Called when a loop waits too long. */
  #startAnother: () => void = () => {};
  #received = 0;
  #datagrams = 0;
  #bytes = 0;

  /**
   * Makes an echo, which does nothing before {@linkcode DatagramEcho.run}.
   *
   * @param socket The socket, which the echo closes when it is stopped.
   * @param options What it needs of its server.
   */
  constructor(socket: Deno.DatagramConn, options: DatagramOptions) {
    const { hostname, port } = socket.addr as Deno.NetAddr;
    this.#socket = socket as DatagramSocket;
    this.#options = options;
    this.#address = { transport: "udp", hostname, port };
    const { ratePerSecond } = options;
    if (ratePerSecond !== undefined) this.#rate = new RateLimit(ratePerSecond);
    // Nobody from outside can send to a loopback address. But two echo servers there
    // may go on with one datagram for ever.
    else if (LOOPBACK.test(hostname)) this.#loops = new LoopLimit();
    else this.#rate = new RateLimit(DEFAULT_UDP_RATE);
    const { faults } = options;
    this.#faults = faults && new DatagramFaults({
      ...faults,
      send: (bytes, to, peer) => this.#sendLater(bytes.slice(), to, peer),
      onDiscard: (remote) => this.#drop({ remote, reason: "shutdown" }),
    });
  }

  /** Totals up to now. */
  get stats(): DatagramStats {
    return {
      datagrams: this.#datagrams,
      bytes: this.#bytes,
      dropped: { ...this.#dropped },
      ...(this.#faults && { waiting: this.#faults.waiting }),
    };
  }

  /** Answers until {@linkcode DatagramEcho.stop} is called. */
  async run(): Promise<void> {
    let isHeld: boolean;
    let held: Promise<unknown> | undefined;
    do {
      const { promise, resolve } = Promise.withResolvers<boolean>();
      this.#startAnother = () => resolve(true);
      const loop = this.#loop();
      isHeld = await Promise.race([loop, promise]);
      if (isHeld) held = loop;
    } while (isHeld);
    await Promise.all([held, this.#finishing]);
    await this.#leaving;
  }

  /**
   * Answers, and returns `false` when it has stopped.
   *
   * Kept as one async function: each further one that a datagram goes through costs
   * a hundredth of the throughput.
   */
  async #loop(): Promise<boolean> {
    const { signal } = this.#stopped;
    const { barrier, once, onDatagram, onOnce } = this.#options;
    const socket = this.#socket;
    const faults = this.#faults;
    const buffer = datagramBuffer();
    while (!signal.aborted && !this.#finishing) {
      let bytes: Uint8Array<ArrayBuffer>;
      let remote: Deno.NetAddr;
      try {
        const [received, sender] = await socket.receive(buffer);
        bytes = received as Uint8Array<ArrayBuffer>;
        remote = sender as Deno.NetAddr;
      } catch (error) {
        if (signal.aborted) return false;
        // Windows tells a receive that an earlier reply found nobody.
        if (!isReset(error)) this.#fail(error);
        await sleep(RECEIVE_PAUSE_MS, signal);
        continue;
      }
      this.#received++;
      const reason = this.#refusal(bytes, remote);
      const peer = reason ? undefined : onDatagram(remote, bytes);
      if (reason) this.#drop({ remote, reason });
      else if (this.#isFull) {
        const detail = "the send buffer is full of replies that cannot leave";
        this.#drop({ remote, reason: "failed", detail });
      } else {
        if (once) onOnce?.();
        this.#steps++;
        if (!this.#watch) this.#watchSends();
        try {
          if (faults) {
            faults.reply(bytes, remote, peer);
            // A flood would leave more and more replies in memory.
            await this.#leaving;
          } else {
            await socket.send(bytes, remote);
            this.#addSent(bytes.length, peer);
          }
          if (once) await this.#finish();
        } catch (error) {
          this.#sendFailed(remote, error);
        }
        this.#steps++;
        if (this.#isFull) {
          // Another loop took over.
          this.#isFull = false;
          return false;
        }
      }
      if (barrier.addRead(bytes.length)) await barrier.pass();
    }
    return false;
  }

  /**
   * Looks now and then, while replies are sent, whether one is under way for too long:
   * a timer for each would cost as much as the reply.
   */
  #watchSends(): void {
    const steps = this.#steps;
    this.#watch = startTimer(SEND_LIMIT_MS, () => {
      this.#watch = undefined;
      if (this.#steps !== steps) this.#watchSends();
      else if (steps % 2 === 1 && !this.#isFull) {
        this.#isFull = true;
        this.#startAnother();
      }
    }, { persistent: false });
  }

  /** Answers what is in the socket's queue already, then stops. */
  async answerQueue(): Promise<void> {
    await untilQueueIsEmpty(() => this.#received, this.#stopped.signal);
    await this.#finish();
  }

  /** Closes the socket. */
  stop(): void {
    if (this.#stopped.signal.aborted) return;
    this.#stopped.abort();
    this.#watch?.[Symbol.dispose]();
    this.#faults?.[Symbol.dispose]();
    this.#socket.close();
  }

  /** Keeps the process alive while the socket is open. */
  ref(): void {
    this.#socket.ref();
    this.#faults?.updateRef();
  }

  /** Lets the process end while the socket is open. */
  unref(): void {
    this.#socket.unref();
    this.#faults?.updateRef();
  }

  /** Stops when the replies that wait for their time have left. No others come. */
  #finish(): Promise<void> {
    return this.#finishing ??= this.#stopWhenLeft();
  }

  async #stopWhenLeft(): Promise<void> {
    await this.#faults?.untilNoneWaits();
    await this.#leaving;
    this.stop();
  }

  /** Sends a reply that has faults behind those before it. */
  #sendLater(
    bytes: Uint8Array<ArrayBuffer>,
    to: Deno.NetAddr,
    peer: Peer | undefined,
  ): void {
    if (peer) holdPeer(peer);
    this.#leaving = this.#leaving.then(async () => {
      try {
        await this.#socket.send(bytes, to);
        this.#addSent(bytes.length, peer);
      } catch (error) {
        this.#sendFailed(to, error);
      }
      if (peer) releasePeer(peer);
    });
  }

  #addSent(bytes: number, peer: Peer | undefined): void {
    this.#datagrams++;
    this.#bytes += bytes;
    if (!peer) return;
    peer.datagrams++;
    peer.bytes += bytes;
    peer.lastAt = performance.now();
  }

  #sendFailed(remote: Deno.NetAddr, error: unknown): void {
    if (this.#stopped.signal.aborted) {
      this.#drop({ remote, reason: "shutdown" });
    } else {this.#drop({
        remote,
        reason: "failed",
        detail: describeError(error),
      });}
  }

  #refusal(
    bytes: Uint8Array,
    remote: Deno.NetAddr,
  ): DropReason | undefined {
    const reason = refusal(remote, this.#address.port);
    if (reason) return reason;
    if (this.#rate) {
      const isWithin = this.#rate.take(
        networkOf(remote.hostname),
        performance.now(),
      );
      return isWithin ? undefined : "rate";
    }
    return this.#loops!.take(remote, bytes) ? undefined : "loop";
  }

  #drop(drop: Drop): void {
    const { reason } = drop;
    this.#dropped[reason] = (this.#dropped[reason] ?? 0) + 1;
    this.#options.onDrop(drop);
  }

  #fail(cause: unknown): void {
    this.#options.onFailure(networkError("receive", this.#address, cause));
  }
}
