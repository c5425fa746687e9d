import type { Address, EchoResult, Irregularity } from "../client.ts";
import type { ProbeMessage } from "./messages.ts";
import type { Tally } from "./tally.ts";

/** A client that a probe measures with. */
export interface ProbeClient {
  /** How long connecting took, in milliseconds, without failed attempts. */
  readonly connectMs: number;

  /** How long the TLS handshake took after that, in milliseconds, if there was one. */
  readonly handshakeMs?: number | undefined;

  /** The address of the client's end. */
  readonly localAddr: Address;

  /** The address of the server. */
  readonly remoteAddr: Address;

  /**
   * Whether it takes messages. A client over a stream takes none after a failure:
   * the rest of the stream belongs to the message that failed.
   */
  readonly isOpen: boolean;

  /**
   * Sends a message and waits until all of it came back, verified. Several messages
   * may be under way at once.
   */
  echo(message: Uint8Array): Promise<EchoResult>;

  /** Checks that nothing came since the last message. */
  expectSilence(): Promise<void>;

  /** Checks that nothing comes after the last message, then closes the client. */
  end(): Promise<void>;

  /** Closes the client at once. */
  close(): void;
}

/** How a client is made. */
export interface ConnectProbeOptions {
  /** For how long to try again when it fails, in milliseconds. */
  retryMs: number;

  /** Gives up connecting, or closes the client, when it is aborted. */
  signal: AbortSignal;

  /** Takes note of why an attempt failed that is made again. */
  onAttemptFailed?: (error: unknown) => void;

  /** Takes note of what came and should not have, or not then. */
  onIrregular: (irregularity: Irregularity) => void;
}

/** Makes a client, connected where the probe was asked to measure. */
export type ConnectProbe = (
  options: ConnectProbeOptions,
) => Promise<ProbeClient>;

/** What every probe is asked. */
export interface ProbeOptions {
  /** Makes the clients. */
  connect: ConnectProbe;

  /** What is sent each time: these bytes, or so many generated and numbered ones. */
  message: ProbeMessage;

  /**
   * For how long the first client may try again to connect, in milliseconds.
   *
   * @default {0}
   */
  retryMs?: number | undefined;

  /** Called at the beginning with what goes on counting. */
  onTally?: ((tally: Tally) => void) | undefined;

  /**
   * Ends the probe. What is under way then is waited for as long as the longest
   * round trip took, but 100 ms at least and a second at most; what is still out
   * then is lost.
   */
  signal?: AbortSignal | undefined;
}

/** The two ends of a connection. */
export interface Ends {
  /** The address of the client's end. */
  readonly local: Address;
  /** The address of the server. */
  readonly remote: Address;
}
