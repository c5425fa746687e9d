/**
 * Waiting in tests: each wait ends, and says what it waited for.
 *
 * @module
 */

import { abortable } from "@std/async/abortable";

/** The longest wait, in milliseconds: half of what a test may take. */
const LONGEST_WAIT_MS = 30_000;

/** Something that changes, while a test waits until it is as the test wants. */
export class Watched {
  #change = Promise.withResolvers<void>();
  #end: string | undefined;

  /** Lets every wait look again. */
  changed(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }

  /**
   * Ends every wait that does not find what it wants.
   *
   * @param why Why nothing changes any more, for example `the command ended`.
   */
  ended(why: string): void {
    this.#end ??= why;
    this.changed();
  }

  /**
   * Waits until a function finds what the test wants.
   *
   * @param find Looks for it; returns `null` or `undefined` while it is missing.
   * @param describe Returns what is wanted and what is there, for the error.
   * @returns What the function found.
   * @throws {Error} If nothing changes any more, or after half a minute.
   */
  async until<T>(
    find: () => T | null | undefined,
    describe: () => string,
  ): Promise<T> {
    // Not a timer of the test's: a test may have a clock of its own.
    const tooLong = AbortSignal.timeout(LONGEST_WAIT_MS);
    while (true) {
      const found = find();
      if (found !== null && found !== undefined) return found;
      const end = tooLong.aborted
        ? `waited for ${LONGEST_WAIT_MS} ms`
        : this.#end;
      if (end !== undefined) throw new Error(`${end}, without ${describe()}`);
      await abortable(this.#change.promise, tooLong).catch(() => {});
    }
  }
}

/** Text that grows while a test waits for a part of it. */
export class GrowingText extends Watched {
  /** All the text so far. */
  text = "";

  /**
   * Adds text.
   *
   * @param text The text.
   */
  append(text: string): void {
    this.text += text;
    this.changed();
  }

  /**
   * Waits until the text holds a match.
   *
   * @param pattern What to look for.
   * @returns The match.
   * @throws {Error} If the text ended without one.
   */
  untilMatch(pattern: RegExp): Promise<RegExpMatchArray> {
    return this.until(
      () => this.text.match(pattern),
      () => `${pattern} in:\n${this.text}`,
    );
  }
}
