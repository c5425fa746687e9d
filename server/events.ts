/**
 * What an echo server tells about its connections.
 *
 * @module
 */

import type { NetworkError } from "../net/errors.ts";
import type { DropReason } from "./datagram_limits.ts";
import type { FaultKind } from "./faults/options.ts";
import type { HandshakeFailure } from "./handshakes.ts";

/**
 * Why a connection ended: `eof` when the client ended its stream and got
 * everything back (or nothing at all, if it met a `stall` fault), `idle` when the server closed it because no byte moved,
 * `reset` when the client broke the connection, `shutdown` when the server closed
 * it as it stopped, `cut` when the server closed it on purpose
 * ({@linkcode FaultOptions.cut}), `error` for anything else.
 */
export type CloseReason =
  | "eof"
  | "idle"
  | "reset"
  | "shutdown"
  | "cut"
  | "error";

/**
 * A connection was accepted, and its TLS handshake done, or a datagram came from an address that is not
 * remembered: the `transport` of its address tells which.
 */
export interface OpenEvent {
  /** The kind of event. */
  type: "open";
  /** The client's address. */
  remote: Deno.NetAddr;
  /** How long the TLS handshake took, in milliseconds, if there was one. */
  handshakeMs?: number;
}

/**
 * The first bytes of a connection arrived, or the first datagram of an address;
 * later ones have no event.
 */
export interface DataEvent {
  /** The kind of event. */
  type: "data";
  /** The client's address. */
  remote: Deno.NetAddr;
  /** A copy of the first bytes, 512 at most. */
  preview: Uint8Array<ArrayBuffer>;
  /** How many bytes the first read brought, or the datagram has. */
  bytes: number;
  /**
   * How many connections are open, this one included, in all servers that share
   * their counters, and how many addresses are remembered that sent datagrams.
   */
  open: number;
}

/**
 * A connection ended, or an address is forgotten that sent datagrams: nothing came
 * from it for the idle timeout, or the server stopped.
 */
export interface CloseEvent {
  /** The kind of event. */
  type: "close";
  /** The client's address. */
  remote: Deno.NetAddr;
  /** How many bytes were echoed. */
  bytes: number;
  /** How many datagrams were echoed, if it sent datagrams. */
  datagrams?: number;
  /**
   * How long the connection was open, or from the first datagram to the last one, in
   * milliseconds.
   */
  durationMs: number;
  /** Why it ended. */
  reason: CloseReason;
  /** What was thrown, where the reason is `reset` or `error`. */
  error?: unknown;
}

/**
 * A connection could not be accepted, or no datagram received. The server goes on. A failure of the same
 * kind is told again only after ten seconds without one.
 */
export interface AcceptFailedEvent {
  /** The kind of event. */
  type: "error";
  /** What could not be done, on which address, and why. */
  error: NetworkError;
}

/**
 * A client was accepted, and its TLS handshake failed: it spoke no TLS, or stopped in
 * the midst. There was no {@linkcode OpenEvent} of it.
 */
export interface HandshakeFailedEvent extends HandshakeFailure {
  /** The kind of event. */
  type: "handshake_failed";
}

/**
 * A client broke its connection while it waited in the kernel's queue, where its
 * address cannot be learned any more. Told again only after ten seconds without
 * such a client.
 */
export interface ResetEvent {
  /** The kind of event. */
  type: "reset";
}

/**
 * As many connections are open as {@linkcode ServeOptions.maxConnections} allows;
 * further clients wait in the kernel's queue. Told again only after ten seconds in
 * which the server was not full anew.
 */
export interface FullEvent {
  /** The kind of event. */
  type: "full";
  /** How many connections are open, in all servers that share their counters. */
  open: number;
}

/**
 * A datagram was not answered. Told again for the same reason only after ten seconds
 * without one; {@linkcode ServeStats.udp} counts them all.
 */
export interface DropEvent {
  /** The kind of event. */
  type: "drop";
  /** The sender's address, which may be forged. */
  remote: Deno.NetAddr;
  /** Why it was not answered. */
  reason: DropReason;
  /** Why its reply could not be sent, in words, where the reason is `failed`. */
  detail?: string;
}

/**
 * As many addresses are remembered that sent datagrams as the server has room for:
 * further ones are answered without an event. Told again only after ten seconds in
 * which no further one came.
 */
export interface CrowdEvent {
  /** The kind of event. */
  type: "crowd";
  /** How many addresses are remembered. */
  addresses: number;
}

/**
 * The server did something wrong on purpose. It is told before the client can notice
 * it. A `stall` and a `rate` are told with the first bytes of a connection. A
 * `latency` or a `slice` that all replies have is told once a connection, without an
 * offset; otherwise each reply that has it is told. A reply that was to be reordered,
 * and leaves alone as no other one followed in time, is told as a `latency`.
 */
export interface FaultEvent {
  /** The kind of event. */
  type: "fault";
  /** What the server did wrong. */
  kind: FaultKind;
  /** The client's address. */
  remote: Deno.NetAddr;
  /**
   * Where in the connection's stream, in bytes from 0: the wrong byte of `corrupt`,
   * how many bytes were sent back before a `cut`, the first byte of the reply that
   * has `latency` or `slice`.
   */
  offset?: number;
  /** How much later the reply leaves, with `latency`, in milliseconds. */
  delayMs?: number;
}

/** What a server is told of a fault: the rest it knows. */
export type ToldFault = Omit<FaultEvent, "type" | "remote">;

/** Any event of a server. */
export type ServeEvent =
  | OpenEvent
  | DataEvent
  | CloseEvent
  | AcceptFailedEvent
  | HandshakeFailedEvent
  | ResetEvent
  | FullEvent
  | DropEvent
  | CrowdEvent
  | FaultEvent;

/** The most of a connection's first bytes that a {@linkcode DataEvent} holds. */
export const PREVIEW_BYTES = 512;
