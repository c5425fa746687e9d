/**
 * The server's log: what happened, a line each, for a person or as JSON.
 *
 * @module
 */

import { abortable } from "@std/async/abortable";
import { formatAddress, reasonOf, writeAll, type Writer } from "../net.ts";
import type { CloseEvent, ServeEvent, ServeStats } from "../server.ts";
import {
  escapeText,
  formatBytes,
  formatCount,
  formatDuration,
  formatTime,
  roundMs,
} from "./format.ts";

/** What the log tells: the server's events, and its beginning and end. */
export type LogEvent =
  | ServeEvent
  | { type: "listening"; addr: Deno.NetAddr }
  | { type: "shutdown"; open: number; drainTimeoutMs: number }
  | { type: "left_out"; lines: number }
  | { type: "stopped"; stats: ServeStats; durationMs: number };

/**
 * Renders an event for a person.
 *
 * @param event What happened.
 * @returns One line, without its end.
 */
export function renderText(event: LogEvent): string {
  switch (event.type) {
    case "listening":
      return `Server listening on ${formatAddress(event.addr)}...`;
    case "open":
      return `Connection established with ${formatAddress(event.remote)}`;
    case "data":
      return `Received: ${escapeText(event.preview)}`;
    case "close":
      return `Connection closed with ${formatAddress(event.remote)}: ` +
        `${formatBytes(event.bytes)} echoed in ` +
        formatDuration(event.durationMs) + closeNote(event);
    case "error":
      return `${event.error.message}, trying again`;
    case "shutdown":
      return event.open === 0
        ? "Shutting down"
        : `Shutting down: ${formatCount(event.open, "connection")} open, ` +
          `waiting up to ${formatTime(event.drainTimeoutMs)} ` +
          "(Ctrl-C again to stop now)";
    case "left_out":
      return `${formatCount(event.lines, "line")} left out: ` +
        "the reader of this log is too slow";
    case "stopped":
      return `Served ${formatCount(event.stats.accepted, "connection")}, ` +
        `echoed ${formatBytes(event.stats.bytes)} ` +
        `in ${formatDuration(event.durationMs)}`;
  }
}

function closeNote({ reason, error }: CloseEvent): string {
  if (error !== undefined) return ` (${reasonOf(error)})`;
  return reason === "eof" ? "" : ` (${reason})`;
}

/**
 * Renders an event as a line of JSON.
 *
 * @param event What happened.
 * @param time When.
 * @returns One line, without its end.
 */
export function renderJson(event: LogEvent, time: Date): string {
  return JSON.stringify({ time, event: event.type, ...jsonFields(event) });
}

function jsonFields(event: LogEvent): Record<string, unknown> {
  switch (event.type) {
    case "listening":
      return { address: formatAddress(event.addr) };
    case "open":
      return { remote: formatAddress(event.remote) };
    case "data":
      return {
        remote: formatAddress(event.remote),
        bytes: event.bytes,
        text: escapeText(event.preview),
      };
    case "close":
      return {
        remote: formatAddress(event.remote),
        bytes: event.bytes,
        duration_ms: roundMs(event.durationMs),
        reason: event.reason,
      };
    case "error":
      return { reason: event.error.message };
    case "shutdown":
      return { connections: event.open };
    case "left_out":
      return { lines: event.lines };
    case "stopped":
      return {
        connections: event.stats.accepted,
        bytes: event.stats.bytes,
        duration_ms: roundMs(event.durationMs),
      };
  }
}

/** The least time between two writes: lines that come meanwhile go together. */
const BATCH_MS = 10;

/** How many lines wait for a slow reader; more are left out. */
const MAX_WAITING_LINES = 10_000;

/** The longest wait for a slow reader when all else is done. */
const FLUSH_MS = 1000;

/** How the log is written, if at all. */
export type LogStyle = "text" | "json" | "none";

/**
 * Writes events, a line each, in batches. A reader that is slow costs lines, not
 * memory, and never holds up whoever adds them; one that went away costs nothing
 * more.
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
   * @param style How they look, or `none` for no lines at all.
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
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), FLUSH_MS);
    try {
      await abortable(this.#writeAll(), timeout.signal);
    } catch {
      // Whoever reads the log is too slow for the rest of it.
    } finally {
      clearTimeout(timer);
    }
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
      // A log that nobody can read any more must not stop the server.
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
