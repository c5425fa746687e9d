/**
 * Errors that say what could not be done, on which address and why: as a
 * message for a person, and as fields for a program.
 *
 * @module
 */

import { type Address, formatAddress } from "./address.ts";
import { tlsProblem, type TlsReason } from "./tls_problems.ts";

export type { TlsReason };

/** What was attempted when an error was thrown. */
export type Operation =
  | "listen"
  | "accept"
  | "receive"
  | "connect"
  | "send"
  | "echo";

/** Why an operation failed, for a program. */
export type Reason =
  | "address_in_use"
  | "no_such_address"
  | "permission_denied"
  | "dns"
  | "refused"
  | "timeout"
  | "reset"
  | "closed"
  | "mismatch"
  | TlsReason
  | "other";

/** What an error of this project says besides its message. */
export interface Failure {
  /** What was attempted. */
  readonly operation: Operation;
  /** The address that it was attempted on. */
  readonly address: Address;
  /** Why it failed, for a program. */
  readonly reason: Reason;
  /** Why it failed, in words, for example `connection refused`. */
  readonly detail: string;
}

/** An error with the fields of a {@linkcode Failure}. */
export type NetworkError = Error & Failure;

/**
 * Tells whether an error has the fields of a {@linkcode Failure}.
 *
 * @param error What was thrown.
 * @returns Whether it has them all.
 */
export function isNetworkError(error: unknown): error is NetworkError {
  return error instanceof Error &&
    ["operation", "address", "reason", "detail"].every((key) => key in error);
}

/** System errors by `Error.name`: their messages differ between systems. */
const SYSTEM_ERRORS: Record<string, [reason: Reason, words: string]> = {
  AddrInUse: ["address_in_use", "address already in use"],
  AddrNotAvailable: ["no_such_address", "this machine has no such address"],
  BrokenPipe: ["reset", "connection closed by peer"],
  ConnectionAborted: ["reset", "connection aborted"],
  ConnectionRefused: ["refused", "connection refused"],
  ConnectionReset: ["reset", "connection reset by peer"],
  PermissionDenied: ["permission_denied", "permission denied"],
  TimedOut: ["timeout", "timed out"],
  // TLS ends with a close_notify (RFC 8446, section 6.1); a cut connection does not.
  UnexpectedEof: ["reset", "connection closed in the midst of TLS"],
};

/** What a connection fails with that gets no port of this machine. */
const NO_LOCAL_PORT = "no free local port (net.ipv4.ip_local_port_range), or " +
  "no such local address";

/** Their words where they mean something else for an operation. */
const WORDS_OF: Partial<Record<Operation, Record<string, string>>> = {
  connect: { AddrInUse: NO_LOCAL_PORT, AddrNotAvailable: NO_LOCAL_PORT },
};

/** What Deno's message of a failed name look-up says; it has no class. */
const FAILED_LOOKUP = /lookup address/;

/**
 * Tells why an operation failed, for a program.
 *
 * @param error What was thrown.
 * @returns The error's own reason, or the one of the system's error.
 */
export function reasonOf(error: unknown): Reason {
  if (!(error instanceof Error)) return "other";
  if (isNetworkError(error)) return error.reason;
  if (FAILED_LOOKUP.test(error.message)) return "dns";
  return tlsProblem(error)?.reason ?? SYSTEM_ERRORS[error.name]?.[0] ??
    "other";
}

/**
 * Tells why an operation failed, in words that go on in a sentence.
 *
 * @param error What was thrown.
 * @param operation What was attempted, if that is known.
 * @returns For example `connection refused`, without the system's error number.
 */
export function describeError(error: unknown, operation?: Operation): string {
  if (!(error instanceof Error)) return String(error);
  if (FAILED_LOOKUP.test(error.message)) return "the name does not resolve";
  const problem = tlsProblem(error);
  if (problem) return problem.words;
  const withoutNumber = error.message.replace(/ \(os error \d+\)$/, "");
  // Only a message of the system, which ends in a number, has words of ours instead,
  // and the one of an end, which the TLS library words in many ways.
  const isSystems = withoutNumber !== error.message ||
    error.name === "UnexpectedEof";
  const text = isSystems
    ? (operation && WORDS_OF[operation]?.[error.name]) ??
      SYSTEM_ERRORS[error.name]?.[1] ?? withoutNumber
    : withoutNumber;
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/**
 * Tells whether the other side broke a connection.
 *
 * @param error What reading or writing threw.
 * @returns Whether it was reset, aborted or closed while it was written to.
 */
export function isReset(error: unknown): boolean {
  return reasonOf(error) === "reset";
}

/** How the message of an error begins, by what was attempted. */
const BEGINNINGS: Record<Exclude<Operation, "echo">, string> = {
  listen: "Cannot listen on",
  accept: "Cannot accept a connection on",
  receive: "Cannot receive datagrams on",
  connect: "Cannot connect to",
  send: "Cannot send to",
};

/**
 * Makes an error of the same class as its cause, which says what could not be
 * done, where and why.
 *
 * @param operation What was attempted.
 * @param address The address that it was attempted on.
 * @param cause What was thrown.
 * @param howLong What was tried before it was given up, for the end of the sentence.
 * @returns For example a `Deno.errors.AddrInUse` with the message `Cannot listen
 * on 127.0.0.1:12345: address already in use`.
 */
export function networkError(
  operation: keyof typeof BEGINNINGS,
  address: Address,
  cause: unknown,
  howLong = "",
): NetworkError {
  const SameError = cause instanceof Error
    ? cause.constructor as ErrorConstructor
    : Error;
  const why = isNetworkError(cause)
    ? cause.detail
    : describeError(cause, operation);
  const detail = why + howLong;
  const message = `${BEGINNINGS[operation]} ${formatAddress(address)}: ` +
    detail;
  const reason = reasonOf(cause);
  return withFields(new SameError(message, { cause }), {
    operation,
    address,
    reason,
    detail,
  });
}

/**
 * Adds the fields of a failure to an error.
 *
 * @param error The error.
 * @param failure The fields.
 * @returns The same error.
 */
export function withFields(error: Error, failure: Failure): NetworkError {
  return Object.assign(error, failure);
}
