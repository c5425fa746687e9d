/**
 * Writing the server's log.
 *
 * @module
 */

import { deadline } from "@std/async/deadline";
import { writeAll, type Writer } from "../../net/streams.ts";
import { type LogEvent, renderJson, renderText } from "./log_lines.ts";

/** The least time between two writes, in milliseconds: lines are written in batches. */
const BATCH_MS = 10;

/** The most lines that wait for a slow reader; further ones are left out. */
const MAX_WAITING_LINES = 10_000;

/** The longest wait for a slow reader when the server is finished, in milliseconds. */
const FLUSH_MS = 1000;

/** How the log looks; `none` is no log at all. */
export type LogStyle = "text" | "json" | "none";

/**
 * Writes events, a line each, in batches. A slow reader of the log costs lines, but
 * neither memory nor the server's time. After the reader went away nothing is
 * written any more.
 */
export class EventLog {
  readonly #writer: Writer;
  readonly #style: LogStyle;
  readonly #now: () => Date;
  readonly #encoder = new TextEncoder();
  #lines: string[] = [];
  #leftOut = 0;
  #isBroken = false;
  #nextWriteAt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #writing: Promise<void> | undefined;

  /**
   * Makes a log.
   *
   * @param writer Where the lines go.
   * @param style How the lines look.
   * @param now Tells the time of day.
   */
  constructor(writer: Writer, style: LogStyle, now: () => Date) {
    this.#writer = writer;
    this.#style = style;
    this.#now = now;
  }

  /**
   * Adds an event.
   *
   * @param event What happened.
   */
  add(event: LogEvent): void {
    if (this.#isBroken || this.#style === "none") return;
    if (this.#lines.length >= MAX_WAITING_LINES) {
      this.#leftOut++;
      return;
    }
    this.#lines.push(this.#render(event));
    this.#schedule();
  }

  /** Waits until all lines are written, for a second at most. */
  async flush(): Promise<void> {
    // A reader that takes longer misses the rest.
    await deadline(this.#writeAll(), FLUSH_MS).catch(() => {});
  }

  async #writeAll(): Promise<void> {
    await this.#writing;
    while (this.#lines.length > 0) await this.#write();
  }

  async #write(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing = this.#writeBatch();
    await this.#writing;
    this.#writing = undefined;
    this.#nextWriteAt = performance.now() + BATCH_MS;
    if (this.#lines.length > 0) this.#schedule();
  }

  #schedule(): void {
    if (this.#writing) return;
    this.#timer ??= setTimeout(
      () => this.#write(),
      Math.max(0, this.#nextWriteAt - performance.now()),
    );
  }

  async #writeBatch(): Promise<void> {
    if (this.#leftOut > 0) {
      const lines = this.#leftOut;
      this.#lines.push(this.#render({ type: "left_out", lines }));
    }
    this.#leftOut = 0;
    const text = this.#lines.join("\n") + "\n";
    this.#lines = [];
    try {
      await writeAll(this.#writer, this.#encoder.encode(text));
    } catch {
      // A log without a reader must not stop the server.
      this.#isBroken = true;
      this.#lines = [];
    }
  }

  #render(event: LogEvent): string {
    return this.#style === "json"
      ? renderJson(event, this.#now())
      : renderText(event);
  }
}
