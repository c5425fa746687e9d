import { formatHostPort } from "../../net/address.ts";
import { ALL_FAILURE_REASONS } from "../../probe/failure.ts";
import type { Latencies } from "../../probe/latency.ts";
import type { ProbeMessage } from "../../probe/messages.ts";
import type { Tally } from "../../probe/tally.ts";
import { printLine } from "../command.ts";
import {
  countedBy,
  type HistogramMetric,
  type Metric,
  single,
} from "./exposition.ts";
import type { MetricsAddress } from "./flag.ts";
import { processMetrics } from "./process.ts";
import { startMetrics } from "./server.ts";
import type { Terminal } from "../terminal.ts";

/**
 * The bounds of the histograms, in milliseconds: from 20 µs to 10 s, each at most 1.67
 * times the one before. A quantile is an interpolation between two of them.
 */
export const BOUNDS_MS: readonly number[] = [
  ...[0.02, 0.03, 0.05, 0.07],
  ...[0.1, 0.15, 0.2, 0.3, 0.5, 0.7],
  ...[1, 1.5, 2, 3, 5, 7],
  ...[10, 15, 20, 30, 50, 70],
  ...[100, 150, 200, 300, 500, 700],
  ...[1000, 1500, 2000, 3000, 5000, 7000],
  10_000,
];

/** The same in seconds, written as decimals. */
const BOUNDS = BOUNDS_MS.map((ms) => Number(`${ms}e-3`));

/** Every reason for a failure is there from the start, so that a rate has a first value. */
const NO_FAILURES = Object.fromEntries(
  ALL_FAILURE_REASONS.map((reason) => [reason, 0]),
);

/** Reads what a run counted so far, in one thread or several. */
export type ReadRun = () => Tally | Promise<Tally>;

/** The metrics of a run, which are served until they are disposed of. */
export interface SendMetrics extends AsyncDisposable {
  /** Tells where to read what the run counted: it has begun. */
  begin(read: ReadRun): void;
  /** Tells that the run is about to end. */
  drain(): void;
}

/** What {@linkcode startSendMetrics} needs of the command. */
export interface SendMetricsOptions {
  /** Where metrics are served. */
  readonly address: MetricsAddress;
  /** What is sent. */
  readonly message: ProbeMessage;
  /** Whether nothing but the result is printed. */
  readonly quiet: boolean;
}

/** Serves the metrics of a run, and prints on stderr where. */
export async function startSendMetrics(
  { address, message, quiet }: SendMetricsOptions,
  terminal: Terminal,
): Promise<SendMetrics> {
  const startedAt = terminal.now();
  const messageBytes = typeof message === "number" ? message : message.length;
  let read: ReadRun | undefined;
  let isDraining = false;
  const server = startMetrics({
    address,
    health: () => isDraining ? "draining" : read ? "up" : "starting",
    async collect() {
      const tally = await read?.();
      return [
        ...processMetrics(startedAt),
        ...(tally ? sendMetrics(tally, messageBytes) : []),
      ];
    },
  });
  const where = formatHostPort(server.addr);
  if (!quiet) {
    await printLine(terminal.stderr, `Metrics on http://${where}/metrics`);
  }
  return {
    begin: (given) => void (read = given),
    drain: () => void (isDraining = true),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** Makes metrics of what a run counted. */
export function sendMetrics(tally: Tally, messageBytes: number): Metric[] {
  const { failures, irregular, latencies, late } = tally;
  const { sent, unsent, tooLate, connected, open } = tally.counts;
  const verified = latencies.count;
  return [
    single(
      "counter",
      "echo_messages_sent_total",
      "Messages that were sent, and connections that could not be made for one",
      sent,
    ),
    single(
      "counter",
      "echo_messages_verified_total",
      "Messages that came back, every byte verified",
      verified,
    ),
    countedBy(
      "echo_messages_failed_total",
      "Those of the sent that failed",
      "reason",
      { ...NO_FAILURES, ...failures },
    ),
    countedBy(
      "echo_messages_unsent_total",
      "Messages that were due and not sent",
      "reason",
      { too_many_under_way: unsent, client_late: tooLate },
    ),
    single(
      "counter",
      "echo_bytes_verified_total",
      "Bytes of the messages that came back",
      verified * messageBytes,
    ),
    countedBy(
      "echo_replies_irregular_total",
      "Datagrams that should not have come, or not then",
      "kind",
      irregular,
    ),
    single(
      "counter",
      "echo_connections_made_total",
      "Connections that were made",
      connected,
    ),
    single(
      "gauge",
      "echo_connections",
      "Connections that are open",
      open,
    ),
    histogram(
      "echo_round_trip_seconds",
      "From sending a message to verifying its last byte, in seconds",
      latencies,
    ),
    ...(tally.isPaced
      ? [histogram(
        "echo_sent_late_seconds",
        "From when a message was due to when it left, in seconds",
        late,
      )]
      : []),
  ];
}

function histogram(
  name: string,
  help: string,
  latencies: Latencies,
): HistogramMetric {
  const { count, sumMs, upTo } = latencies.spread(BOUNDS_MS);
  const distribution = { bounds: BOUNDS, upTo, count, sum: sumMs / 1000 };
  return { name, help, type: "histogram", distribution };
}
