/**
 * The senders of datagrams, as far as a server remembers them.
 *
 * @module
 */

import type { Swept } from "./idle.ts";

/** How many senders are remembered: further ones are served, but not told of. */
const MOST_PEERS = 10_000;

/** A sender of datagrams. */
export interface Peer extends Swept {
  /** The sender's address. */
  readonly remote: Deno.NetAddr;
  /** When its first datagram came, as `performance.now()`. */
  readonly openedAt: number;
  /** When the last one was sent back, as `performance.now()`. */
  lastAt: number;
  /** How many datagrams were sent back. */
  datagrams: number;
  /** How many bytes they had. */
  bytes: number;
  /** How many replies to it wait for their time: see {@linkcode holdPeer}. */
  waiting: number;
}

/**
 * Takes note that a reply to a sender waits: no sweep finds the sender idle.
 *
 * @param peer The sender.
 */
export function holdPeer(peer: Peer): void {
  peer.waiting++;
  peer.idleSweeps = -Infinity;
}

/**
 * Takes note that a reply to a sender left.
 *
 * @param peer The sender.
 */
export function releasePeer(peer: Peer): void {
  if (--peer.waiting === 0) peer.idleSweeps = 0;
}

/** Remembers senders, a bounded number of them. */
export class Peers implements Iterable<Peer> {
  /** By port, by address: to make one key of both would cost more. */
  readonly #byHost = new Map<string, Map<number, Peer>>();
  #size = 0;

  /** How many are remembered. */
  get size(): number {
    return this.#size;
  }

  /** Whether there is room for another one. */
  get hasRoom(): boolean {
    return this.#size < MOST_PEERS;
  }

  /**
   * Finds the sender of a datagram.
   *
   * @param remote The address that it came from.
   * @returns The sender, if it is remembered.
   */
  find({ hostname, port }: Deno.NetAddr): Peer | undefined {
    return this.#byHost.get(hostname)?.get(port);
  }

  /**
   * Remembers a sender.
   *
   * @param remote The address that its first datagram came from.
   * @returns The sender, whose counters are at 0.
   */
  add(remote: Deno.NetAddr): Peer {
    const { hostname, port } = remote;
    const openedAt = performance.now();
    const peer: Peer = {
      ...{ remote, openedAt, lastAt: openedAt },
      ...{ datagrams: 0, bytes: 0, idleSweeps: 0, waiting: 0 },
    };
    const peers = this.#byHost.get(hostname) ?? new Map<number, Peer>();
    this.#byHost.set(hostname, peers);
    peers.set(port, peer);
    this.#size++;
    return peer;
  }

  /**
   * Forgets a sender.
   *
   * @param peer The sender, which is remembered.
   */
  delete({ remote: { hostname, port } }: Peer): void {
    const peers = this.#byHost.get(hostname)!;
    peers.delete(port);
    if (peers.size === 0) this.#byHost.delete(hostname);
    this.#size--;
  }

  *[Symbol.iterator](): Generator<Peer> {
    for (const peers of this.#byHost.values()) yield* peers.values();
  }
}
