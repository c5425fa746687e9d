/**
 * What measuring needs of a client, whatever carries its messages.
 *
 * @module
 */

import type { EchoResult } from "../client.ts";

/** A client that a probe measures with. */
export interface ProbeClient {
  /** How long connecting took, in milliseconds, without failed attempts. */
  readonly connectMs: number;

  /**
   * Sends a message and waits until all of it came back, verified. After any
   * failure the client is closed.
   */
  echo(message: Uint8Array): Promise<EchoResult>;

  /** Checks that nothing came since the last message. */
  expectSilence(): Promise<void>;

  /** Checks that nothing comes after the last message, then closes the client. */
  end(): Promise<void>;

  /** Closes the client at once. */
  close(): void;
}

/**
 * Makes a client, connected where the probe was asked to measure.
 *
 * @param retryMs How long to try again when that fails, in milliseconds.
 */
export type ConnectProbe = (retryMs: number) => Promise<ProbeClient>;

/** What every probe is asked. */
export interface ProbeOptions {
  /** Makes the clients. */
  connect: ConnectProbe;

  /** What is sent each time. */
  message: Uint8Array;

  /**
   * For how long the first client may try again to connect, in milliseconds.
   *
   * @default {0}
   */
  retryMs?: number | undefined;

  /** Ends the probe; the messages under way then are not counted. */
  signal?: AbortSignal | undefined;
}
