/**
 * Telling once what happens again and again.
 *
 * @module
 */

/** What happened is told again only after it did not happen for this long. */
const QUIET_MS = 10_000;

/** Knows what was told already. */
export class News {
  /** When something happened last, by what it is. */
  readonly #lastTimes = new Map<string, number>();

  /**
   * Takes note that something happened.
   *
   * @param what What it is; one of a few names.
   * @returns Whether it is news: it did not happen in the last ten seconds.
   */
  has(what: string): boolean {
    const now = performance.now();
    const before = this.#lastTimes.get(what) ?? -Infinity;
    this.#lastTimes.set(what, now);
    return now - before >= QUIET_MS;
  }
}
