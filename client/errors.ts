/**
 * How an exchange with an echo server fails.
 *
 * @module
 */

import { type Address, formatAddress } from "../net/address.ts";
import {
  describeError,
  type Failure,
  type NetworkError,
  type Reason,
  reasonOf,
  withFields,
} from "../net/errors.ts";

/** Other bytes came back than were sent. */
export class MismatchError extends Error implements Failure {
  /** The error's name, `MismatchError`. */
  override readonly name = "MismatchError";

  /** What was attempted. */
  readonly operation = "echo";

  /** The server's address. */
  readonly address: Address;

  /** Why it failed, for a program. */
  readonly reason = "mismatch";

  /** Which byte differs, in words. */
  readonly detail: string;

  /** Where in the echo the first wrong byte is, counted from 0. */
  readonly offset: number;

  /** The byte that was sent there, `undefined` where nothing was. */
  readonly sent: number | undefined;

  /** The byte that came back. */
  readonly received: number;

  /**
   * Makes the error and its message.
   *
   * @param address The server's address.
   * @param difference The first wrong byte.
   */
  constructor(
    address: Address,
    difference: Pick<MismatchError, "offset" | "sent" | "received">,
  ) {
    const { offset, sent, received } = difference;
    const expected = sent === undefined
      ? "nothing was sent there"
      : `sent ${formatByte(sent)}`;
    const detail = `byte at offset ${formatNumber(offset)} differs, ` +
      `${expected}, received ${formatByte(received)}`;
    super(`Wrong echo from ${formatAddress(address)}: ${detail}`);
    this.address = address;
    this.detail = detail;
    this.offset = offset;
    this.sent = sent;
    this.received = received;
  }
}

/**
 * The connection ended early: before everything came back, or, where all of it did,
 * before the next message.
 */
export class ShortEchoError extends Error implements Failure {
  /** The error's name, `ShortEchoError`. */
  override readonly name = "ShortEchoError";

  /** What was attempted. */
  readonly operation = "echo";

  /** The server's address. */
  readonly address: Address;

  /** `closed` if the server ended the connection, else what broke it. */
  readonly reason: Reason;

  /** How the connection ended and how much came back, in words. */
  readonly detail: string;

  /** How the connection ended, in words. */
  readonly ending: string;

  /** How many bytes were sent, or were about to be. */
  readonly sent: number;

  /** How many of them came back, all as they were sent. */
  readonly received: number;

  /**
   * Makes the error and its message.
   *
   * @param address The server's address.
   * @param progress How many bytes were sent, and how many of them came back.
   * @param cause What broke the connection, if the server did not simply end it.
   */
  constructor(address: Address, progress: Progress, cause?: unknown) {
    const ending = cause === undefined
      ? "connection closed by server"
      : describeError(cause);
    const detail = `${ending}, ${describeProgress(progress)}`;
    super(`Short echo from ${formatAddress(address)}: ${detail}`, { cause });
    this.address = address;
    this.reason = cause === undefined ? "closed" : reasonOf(cause);
    this.detail = detail;
    this.ending = ending;
    this.sent = progress.sent;
    this.received = progress.received;
  }
}

/** How far an exchange came. */
export interface Progress {
  /** How many bytes were sent, or were about to be. */
  readonly sent: number;
  /** How many of them came back, all as they were sent. */
  readonly received: number;
}

/**
 * Makes the error of a server that did not answer in time.
 *
 * @param address The server's address.
 * @param timeoutMs How long the client waited, in milliseconds.
 * @param progress How far the exchange came.
 * @returns A `Deno.errors.TimedOut` with the fields of a failure.
 */
export function noReplyError(
  address: Address,
  timeoutMs: number,
  progress: Progress,
): NetworkError {
  const detail = describeProgress(progress);
  const message = `No reply from ${formatAddress(address)} ` +
    `within ${timeoutMs / 1000} s: ${detail}`;
  return withFields(new Deno.errors.TimedOut(message), {
    operation: "echo",
    address,
    reason: "timeout",
    detail,
  });
}

function describeProgress({ sent, received }: Progress): string {
  return received === sent
    ? `all ${formatNumber(sent)} B sent so far came back`
    : `${formatNumber(received)} of ${formatNumber(sent)} B came back`;
}

function formatByte(byte: number): string {
  return `0x${byte.toString(16).padStart(2, "0")}`;
}

function formatNumber(number: number): string {
  return number.toLocaleString("en-US");
}
