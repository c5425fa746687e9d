/**
 * Replies to datagrams, with faults.
 *
 * @module
 */

import { startTimer } from "../../net/time.ts";
import type { ToldFault } from "../events.ts";
import { DatagramPlan } from "./datagram_plan.ts";
import type { Faults } from "./options.ts";
import { flipBit } from "./stream_plan.ts";

/**
 * How long a reply waits for the next one to its address, in milliseconds. It then
 * leaves late, but in order.
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
   */
  send(bytes: Uint8Array<ArrayBuffer>, to: Deno.NetAddr): void;

  /** Tells whether the process should stay alive for a reply that waits. */
  isRef(): boolean;

  /**
   * Takes note of a fault, before its client can notice it.
   *
   * @param to The address that the reply goes to.
   * @param fault The fault. The offset is that of the wrong byte in its datagram.
   */
  onFault(to: Deno.NetAddr, fault: ToldFault): void;
}

/** A reply that waits. */
interface Waiting {
  readonly timer: Disposable;
  /** Sends the reply. */
  send(): void;
  readonly bytes: number;
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

  /**
   * Prepares faults.
   *
   * @param options What is to happen, and what it needs of its server.
   */
  constructor(options: DatagramFaultOptions) {
    this.#options = options;
    this.#plan = new DatagramPlan(options.faults);
  }

  /** Whether replies wait for their time. */
  get isWaiting(): boolean {
    return this.#waiting.size > 0;
  }

  /**
   * Sends the reply to a datagram, now, later, twice, wrong or never.
   *
   * @param datagram What arrived; a reply that waits, or is wrong, is a copy.
   * @param to Where it came from.
   */
  reply(datagram: Uint8Array<ArrayBuffer>, to: Deno.NetAddr): void {
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
    const send = () => {
      this.#options.send(bytes, to);
      if (isDuplicated) this.#options.send(bytes, to);
    };
    const leave = () =>
      isHeld ? this.#hold(to, bytes, send) : this.#leave(to, send);
    if (delayMs > 0) this.#wait(bytes, delayMs, leave);
    else leave();
  }

  /** Forgets all replies that wait. */
  [Symbol.dispose](): void {
    for (const { timer } of this.#waiting) timer[Symbol.dispose]();
    this.#waiting.clear();
    this.#held.clear();
    this.#waitingBytes = 0;
  }

  /** Sends a reply, and behind it the one that waited for it. */
  #leave(to: Deno.NetAddr, send: () => void): void {
    const held = this.#held.get(keyOf(to));
    if (held) this.#tell(to, { kind: "reorder" });
    send();
    if (held) this.#end(held);
  }

  /** Lets a reply wait for the next one to its address. */
  #hold(
    to: Deno.NetAddr,
    bytes: Uint8Array<ArrayBuffer>,
    send: () => void,
  ): void {
    const key = keyOf(to);
    // Another one may wait since this one was late.
    if (this.#held.has(key)) return this.#leave(to, send);
    const waiting = this.#wait(bytes, MAX_HELD_MS, () => {
      this.#held.delete(key);
      send();
    });
    this.#held.set(key, waiting);
  }

  /** Calls a function later, unless the faults are disposed of. */
  #wait(
    { length }: Uint8Array<ArrayBuffer>,
    ms: number,
    send: () => void,
  ): Waiting {
    const timer = startTimer(Math.ceil(ms), () => this.#end(waiting), {
      persistent: this.#options.isRef(),
    });
    const waiting = { timer, send, bytes: Math.max(length, LEAST_BYTES) };
    this.#waiting.add(waiting);
    this.#waitingBytes += waiting.bytes;
    return waiting;
  }

  #end(waiting: Waiting): void {
    waiting.timer[Symbol.dispose]();
    this.#waiting.delete(waiting);
    this.#waitingBytes -= waiting.bytes;
    waiting.send();
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
