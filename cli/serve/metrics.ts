/**
 * The metrics of `echo serve`.
 *
 * @module
 */

import type { CloseReason, DropReason, ServeStats } from "../../server.ts";
import { countedBy, type Metric, single } from "../metrics/exposition.ts";
import type { MetricsAddress } from "../metrics/flag.ts";
import { processMetrics } from "../metrics/process.ts";
import {
  type Health,
  type MetricsServer,
  startMetrics,
} from "../metrics/server.ts";
import type { RunningServer } from "./running_server.ts";

/** Every reason for a close is there from the start, so that a rate has a first value. */
const CLOSED: Record<CloseReason, number> = {
  ...{ eof: 0, idle: 0, reset: 0, shutdown: 0, cut: 0, error: 0 },
};

/** So is every reason for not answering a datagram. */
const DROPPED: Record<DropReason, number> = {
  ...{ port: 0, address: 0, rate: 0, loop: 0, failed: 0, shutdown: 0 },
};

/** What {@linkcode startServeMetrics} needs of the command. */
export interface ServeMetricsOptions {
  /** Where metrics are served. */
  readonly address: MetricsAddress;
  /** When the process started. */
  readonly startedAt: Date;
  /** Whether the server listens for one client only. */
  readonly once: boolean;
  /** Returns the server, once it listens. */
  server(): RunningServer | undefined;
  /** Tells whether the server was told to end. */
  isEnding(): boolean;
}

/**
 * Serves the metrics of a server.
 *
 * @param options Where, and of which server.
 * @returns The server of the metrics, which listens already.
 * @throws {Error} If it cannot listen there.
 */
export function startServeMetrics(
  options: ServeMetricsOptions,
): MetricsServer {
  const { address, startedAt, once, server, isEnding } = options;
  return startMetrics({
    address,
    async health(): Promise<Health> {
      const running = server();
      if (isEnding()) return "draining";
      if (!running) return "starting";
      if (!once) return "up";
      const { accepted, udp } = await running.stats();
      const { datagrams = 0, waiting = 0 } = udp ?? {};
      return accepted + datagrams + waiting > 0 ? "draining" : "up";
    },
    async collect() {
      const stats = await server()?.stats();
      return [
        ...processMetrics(startedAt),
        ...(stats ? serveMetrics(stats) : []),
      ];
    },
  });
}

/**
 * Makes metrics of what a server counted.
 *
 * @param stats What it counted.
 * @returns The metrics.
 */
export function serveMetrics(stats: ServeStats): Metric[] {
  const { accepted, open, closed, bytes, udp, faults } = stats;
  return [
    single(
      "counter",
      "echo_connections_accepted_total",
      "Connections that were accepted",
      accepted,
    ),
    single(
      "gauge",
      "echo_connections_open",
      "Connections that are open",
      open,
    ),
    countedBy(
      "echo_connections_closed_total",
      "Connections that ended",
      "reason",
      { ...CLOSED, ...closed },
    ),
    countedBy(
      "echo_bytes_echoed_total",
      "Bytes that were sent back",
      "transport",
      udp ? { tcp: bytes - udp.bytes, udp: udp.bytes } : { tcp: bytes },
    ),
    ...(udp
      ? [
        single(
          "counter",
          "echo_datagrams_echoed_total",
          "Datagrams that were sent back",
          udp.datagrams,
        ),
        countedBy(
          "echo_datagrams_dropped_total",
          "Datagrams that were not answered",
          "reason",
          { ...DROPPED, ...udp.dropped },
        ),
      ]
      : []),
    ...(faults
      ? [countedBy(
        "echo_faults_total",
        "Faults, on purpose",
        "kind",
        faults,
      )]
      : []),
  ];
}
