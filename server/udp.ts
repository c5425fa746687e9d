/**
 * The half of a server that answers datagrams, and what it tells of their senders.
 *
 * @module
 */

import type { FairnessBarrier } from "../net/fairness.ts";
import type { DatagramStats, ServeOptions } from "./api.ts";
import { DatagramEcho, type DatagramOptions } from "./datagrams.ts";
import { type Peer, Peers } from "./datagram_peers.ts";
import { type CloseReason, PREVIEW_BYTES, type ServeEvent } from "./events.ts";
import { sweepIdle } from "./idle.ts";
import { News } from "./news.ts";

/** A sender is forgotten after this time by default, in milliseconds. */
const IDLE_TIMEOUT_MS = 30_000;

/** What {@linkcode UdpServer} needs of its server. */
export interface UdpServerOptions
  extends Pick<ServeOptions, "udpRatePerSecond" | "once" | "idleTimeoutMs"> {
  /** Where it waits for connections. */
  readonly barrier: FairnessBarrier;
  /** Counts the connections that are open. */
  countOpen(): number;
  /** What goes wrong with replies on purpose. */
  readonly faults: DatagramOptions["faults"];
  /** Learns, with `once`, that the one datagram came. */
  onOnce?(): void;
  /** Takes an event; without it senders are not remembered. */
  readonly emit: ((event: ServeEvent) => void) | undefined;
}

/** Answers datagrams, and tells of their senders. */
export class UdpServer {
  readonly #options: UdpServerOptions;
  readonly #echo: DatagramEcho;
  readonly #peers = new Peers();
  readonly #news = new News();

  /**
   * Makes a server, which does nothing before {@linkcode UdpServer.run}.
   *
   * @param socket The socket, which it closes when it is stopped.
   * @param options What it needs of its server.
   */
  constructor(socket: Deno.DatagramConn, options: UdpServerOptions) {
    const { udpRatePerSecond, once = false, barrier, faults, emit } = options;
    this.#options = options;
    this.#echo = new DatagramEcho(socket, {
      ...{ ratePerSecond: udpRatePerSecond, once, barrier },
      onOnce: () => options.onOnce?.(),
      // Nobody asks who sent what: a flood costs no memory, not even for a moment.
      onDatagram: emit
        ? (remote, bytes) => this.#peerOf(remote, bytes)
        : () => undefined,
      faults,
      onDrop: (drop) => {
        if (this.#news.has(drop.reason)) emit?.({ type: "drop", ...drop });
      },
      onFailure: (error) => {
        if (this.#news.has(error.detail)) emit?.({ type: "error", error });
      },
    });
  }

  /** Totals up to now. */
  get stats(): DatagramStats {
    return this.#echo.stats;
  }

  /** How many senders are remembered. */
  get senders(): number {
    return this.#peers.size;
  }

  /** Answers until {@linkcode UdpServer.stop} is called. */
  async run(): Promise<void> {
    const { idleTimeoutMs = IDLE_TIMEOUT_MS, barrier, emit } = this.#options;
    const sweeps = sweepIdle(this.#peers, {
      idleTimeoutMs: emit ? idleTimeoutMs : Infinity,
      untilAllRead: () => barrier.untilAllRead(),
      end: (peer) => this.#forget(peer, "idle"),
    });
    await this.#echo.run();
    sweeps[Symbol.dispose]();
    for (const peer of this.#peers) this.#forget(peer, "shutdown");
  }

  /** Answers what is in the socket's queue already, then stops. */
  async answerQueue(): Promise<void> {
    // On a busy machine the pauses that follow may pass without a look at the socket.
    await this.#options.barrier.untilAllRead();
    await this.#echo.answerQueue();
  }

  /** Closes the socket. */
  stop(): void {
    this.#echo.stop();
  }

  /** Keeps the process alive while the server runs. */
  ref(): void {
    this.#echo.ref();
  }

  /** Lets the process end while the server runs. */
  unref(): void {
    this.#echo.unref();
  }

  #peerOf(
    remote: Deno.NetAddr,
    bytes: Uint8Array<ArrayBuffer>,
  ): Peer | undefined {
    const peer = this.#peers.find(remote);
    if (peer) {
      if (peer.waiting === 0) peer.idleSweeps = 0;
      return peer;
    }
    const emit = this.#options.emit!;
    if (!this.#peers.hasRoom) {
      if (this.#news.has("crowd")) {
        emit({ type: "crowd", addresses: this.#peers.size });
      }
      return undefined;
    }
    const added = this.#peers.add(remote);
    emit({ type: "open", remote });
    emit({
      ...{ type: "data", remote, bytes: bytes.length },
      preview: bytes.slice(0, PREVIEW_BYTES),
      open: this.#options.countOpen() + this.#peers.size,
    });
    return added;
  }

  #forget(peer: Peer, reason: CloseReason): void {
    const { remote, bytes, datagrams, openedAt, lastAt } = peer;
    this.#peers.delete(peer);
    const durationMs = lastAt - openedAt;
    this.#options.emit!({
      ...{ type: "close", remote, bytes, datagrams, durationMs, reason },
    });
  }
}
