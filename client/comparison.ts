import { Buffer } from "node:buffer";
import type { Difference } from "./types.ts";

/** How many bytes of a wrong reply are kept. */
export const EXCERPT_BYTES = 64;

/**
 * Keeps what was sent until it came back. It knows no socket and no clock.
 *
 * A message is compared in place. A stream goes through a window, a ring buffer
 * whose room is free again once its bytes came back.
 */
export class Comparison {
  /** Holds the byte at offset `n` of the exchange at `n % length`. */
  #window: Uint8Array = new Uint8Array();
  #sent = 0;
  #verified = 0;

  /** How many bytes of the exchange were sent, or are about to be. */
  get sent(): number {
    return this.#sent;
  }

  /** How many of them came back, all as they were sent. */
  get verified(): number {
    return this.#verified;
  }

  /** Whether everything that was sent came back. */
  get isComplete(): boolean {
    return this.#sent === this.#verified;
  }

  /** Begins an exchange of one message, which counts as sent and is not copied. */
  expectMessage(message: Uint8Array): void {
    this.#window = message;
    this.#sent = message.length;
    this.#verified = 0;
  }

  /** Begins an exchange of a stream, of which so much may be under way. */
  expectStream(windowBytes: number): void {
    this.#window = new Uint8Array(windowBytes);
    this.#sent = 0;
    this.#verified = 0;
  }

  /** Finds room for the next bytes of a stream: none while the window is full. */
  room(most: number): Uint8Array {
    const at = this.#sent % this.#window.length;
    const free = this.#window.length - (this.#sent - this.#verified);
    return this.#window.subarray(at, at + Math.min(most, free));
  }

  /** Counts bytes at the start of the room as sent. */
  addSent(length: number): void {
    this.#sent += length;
  }

  /**
   * Compares bytes that came back, and counts those before a difference as
   * verified. Returns the first byte that differs, or that nothing was sent for.
   */
  compare(received: Uint8Array): Difference | undefined {
    for (let checked = 0; checked < received.length;) {
      const outstanding = this.#sent - this.#verified;
      if (outstanding === 0) {
        return this.#difference(undefined, received.subarray(checked));
      }
      const at = this.#verified % this.#window.length;
      const run = Math.min(
        received.length - checked,
        outstanding,
        this.#window.length - at,
      );
      const came = part(received, checked, run);
      const sent = part(this.#window, at, run);
      // memcmp first: a loop over the bytes is ten times as slow.
      const same = Buffer.compare(came, sent) === 0
        ? run
        : came.findIndex((byte, index) => byte !== sent[index]);
      this.#verified += same;
      if (same < run) {
        return this.#difference(
          sent[same],
          received.subarray(checked + same),
        );
      }
      checked += run;
    }
    return undefined;
  }

  /** Describes a difference that is at the beginning of `rest`. */
  #difference(sent: number | undefined, rest: Uint8Array): Difference {
    const offset = this.#verified;
    const before = sent === undefined ? 0 : offset;
    const isDeep = before >= EXCERPT_BYTES;
    const begin = this.#window.subarray(0, Math.min(this.#sent, EXCERPT_BYTES));
    const reply = isDeep ? [] : [
      ...begin.subarray(0, before),
      ...rest.subarray(0, EXCERPT_BYTES - before),
    ];
    return {
      offset,
      sent,
      received: rest[0]!,
      reply: Uint8Array.from(reply),
      expected: begin.slice(),
    };
  }
}

/** Returns a part of some bytes, without a view of its own if it is all of them. */
function part(bytes: Uint8Array, at: number, length: number): Uint8Array {
  return length === bytes.length ? bytes : bytes.subarray(at, at + length);
}
