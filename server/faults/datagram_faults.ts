/**
 * Replies to datagrams, with faults.
 *
 * @module
 */

import { startTimer } from "../../net/time.ts";
import { holdPeer, type Peer, releasePeer } from "../datagram_peers.ts";
import type { ToldFault } from "../events.ts";
import { DatagramPlan } from "./datagram_plan.ts";
import type { Faults } from "./options.ts";
import { flipBit } from "./stream_plan.ts";

/**
 * How long a reply waits for the next one to its address, in milliseconds. Then it
 * leaves in order: what it had is a latency.
 */
export const MAX_HELD_MS = 2000;

/** How many bytes wait at most, in all. Further replies that should wait are lost. */
export const MAX_WAITING_BYTES: number = 16 << 20;

/** What a reply that waits counts for at least, in bytes: it has a timer, too. */
const LEAST_BYTES = 512;

/** What {@linkcode DatagramFaults} need of their server. */
export interface DatagramFaultOptions {
  /** What is to happen. */
  readonly faults: Faults;

  /**
   * Sends a reply at once.
   *
   * @param bytes The reply, which is valid during the call alone.
   * @param to Where to.
   * @param peer Where the reply is counted besides, if anywhere.
   */
  send(
    bytes: Uint8Array<ArrayBuffer>,
    to: Deno.NetAddr,
    peer: Peer | undefined,
  ): void;

  /** Tells whether the process should stay alive for a reply that waits. */
  isRef(): boolean;

  /**
   * Takes note of a reply that waited, and never leaves.
   *
   * @param to The address that it would have gone to.
   */
  onDiscard(to: Deno.NetAddr): void;

  /**
   * Takes note of a fault, before its client can notice it.
   *
   * @param to The address that the reply goes to.
   * @param fault The fault. The offset is that of the wrong byte in its datagram.
   */
  onFault(to: Deno.NetAddr, fault: ToldFault): void;
}

/** A reply, with its faults. */
interface Reply {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly to: Deno.NetAddr;
  readonly peer: Peer | undefined;
  /** How often it is sent. */
  readonly copies: number;
}

/** A reply that waits. */
interface Waiting {
  readonly reply: Reply;
  /** When its wait ends, as `performance.now()`. */
  readonly dueAt: number;
  /** What happens then. */
  leave(): void;
  timer: Disposable | undefined;
}

/**
 * Sends the replies to datagrams with their faults. With jitter a reply may overtake
 * another one, as datagrams do. A latency that all replies have is told once.
 */
export class DatagramFaults implements Disposable {
  readonly #options: DatagramFaultOptions;
  readonly #plan: DatagramPlan;
  readonly #waiting = new Set<Waiting>();
  /** The replies that wait for the next one, by their addresses. */
  readonly #held = new Map<string, Waiting>();
  #waitingBytes = 0;
  #isLatencyTold = false;
  /** Called when no reply waits any more. */
  #tellNone: () => void = () => {};

  /**
   * Prepares faults.
   *
   * @param options What is to happen, and what it needs of its server.
   */
  constructor(options: DatagramFaultOptions) {
    this.#options = options;
    this.#plan = new DatagramPlan(options.faults);
  }

  /** How many replies wait for their time. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * Sends the reply to a datagram, now, later, twice, wrong or never.
   *
   * @param datagram What arrived; a reply that waits, or is wrong, is a copy.
   * @param to Where it came from.
   * @param peer Where the reply is counted besides, if anywhere.
   */
  reply(
    datagram: Uint8Array<ArrayBuffer>,
    to: Deno.NetAddr,
    peer?: Peer,
  ): void {
    const faults = this.#plan.next(datagram.length);
    const { isLost, isDuplicated, isReordered, wrongBit, delayMs } = faults;
    if (isLost) return this.#tell(to, { kind: "loss" });
    const isHeld = isReordered && !this.#held.has(keyOf(to));
    const isLate = isHeld || delayMs > 0;
    if (isLate && this.#waitingBytes >= MAX_WAITING_BYTES) {
      return this.#tell(to, { kind: "loss" });
    }
    const bytes = isLate || wrongBit !== undefined
      ? datagram.slice()
      : datagram;
    if (wrongBit !== undefined) {
      this.#tell(to, { kind: "corrupt", offset: flipBit(bytes, wrongBit) });
    }
    if (isDuplicated) this.#tell(to, { kind: "duplicate" });
    if (delayMs > 0) this.#tellLatency(to, delayMs);
    const reply = { bytes, to, peer, copies: isDuplicated ? 2 : 1 };
    const leave = () => isHeld ? this.#hold(reply) : this.#leave(reply);
    if (delayMs > 0) this.#wait(reply, delayMs, leave);
    else leave();
  }

