/**
 * The datagrams that are under way.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { Address } from "../net/address.ts";
import { withFields } from "../net/errors.ts";
import { fingerprint } from "../net/fingerprint.ts";
import type { EchoResult } from "./api.ts";
import { Comparison, EXCERPT_BYTES } from "./comparison.ts";
import { distanceOf, LatestHeads } from "./datagram_heads.ts";
import { MismatchError } from "./errors.ts";

/**
 * What may be wrong with a reply besides that it does not come: `duplicated` if it
 * came before, `reordered` if one to a later message came before
 * ({@link https://www.rfc-editor.org/rfc/rfc4737#section-3.3 | RFC 4737}), `late` if
 * it came after its timeout, `corrupt` if it is no message's and most likely not that
 * of one that is waited for, `stray` if it came from another address. A second and a
 * late reply are known by their length and their first 64 bytes.
 */
export type IrregularKind =
  | "duplicated"
  | "reordered"
  | "late"
  | "corrupt"
  | "stray";

/** A datagram that came, and should not have, or not then. */
export interface Irregularity {
  /** What is wrong with it. */
  readonly kind: IrregularKind;
  /** How it begins: 64 bytes at most. */
  readonly reply: Uint8Array;
  /** How long ago its message was sent, in milliseconds, if it is `late`. */
  readonly ageMs?: number;
  /** The sender of one that is `stray`. */
  readonly from?: Address;
}

/** A message that was added to a {@linkcode DatagramQueue}. */
export interface QueuedDatagram {
  /** The message. */
  readonly message: Uint8Array;
  /** What settles when the message is settled. */
  readonly result: Promise<EchoResult>;
  /** Gives it up. */
  readonly giveUp: (error: unknown) => void;
  /** Tells whether its reply is waited for no more. */
  readonly isSettled: () => boolean;
}

/** A message whose reply is waited for. */
interface Pending extends Omit<PromiseWithResolvers<EchoResult>, "promise"> {
  readonly message: Uint8Array;
  /** When it was sent, as `performance.now()`. */
  readonly sentAt: number;
  /** Its place in the order of sending. */
  readonly order: number;
  /** All that is known of messages with the same bytes. */
  readonly twins: Twins;
  /** The one sent before it that is waited for, and the one after it. */
  before: Pending | undefined;
  after: Pending | undefined;
  /** Whether it is waited for no more. */
  isSettled: boolean;
}

/** Messages that have the same bytes, as far as a fingerprint tells. */
interface Twins {
  /** Their fingerprint. */
  readonly key: number;
  /** Those whose reply is waited for, the oldest first. */
  readonly pending: Pending[];
  /** How many were given up, and may get a late reply. */
  lost: number;
  /** When the last one was sent, as `performance.now()`. */
  sentAt: number;
}

/**
 * What is remembered, to know a second or a late reply. Half of it is forgotten at
 * once, when the other half has so many messages, or is so old, in milliseconds, and
 * has at least some: a load may have a thousand clients.
 */
const HALF = { messages: 10_000, ageMs: 5000, least: 200 };

/** With how many waiting messages a damaged reply is compared. */
const MOST_COMPARED = 1000;

/** Keeps messages until their replies came, in any order. It knows no socket. */
export class DatagramQueue {
  readonly #server: Address;
  /**
   * By fingerprint, the later and the earlier half. Forgetting the oldest of one map
   * instead would take longer than all the rest: a `Map` keeps the places of what
   * was deleted, and each look for the first one passes them all.
   */
  #known = new Map<number, Twins>();
  #knownBefore = new Map<number, Twins>();
  /** When the later half was begun, as `performance.now()`. */
  #begunAt = 0;
  /** How many it was begun with. */
  #begunWith = 0;
  /** The first and the last of those waited for, in the order of sending. */
  #oldest: Pending | undefined;
  #newest: Pending | undefined;
  readonly #settledHeads = new LatestHeads();
  #longestMs = 0;
  #sent = 0;
  /** The latest message, in the order of sending, that a reply came to. */
  #latest = 0;

  /**
   * Makes an empty queue.
   *
   * @param server The server's address, for errors.
   */
  constructor(server: Address) {
    this.#server = server;
  }

  /** The longest time from a message to its reply, also a late one, in milliseconds. */
  get longestMs(): number {
    return this.#longestMs;
  }

  /** When the oldest message was sent whose reply is waited for, if there is one. */
  get waitingSince(): number | undefined {
    return this.#oldest?.sentAt;
  }

