import { DEFAULT_INTERVAL_MS } from "../../probe/defaults.ts";
import { type Command, makeCommand, PROGRAM } from "../command.ts";
import { type CommandLine, type Flags, switchFlag } from "../flags.ts";
import {
  exposeMetrics,
  messageOf,
  PROBING_EXIT,
  PROBING_FLAGS,
  PROBING_NOTES,
} from "../probing.ts";
import {
  HOST_HINT,
  hostOperand,
  readTarget,
  STYLE_FLAGS,
  TARGET_FLAGS,
  targetOf,
} from "../target.ts";
import { parseWhole, timeFlag } from "../values.ts";
import type { PingCommandOptions } from "./run.ts";

/** The flags of `echo ping`, in the order of its help. */
export const FLAGS = {
  count: {
    short: "c",
    value: "N",
    help: "send N messages; 0 goes on until Ctrl-C",
    default: 0,
    parse: (text: string) => parseWhole(text, 0, Number.MAX_SAFE_INTEGER),
  },
  interval: timeFlag({
    short: "i",
    help: "time from one message to the next",
    default: DEFAULT_INTERVAL_MS,
  }),
  reconnect: switchFlag("make a new connection for each message"),
  ...TARGET_FLAGS,
  ...PROBING_FLAGS,
  ...STYLE_FLAGS,
  timestamps: switchFlag("begin each line with the time"),
  "no-color": switchFlag("do not color lost messages"),
} satisfies Flags;

/** The command `echo ping`. */
export const pingCommand: Command = makeCommand({
  name: "ping",
  about:
    "Send a message at every interval, and report each: like ping, but verified.",
  synopsis: "[OPTIONS] [HOST[:PORT]]",
  operand: "HOST",
  examples: [
    `${PROGRAM} ping server.example:7000`,
    `${PROGRAM} ping -c 100 -i 50ms --fail-if 'p99>20ms'`,
  ],
  notes: `${PROBING_NOTES}\n${PROBING_EXIT}`,
  page: "ping.md",
  flags: FLAGS,
  elsewhere: { host: HOST_HINT, H: HOST_HINT },
  options: pingOptions,
  read: readTarget,
  async run(options, terminal) {
    const { message } = options.task;
    await using metrics = await exposeMetrics(options, message, terminal);
    // The histogram takes long to load, so it is loaded only where one measures.
    const { runPing } = await import("./run.ts");
    return await runPing(options, options.task, terminal, metrics);
  },
});

/** Reads a command line of `echo ping`. */
export function pingOptions(
  line: CommandLine<typeof FLAGS>,
): PingCommandOptions {
  const { values } = line;
  return {
    ...targetOf(line, hostOperand(line)),
    task: {
      message: messageOf(line, 1, values.udp),
      count: values.count || Infinity,
      intervalMs: values.interval,
      reconnect: values.reconnect,
    },
    style: {
      json: values.json,
      quiet: values.quiet,
      timestamps: values.timestamps,
      color: !values["no-color"],
    },
    deadlineMs: values.deadline,
    conditions: values["fail-if"],
    metrics: values.metrics,
  };
}
