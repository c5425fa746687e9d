/**
 * What an echo server takes and gives.
 *
 * @module
 */

import type { DropReason } from "./datagram_limits.ts";
import type { CloseReason, ServeEvent } from "./events.ts";
import type { FaultKind, FaultOptions } from "./faults/options.ts";

/** A certificate and its key. */
export interface ServerTls {
  /** The certificate, in PEM, followed by those that lead to its authority. */
  readonly cert: string;
  /** Its private key, in PEM: PKCS#8, PKCS#1 or SEC1, without a passphrase. */
  readonly key: string;
}

/** The default of {@linkcode ServeOptions.handshakeTimeoutMs}. */
export const DEFAULT_HANDSHAKE_TIMEOUT_MS = 10_000;

/** The default of {@linkcode ServeOptions.drainTimeoutMs}. */
export const DEFAULT_DRAIN_TIMEOUT_MS = 5000;

/**
 * Options for {@linkcode serve}. A time is in milliseconds, 0 or more; `Infinity`
 * is never.
 */
export interface ServeOptions {
  /**
   * Listen on this IPv4 or IPv6 address or name.
   *
   * @default {"127.0.0.1"}
   */
  hostname?: string | undefined;

  /**
   * Listen on this port. With 0 the system chooses a free one, which
   * {@linkcode EchoServer.addr} tells.
   *
   * @default {12345}
   */
  port?: number | undefined;

  /**
   * Serve the first connection only, and finish when it ends; or with `udp` the
   * first datagram, whichever comes first.
   *
   * @default {false}
   */
  once?: boolean | undefined;

  /**
   * Serve at most this many connections at once, 1 or more. Further clients wait
   * in the kernel's queue, and are served in turn as others leave.
   *
   * @default {Infinity}
   */
  maxConnections?: number | undefined;

  /**
   * Close a connection on which no byte moved in either direction for this long.
   * Connections are looked at four times in that span, so one ends up to a quarter
   * later. With `udp` an address is forgotten that sent nothing for this long.
   *
   * @default {Infinity, and 30 seconds for an address that sends datagrams}
   */
  idleTimeoutMs?: number | undefined;

  /**
   * Share the port with other listeners that ask for the same, so that the kernel
   * spreads connections over them: one in each of several workers. Linux only;
   * needs Deno's `--unstable-net`.
   *
   * @default {false}
   */
  reusePort?: boolean | undefined;

  /**
   * How long {@linkcode EchoServer.shutdown} lets open connections go on before
   * it closes them.
   *
   * @default {5000}
   */
  drainTimeoutMs?: number | undefined;

  /**
   * Echo datagrams, too, on the UDP port of the same number. Needs Deno's
   * `--unstable-net`.
   *
   * A datagram from a port below 1024, from port 2049 or from the server's own port
   * is not answered, nor one from a multicast, broadcast or unspecified address: its
   * sender may be forged, to make servers answer each other.
   *
   * @default {false}
   */
  udp?: boolean | undefined;

  /**
   * Send at most this many datagrams in each second to one address, or to one
   * network of 64 bits of IPv6; 1 or more.
   *
   * @default {1000, and no limit if it listens on a loopback address: there at most
   * 1,000 a second are answered that a sender sends again and again}
   */
  udpRatePerSecond?: number | undefined;

  /**
   * Misbehave on purpose, so that a client can be tested.
   *
   * @default {no faults}
   */
  faults?: FaultOptions | undefined;

  /**
   * Speak TLS 1.2 or 1.3 over TCP with this certificate, in PEM, followed by those
   * that lead to its authority. Datagrams stay plain.
   *
   * @default {undefined, plain TCP}
   */
  cert?: string | undefined;

  /** With `cert`, its private key, in PEM: PKCS#8, PKCS#1 or SEC1, no passphrase. */
  key?: string | undefined;

  /**
   * With `cert`, the longest time that a client may take for its handshake. Until then
   * it holds one of `maxConnections`. A client that failed counts as the one of
   * `once`, too.
   *
   * @default {10000}
   */
  handshakeTimeoutMs?: number | undefined;

  /** Closes the server and all its connections at once when it is aborted. */
  signal?: AbortSignal | undefined;

  /**
   * Called once the server listens, with the address it listens on. What it
   * throws, {@linkcode serve} throws, and listens no more.
   */
  onListen?: ((addr: Deno.NetAddr) => void) | undefined;

  /**
   * Called for each event from then on. It runs between reading and echoing, so it
   * should be quick. The server goes on when it throws; the first error that it
   * threw rejects {@linkcode EchoServer.finished} in the end.
   */
  onEvent?: ((event: ServeEvent) => void) | undefined;
}

/** Totals since the server started. */
export interface ServeStats {
  /** Connections that were accepted. */
  accepted: number;
  /** Connections that hold a descriptor, those in their TLS handshake included. */
  open: number;
  /** How many connections ended, by reason; a reason without any is not there. */
  closed: Partial<Record<CloseReason, number>>;
  /** Bytes that were echoed, over TCP and UDP. */
  bytes: number;
  /** TLS handshakes that failed, with {@linkcode ServeOptions.cert}. */
  failedHandshakes?: number | undefined;
  /** What became of datagrams, with {@linkcode ServeOptions.udp}. */
  udp?: DatagramStats | undefined;
  /**
   * How often each kind of fault was told, or would have been told to
   * {@linkcode ServeOptions.onEvent}. A server without faults has none of this.
   */
  faults?: FaultCounts;
}

/** Totals of datagrams since the server started. */
export interface DatagramStats {
  /** Datagrams that were echoed. */
  datagrams: number;
  /** Bytes that they had. */
  bytes: number;
  /** How many were not answered, by reason. */
  dropped: Partial<Record<DropReason, number>>;
  /** Replies that wait for their time now, with {@linkcode ServeOptions.faults}. */
  waiting?: number;
}

/** How often each kind of fault happened; one that did not is not there. */
export type FaultCounts = Partial<Record<FaultKind, number>>;

/** Options for {@linkcode EchoServer.shutdown}. */
export interface ShutdownOptions {
  /**
   * How long open connections may go on, in milliseconds. With 0 they are closed
   * at once.
   *
   * @default {ServeOptions.drainTimeoutMs}
   */
  timeoutMs?: number | undefined;
}

/** A running echo server, as {@linkcode serve} returns it. */
export interface EchoServer extends AsyncDisposable {
  /** The address that the server listens on. */
  readonly addr: Deno.NetAddr;

  /**
   * Settles once the server listens no more and every connection ended. Rejects
   * with the first error that {@linkcode ServeOptions.onEvent} threw, if any.
   */
  readonly finished: Promise<void>;

  /** Totals up to now. */
  stats(): ServeStats;

  /**
   * The seed of {@linkcode ServeOptions.faults}, with which the same faults happen
   * again; `undefined` if the server has no faults.
   */
  readonly faultSeed: number | undefined;

  /**
   * Stops listening, lets open connections finish for a while, then closes them.
   * `await using` calls it at the end of the scope. A later call may shorten the
   * time that an earlier one gave.
   *
   * @param options How long open connections may go on.
   * @returns The promise of {@linkcode EchoServer.finished}.
   * @throws {RangeError} If the time is none.
   */
  shutdown(options?: ShutdownOptions): Promise<void>;

  /** Keeps the process alive while the server runs. It does so by default. */
  ref(): void;

  /**
   * Lets the process end while the server runs.
   *
   * @throws {Deno.errors.NotSupported} If the server speaks TLS: Deno cannot do that
   * with a TLS listener.
   */
  unref(): void;
}