  /**
   * Adds a message that is about to be sent.
   *
   * @param message The message, which is not copied.
   * @param now The time, as `performance.now()`.
   * @returns The message in the queue.
   */
  add(message: Uint8Array, now: number): QueuedDatagram {
    const { promise, resolve, reject } = Promise.withResolvers<EchoResult>();
    const key = fingerprint(message);
    this.#forget(now);
    const twins = this.#find(key) ??
      { key, pending: [], lost: 0, sentAt: now };
    this.#known.set(key, twins);
    twins.sentAt = now;
    const pending: Pending = {
      ...{ message, resolve, reject, twins },
      ...{ sentAt: now, order: ++this.#sent, isSettled: false },
      ...{ before: this.#newest, after: undefined },
    };
    twins.pending.push(pending);
    if (this.#newest) this.#newest.after = pending;
    else this.#oldest = pending;
    this.#newest = pending;
    const giveUp = (error: unknown) => this.#giveUp(pending, error);
    const isSettled = () => pending.isSettled;
    return { message, result: promise, giveUp, isSettled };
  }

  /**
   * Takes a datagram of the server, and settles the message that it answers.
   *
   * @param reply The datagram, which is valid during the call alone.
   * @param now The time, as `performance.now()`.
   * @returns What is wrong with it, if it settles no message, or out of order.
   */
  take(reply: Uint8Array, now: number): Irregularity | undefined {
    const twins = this.#find(fingerprint(reply));
    if (!twins) return this.#takeDamaged(reply);
    const [oldest] = twins.pending;
    if (oldest) {
      const answered = isSame(oldest, reply)
        ? oldest
        // Only their ends may differ.
        : twins.pending.slice(1, MOST_COMPARED)
          .find((pending) => isSame(pending, reply));
      if (answered) return this.#verify(answered, reply, now);
      this.#settle(oldest).reject(this.#mismatch(oldest, reply));
      return undefined;
    }
    if (twins.lost === 0) return irregular("duplicated", reply);
    twins.lost--;
    const ageMs = this.#addTime(now - twins.sentAt);
    return { ...irregular("late", reply), ageMs };
  }

  /**
   * Gives up the messages that were sent before a moment.
   *
   * @param moment The moment, as `performance.now()`.
   * @param errorOf Makes the error of a message of so many bytes.
   */
  giveUpUntil(moment: number, errorOf: (bytes: number) => unknown): void {
    let pending: Pending | undefined;
    while ((pending = this.#oldest) && pending.sentAt <= moment) {
      this.#giveUp(pending, errorOf(pending.message.length));
    }
  }

  #giveUp(pending: Pending, error: unknown): void {
    if (pending.isSettled) return;
    this.#settle(pending).reject(error);
    const { twins } = pending;
    twins.lost++;
    // Its late reply is waited for from now on.
    this.#known.set(twins.key, twins);
  }

  #verify(
    pending: Pending,
    reply: Uint8Array,
    now: number,
  ): Irregularity | undefined {
    const { message, order, sentAt } = this.#settle(pending);
    const durationMs = this.#addTime(now - sentAt);
    pending.resolve({ bytes: message.length, durationMs });
    const isReordered = order < this.#latest;
    this.#latest = Math.max(this.#latest, order);
    return isReordered ? irregular("reordered", reply) : undefined;
  }

  #addTime(ms: number): number {
    this.#longestMs = Math.max(this.#longestMs, ms);
    return ms;
  }

  /** Takes a reply that is no message's: most likely that to the most similar one. */
  #takeDamaged(reply: Uint8Array): Irregularity | undefined {
    let likely: Pending | undefined;
    let least = Infinity;
    let pending = this.#oldest;
    for (let at = 0; pending && at < MOST_COMPARED; at++) {
      const { message } = pending;
      const distance = distanceOf(message, message.length, reply);
      if (distance < least) {
        least = distance;
        likely = pending;
      }
      pending = pending.after;
    }
    // It may be a second or late one, too, whose message is settled.
    const isOther = this.#settledHeads.leastDistance(reply) < least;
    if (!likely || isOther) return irregular("corrupt", reply);
    this.#settle(likely).reject(this.#mismatch(likely, reply));
    return undefined;
  }

  #settle(pending: Pending): Pending {
    pending.isSettled = true;
    this.#settledHeads.add(pending.message);
    const { pending: twins } = pending.twins;
    twins.splice(twins.indexOf(pending), 1);
    const { before, after } = pending;
    if (before) before.after = after;
    else this.#oldest = after;
    if (after) after.before = before;
    else this.#newest = before;
    pending.before = pending.after = undefined;
    return pending;
  }

  /** Makes the error of a message that got another reply. */
  #mismatch({ message }: Pending, reply: Uint8Array): Error {
    const comparison = new Comparison();
    comparison.expectMessage(message);
    const difference = comparison.compare(reply);
    if (difference) return new MismatchError(this.#server, difference);
    const detail = `the reply has ${reply.length} of ${message.length} B`;
    return withFields(new Error(`Wrong echo: ${detail}`), {
      ...{ operation: "echo", address: this.#server },
      ...{ reason: "mismatch", detail },
    });
  }

  #find(key: number): Twins | undefined {
    return this.#known.get(key) ?? this.#knownBefore.get(key);
  }

  /** Forgets the earlier half, if it is time, but for what is waited for. */
  #forget(now: number): void {
    const added = this.#known.size - this.#begunWith;
    const isOld = now - this.#begunAt >= HALF.ageMs && added >= HALF.least;
    if (added < HALF.messages && !isOld) return;
    const forgotten = this.#knownBefore;
    this.#knownBefore = this.#known;
    this.#known = new Map();
    this.#begunAt = now;
    for (const [key, twins] of forgotten) {
      if (twins.pending.length > 0) this.#known.set(key, twins);
    }
    this.#begunWith = this.#known.size;
  }
}

function isSame({ message }: Pending, reply: Uint8Array): boolean {
  return Buffer.compare(message, reply) === 0;
}

function irregular(kind: IrregularKind, reply: Uint8Array): Irregularity {
  return { kind, reply: reply.slice(0, EXCERPT_BYTES) };
}
