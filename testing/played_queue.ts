/**
 * The queue of a client for datagrams, at a time that a test sets.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { DatagramQueue } from "../client/datagram_queue.ts";
import type { Irregularity } from "../client/types.ts";
import { isNetworkError } from "../net/errors.ts";
import { patternOf } from "./peer.ts";
import { REMOTE } from "./socket.ts";

/** A queue at a time that the test sets, and what became of each message. */
export class PlayedQueue {
  readonly queue = new DatagramQueue(REMOTE);
  /** What became of each message, in the order of sending. */
  readonly fates: ("verified" | "wrong" | "lost" | undefined)[] = [];
  /** The errors, and the round trips. */
  readonly errors: unknown[] = [];
  readonly rtts: (number | undefined)[] = [];
  readonly giveUps: ((error: unknown) => void)[] = [];
  now = 0;

  add(...messages: Uint8Array[]): void {
    for (const message of messages) {
      const at = this.fates.push(undefined) - 1;
      const { result, giveUp } = this.queue.add(message, this.now);
      this.giveUps.push(giveUp);
      result.then(({ bytes, durationMs }) => {
        assertEquals(bytes, message.length);
        this.fates[at] = "verified";
        this.rtts[at] = durationMs;
      }, (error) => {
        const isWrong = isNetworkError(error) && error.reason === "mismatch";
        this.fates[at] = isWrong ? "wrong" : "lost";
        this.errors[at] = error;
      });
    }
  }

  /** Takes a datagram, and returns what is wrong with it. */
  take(reply: Uint8Array): Irregularity["kind"] | undefined {
    return this.queue.take(reply, this.now)?.kind;
  }

  giveUp(moment = this.now): void {
    this.queue.giveUpUntil(moment, (bytes) => new Error(`${bytes} B`));
  }

  /** The fates, once the promises have told them. */
  async told(): Promise<typeof this.fates> {
    // A timer waits for all that is due without one.
    await new Promise((resolve) => setTimeout(resolve, 0));
    return this.fates;
  }
}

/** Makes a message that differs from others in its first bytes. */
export function numbered(number: number, length = 100): Uint8Array {
  const message = patternOf(length);
  new DataView(message.buffer).setUint32(0, number * 0x01010101);
  return message;
}

/** Copies bytes with one of them changed. */
export function damaged(bytes: Uint8Array, at: number): Uint8Array {
  const copy = bytes.slice();
  copy[at]! ^= 1;
  return copy;
}
