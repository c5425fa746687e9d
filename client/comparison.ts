/**
 * Comparing what comes back with what was sent.
 *
 * @module
 */

import { Buffer } from "node:buffer";

/** The first byte that came back and should not have. */
export interface Difference {
  /** Where in the exchange it is, counted from 0. */
  readonly offset: number;
  /** The byte that was sent there, `undefined` where nothing was. */
  readonly sent: number | undefined;
  /** The byte that came back. */
  readonly received: number;
}

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

  /**
   * Begins an exchange of one message, which counts as sent.
   *
   * @param message The message, which is not copied.
   */
  expectMessage(message: Uint8Array): void {
    this.#window = message;
    this.#sent = message.length;
    this.#verified = 0;
  }

  /**
   * Begins an exchange of a stream, of which nothing is sent yet.
   *
   * @param windowBytes How much of it may be under way, in bytes, at least 1.
   */
  expectStream(windowBytes: number): void {
    this.#window = new Uint8Array(windowBytes);
    this.#sent = 0;
    this.#verified = 0;
  }

  /**
   * Finds room for the next bytes of a stream.
   *
   * @param most How many bytes are wanted at most.
   * @returns A part of the window that holds no byte under way, which is empty
   * while the window is full.
   */
  room(most: number): Uint8Array {
    const at = this.#sent % this.#window.length;
    const free = this.#window.length - (this.#sent - this.#verified);
    return this.#window.subarray(at, at + Math.min(most, free));
  }

  /**
   * Counts bytes at the start of the room as sent.
   *
   * @param length How many bytes.
   */
  addSent(length: number): void {
    this.#sent += length;
  }

  /**
   * Compares bytes that came back, and counts those before a difference as
   * verified.
   *
   * @param received The bytes that follow those verified before.
   * @returns The first byte that differs, or that nothing was sent for, if any.
   */
  compare(received: Uint8Array): Difference | undefined {
    for (let checked = 0; checked < received.length;) {
      const outstanding = this.#sent - this.#verified;
      if (outstanding === 0) {
        const [byte] = received.subarray(checked);
        return { offset: this.#verified, sent: undefined, received: byte! };
      }
      const at = this.#verified % this.#window.length;
      const run = Math.min(
        received.length - checked,
        outstanding,
        this.#window.length - at,
      );
      const came = received.subarray(checked, checked + run);
      const sent = this.#window.subarray(at, at + run);
      // memcmp first: a loop over the bytes is ten times as slow.
      const same = Buffer.compare(came, sent) === 0
        ? run
        : came.findIndex((byte, index) => byte !== sent[index]);
      this.#verified += same;
      if (same < run) {
        return {
          offset: this.#verified,
          sent: sent[same],
          received: came[same]!,
        };
      }
      checked += run;
    }
    return undefined;
  }
}
