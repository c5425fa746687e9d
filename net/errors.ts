/**
 * What the two ends share: where they meet unless told otherwise, and how an
 * address and a network error read in a message.
 *
 * @module
 */

/** The address that both ends use unless told otherwise. */
export const DEFAULT_HOSTNAME = "127.0.0.1";

/** The TCP port that both ends use unless told otherwise. */
export const DEFAULT_PORT = 12345;

/** Where a TCP socket is, or should be. */
export interface Address {
  /** An IPv4 or IPv6 address or a name. */
  hostname: string;
  /** The TCP port. */
  port: number;
}

/**
 * Renders an address as `host:port`, an IPv6 address in brackets
 * ({@link https://www.rfc-editor.org/rfc/rfc3986#section-3.2.2 | RFC 3986}).
 *
 * @param address Where the socket is.
 * @returns For example `127.0.0.1:12345` or `[::1]:12345`.
 */
export function formatAddress({ hostname, port }: Address): string {
  const bare = hostname.replace(/^\[(.*)\]$/, "$1");
  return bare.includes(":") ? `[${bare}]:${port}` : `${bare}:${port}`;
}

/** By `Error.name`: the system's own words differ from one to the next. */
const REASONS: Record<string, string> = {
  AddrInUse: "address already in use",
  AddrNotAvailable: "this machine has no such address",
  BrokenPipe: "connection closed by peer",
  ConnectionAborted: "connection aborted",
  ConnectionRefused: "connection refused",
  ConnectionReset: "connection reset by peer",
  PermissionDenied: "permission denied",
  TimedOut: "timed out",
};

/**
 * Says in a few words why an operation failed.
 *
 * @param error What was thrown.
 * @returns For example `connection refused`, without the system's error number.
 */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (/lookup address/.test(error.message)) return "the name does not resolve";
  const [words = "", isSystems] = error.message.split(/ \(os error \d+\)$/);
  const reason = isSystems === undefined ? words : REASONS[error.name] ?? words;
  return reason.charAt(0).toLowerCase() + reason.slice(1);
}

/**
 * Tells whether the other side broke the connection.
 *
 * @param error What reading or writing threw.
 * @returns Whether it was reset, aborted or closed while it was written to.
 */
export function isReset(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.ConnectionAborted ||
    error instanceof Deno.errors.BrokenPipe;
}

/**
 * Says what could not be done, then why, in an error of the same class.
 *
 * @param what For example `Cannot listen on 127.0.0.1:12345`.
 * @param cause What was thrown.
 * @returns An error with the message `what: why` and the `cause`.
 */
export function withContext(what: string, cause: unknown): Error {
  const SameError = cause instanceof Error
    ? cause.constructor as ErrorConstructor
    : Error;
  return new SameError(`${what}: ${reasonOf(cause)}`, { cause });
}

/** Where bytes come from: `Deno.stdin`, a `Deno.FsFile`, a `Deno.Conn`. */
export interface Reader {
  /**
   * Reads up to `p.length` bytes into `p`.
   *
   * @param p Where the bytes go.
   * @returns How many bytes were read, or `null` at the end.
   */
  read(p: Uint8Array): Promise<number | null>;
}

/** Where bytes go: `Deno.stdout`, a `Deno.FsFile`, a `Deno.Conn`. */
export interface Writer {
  /**
   * Writes bytes from the start of `p`.
   *
   * @param p The bytes.
   * @returns How many bytes were written, which may be fewer than `p.length`.
   */
  write(p: Uint8Array): Promise<number>;
}

/**
 * Writes all bytes, in as many writes as it takes.
 *
 * @param writer Where the bytes go.
 * @param bytes The bytes.
 */
export async function writeAll(
  writer: Writer,
  bytes: Uint8Array,
): Promise<void> {
  for (let written = 0; written < bytes.length;) {
    const rest = written === 0 ? bytes : bytes.subarray(written);
    written += await writer.write(rest);
  }
}
