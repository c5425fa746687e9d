/**
 * `echo serve`: the server in a terminal.
 *
 * @module
 */

import { DEFAULT_HOSTNAME, DEFAULT_PORT } from "../../net/defaults.ts";
import { escapeText } from "../../net/text.ts";
import type { FaultOptions } from "../../server.ts";
import { DEFAULT_DRAIN_TIMEOUT_MS } from "../../server/api.ts";
import { DEFAULT_UDP_RATE } from "../../server/datagrams.ts";
import { MAX_FAULT_SEED } from "../../server/faults/options.ts";
import { type Command, makeCommand, PROGRAM } from "../command.ts";
import {
  type CommandLine,
  type Flag,
  type Flags,
  switchFlag,
  UsageError,
} from "../flags.ts";
import { metricsFlag } from "../metrics/flag.ts";
import type { Terminal } from "../terminal.ts";
import { parseFile, parseHost, parseWhole, timeFlag } from "../values.ts";
import type { TlsSource } from "./certificate.ts";
import { checkTransport, parseFaults } from "./faults.ts";
import { runServe, type RunServeOptions } from "./run.ts";
import { checkWorkers } from "./workers.ts";

const FLAGS = {
  host: {
    short: "H",
    value: "HOST",
    help: "listen here, IPv4, IPv6 or a name",
    default: DEFAULT_HOSTNAME,
    parse: parseHost,
  },
  port: {
    short: "p",
    value: "PORT",
    help: "0 takes a free one and prints it",
    default: DEFAULT_PORT,
    parse: (text: string) => parseWhole(text, 0, 65535),
  },
  udp: switchFlag("echo datagrams too, on the same port"),
  "udp-rate": {
    value: "N",
    help: "datagrams per second to one address",
    default: DEFAULT_UDP_RATE,
    defaultText: `${DEFAULT_UDP_RATE}`,
    parse: (text: string) => parseWhole(text, 1, 10_000_000),
  },
  tls: switchFlag("TLS, generated certificate (on stderr)"),
  "tls-cert": {
    value: "FILE",
    help: "TLS with this certificate chain (PEM), and",
    default: "",
    parse: parseFile,
  },
  "tls-key": {
    value: "FILE",
    help: "its private key (PEM)",
    default: "",
    parse: parseFile,
  },
  "tls-name": {
    value: "NAME",
    help: "extra name for that certificate (repeatable)",
    default: [] as readonly string[],
    defaultText: "",
    isRepeatable: true,
    parse: (text: string) => [parseHost(text)],
  },
  once: switchFlag(
    "serve one connection (or datagram), then exit",
  ),
  "max-connections": {
    value: "N",
    help: "at most N connections; others wait",
    default: Infinity,
    defaultText: "no limit",
    parse: (text: string) => parseWhole(text, 1, 1_000_000),
  },
  "idle-timeout": timeFlag({
    help: "close a connection idle for TIME",
    default: Infinity,
    defaultText: "never",
    min: 10,
  }),
  "drain-timeout": timeFlag({
    help: "how long connections may finish",
    default: DEFAULT_DRAIN_TIMEOUT_MS,
  }),
  workers: {
    value: "N",
    help: "threads; 0 = one per core (Linux only)",
    default: 1,
    parse: (text: string) => parseWhole(text, 0, 256),
  },
  fault: {
    value: "FAULT,...",
    help: "misbehave on purpose: see below",
    default: undefined,
    defaultText: "",
    parse: parseFaults,
  } as Flag<FaultOptions | undefined>,
  "fault-seed": {
    value: "N",
    help: "the same faults again",
    default: undefined,
    defaultText: "random",
    parse: (text: string) => parseWhole(text, 0, MAX_FAULT_SEED),
  } as Flag<number | undefined>,
  metrics: metricsFlag("serve Prometheus metrics and health here"),
  json: switchFlag("log as JSON lines"),
  quiet: switchFlag("log nothing", "q"),
} satisfies Flags;

const NOTES = `\
TIME is 250ms, 5s, 2m, 1h or plain seconds. SIZE is 64, 64k or 1M bytes.

FAULT is one of these, and happens to each reply or connection, or to a share of
them (cut:50 is half):
  latency=TIME[~TIME]  replies leave later, give or take the second TIME
  rate=SIZE            a connection gets back at most SIZE per second
  slice=SIZE           replies leave in pieces of SIZE
  corrupt              replies have one bit flipped
  stall                connections get no answer
  cut[=SIZE]           connections are closed early, after SIZE
With --udp latency and corrupt happen to datagrams, too, and:
  loss                 datagrams get no reply
  duplicate            datagrams get two replies
  reorder              replies leave after the next one

The log goes to stdout. SIGINT (Ctrl-C), SIGTERM or SIGHUP ends the server: exit
status 0, or 130 when a second one stops it at once.`;

