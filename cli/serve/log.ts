/**
 * Writing the server's log.
 *
 * @module
 */

import { formatHostPort } from "../../net/address.ts";
import { startTimer } from "../../net/time.ts";
import type { LeftEvent, LogEvent } from "./log_events.ts";
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

/**
 * A connection is told once it moved a byte or is as old as this, in milliseconds:
 * those that leave before are told together, once none came for as long.
 */
const NEWCOMER_MS = 1000;

/** The longest that connections are told together, in milliseconds. */
const BURST_MS = 10_000;

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
  /** The lines of connections that moved no byte yet, by their address, oldest first. */
  readonly #newcomers = new Map<string, { line: string; since: number }>();
  /** Those that left before they were told. */
  #left: { event: LeftEvent; since: number; last: number } | undefined;
  #newcomersTimer: ReturnType<typeof setTimeout> | undefined;
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
    if (event.type === "open" && event.remote.transport === "tcp") {
      const since = performance.now();
      const line = this.#render(event);
      this.#newcomers.set(formatHostPort(event.remote), { line, since });
      return this.#awaitNewcomers(NEWCOMER_MS);
    }
    if (OWED.has(event.type)) {
      this.#tellNewcomers(Infinity);
      this.#waiting.push({ owed: this.#render(event) });
      return this.#schedule();
    }
    if ("remote" in event && this.#newcomers.size > 0) {
      const from = formatHostPort(event.remote);
      const newcomer = this.#newcomers.get(from);
      this.#newcomers.delete(from);
      if (newcomer && isProbe(event)) return this.#countProbe(event.remote);
      if (newcomer) this.#push(newcomer.line);
    }
    this.#push(this.#render(event));
  }

  #push(line: string): void {
    if (this.#isReaderBehind()) addLeftOut(this.#waiting, 1);
    else this.#waiting.push(line);
    this.#schedule();
  }

  #countProbe(remote: Deno.NetAddr): void {
    const now = performance.now();
    const connections = 1 + (this.#left?.event.connections ?? 0);
    const event = { type: "left_silent", connections, remote } as const;
    this.#left = { event, since: this.#left?.since ?? now, last: now };
    this.#awaitNewcomers(NEWCOMER_MS);
  }

  #awaitNewcomers(ms: number): void {
    this.#newcomersTimer ??= setTimeout(() => {
      this.#newcomersTimer = undefined;
      this.#tellNewcomers(performance.now());
      if (this.#newcomers.size === 0 && !this.#left) return;
      const [oldest] = this.#newcomers.values();
      const since = Math.min(
        oldest?.since ?? Infinity,
        this.#left?.last ?? Infinity,
      );
      this.#awaitNewcomers(since + NEWCOMER_MS - performance.now());
    }, Math.max(1, ms));
  }

  /** Tells those whose time is over. */
  #tellNewcomers(now: number): void {
    for (const [from, { line, since }] of this.#newcomers) {
      if (now - since < NEWCOMER_MS) break;
      this.#newcomers.delete(from);
      this.#push(line);
    }
    if (!this.#left) return;
    const { event, since, last } = this.#left;
    if (now - last < NEWCOMER_MS && now - since < BURST_MS) return;
    this.#left = undefined;
    this.#push(this.#render(event));
  }

  /**
   * Waits until all lines are written, for a second at most. If a slow reader has not
   * taken them by then, those that wait are left out, except for the ones that the
   * server owes, which get another second.
   */
  async flush(): Promise<void> {
    this.#tellNewcomers(Infinity);
    clearTimeout(this.#newcomersTimer);
    this.#newcomersTimer = undefined;
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

/** Tells whether a connection ended as that of a balancer that asks for health. */
function isProbe(event: LogEvent): boolean {
  return event.type === "close" && event.bytes === 0 &&
    event.durationMs < NEWCOMER_MS &&
    (event.reason === "eof" || event.reason === "reset");
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
