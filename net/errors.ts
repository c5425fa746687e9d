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
  | "unreachable"
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

/**
 * System errors by `Error.name`, or by `code` where Deno has no class for them: their
 * messages differ between systems.
 */
const SYSTEM_ERRORS: Record<string, readonly [reason: Reason, words: string]> =
  {
    AddrInUse: ["address_in_use", "address already in use"],
    AddrNotAvailable: ["no_such_address", "this machine has no such address"],
    BrokenPipe: ["reset", "connection closed by peer"],
    ConnectionAborted: ["reset", "connection aborted"],
    ConnectionRefused: ["refused", "connection refused"],
    ConnectionReset: ["reset", "connection reset by peer"],
    EHOSTDOWN: ["unreachable", "host is down"],
    EHOSTUNREACH: ["unreachable", "no route to host"],
    ENETDOWN: ["unreachable", "network is down"],
    ENETUNREACH: ["unreachable", "network is unreachable"],
    PermissionDenied: ["permission_denied", "permission denied"],
    TimedOut: ["timeout", "timed out"],
    // TLS ends with a close_notify (RFC 8446, section 6.1); a cut connection does not.
    UnexpectedEof: ["reset", "connection closed in the midst of TLS"],
  };

/**
 * What connecting and sending fail with where a route is prohibited, where a firewall
 * refuses, and where a route is a blackhole or a link-local address has no zone.
 */
const BLOCKED: typeof SYSTEM_ERRORS = {
  EACCES: ["unreachable", "permission denied"],
  EPERM: ["unreachable", "operation not permitted"],
  EINVAL: ["unreachable", "invalid argument"],
};

/** What a connection fails with that gets no port of this machine. */
const NO_LOCAL_PORT = "no free local port (net.ipv4.ip_local_port_range), or " +
  "no such local address";

/** System errors of one operation, by class or by number, where they mean something else. */
const ERRORS_OF: Partial<Record<Operation, typeof SYSTEM_ERRORS>> = {
  connect: {
    ...BLOCKED,
    AddrInUse: ["address_in_use", NO_LOCAL_PORT],
    AddrNotAvailable: ["no_such_address", NO_LOCAL_PORT],
  },
  send: BLOCKED,
};

/** What Deno's message of a failed name look-up says; it has no class. */
const FAILED_LOOKUP = /lookup address/;

/** Finds what is known of a system error. */
function systemError(
  { name, code }: Error & { code?: unknown },
  operation: Operation | undefined,
): readonly [reason: Reason, words: string] | undefined {
  const special = operation && ERRORS_OF[operation];
  const number = String(code);
  return special?.[number] ?? special?.[name] ?? SYSTEM_ERRORS[number] ??
    SYSTEM_ERRORS[name];
}

/** Tells why an operation failed, for a program. */
export function reasonOf(error: unknown, operation?: Operation): Reason {
  if (!(error instanceof Error)) return "other";
  if (isNetworkError(error)) return error.reason;
  if (FAILED_LOOKUP.test(error.message)) return "dns";
  return tlsProblem(error)?.reason ?? systemError(error, operation)?.[0] ??
    "other";
}

/**
 * Tells why an operation failed, in words that go on in a sentence, for example
 * `connection refused`, without the system's error number.
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
  const words = isSystems ? systemError(error, operation)?.[1] : undefined;
  // A sentence begins in lower case, an identifier as it is spelled.
  return words ??
    withoutNumber.replace(
      /^[A-Z][a-z]*(?![\w.(])/,
      (word) => word.toLowerCase(),
    );
}

/** Tells whether the other side reset or aborted a connection, or closed it early. */
export function isReset(error: unknown): boolean {
  return reasonOf(error) === "reset";
}

/** Classes whose constructors take a message: others take something else first. */
const ERROR_CLASSES:
  readonly (new (message: string, options: ErrorOptions) => Error)[] = [
    TypeError,
    RangeError,
    URIError,
    ...Object.values(Deno.errors),
  ];

/** How the message of an error begins, by what was attempted. */
const BEGINNINGS: Record<Exclude<Operation, "echo">, string> = {
  listen: "Cannot listen on",
  accept: "Cannot accept a connection on",
  receive: "Cannot receive datagrams on",
  connect: "Cannot connect to",
  send: "Cannot send to",
};

/**
 * Makes an error of the same class as its cause, if that is one of the runtime, which
 * says what could not be done, where and why: for example a `Deno.errors.AddrInUse`
 * with the message `Cannot listen on 127.0.0.1:12345: address already in use`.
 */
export function networkError(
  operation: keyof typeof BEGINNINGS,
  address: Address,
  cause: unknown,
  howLong = "",
): NetworkError {
  const SameError =
    ERROR_CLASSES.find((known) =>
      known === (cause as Error | undefined)?.constructor
    ) ?? Error;
  const why = isNetworkError(cause)
    ? cause.detail
    : describeError(cause, operation);
  const detail = why + howLong;
  const message = `${BEGINNINGS[operation]} ${formatAddress(address)}: ` +
    detail;
  const reason = reasonOf(cause, operation);
  return withFields(new SameError(message, { cause }), {
    operation,
    address,
    reason,
    detail,
  });
}

/** Adds the fields of a failure to an error, and returns it. */
export function withFields(error: Error, failure: Failure): NetworkError {
  return Object.assign(error, failure);
}
