import {
  DEFAULT_CONNECTIONS,
  DEFAULT_DURATION_MS,
} from "../../probe/defaults.ts";
import { type Command, makeCommand, PROGRAM } from "../command.ts";
import { type CommandLine, type Flags, UsageError } from "../flags.ts";
import {
  exposeMetrics,
  messageOf,
  PROBING_EXIT,
  PROBING_FLAGS,
  PROBING_NOTES,
  type ProbingOptions,
} from "../probing.ts";
import {
  HOST_HINT,
  hostOperand,
  readTarget,
  STYLE_FLAGS,
  TARGET_FLAGS,
  targetOf,
} from "../target.ts";
import { parseInstant, parseRate, parseWhole, timeFlag } from "../values.ts";
import type { LoadCommandTask } from "./run.ts";

/** The flags of `echo load`, in the order of its help. */
export const FLAGS = {
  connections: {
    short: "C",
    value: "N",
    help: "use N connections at once",
    default: DEFAULT_CONNECTIONS,
    parse: (text: string) => parseWhole(text, 1, 1_000_000),
  },
  duration: timeFlag({
    short: "d",
    help: "send for TIME",
    default: DEFAULT_DURATION_MS,
    min: 1,
  }),
  rate: {
    short: "r",
    value: "N",
    help: "messages per second, whatever the replies do",
    default: 0,
    defaultText: "",
    parse: (text: string) => parseRate(text),
  },
  workers: {
    value: "N",
    help: "use N threads; 0 = one per core",
    default: 1,
    parse: (text: string) => parseWhole(text, 0, 256),
  },
  "start-at": {
    value: "INSTANT",
    help: "connect now, start sending at this time",
    default: undefined as Date | undefined,
    defaultText: "",
    parse: parseInstant,
  },
  ...TARGET_FLAGS,
  ...PROBING_FLAGS,
  ...STYLE_FLAGS,
} satisfies Flags;

/** What `echo load` is asked to do. */
export interface LoadCommandOptions extends ProbingOptions {
  readonly task: LoadCommandTask;
}

/** The command `echo load`. */
export const loadCommand: Command = makeCommand({
  name: "load",
  about: "Send many messages over many connections, verify each, and report.",
  synopsis: "[OPTIONS] [HOST[:PORT]]",
  operand: "HOST",
  examples: [
    `${PROGRAM} load -C 50 -d 10s server.example:7000`,
    `${PROGRAM} load -r 1000 --json >result.json`,
  ],
  notes: `${PROBING_NOTES}
N of --rate: 0.5, 10k, 1e6. INSTANT: 2026-11-24T14:05:00Z.
${PROBING_EXIT}`,
  page: "load.md",
  flags: FLAGS,
  elsewhere: { host: HOST_HINT, H: HOST_HINT },
  options: loadOptions,
  read: readTarget,
  async run(options, terminal) {
    const { message } = options.task;
    await using metrics = await exposeMetrics(options, message, terminal);
    const { runLoad } = await import("./run.ts");
    return await runLoad(options, options.task, terminal, metrics);
  },
});

/** Reads a command line of `echo load`. */
export function loadOptions(
  line: CommandLine<typeof FLAGS>,
): LoadCommandOptions {
  const { values, given } = line;
  return {
    ...targetOf(line, hostOperand(line)),
    task: {
      message: messageOf(line, values.connections, values.udp),
      connections: values.connections,
      durationMs: values.duration,
      ratePerSecond: given.has("rate") ? values.rate : undefined,
      threads: threadsOf(line),
      startAt: values["start-at"],
    },
    style: { json: values.json, quiet: values.quiet },
    deadlineMs: values.deadline,
    conditions: values["fail-if"],
    metrics: values.metrics,
  };
}

/** Each thread needs a connection. */
function threadsOf({ values }: CommandLine<typeof FLAGS>): number {
  const { workers, connections } = values;
  if (workers === 0) {
    return Math.min(navigator.hardwareConcurrency, connections);
  }
  if (workers <= connections) return workers;
  throw new UsageError(
    `--workers ${workers} needs as many --connections at least: ` +
      `there are ${connections}`,
  );
}
