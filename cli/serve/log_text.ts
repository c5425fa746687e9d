/**
 * The lines of the server's log, for a person.
 *
 * @module
 */

import { formatAddress, formatHostPort } from "../../net/address.ts";
import { describeError } from "../../net/errors.ts";
import { escapeText } from "../../net/text.ts";
import type {
  CloseEvent,
  DatagramStats,
  DropEvent,
  DropReason,
  FaultCounts,
  FaultEvent,
  OpenEvent,
  ServeStats,
} from "../../server.ts";
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatNumber,
  formatTime,
} from "../../report/format.ts";
import type { ListeningEvent, LogEvent, ShutdownEvent } from "./log_events.ts";

/**
 * Renders an event for a person.
 *
 * @param event What happened.
 * @returns One line, without its end.
 */
export function renderText(event: LogEvent): string {
  switch (event.type) {
    case "listening":
      return `Server listening on ${formatAddress(event.addr)}` +
        `${transportNote(event)}${faultsNote(event)}...`;
    case "certificate":
      return certificateLine(event);
    case "metrics":
      return `Metrics on http://${formatHostPort(event.addr)}/metrics`;
    case "open":
      return event.remote.transport === "udp"
        ? `First datagram from ${formatAddress(event.remote)}`
        : `Connection established with ${formatAddress(event.remote)}` +
          handshakeNote(event);
    case "data":
      return `Received${
        event.open > 1 ? ` from ${formatAddress(event.remote)}` : ""
      }: ` +
        escapeText(event.preview);
    case "close":
      return closeLine(event) + closeNote(event);
    case "error":
      return `${event.error.message}, trying again`;
    case "handshake_failed":
      return `TLS handshake failed with ${formatAddress(event.remote)}: ` +
        `${event.detail}, after ${formatDuration(event.durationMs)}`;
    case "reset":
      return "A client broke its connection before it was accepted";
    case "full":
      return `${formatCount(event.open, "connection")} open, ` +
        "as many as --max-connections allows: further clients wait";
    case "drop":
      return `No answer to a datagram from ${formatAddress(event.remote)}: ` +
        dropWords(event);
    case "crowd":
      return `Datagrams from ${formatCount(event.addresses, "sender")}: ` +
        "further ones are answered without a line";
    case "fault":
      return `Fault: ${faultWords(event)} ${formatAddress(event.remote)}`;
    case "shutdown":
      return "Shutting down" + shutdownNote(event);
    case "worker_died":
      return `Worker ${event.worker} died: ${event.reason}`;
    case "left_silent":
      return `${
        formatCount(event.connections, "connection")
      } opened and closed ` +
        `without a byte, the last from ${formatAddress(event.remote)}`;
    case "left_out":
      return `${formatCount(event.lines, "line")} left out: ` +
        "the reader of this log is too slow, or its disk is full";
    case "stopped":
      return stoppedLine(event.stats, event.durationMs);
  }
}

function handshakeNote({ handshakeMs }: OpenEvent): string {
  return handshakeMs === undefined
    ? ""
    : `, TLS handshake in ${formatDuration(handshakeMs)}`;
}

function certificateLine(
  { names, validUntil, sha256 }: Extract<LogEvent, { type: "certificate" }>,
): string {
  const good = names ? ` for ${escapeText(names.join(", "), 200)}` : "";
  return `Certificate${good}, valid until ${validUntil.toISOString()}, ` +
    `SHA-256 ${sha256}`;
}

function closeLine(
  { remote, bytes, datagrams, durationMs }: CloseEvent,
): string {
  const address = formatAddress(remote);
  const echoed = `${formatBytes(bytes)} echoed in ` +
    formatDuration(durationMs);
  return datagrams === undefined
    ? `Connection closed with ${address}: ${echoed}`
    : `Last datagram from ${address}: ` +
      `${formatCount(datagrams, "datagram")}, ${echoed}`;
}

