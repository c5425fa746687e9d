/**
 * Which datagrams a server must not answer, so that nobody can turn it against
 * others: the sender's address of a datagram is easily forged.
 *
 * @module
 */

import { type Address, groupsOf } from "../net/address.ts";
import { fingerprint } from "../net/fingerprint.ts";

/**
 * Why a datagram was not answered: `port` and `address` for a sender that no client
 * has, `rate` for one that sends more often than the limit allows, `loop` for one
 * that sends back what it was sent, `failed` where the reply could not be sent,
 * `shutdown` where the server stopped while the reply waited.
 */
export type DropReason =
  | "port"
  | "address"
  | "rate"
  | "loop"
  | "failed"
  | "shutdown";

/** Below this, ports belong to services of the system, echo among them. */
const FIRST_CLIENT_PORT = 1024;

/** The port of NFS, which also answers what it does not understand. */
const NFS_PORT = 2049;

/**
 * Addresses that no single machine has: unspecified, multicast, broadcast
 * ({@link https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.3 | RFC 1122},
 * {@link https://www.rfc-editor.org/rfc/rfc4291#section-2.4 | RFC 4291}). A socket
 * for IPv6 shows an IPv4 address as `::ffff:a.b.c.d`.
 */
const NO_CLIENT =
  /^(?:::ffff:)?(?:0\.|22[4-9]\.|23\d\.|255\.255\.255\.255$)|^::$|^ff[\da-f]{2}:/i;

/**
 * Tells why a sender must not get an answer whatever it sends. A forged sender could
 * make two servers answer each other for ever (CVE-2024-2169), or flood a network.
 *
 * @param sender The address that a datagram came from.
 * @param ownPort The port of the server.
 * @returns Why not, or `undefined` if it may get one.
 */
export function refusal(
  { hostname, port }: Pick<Address, "hostname" | "port">,
  ownPort: number,
): "port" | "address" | undefined {
  const isNoClient = port < FIRST_CLIENT_PORT || port === NFS_PORT ||
    port === ownPort;
  if (isNoClient) return "port";
  return NO_CLIENT.test(hostname) ? "address" : undefined;
}

/** How many counters a limit has: its memory, whatever addresses are forged. */
const COUNTERS = 65_536;

/** A limit holds for each second by itself. */
const WINDOW_MS = 1000;

/**
 * Counts how often something comes from each of any number of senders, in memory
 * that does not grow. Senders that share a counter share the limit: with fewer than
 * a hundred senders that is unlikely, and it never lets more pass.
 */
export class RateLimit {
  readonly #perSecond: number;
  readonly #counts = new Uint32Array(COUNTERS);
  /** Nobody can choose senders that share a counter with others. */
  readonly #seed = crypto.getRandomValues(new Uint32Array(1))[0]!;
  #windowEndsAt = -Infinity;

  /**
   * Makes a limit.
   *
   * @param perSecond How often in each second, at most; `Infinity` is no limit.
   */
  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /**
   * Counts more.
   *
   * @param sender The sender.
   * @param now The time, as `performance.now()`.
   * @param times How often something came.
   * @param what What came, where each has a limit of its own.
   * @returns Whether the sender is within the limit.
   */
  take(sender: string, now: number, times = 1, what = 0): boolean {
    if (now >= this.#windowEndsAt) {
      this.#windowEndsAt = now + WINDOW_MS;
      this.#counts.fill(0);
    }
    const counter = hashText(sender, this.#seed ^ what) % COUNTERS;
    return (this.#counts[counter]! += times) <= this.#perSecond;
  }
}

/** How often in a second a sender may send the same datagram. */
export const REPEATED_PER_SECOND = 1000;

/** One datagram in so many is looked at, and counts for all of them. */
export const SAMPLE = 16;

/** After a datagram that is beyond the limit, so many are all looked at. */
export const SUSPECTED = 10_000;

/**
 * Of one datagram, so many a second are not taken for a loop: less than four that
 * are looked at. Of the numbered ones of a client that sends 100,000 a second, hardly
 * any four that are looked at share a counter.
 */
const UNSUSPICIOUS_PER_SECOND = 4 * SAMPLE - 1;

/**
 * Finds senders that send back what they are sent, as another echo server does: a
 * few forged datagrams would go to and fro between the two as fast as they can. A
 * client that sends the same messages again and again looks alike.
 *
 * To look at each datagram would cost 4 % of the throughput.
 */
export class LoopLimit {
  readonly #same = new RateLimit(UNSUSPICIOUS_PER_SECOND);
  /** Of one sender: a loop of some datagrams is no faster than that of one. */
  readonly #repeated = new RateLimit(
    REPEATED_PER_SECOND - UNSUSPICIOUS_PER_SECOND,
  );
  #skipped = 0;
  #suspected = 0;

  /**
   * Takes note of a datagram that is about to be sent back.
   *
   * @param sender The sender.
   * @param datagram What it sent.
   * @returns Whether the sender is within the limit.
   */
  take(
    { hostname, port }: Pick<Address, "hostname" | "port">,
    datagram: Uint8Array,
  ): boolean {
    const isSuspected = this.#suspected > 0;
    if (isSuspected) this.#suspected--;
    else if (++this.#skipped < SAMPLE) return true;
    this.#skipped = 0;
    const times = isSuspected ? 1 : SAMPLE;
    const sender = `${hostname} ${port}`;
    const now = performance.now();
    const print = fingerprint(datagram);
    const isWithin = this.#same.take(sender, now, times, print) ||
      this.#repeated.take(sender, now, times);
    if (!isWithin) this.#suspected = SUSPECTED;
    return isWithin;
  }
}

/**
 * The start and the factor of the hash
 * {@link http://www.isthe.com/chongo/tech/comp/fnv/ | FNV-1a} with 32 bits.
 */
const FNV = { basis: 0x811c9dc5, prime: 0x01000193 };

function hashText(text: string, seed: number): number {
  let hash = FNV.basis ^ seed;
  for (let at = 0; at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), FNV.prime);
  }
  // The low bits choose the counter, and depend on too few of the seed's bits.
  return (hash ^ hash >>> 15) >>> 0;
}

/**
 * Tells which network an address belongs to, as one who forges addresses, or gets
 * the replies to them, has a whole network of IPv6
 * ({@link https://www.rfc-editor.org/rfc/rfc4291#section-2.5.4 | RFC 4291}).
 *
 * @param hostname An IPv4 or IPv6 address, as a socket shows it.
 * @returns The IPv4 address itself, or the first 64 bits of the IPv6 address.
 */
export function networkOf(hostname: string): string {
  if (!hostname.includes(":") || hostname.includes(".")) return hostname;
  return groupsOf(hostname).slice(0, 4).join(":");
}