/** The command `echo serve`. */
export const serveCommand: Command = makeCommand({
  name: "serve",
  about: "Send back every byte, over TCP, TLS and UDP.",
  synopsis: "[OPTIONS]",
  examples: [
    `${PROGRAM} serve -H 0.0.0.0 -p 7000`,
    `${PROGRAM} serve --fault latency=50ms~20ms,cut:1%`,
  ],
  page: "serve.md",
  notes: NOTES,
  flags: FLAGS,
  options,
  read,
  run: runServe,
});

function options(line: CommandLine<typeof FLAGS>): RunServeOptions {
  const { values, given } = line;
  refuseOperands(line);
  if (given.has("udp-rate") && !values.udp) {
    throw new UsageError("--udp-rate goes with --udp");
  }
  const faults = faultsOf(line);
  const tls = tlsSource(line);
  if (tls && values.udp) {
    throw new UsageError(
      "--tls and --udp exclude each other: datagrams would stay plain",
    );
  }
  const workers = values.workers || navigator.hardwareConcurrency;
  if (workers > 1) {
    refuseWorkers(line);
    checkWorkers();
  }
  return {
    serve: {
      hostname: values.host,
      port: values.port,
      once: values.once,
      maxConnections: values["max-connections"],
      udp: values.udp,
      ...(given.has("udp-rate") && { udpRatePerSecond: values["udp-rate"] }),
      ...(given.has("idle-timeout") && {
        idleTimeoutMs: values["idle-timeout"],
      }),
      drainTimeoutMs: values["drain-timeout"],
      ...(faults && { faults }),
    },
    ...(tls && { tls }),
    workers,
    log: values.quiet ? "none" : values.json ? "json" : "text",
    metrics: values.metrics,
  };
}

function faultsOf(
  { values }: CommandLine<typeof FLAGS>,
): FaultOptions | undefined {
  const { fault, "fault-seed": seed } = values;
  if (!fault) {
    if (seed === undefined) return undefined;
    throw new UsageError("--fault-seed goes with --fault");
  }
  checkTransport(fault, values.udp);
  return { ...fault, seed };
}

/** Some of what one thread does several cannot do together. */
function refuseWorkers({ values }: CommandLine<typeof FLAGS>): void {
  if (values.udp) {
    throw new UsageError(
      "--udp and --workers exclude each other: " +
        "only one thread can have a UDP port",
    );
  }
  if (values.fault) {
    throw new UsageError(
      "--fault takes one thread, leave out --workers: which of several threads " +
        "a connection comes to is the kernel's choice, so no seed repeats faults",
    );
  }
}

/** Tells where the certificate comes from, if TLS is asked for. */
function tlsSource(
  { values, given }: CommandLine<typeof FLAGS>,
): TlsSource | undefined {
  const hasCert = given.has("tls-cert");
  if (hasCert !== given.has("tls-key")) {
    throw new UsageError("--tls-cert and --tls-key go together");
  }
  if (given.has("tls-name") && (hasCert || !values.tls)) {
    throw new UsageError(
      "--tls-name goes with --tls, and a certificate that is made",
    );
  }
  if (hasCert) {
    const files = { cert: values["tls-cert"], key: values["tls-key"] };
    return { kind: "files", files };
  }
  if (!values.tls) return undefined;
  return { kind: "made", names: [values.host, ...values["tls-name"]] };
}

/** Reads the certificate and its key. */
async function read(
  options: RunServeOptions,
  terminal: Terminal,
): Promise<RunServeOptions> {
  if (options.tls?.kind !== "files") return options;
  const { readServerTls } = await import("../tls_files.ts");
  const tls = await readServerTls(options.tls.files, terminal);
  return { ...options, tls: { kind: "read", tls } };
}

function refuseOperands(
  { operands, afterDashes }: CommandLine<typeof FLAGS>,
): void {
  const [operand] = [...operands, ...afterDashes];
  if (operand === undefined) return;
  const port = /^\d+$/.test(operand) ? `, did you mean --port ${operand}?` : "";
  throw new UsageError(
    `serve takes no argument "${escapeText(operand)}"${port}`,
  );
}
