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
}

/** Remembers senders, a bounded number of them. */
export class Peers implements Iterable<Peer> {
  readonly #peers = new Map<string, Peer>();

  /** How many are remembered. */
  get size(): number {
    return this.#peers.size;
  }

  /**
   * Finds the sender of a datagram.
   *
   * @param remote The address that it came from.
   * @returns The sender if it is known, and otherwise whether there is room for it.
   */
  find(remote: Deno.NetAddr): Peer | "new" | "no room" {
    return this.#peers.get(keyOf(remote)) ??
      (this.#peers.size < MOST_PEERS ? "new" : "no room");
  }

  /**
   * Remembers a sender.
   *
   * @param remote The address that its first datagram came from.
   * @returns The sender, whose counters are at 0.
   */
  add(remote: Deno.NetAddr): Peer {
    const openedAt = performance.now();
    const peer: Peer = {
      ...{ remote, openedAt, lastAt: openedAt },
      ...{ datagrams: 0, bytes: 0, idleSweeps: 0 },
    };
    this.#peers.set(keyOf(remote), peer);
    return peer;
  }

  /**
   * Forgets a sender.
   *
   * @param peer The sender.
   */
  delete({ remote }: Peer): void {
    this.#peers.delete(keyOf(remote));
  }

  [Symbol.iterator](): Iterator<Peer> {
    return this.#peers.values();
  }
}

function keyOf({ hostname, port }: Deno.NetAddr): string {
  return `${hostname} ${port}`;
}
