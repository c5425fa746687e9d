/**
 * A line on a terminal that changes in place.
 *
 * @module
 */

import { writeAll } from "../net/streams.ts";
import { encode } from "./command.ts";
import type { Terminal } from "./terminal.ts";

/** How often the line is written anew, in milliseconds. */
const PERIOD_MS = 250;

/** A line on stderr, which shows nothing where stderr is no terminal. */
export class StatusLine implements AsyncDisposable {
  readonly #terminal: Terminal;
  #timer: ReturnType<typeof setInterval> | undefined;
  #render = () => "";
  #shown = "";

  /**
   * Makes a line that does not show yet.
   *
   * @param terminal Where it will be.
   */
  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /**
   * Shows the line, or changes what it shows.
   *
   * @param render Returns the text of the moment.
   */
  show(render: () => string): void {
    if (!this.#terminal.isStderrTerminal) return;
    this.#render = render;
    this.#timer ??= setInterval(() => {
      this.#write(this.#render());
    }, PERIOD_MS);
  }

  /** Wipes the line out. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.#write("");
    await writeAll(this.#terminal.stderr, encode("\r"));
  }

  /** Spaces wipe out what was there: they need no escape sequence, which some do not want. */
  async #write(text: string): Promise<void> {
    const width = this.#terminal.stderrColumns - 1;
    const line = text.padEnd(this.#shown.length).slice(0, width);
    this.#shown = text;
    await writeAll(this.#terminal.stderr, encode(`\r${line}`));
  }
}
