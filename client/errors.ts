import { type Address, formatAddress } from "../net/address.ts";
import { escapeText } from "../net/text.ts";
import {
  describeError,
  type Failure,
  type NetworkError,
  type Reason,
  reasonOf,
  withFields,
} from "../net/errors.ts";
import type { Difference, Progress } from "./types.ts";

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

  /** Which byte differs, or what came back that is no echo, in words. */
  readonly detail: string;

  /** Where in the echo the first wrong byte is, counted from 0. */
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

  /**
   * Makes the error and its message.
   *
   * @param address The server's address.
   * @param difference The first wrong byte.
   */
  constructor(address: Address, difference: Difference) {
    const { offset, sent, received, reply } = difference;
    const detail = isOtherText(difference)
      ? `"${escapeText(reply)}" came back, this is not an echo server`
      : isTlsAlert(difference)
      ? "a TLS alert came back, this server speaks TLS"
      : sent === undefined
      ? `more came back than was sent: ${describeSurplus(difference)}`
      : `byte at offset ${formatNumber(offset)} differs, ` +
        `sent ${formatByte(sent)}, received ${formatByte(received)}`;
    super(`Wrong echo from ${formatAddress(address)}: ${detail}`);
    this.address = address;
    this.detail = detail;
    this.offset = offset;
    this.sent = sent;
    this.received = received;
    this.reply = reply;
  }
}

/** Lines of ASCII text, as a server of another protocol sends them. */
const TEXT = /^[\t\r\n\x20-\x7e]{4,}$/;

/** Tells whether what came back is text of another protocol, and no damaged echo. */
function isOtherText({ reply, expected }: Difference): boolean {
  if (!TEXT.test(String.fromCharCode(...reply))) return false;
  const same = reply.filter((byte, at) => byte === expected[at]).length;
  return same < reply.length / 2;
}

/** Quotes what nothing was sent for, if it is text. */
function describeSurplus({ offset, received, reply }: Difference): string {
  return TEXT.test(String.fromCharCode(...reply))
    ? `"${escapeText(reply)}"`
    : `${formatByte(received)} at offset ${formatNumber(offset)}`;
}

/** Tells whether what came back is a TLS alert (RFC 8446, section 5.1). */
function isTlsAlert({ offset, reply, expected }: Difference): boolean {
  const [type, version] = reply;
  return offset === 0 && expected[0] !== type && type === 0x15 &&
    version === 0x03 && reply.length === 7;
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

/** Makes the `Deno.errors.TimedOut` of a server that did not answer in time. */
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

/** Makes the error of messages that a client is given after it was closed. */
export function clientClosedError(address: Address): Error {
  return new Error(
    `Cannot send to ${formatAddress(address)}: the client is closed`,
  );
}

function describeProgress({ sent, received, isAll = true }: Progress): string {
  if (received === sent) {
    return `all ${formatNumber(sent)} B sent so far came back`;
  }
  const of = isAll
    ? `${formatNumber(sent)} B`
    : `the ${formatNumber(sent)} B sent so far`;
  return `${formatNumber(received)} of ${of} came back`;
}

function formatByte(byte: number): string {
  return `0x${byte.toString(16).padStart(2, "0")}`;
}

function formatNumber(number: number): string {
  return number.toLocaleString("en-US");
}
