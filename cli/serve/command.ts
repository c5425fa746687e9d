/**
 * `echo serve`: the server in a terminal.
 *
 * @module
 */

import { DEFAULT_HOSTNAME, DEFAULT_PORT } from "../../net/defaults.ts";
import { escapeText } from "../../net/text.ts";
import {
  DEFAULT_DRAIN_TIMEOUT_MS,
  type FaultOptions,
  MAX_FAULT_SEED,
} from "../../server.ts";
import { type Command, makeCommand } from "../command.ts";
import {
  type CommandLine,
  type Flag,
  type Flags,
  switchFlag,
  UsageError,
} from "../flags.ts";
import { parseHost, parseWhole, timeFlag } from "../values.ts";
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
  once: switchFlag("serve one connection, then exit"),
  "max-connections": {
    value: "N",
    help: "hold further clients in the kernel's queue at N open",
    default: Infinity,
    defaultText: "no limit",
    parse: (text: string) => parseWhole(text, 1, 1_000_000),
  },
  "idle-timeout": timeFlag({
    help: "close a connection that moved no byte for TIME",
    default: Infinity,
    defaultText: "never",
    min: 10,
  }),
  "drain-timeout": timeFlag({
    help: "on SIGINT, SIGTERM or SIGHUP let open connections finish for TIME",
    default: DEFAULT_DRAIN_TIMEOUT_MS,
  }),
  workers: {
    value: "N",
    help: "threads sharing the port; 0 is one a core (Linux)",
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
  json: switchFlag("log as JSON lines"),
  quiet: switchFlag("log nothing", "q"),
} satisfies Flags;

const NOTES = `\
TIME is 250ms, 5s, 2m, 1h or plain seconds. SIZE is 64, 64k or 1M bytes.

FAULT is one of these, and happens to each reply or connection, or to a share of
them (cut:50 is half):
  latency=TIME[~TIME]  replies leave later, give or take the second TIME
  rate=SIZE            a connection gets back SIZE a second at most
  slice=SIZE           replies leave in pieces of SIZE
  corrupt              replies have one bit flipped
  stall                connections get no answer
  cut[=SIZE]           connections are closed in the midst, after SIZE

The log goes to stdout. SIGINT (Ctrl-C), SIGTERM or SIGHUP ends the server: exit
status 0, or 130 when a second one stops it at once.`;

/** The command `echo serve`. */
export const serveCommand: Command = makeCommand({
  name: "serve",
  about: "Accept TCP connections and send back every byte",
  synopsis: "[OPTIONS]",
  notes: NOTES,
  flags: FLAGS,
  options,
  run: runServe,
});

function options(line: CommandLine<typeof FLAGS>): RunServeOptions {
  const { values } = line;
  refuseOperands(line);
  const faults = faultsOf(line);
  const workers = values.workers || navigator.hardwareConcurrency;
  if (workers > 1) {
    if (values.fault) {
      throw new UsageError(
        "--fault takes one thread, leave out --workers: which of several threads " +
          "a connection comes to is the kernel's choice, so no seed repeats faults",
      );
    }
    checkWorkers();
  }
  return {
    serve: {
      hostname: values.host,
      port: values.port,
      once: values.once,
      maxConnections: values["max-connections"],
      idleTimeoutMs: values["idle-timeout"],
      drainTimeoutMs: values["drain-timeout"],
      ...(faults && { faults }),
    },
    workers,
    log: values.quiet ? "none" : values.json ? "json" : "text",
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
  checkTransport(fault, false);
  return { ...fault, seed };
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
