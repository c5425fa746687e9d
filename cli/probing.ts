import { MAX_DATAGRAM_BYTES } from "../client/datagram_client.ts";
import { DEFAULT_MESSAGE_BYTES } from "../probe/defaults.ts";
import type { ProbeMessage } from "../probe/messages.ts";
import type { Condition } from "../report/conditions.ts";
import { formatBytes } from "../report/format.ts";
import { encode } from "./command.ts";
import { parseCondition } from "./conditions.ts";
import { type CommandLine, type Flags, UsageError } from "./flags.ts";
import { type MetricsAddress, metricsFlag } from "./metrics/flag.ts";
import type { SendMetrics } from "./metrics/probe.ts";
import type { Style, Targeted } from "./target.ts";
import type { Terminal } from "./terminal.ts";
import { parseSize } from "./values.ts";

/** What every command that measures needs besides its task. */
export interface ProbingOptions extends Targeted {
  readonly style: Style;
  /** For how long it may run, in milliseconds; `Infinity` is for ever. */
  readonly deadlineMs: number;
  /** The conditions under which it fails. */
  readonly conditions: readonly Condition[];
  /** Where metrics of the run are served, if anywhere. */
  readonly metrics: MetricsAddress | undefined;
}

/** The flags of every command that measures. */
export const PROBING_FLAGS = {
  message: {
    short: "m",
    value: "TEXT",
    help: "send this text again and again",
    default: "",
    defaultText: "",
    parse: (text: string) => text,
  },
  size: {
    short: "s",
    value: "SIZE",
    help: "send SIZE generated and numbered bytes",
    default: DEFAULT_MESSAGE_BYTES,
    parse: parseSize,
  },
  "fail-if": {
    value: "COND",
    help: "exit 3 if this is true at the end (repeatable)",
    default: [] as readonly Condition[],
    defaultText: "",
    isRepeatable: true,
    parse: (text: string) => [parseCondition(text)],
  },
  metrics: metricsFlag("serve Prometheus metrics here"),
} satisfies Flags;

/** A message that is sent again and again is kept in memory. */
const MAX_MESSAGE_BYTES = 256 * 1024 * 1024;

/** So are the messages of all connections, as each has its number. */
const MAX_MESSAGES_BYTES = 1024 * 1024 * 1024;

/** Reads what is sent again and again: it is in memory, and proves something. */
export function messageOf(
  { values, given }: CommandLine<typeof PROBING_FLAGS>,
  connections: number,
  isUdp: boolean,
): ProbeMessage {
  if (!given.has("message")) {
    const { size } = values;
    if (isUdp) checkDatagramBytes(size);
    const mostEach = Math.floor(MAX_MESSAGES_BYTES / connections);
    const most = Math.min(MAX_MESSAGE_BYTES, mostEach);
    if (size <= most) return size;
    const many = most === mostEach ? ` with ${connections} connections` : "";
    throw new UsageError(`--size${many} is at most ${formatBytes(most)}`);
  }
  if (given.has("size")) {
    throw new UsageError("--size and --message exclude each other");
  }
  const bytes = encode(values.message);
  if (isUdp) checkDatagramBytes(bytes);
  if (bytes.length > 0) return bytes;
  throw new UsageError("an empty --message proves nothing");
}

/** Throws a {@linkcode UsageError} for more bytes than a datagram has. */
export function checkDatagramBytes(message: ProbeMessage): void {
  const isSize = typeof message === "number";
  const bytes = isSize ? message : message.length;
  if (bytes <= MAX_DATAGRAM_BYTES) return;
  throw new UsageError(
    `${isSize ? "--size" : "a message"} with --udp is at most ` +
      `${MAX_DATAGRAM_BYTES} B, as a datagram is: it has ${bytes}`,
  );
}

/** Serves metrics if that is asked for, before anything else is opened. */
export async function exposeMetrics(
  { metrics: address, style: { quiet } }: ProbingOptions,
  message: ProbeMessage,
  terminal: Terminal,
): Promise<SendMetrics | undefined> {
  if (!address) return undefined;
  const { startSendMetrics } = await import("./metrics/probe.ts");
  return await startSendMetrics({ address, message, quiet }, terminal);
}

/** What the help of both says of the values of flags. */
export const PROBING_NOTES = `\
TIME: 250ms, 5s, 1m30s, 2h. SIZE: 64, 64k, 1M (1,024 based).
COND: p50, p90, p99, p99.9, max, mean or outage with a TIME; loss with a number
or a percentage; rate with a number: 'p99>20ms', 'loss>0.1%', 'rate<1000'.`;

/** What the help of both says of how a run ends. */
export const PROBING_EXIT = `\
Ctrl-C prints the summary, a second one exits at once; Ctrl-\\ shows it so far.
Exit status: 0 all came back; 1 something did not; 2 usage; 3 a --fail-if held.`;
