/**
 * How long connections with TLS took to make.
 *
 * @module
 */

import { Latencies, type LatencySummary } from "./latency.ts";
import type { ProbeClient } from "./probe_client.ts";

/** How long connections with TLS took to make. */
export interface ConnectSummary {
  /** How long connecting took, before the handshake. */
  readonly connectMs: LatencySummary;
  /** How long the TLS handshake took after that. */
  readonly handshakeMs: LatencySummary;
}

/** Records how long connections with TLS took to make; others have no handshake. */
export class ConnectTimes {
  #times: { connect: Latencies; handshake: Latencies } | undefined;

  /**
   * Takes note of a connection.
   *
   * @param client Its client.
   */
  add(
    { connectMs, handshakeMs }: Pick<ProbeClient, "connectMs" | "handshakeMs">,
  ): void {
    if (handshakeMs === undefined) return;
    this.#times ??= { connect: new Latencies(), handshake: new Latencies() };
    this.#times.connect.record(connectMs);
    this.#times.handshake.record(handshakeMs);
  }

  /**
   * Sums up.
   *
   * @returns The field of a summary, none without a connection with TLS.
   */
  summary(): { connectTimes?: ConnectSummary } {
    const connectMs = this.#times?.connect.summary();
    const handshakeMs = this.#times?.handshake.summary();
    return connectMs && handshakeMs
      ? { connectTimes: { connectMs, handshakeMs } }
      : {};
  }
}
