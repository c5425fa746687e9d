/**
 * The lines of the server's log, as JSON.
 *
 * @module
 */

import { formatHostPort } from "../../net/address.ts";
import { escapeText } from "../../net/text.ts";
import { roundMs } from "../../report/format.ts";
import type { LogEvent } from "./log_events.ts";

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
      return {
        address: formatHostPort(event.addr),
        transports: event.tls ? ["tls"] : event.udp ? ["tcp", "udp"] : ["tcp"],
        ...(event.faults && {
          faults: event.faults.text,
          fault_seed: event.faults.seed,
          ...(event.faults.ofConnections?.length && {
            faults_of_connections: event.faults.ofConnections,
          }),
        }),
      };
    case "certificate":
      return {
        names: event.names ?? null,
        valid_until: event.validUntil,
        sha256: event.sha256,
      };
    case "metrics":
      return { address: formatHostPort(event.addr) };
    case "open":
      return {
        ...jsonRemote(event),
        ...(event.handshakeMs !== undefined && {
          handshake_ms: roundMs(event.handshakeMs),
        }),
      };
    case "handshake_failed":
      return {
        ...jsonRemote(event),
        reason: event.reason,
        error: event.detail,
        duration_ms: roundMs(event.durationMs),
      };
    case "data":
      return {
        ...jsonRemote(event),
        bytes: event.bytes,
        text: escapeText(event.preview),
      };
    case "close":
      return {
        ...jsonRemote(event),
        bytes: event.bytes,
        ...(event.datagrams !== undefined && { datagrams: event.datagrams }),
        duration_ms: roundMs(event.durationMs),
        reason: event.reason,
      };
    case "error":
      return { reason: event.error.message };
    case "reset":
      return {};
    case "full":
      return { connections: event.open };
    case "drop":
      return {
        ...jsonRemote(event),
        reason: event.reason,
        ...(event.detail !== undefined && { error: event.detail }),
      };
    case "crowd":
      return { addresses: event.addresses };
    case "fault":
      return {
        kind: event.kind,
        ...jsonRemote(event),
        offset: event.offset,
        delay_ms: event.delayMs && roundMs(event.delayMs),
      };
    case "shutdown":
      return {
        connections: event.open,
        ...(event.waiting && { replies: event.waiting }),
      };
    case "worker_died":
      return { worker: event.worker, reason: event.reason };
    case "left_silent":
      return { connections: event.connections, ...jsonRemote(event) };
    case "left_out":
      return { lines: event.lines };
    case "stopped":
      return {
        connections: event.stats.accepted,
        bytes: event.stats.bytes,
        ...(event.stats.failedHandshakes !== undefined && {
          failed_handshakes: event.stats.failedHandshakes,
        }),
        ...(event.stats.udp && {
          datagrams: event.stats.udp.datagrams,
          dropped: event.stats.udp.dropped,
        }),
        duration_ms: roundMs(event.durationMs),
        faults: event.stats.faults,
      };
  }
}

function jsonRemote(
  { remote }: { remote: Deno.NetAddr },
): Record<string, unknown> {
  return { remote: formatHostPort(remote), transport: remote.transport };
}
