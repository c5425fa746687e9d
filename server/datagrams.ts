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
import { sleep } from "../net/time.ts";
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

  /**
   * Answers until {@linkcode DatagramEcho.stop} is called.
   *
   * Kept as one async function: each further one that a datagram goes through costs
   * a hundredth of the throughput.
   */
  async run(): Promise<void> {
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
        if (signal.aborted) return;
        // Windows tells a receive that an earlier reply found nobody.
        if (!isReset(error)) this.#fail(error);
        await sleep(RECEIVE_PAUSE_MS, signal);
        continue;
      }
      this.#received++;
      const reason = this.#refusal(bytes, remote);
      if (reason) this.#drop({ remote, reason });
      else {
        const peer = onDatagram(remote, bytes);
        try {
          if (faults) {
            if (once) onOnce?.();
            faults.reply(bytes, remote, peer);
            // A flood would leave more and more replies in memory.
            await this.#leaving;
          } else {
            await socket.send(bytes, remote);
            this.#addSent(bytes.length, peer);
            if (once) onOnce?.();
          }
          if (once) await this.#finish();
        } catch (error) {
          this.#sendFailed(remote, error);
        }
      }
      if (barrier.addRead(bytes.length)) await barrier.pass();
    }
    await this.#finishing;
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
    if (this.#stopped.signal.aborted) return;
    this.#drop({ remote, reason: "failed", detail: describeError(error) });
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
