import { Buffer } from "node:buffer";
import type { Address } from "../net/address.ts";
import { withFields } from "../net/errors.ts";
import { fingerprint } from "../net/fingerprint.ts";
import { Comparison, EXCERPT_BYTES } from "./comparison.ts";
import { MismatchError } from "./errors.ts";
import type { EchoResult, Irregularity, IrregularKind } from "./types.ts";

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
  /** Whether several were sent that are the same, so that replies tell none of them. */
  areAlike: boolean;
}

/**
 * What is remembered, to know a second or a late reply. Half of it is forgotten at
 * once, when the other half has so many messages, or is so old, in milliseconds, and
 * has at least some: a load may have a thousand clients.
 */
const HALF = { messages: 10_000, ageMs: 5000, least: 200 };

/** How much shorter than the shortest one a round trip may be, of an interval. */
const QUICKER = { share: 0.05, ms: 1 };

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
  #longestMs = 0;
  /** The shortest round trip that is no guess. */
  #leastMs = Infinity;
  #sent = 0;
  /** The latest message, in the order of sending, that a reply came to. */
  #latest = 0;

  /** `server` is for errors. */
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

  /** Adds a message that is about to be sent, which is not copied. */
  add(message: Uint8Array, now: number): QueuedDatagram {
    const { promise, resolve, reject } = Promise.withResolvers<EchoResult>();
    const key = fingerprint(message);
    this.#forget(now);
    const before = this.#find(key);
    const twins = before ??
      { key, pending: [], lost: 0, sentAt: now, areAlike: false };
    this.#known.set(key, twins);
    twins.sentAt = now;
    if (before && !before.areAlike) {
      const other = before.pending.at(-1);
      before.areAlike = !other || isSame(other, message);
    }
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
   * Takes a datagram of the server, and settles the message that it answers. Returns
   * what is wrong with it, if it settles no message, or out of order.
   */
  take(reply: Uint8Array, now: number): Irregularity | undefined {
    const known = this.#find(fingerprint(reply));
    const twins = known ?? this.#sole();
    if (!twins) return irregular("corrupt", reply);
    const { pending, lost, areAlike, sentAt } = twins;
    const answered = this.#answeredBy(pending, now, reply);
    if (answered) return this.#verify(answered, reply, now);
    // Only their ends differ from it, or it can be no other one's.
    const damaged = this.#answeredBy(pending, now);
    if (damaged) {
      this.#settle(damaged).reject(this.#mismatch(damaged, reply));
      return undefined;
    }
    if (!known) return irregular("corrupt", reply);
    if (lost === 0) return irregular("duplicated", reply);
    twins.lost--;
    const late = irregular("late", reply);
    return areAlike ? late : { ...late, ageMs: this.#addTime(now - sentAt) };
  }

  /**
   * Finds which message a reply is to. Among several with the same bytes nothing
   * proves it: the youngest is taken that was sent as long ago as the shortest round
   * trip took. With the oldest, all after a lost message would take as long as two.
   */
  #answeredBy(
    pending: readonly Pending[],
    now: number,
    reply?: Uint8Array,
  ): Pending | undefined {
    let younger: Pending | undefined;
    for (let at = pending.length - 1; at >= 0; at--) {
      const one = pending[at]!;
      if (reply && !isSame(one, reply)) continue;
      if (now - one.sentAt >= this.#leastMs) {
        if (!younger) return one;
        // A little quicker than ever is likelier than slower by an interval.
        const { share, ms } = QUICKER;
        const most = Math.min(ms, share * (younger.sentAt - one.sentAt));
        const isLikely = now - younger.sentAt > this.#leastMs - most;
        return isLikely ? younger : one;
      }
      younger = one;
    }
    return younger;
  }

  /** All messages, if they are the same: a damaged reply is to one of them. */
  #sole(): Twins | undefined {
    if (this.#known.size + this.#knownBefore.size > 1) return undefined;
    return this.#known.values().next().value;
  }

  /** Gives up the messages that were sent before a moment of `performance.now()`. */
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
    const { message, order, sentAt, twins } = pending;
    const durationMs = this.#addTime(now - sentAt);
    // That of a younger one would draw the limit down, reply by reply.
    if (twins.pending[0] === pending) {
      this.#leastMs = Math.min(this.#leastMs, durationMs);
    }
    this.#settle(pending);
    pending.resolve({ bytes: message.length, durationMs });
    if (twins.areAlike) return undefined;
    const isReordered = order < this.#latest;
    this.#latest = Math.max(this.#latest, order);
    return isReordered ? irregular("reordered", reply) : undefined;
  }

  #addTime(ms: number): number {
    this.#longestMs = Math.max(this.#longestMs, ms);
    return ms;
  }

  #settle(pending: Pending): Pending {
    pending.isSettled = true;
    const { pending: twins } = pending.twins;
    twins.splice(twins.lastIndexOf(pending), 1);
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

function isSame({ message }: Pending, other: Uint8Array): boolean {
  return Buffer.compare(message, other) === 0;
}

function irregular(kind: IrregularKind, reply: Uint8Array): Irregularity {
  return { kind, reply: reply.slice(0, EXCERPT_BYTES) };
}
