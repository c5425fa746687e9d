/**
 * What the server's log tells.
 *
 * @module
 */

import type { FaultKind, ServeEvent, ServeStats } from "../../server.ts";

/** Anything that the log tells: the server's events, its beginning and its end. */
export type LogEvent =
  | ServeEvent
  | ListeningEvent
  | { type: "metrics"; addr: Deno.NetAddr }
  | {
    type: "certificate";
    names: readonly string[] | undefined;
    validUntil: Date;
    sha256: string;
  }
  | ShutdownEvent
  | LeftEvent
  | { type: "left_out"; lines: number }
  | { type: "worker_died"; worker: number; reason: string }
  | { type: "stopped"; stats: ServeStats; durationMs: number };

/** Connections were closed by their clients at once, without a byte. */
export interface LeftEvent {
  /** The kind of event. */
  type: "left_silent";
  /** How many. */
  connections: number;
  /** The address of the last one. */
  remote: Deno.NetAddr;
}

/** The server was told to stop. */
export interface ShutdownEvent {
  /** The kind of event. */
  type: "shutdown";
  /** How many connections are open. */
  open: number;
  /** How many replies to datagrams wait for their time, because of a fault. */
  waiting?: number;
  /** How long the server waits for them, in milliseconds. */
  drainTimeoutMs: number;
}

/** The server listens. */
export interface ListeningEvent {
  /** The kind of event. */
  type: "listening";
  /** The address that it listens on. */
  addr: Deno.NetAddr;
  /** Whether it echoes datagrams, too. */
  udp: boolean;
  /** Whether it speaks TLS. */
  tls?: boolean;
  /** What it does wrong on purpose, if it does. */
  faults?: {
    /** The faults, as they are given on the command line. */
    text: string;
    /** The seed that repeats them. */
    seed: number | undefined;
    /** Those of them that datagrams do not have, where it echoes datagrams, too. */
    ofConnections?: readonly FaultKind[];
  };
}
