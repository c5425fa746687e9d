import type { Address, IrregularKind } from "../client.ts";
import type { FailureReason } from "./failure.ts";
import type { Ends } from "./probe_client.ts";

/** A connection was made. */
export interface ConnectedEvent {
  /** The kind of event. */
  type: "connected";
  /** How long connecting took, in milliseconds. */
  connectMs: number;
  /** How long its TLS handshake took after that, in milliseconds, if there was one. */
  handshakeMs?: number;
  /** Where it is. */
  ends: Ends;
}

/** A message came back, every byte of it. */
export interface ReplyEvent {
  /** The kind of event. */
  type: "reply";
  /** The message's number, from 1. */
  seq: number;
  /** How many bytes it has. */
  bytes: number;
  /**
   * The round trip, in milliseconds, with the time that the message waited for a
   * connection, unless it was the one that asked for it.
   */
  rttMs: number;
  /** How long connecting for it took, in milliseconds, with `reconnect`. */
  connectMs: number | undefined;
  /** How long its TLS handshake took after that, if there was one. */
  handshakeMs?: number;
  /** How long the end of its connection took, in milliseconds, with `reconnect`. */
  endMs: number | undefined;
  /** The connection. */
  ends: Ends;
}

/** A message did not come back, or not as it was sent. */
export interface LostEvent {
  /** The kind of event. */
  type: "lost";
  /** The message's number, from 1. */
  seq: number;
  /** Why it was lost. */
  reason: FailureReason;
  /** What was thrown. */
  error: unknown;
  /** Why it was lost, in words. */
  detail: string;
  /** How long ago it was sent, in milliseconds. */
  ageMs: number;
  /** The connection, if there was one. */
  ends: Ends | undefined;
}

/** More came back than was sent: what followed the last message's reply. */
export interface SurplusEvent {
  /** The kind of event. */
  type: "surplus";
  /** What was thrown. */
  error: unknown;
  /** What came, in words. */
  detail: string;
  /** The connection. */
  ends: Ends;
}

/** A datagram came that should not have, or not then. */
export interface IrregularEvent {
  /** The kind of event. */
  type: "irregular";
  /** What is wrong with it. */
  kind: IrregularKind;
  /** The number of the message that it is the reply to, if that is known. */
  seq: number | undefined;
  /** How long ago that was sent, in milliseconds, if the reply is late. */
  ageMs: number | undefined;
  /** The sender of a stray. */
  from: Address | undefined;
  /** The connection, if there still is one. */
  ends: Ends | undefined;
}

/** More datagrams came that should not have than are told one by one. */
export interface IrregularManyEvent {
  /** The kind of event. */
  type: "irregular_many";
  /** How many of them were not told, by what is wrong with them. */
  counts: Partial<Record<IrregularKind, number>>;
  /** In how much time they came, in milliseconds. */
  withinMs: number;
  /** The connection, if there still is one. */
  ends: Ends | undefined;
}

/** Any event of a ping. */
export type PingEvent =
  | ConnectedEvent
  | ReplyEvent
  | LostEvent
  | SurplusEvent
  | IrregularEvent
  | IrregularManyEvent;
