/**
 * Letting bytes leave at a rate.
 *
 * @module
 */

/** How long the bytes that leave at once take at the rate, in milliseconds. */
const STEP_MS = 10;

/** The most that is caught up with after the client did not read, in milliseconds. */
const MAX_BEHIND_MS = 100;

/**
 * Tells when bytes may leave, so that each is the last of as many as the rate allows.
 * A timer that is late delays nothing that comes after.
 */
export class Pacer {
  readonly #bytesPerMs: number;
  /** When the last bytes were due. */
  #dueAt = -Infinity;

  /** How many bytes should leave at once, at most. */
  readonly stepBytes: number;

  /**
   * Makes a pacer.
   *
   * @param bytesPerSecond The rate; `Infinity` is no limit.
   */
  constructor(bytesPerSecond: number) {
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.stepBytes = Math.max(1, Math.floor(this.#bytesPerMs * STEP_MS));
  }

  /**
   * Tells when the next bytes may leave: when the last of them has come out of a line
   * of that rate.
   *
   * @param bytes How many.
   * @param readyAt When they could have left without a rate, as `performance.now()`.
   * @returns When, as `performance.now()`.
   */
  dueAt(bytes: number, readyAt: number): number {
    const now = performance.now();
    const startsAt = Math.max(this.#dueAt, readyAt, now - MAX_BEHIND_MS);
    return this.#dueAt = startsAt + bytes / this.#bytesPerMs;
  }
}
