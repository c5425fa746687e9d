import type { Address } from "../net/address.ts";

/** An exchange of which every byte came back and was verified. */
export interface EchoResult {
  /** How many bytes were sent and came back. */
  bytes: number;

  /** From the first byte's sending to the last one's verification, in milliseconds. */
  durationMs: number;
}

/** How far an exchange came. */
export interface Progress {
  /** How many bytes were sent, or were about to be. */
  readonly sent: number;
  /** How many of them came back, all as they were sent. */
  readonly received: number;
  /**
   * Whether that was all there was to send.
   *
   * @default {true}
   */
  readonly isAll?: boolean;
}

/** The first byte that came back and should not have. */
export interface Difference {
  /** Where in the exchange it is, counted from 0. */
  readonly offset: number;
  /** The byte that was sent there, `undefined` where nothing was. */
  readonly sent: number | undefined;
  /** The byte that came back. */
  readonly received: number;
  /**
   * How the reply that it is in begins, as far as it came: 64 bytes at most, none
   * if the byte is further inside. A byte that nothing was sent for begins a reply
   * of its own.
   */
  readonly reply: Uint8Array;
  /** How what was sent begins: 64 bytes at most. */
  readonly expected: Uint8Array;
}

/**
 * What may be wrong with a reply, apart from not coming: `duplicated` if it
 * came before, `reordered` if one to a later message came before
 * ({@link https://www.rfc-editor.org/rfc/rfc4737#section-3.3 | RFC 4737}), `late` if
 * it came after its timeout, `corrupt` if it is no message's that is remembered,
 * `stray` if it came from another address. A second and a late reply are known by
 * their length and their first 64 bytes. Some 10,000 messages are remembered, those of
 * five seconds at least. Of messages with the same bytes none is `reordered`, and a
 * second reply may pass for a late one or for another one's.
 */
export type IrregularKind =
  | "duplicated"
  | "reordered"
  | "late"
  | "corrupt"
  | "stray";

/** A datagram that came, and should not have, or not then. */
export interface Irregularity {
  /** What is wrong with it. */
  readonly kind: IrregularKind;
  /** How it begins: 64 bytes at most. */
  readonly reply: Uint8Array;
  /** How long ago its message was sent, in milliseconds, if it is `late` and known. */
  readonly ageMs?: number;
  /** The sender of one that is `stray`. */
  readonly from?: Address;
}