/** What is wrong with a sender that gets no answer. */
const DROP_WORDS: Record<Exclude<DropReason, "failed">, string> = {
  port: "a port below 1024, port 2049 or the server's own may be forged",
  address: "nobody sends from such an address",
  rate: "it sends more a second than --udp-rate allows",
  loop: "it sends back what it was sent, as another echo server does, " +
    "more than 1,000 times a second; set --udp-rate if it does not",
  shutdown: "the server stopped before the reply left",
};

function dropWords({ reason, detail }: DropEvent): string {
  return reason === "failed" ? `${detail}` : DROP_WORDS[reason];
}

function stoppedLine(
  { accepted, bytes, udp, faults, failedHandshakes }: ServeStats,
  durationMs: number,
): string {
  const datagrams = udp ? ` and ${formatCount(udp.datagrams, "datagram")}` : "";
  return `Served ${formatCount(accepted, "connection")}${datagrams}, ` +
    `echoed ${formatBytes(bytes)} in ${formatDuration(durationMs)}` +
    (udp ? droppedNote(udp) : "") +
    (failedHandshakes
      ? `, ${formatCount(failedHandshakes, "TLS handshake")} failed`
      : "") +
    countsNote(faults);
}

function droppedNote({ dropped }: DatagramStats): string {
  const reasons = Object.entries(dropped);
  if (reasons.length === 0) return "";
  const counts = reasons.map(([reason, count]) =>
    `${formatNumber(count)} ${reason}`
  );
  return `, not answered: ${counts.join(", ")}`;
}

function transportNote({ udp, tls }: ListeningEvent): string {
  return tls ? ", over TLS" : udp ? ", over TCP and UDP" : "";
}

function faultsNote({ faults }: ListeningEvent): string {
  if (!faults) return "";
  const { text, seed, ofConnections = [] } = faults;
  const [are, them] = ofConnections.length === 1
    ? ["is", "it"]
    : ["are", "them"];
  const limits = ofConnections.length === 0
    ? ""
    : ` (${ofConnections.join(", ")} ${are} for connections: ` +
      `datagrams are echoed without ${them})`;
  return `, with faults: ${text || "none"}, seed ${seed}${limits}`;
}

/** Says what the server did to a client, whose address follows. */
function faultWords({ kind, offset, delayMs }: FaultEvent): string {
  // A datagram has no place in a stream.
  const reply = offset === undefined
    ? "a reply"
    : `the reply at byte ${formatNumber(offset)}`;
  switch (kind) {
    case "latency":
      // A fault that all replies have is told once.
      return delayMs === undefined
        ? "delays all replies to"
        : `delayed ${reply} by ${formatDuration(delayMs)} to`;
    case "rate":
      return "limits the rate of";
    case "slice":
      return offset === undefined
        ? "sends all replies in pieces to"
        : `sent ${reply} in pieces to`;
    case "corrupt":
      return `corrupted byte ${formatNumber(offset ?? 0)} of`;
    case "stall":
      return "never answers";
    case "cut":
      return `cut after ${formatCount(offset ?? 0, "byte")} of`;
    case "loss":
      return "lost a reply to";
    case "duplicate":
      return "sent a reply twice to";
    case "reorder":
      return "sent a reply after the next one to";
  }
}

function countsNote(counts: FaultCounts | undefined): string {
  if (!counts) return "";
  const shown = Object.entries(counts).map(([kind, count]) =>
    `${formatNumber(count)} ${kind}`
  );
  return `, faults: ${shown.join(", ") || "none"}`;
}

function shutdownNote(
  { open, waiting = 0, drainTimeoutMs }: ShutdownEvent,
): string {
  if (open + waiting === 0) return "";
  const connections = open > 0
    ? `${formatCount(open, "connection")} open, `
    : "";
  const replies = waiting > 0
    ? `${formatNumber(waiting)} datagram ${
      waiting === 1 ? "reply" : "replies"
    } held back, `
    : "";
  return `: ${connections}${replies}` +
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