  /** Asks anew whether the process should stay alive for the replies that wait. */
  updateRef(): void {
    for (const waiting of this.#waiting) {
      waiting.timer?.[Symbol.dispose]();
      this.#startTimer(waiting);
    }
  }

  /** Waits until no reply waits for its time. */
  async untilNoneWaits(): Promise<void> {
    if (this.#waiting.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#tellNone = resolve;
    await promise;
  }

  /** Forgets all replies that wait. */
  [Symbol.dispose](): void {
    this.#held.clear();
    for (const waiting of this.#waiting) {
      this.#remove(waiting);
      this.#options.onDiscard(waiting.reply.to);
    }
  }

  /** Sends a reply, and behind it the one that waited for it. */
  #leave(reply: Reply): void {
    const key = keyOf(reply.to);
    const held = this.#held.get(key);
    if (held) this.#tell(reply.to, { kind: "reorder" });
    this.#send(reply);
    if (!held) return;
    this.#held.delete(key);
    this.#remove(held);
    this.#send(held.reply);
  }

  /** Lets a reply wait for the next one to its address. */
  #hold(reply: Reply): void {
    const key = keyOf(reply.to);
    // Another one may wait since this one was late.
    if (this.#held.has(key)) return this.#leave(reply);
    const waiting = this.#wait(reply, MAX_HELD_MS, () => {
      this.#held.delete(key);
      this.#tell(reply.to, { kind: "latency", delayMs: MAX_HELD_MS });
      this.#send(reply);
    });
    this.#held.set(key, waiting);
  }

  /** Calls a function later, unless the faults are disposed of. */
  #wait(reply: Reply, ms: number, leave: () => void): Waiting {
    const dueAt = performance.now() + Math.ceil(ms);
    const waiting: Waiting = { reply, dueAt, leave, timer: undefined };
    this.#waiting.add(waiting);
    this.#waitingBytes += sizeOf(reply);
    if (reply.peer) holdPeer(reply.peer);
    this.#startTimer(waiting);
    return waiting;
  }

  #startTimer(waiting: Waiting): void {
    const leftMs = Math.max(0, waiting.dueAt - performance.now());
    waiting.timer = startTimer(Math.ceil(leftMs), () => {
      this.#remove(waiting);
      waiting.leave();
    }, { persistent: this.#options.isRef() });
  }

  /** Takes note that a reply waits no more. */
  #remove(waiting: Waiting): void {
    const { reply, timer } = waiting;
    timer?.[Symbol.dispose]();
    this.#waiting.delete(waiting);
    this.#waitingBytes -= sizeOf(reply);
    if (reply.peer) releasePeer(reply.peer);
    if (this.#waiting.size === 0) this.#tellNone();
  }

  #send({ bytes, to, peer, copies }: Reply): void {
    for (let n = 0; n < copies; n++) this.#options.send(bytes, to, peer);
  }

  #tellLatency(to: Deno.NetAddr, delayMs: number): void {
    if (this.#options.faults.latency?.percent !== 100) {
      return this.#tell(to, { kind: "latency", delayMs });
    }
    if (!this.#isLatencyTold) this.#tell(to, { kind: "latency" });
    this.#isLatencyTold = true;
  }

  #tell(to: Deno.NetAddr, fault: ToldFault): void {
    this.#options.onFault(to, fault);
  }
}

function keyOf({ hostname, port }: Deno.NetAddr): string {
  return `${hostname} ${port}`;
}

function sizeOf({ bytes }: Reply): number {
  return Math.max(bytes.length, LEAST_BYTES);
}
