/**
 * Writing the server's log.
 *
 * @module
 */

import { startTimer } from "../../net/time.ts";
import type { LogEvent } from "./log_events.ts";
import { renderJson } from "./log_json.ts";
import { renderText } from "./log_text.ts";

/** The least time between two batches, in milliseconds. */
const BATCH_MS = 10;

/** The most lines of one write: between two writes a slow reader can be given up. */
const PIECE_LINES = 1000;

/** So many lines wait for any reader; further ones only for one that is not slow. */
const MAX_WAITING_LINES = 10_000;

/** A reader that takes longer for a batch is slow, in milliseconds. */
const SLOW_MS = 1000;

/**
 * When the server is finished, the longest wait for a slow reader to take all lines,
 * and then again for it to take those that the server owes, in milliseconds.
 */
const FLUSH_MS = 1000;

/** The events whose lines the server owes, as it owes the number of lines left out. */
const OWED: ReadonlySet<LogEvent["type"]> = new Set(
  ["listening", "certificate", "shutdown", "stopped"] as const,
);

/** How the log looks; `none` is no log at all. */
export type LogStyle = "text" | "json" | "none";

/** Where the lines of a log go. */
export interface LogOutput {
  /**
   * Writes lines. A failure loses a line and all lines after it.
   *
   * @param lines Whole lines, with their ends.
   * @returns How many lines were lost, as when the disk is full.
   * @throws {Error} If no line can be written any more: the reader is gone.
   */
  write(lines: Uint8Array): Promise<number>;
}

/** A line, a line that the server owes, or how many lines were left out here. */
type Entry = string | { readonly owed: string } | number;

/**
 * Writes events, a line each, in batches. A slow reader of the log or a full disk
 * costs lines, but neither memory nor the server's time. The lines that the server
 * owes still come. After the reader went away nothing is written any more.
 */
export class EventLog {
  readonly #output: LogOutput;
  readonly #style: LogStyle;
  readonly #now: () => Date;
  readonly #encoder = new TextEncoder();
  #waiting: Entry[] = [];
  /** What remains of lines that the output lost, for the next write. */
  #lost: Entry[] = [];
  #isOver = false;
  #nextBatchAt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The batch that is being written. */
  #writing: Promise<void> | undefined;
  #writingSince = 0;

  /**
   * Makes a log.
   *
   * @param output Where the lines go.
   * @param style How the lines look.
   * @param now Tells the time of day.
   */
  constructor(output: LogOutput, style: LogStyle, now: () => Date) {
    this.#output = output;
    this.#style = style;
    this.#now = now;
  }

  /**
   * Adds an event.
   *
   * @param event What happened.
   */
  add(event: LogEvent): void {
    if (this.#isOver || this.#style === "none") return;
    if (OWED.has(event.type)) {
      this.#waiting.push({ owed: this.#render(event) });
    } else if (this.#isReaderBehind()) addLeftOut(this.#waiting, 1);
    else this.#waiting.push(this.#render(event));
    this.#schedule();
  }

  /**
   * Waits until all lines are written, for a second at most. If a slow reader has not
   * taken them by then, those that wait are left out, except for the ones that the
   * server owes, which get another second.
   */
  async flush(): Promise<void> {
    const gaveUp = Promise.withResolvers<void>();
    using _owed = startTimer(FLUSH_MS, () => {
      this.#waiting = withoutUnowed(this.#waiting);
    });
    using _all = startTimer(2 * FLUSH_MS, gaveUp.resolve);
    await Promise.race([this.#writeAll(), gaveUp.promise]);
  }

  #isReaderBehind(): boolean {
    return this.#waiting.length >= MAX_WAITING_LINES &&
      this.#writing !== undefined &&
      performance.now() - this.#writingSince > SLOW_MS;
  }

  async #writeAll(): Promise<void> {
    await this.#writing;
    while (this.#waiting.length > 0) await this.#write();
    // One try more: the disk may be full for good.
    if (this.#lost.length > 0) await this.#write();
  }

  #schedule(): void {
    if (this.#writing) return;
    this.#timer ??= setTimeout(
      () => this.#write(),
      Math.max(0, this.#nextBatchAt - performance.now()),
    );
  }

  #write(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    return this.#writing ??= this.#writeBatch();
  }

  async #writeBatch(): Promise<void> {
    this.#writingSince = performance.now();
    let left = this.#waiting.length;
    do {
      await this.#writePiece();
      left = Math.min(left - PIECE_LINES, this.#waiting.length);
    } while (left > 0);
    this.#writing = undefined;
    this.#nextBatchAt = performance.now() + BATCH_MS;
    if (this.#waiting.length > 0) this.#schedule();
  }

  async #writePiece(): Promise<void> {
    const piece = [...this.#lost, ...this.#waiting.splice(0, PIECE_LINES)];
    const text = piece.map((entry) => this.#textOf(entry)).join("\n") + "\n";
    try {
      const lost = await this.#output.write(this.#encoder.encode(text));
      this.#lost = withoutUnowed(piece.slice(piece.length - lost));
    } catch {
      // A log without a reader must not stop the server.
      this.#isOver = true;
      this.#waiting = [];
      this.#lost = [];
    }
  }

  #textOf(entry: Entry): string {
    if (typeof entry === "string") return entry;
    if (typeof entry === "object") return entry.owed;
    return this.#render({ type: "left_out", lines: entry });
  }

  #render(event: LogEvent): string {
    return this.#style === "json"
      ? renderJson(event, this.#now())
      : renderText(event);
  }
}

/** Leaves out all lines but those that the server owes. */
function withoutUnowed(entries: Entry[]): Entry[] {
  const rest: Entry[] = [];
  for (const entry of entries) {
    if (typeof entry === "object") rest.push(entry);
    else addLeftOut(rest, typeof entry === "number" ? entry : 1);
  }
  return rest;
}

/** Adds to the number of lines that were left out at the end. */
function addLeftOut(entries: Entry[], lines: number): void {
  const last = entries.at(-1);
  if (typeof last === "number") entries[entries.length - 1] = last + lines;
  else entries.push(lines);
}
