import type { Address } from "../net/address.ts";
import type { NetworkError } from "../net/errors.ts";
import type { EchoResult, Irregularity } from "./types.ts";

/** The default of {@linkcode ConnectOptions.timeoutMs}. */
export const DEFAULT_TIMEOUT_MS = 5000;

/**
 * Options for {@linkcode connect}. A time is in milliseconds, 0 or more; `Infinity`
 * is never.
 */
export interface ConnectOptions {
  /**
   * Connect to this IPv4 or IPv6 address or name. Of a name's addresses, the next one
   * is tried when the one before it fails, or takes more than 250 ms.
   *
   * @default {"127.0.0.1"}
   */
  hostname?: string | undefined;

  /**
   * Connect to this TCP port.
   *
   * @default {12345}
   */
  port?: number | undefined;

  /**
   * The longest wait for the connection, a TLS handshake included, then for all of
   * a message's reply, or for the next byte of a stream.
   *
   * @default {5000}
   */
  timeoutMs?: number | undefined;

  /**
   * Try again for this long when the connection cannot be made. The last attempt
   * begins at the end of that time.
   *
   * @default {0}
   */
  retryMs?: number | undefined;

  /** Called with the error of an attempt that failed, before the next one is made. */
  onAttemptFailed?: ((error: NetworkError) => void) | undefined;

  /**
   * Speak TLS. The server's certificate is always verified.
   *
   * @default {true if `caCerts` or `serverName` is given}
   */
  tls?: boolean | undefined;

  /**
   * Also trust these certificates, in PEM: of an authority, or of the server itself.
   *
   * @default {[]}
   */
  caCerts?: readonly string[] | undefined;

  /**
   * The name or address that the server's certificate must have.
   *
   * @default {ConnectOptions.hostname}
   */
  serverName?: string | undefined;

  /** Gives up connecting, or closes the connection, when it is aborted. */
  signal?: AbortSignal | undefined;
}

/**
 * A connection to an echo server, as {@linkcode connect} returns it. Several
 * messages may be under way at once; any other exchange is one at a time. After a
 * failure the client takes nothing more: a late reply must not be taken for the
 * next message's.
 */
export interface EchoClient extends Disposable, AsyncDisposable {
  /** How long connecting took, in milliseconds, without failed attempts. */
  readonly connectMs: number;

  /** How long the TLS handshake took after that, in milliseconds, if there was one. */
  readonly handshakeMs: number | undefined;

  /** The address of the client's end. */
  readonly localAddr: Address;

  /** The address of the server. */
  readonly remoteAddr: Address;

  /** Whether the client takes messages: nothing failed, and it was not closed. */
  readonly isOpen: boolean;

  /**
   * Sends a message and reads until all of it came back, at the same time, so that
   * a message of any size passes. It may be called again before its promise
   * settles: the messages are sent one after another, and come back in that order.
   *
   * A message that times out is given up alone. The client takes no other message
   * after it, but those under way keep their own time, and the connection is closed
   * when the last of them is settled. Any other failure closes it at once.
   *
   * @param message The bytes to send. They are not copied: a change before the
   * promise settles shows as a mismatch, or goes unnoticed.
   * @returns How many bytes came back, and how long that took from this call on.
   * @throws {MismatchError} If other bytes came back than were sent.
   * @throws {ShortEchoError} If the connection ended before all came back.
   * @throws {Deno.errors.TimedOut} If no byte of it came back for the timeout, or,
   * while other messages wait behind it, not all of it within the timeout.
   * @throws {TypeError} If the message is no `Uint8Array`; nothing is sent.
   * @throws {Error} If an exchange of another kind is under way, if an earlier
   * message on the connection got a wrong reply, or if the connection is closed.
   */
  echo(message: Uint8Array): Promise<EchoResult>;

  /**
   * Sends all that a source yields, ends the client's side of the connection
   * (half-close), and reads until everything came back and the server ended its
   * side too, or did not within a second. At most 16 MiB are under way at once:
   * memory stays bounded, and a server that wants more before it answers runs
   * into the timeout. The connection is closed in the end.
   *
   * As `pipeTo()` does, it closes the sink in the end, or, if it fails, cancels the
   * source and aborts the sink.
   *
   * @param source Where the bytes come from.
   * @param sink Where each byte goes once it is verified, by default nowhere.
   * @returns How many bytes came back, and how long that took.
   * @throws {MismatchError} If other bytes came back than were sent.
   * @throws {ShortEchoError} If the connection ended before all came back.
   * @throws {Deno.errors.TimedOut} If no byte came back for the timeout.
   * @throws {Error} If an exchange is under way, if the connection is closed, or
   * what the source or the sink throws.
   */
  echoStream(
    source: ReadableStream<Uint8Array>,
    sink?: WritableStream<Uint8Array>,
  ): Promise<EchoResult>;

