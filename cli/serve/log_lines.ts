/**
 * The lines of the server's log, for a person or as JSON.
 *
 * @module
 */

import { formatAddress } from "../../net/address.ts";
import { describeError } from "../../net/errors.ts";
import { escapeText } from "../../net/text.ts";
import type { CloseEvent, ServeEvent, ServeStats } from "../../server.ts";
import {
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
  | { type: "worker_died"; worker: number; reason: string }
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
      return `Received${
        event.open > 1 ? ` from ${formatAddress(event.remote)}` : ""
      }: ` +
        escapeText(event.preview);
    case "close":
      return `Connection closed with ${formatAddress(event.remote)}: ` +
        `${formatBytes(event.bytes)} echoed in ` +
        formatDuration(event.durationMs) + closeNote(event);
    case "error":
      return `${event.error.message}, trying again`;
    case "reset":
      return "A client broke its connection before it was accepted";
    case "full":
      return `${formatCount(event.open, "connection")} open, ` +
        "as many as --max-connections allows: further clients wait";
    case "shutdown":
      return "Shutting down" + shutdownNote(event);
    case "worker_died":
      return `Worker ${event.worker} died: ${event.reason}`;
    case "left_out":
      return `${formatCount(event.lines, "line")} left out: ` +
        "the reader of this log is too slow, or its disk is full";
    case "stopped":
      return `Served ${formatCount(event.stats.accepted, "connection")}, ` +
        `echoed ${formatBytes(event.stats.bytes)} ` +
        `in ${formatDuration(event.durationMs)}`;
  }
}

function shutdownNote(
  { open, drainTimeoutMs }: Extract<LogEvent, { type: "shutdown" }>,
): string {
  if (open === 0) return "";
  const connections = `: ${formatCount(open, "connection")} open, `;
  return connections +
    (drainTimeoutMs === 0
      ? "closing now"
      : `waiting up to ${
        formatTime(drainTimeoutMs)
      } (Ctrl-C again to stop now)`);
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
    case "reset":
      return {};
    case "full":
      return { connections: event.open };
    case "shutdown":
      return { connections: event.open };
    case "worker_died":
      return { worker: event.worker, reason: event.reason };
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
