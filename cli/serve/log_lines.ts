/**
 * The lines of the server's log, for a person or as JSON.
 *
 * @module
 */

import { formatAddress } from "../../net/address.ts";
import { describeError } from "../../net/errors.ts";
import type { CloseEvent, ServeEvent, ServeStats } from "../../server.ts";
import {
  escapeText,
  formatBytes,
  formatCount,
  formatDuration,
  formatTime,
  roundMs,
} from "../format.ts";

/** Anything that the log tells: the server's events, its beginning and its end. */
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
  if (error !== undefined) return ` (${describeError(error)})`;
  return reason === "eof" ? "" : ` (${reason})`;
}

/**
 * Renders an event as a line of JSON.
 *
 * @param event What happened.
 * @param time When it happened.
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