  /**
   * Checks that nothing came since the last exchange: a second reply would be
   * taken for the next message's. It takes two turns of the event loop, so
   * {@linkcode EchoClient.echo} does not do it by itself.
   *
   * @throws {MismatchError} If more bytes came than were sent.
   * @throws {ShortEchoError} If the connection ended.
   * @throws {Error} If an exchange is under way, or the connection is closed.
   */
  expectSilence(): Promise<void>;

  /**
   * Ends the client's side of the connection (half-close) and waits for the server
   * to end its side, for a second at most. Then closes the connection.
   *
   * @throws {MismatchError} If more bytes came than were sent.
   * @throws {Error} If an exchange is under way, or the connection is closed.
   */
  end(): Promise<void>;

  /** Closes the connection at once, even during an exchange. */
  close(): void;

  /** Closes the connection at once, as {@linkcode EchoClient.close} does. */
  [Symbol.dispose](): void;

  /**
   * Ends the connection as {@linkcode EchoClient.end} does, and so checks that
   * nothing more comes. A client that is closed already, has failed, or has an
   * exchange under way is just closed.
   *
   * @throws {MismatchError} If more bytes came than were sent.
   */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Options for {@linkcode connectUdp}. A time is in milliseconds, 0 or more;
 * `Infinity` is never.
 */
export interface UdpConnectOptions {
  /**
   * Send to this IPv4 or IPv6 address or name. Messages go to all of a name's
   * addresses until one of them answers, which is kept.
   *
   * @default {"127.0.0.1"}
   */
  hostname?: string | undefined;

  /**
   * Send to this UDP port.
   *
   * @default {12345}
   */
  port?: number | undefined;

  /**
   * The longest wait for the look-up of the name, and for each reply.
   *
   * @default {5000}
   */
  timeoutMs?: number | undefined;

  /** Closes the client when it is aborted. */
  signal?: AbortSignal | undefined;

  /**
   * Called for each datagram that came and should not have, or not then. What it
   * throws does not harm the client, which goes on: it is reported as an uncaught
   * error (`reportError()`), which ends a program that does not handle it.
   */
  onIrregular?: ((irregularity: Irregularity) => void) | undefined;
}

/**
 * A UDP client that sends to one echo server, as {@linkcode connectUdp} returns it.
 * Any number of messages may be under way at once. A reply is told from others by
 * its length and its first 64 bytes, so messages under way at once should differ
 * there; then all of its bytes are compared. A message that fails fails alone.
 */
export interface UdpClient extends Disposable, AsyncDisposable {
  /** How long the look-up of the name and opening a socket took, in milliseconds. */
  readonly connectMs: number;

  /** The address of the client's socket, the first one until an address answered. */
  readonly localAddr: Address;

  /** The address of the server, its name until one of several addresses answered. */
  readonly remoteAddr: Address;

  /** Whether the client takes messages: it was not closed. */
  readonly isOpen: boolean;

  /**
   * Sends a message as one datagram and waits for its reply.
   *
   * @param message The bytes to send, 65,507 at most. They are not copied: a change
   * before the promise settles shows as a mismatch, or goes unnoticed.
   * @returns How many bytes came back, and how long that took from this call on.
   * @throws {MismatchError} If the reply has other bytes.
   * @throws {Deno.errors.TimedOut} If no reply came within the timeout. UDP does not
   * tell whether the message or its reply was lost, or whether nobody is there.
   * @throws {Deno.errors.ConnectionRefused} If nobody is there and the system tells
   * it: Windows does, Linux does not.
   * @throws {TypeError} If the message is no `Uint8Array`; nothing is sent.
   * @throws {RangeError} If the message is too long; nothing is sent.
   * @throws {Error} If it cannot be sent, or if the client is closed.
   */
  echo(message: Uint8Array): Promise<EchoResult>;

  /**
   * Sends a message again and again, a second apart at last, until a reply comes.
   *
   * @param message The bytes to send, as for {@linkcode UdpClient.echo}.
   * @param retryMs For how long it is sent, in milliseconds. The last one is sent at
   * the end of that time, and waited for.
   * @returns How many bytes came back, and how long that took from the first sending
   * on whose wait was not over.
   * @throws {RangeError} If the time is none; nothing is sent.
   * @throws What {@linkcode UdpClient.echo} throws for the last one, or the reason of
   * an abort.
   */
  echoUntilReply(message: Uint8Array, retryMs: number): Promise<EchoResult>;

  /** Does nothing: what comes unasked is told to `onIrregular` at once. */
  expectSilence(): Promise<void>;

  /**
   * Waits a little for second and late replies, twice as long as the longest round
   * trip, but 20 ms at least and half a second at most. Then closes the socket.
   */
  end(): Promise<void>;

  /** Closes the socket at once. Messages under way fail. */
  close(): void;

  /** Closes the socket at once, as {@linkcode UdpClient.close} does. */
  [Symbol.dispose](): void;

  /** Waits for second and late replies as {@linkcode UdpClient.end} does. */
  [Symbol.asyncDispose](): Promise<void>;
}
