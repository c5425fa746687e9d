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

/** Where the line begins, and how the rest of it is wiped out. */
const [LINE_START, TO_LINE_END] = ["\r", "\x1b[K"];

/** A line on stderr, which shows nothing where stderr is no terminal. */
export class StatusLine implements AsyncDisposable {
  readonly #terminal: Terminal;
  #timer: ReturnType<typeof setInterval> | undefined;
  #render = () => "";

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
      const text = this.#render().slice(0, this.#terminal.columns - 1);
      const line = encode(`${LINE_START}${text}${TO_LINE_END}`);
      writeAll(this.#terminal.stderr, line);
    }, PERIOD_MS);
  }

  /** Wipes the line out. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    const wiped = encode(LINE_START + TO_LINE_END);
    await writeAll(this.#terminal.stderr, wiped);
  }
}
