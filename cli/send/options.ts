/**
 * What `echo send` is asked to do: a command line, checked and given types.
 *
 * @module
 */

import { type ClientTls, MAX_DATAGRAM_BYTES } from "../../client.ts";
import type { Transport } from "../../net/address.ts";
import { type CommandLine, UsageError } from "../flags.ts";
import { encode } from "../command.ts";
import { formatBytes } from "../format.ts";
import type { MetricsAddress } from "../metrics/flag.ts";
import { DEFAULT_MESSAGE_BYTES } from "../../probe/defaults.ts";
import type { ProbeMessage } from "../../probe/messages.ts";
import type { Condition } from "./conditions.ts";
import { DEFAULT_MESSAGE, type FLAGS } from "./flags.ts";

/** What is sent once. */
export type Payload =
  | { readonly kind: "message"; readonly bytes: Uint8Array }
  | { readonly kind: "generated"; readonly size: number }
  | { readonly kind: "stdin" };

/** How it is sent. */
export type Task =
  | { readonly kind: "once"; readonly payload: Payload }
  | {
    readonly kind: "ping";
    readonly message: ProbeMessage;
    readonly count: number;
    readonly intervalMs: number;
    readonly reconnect: boolean;
  }
  | {
    readonly kind: "load";
    readonly message: ProbeMessage;
    readonly connections: number;
    readonly durationMs: number;
    readonly ratePerSecond: number | undefined;
    readonly threads: number;
    readonly startAt?: Date | undefined;
  };

/** Where a client connects, and how long it waits. */
export interface Target {
  /** What carries the messages. */
  readonly transport: Transport;
  /** The server's address or name. */
  readonly hostname: string;
  /** The server's port. */
  readonly port: number;
  /** What TLS needs to know, if that is spoken. */
  readonly tls?: ClientTls;
  /** The longest wait for the connection, a reply, or a stream's next byte. */
  readonly timeoutMs: number;
  /** For how long the first connection is tried again. */
  readonly retryMs: number;
}

/** How the result is printed. */
export interface Style {
  /** Whether it is printed as JSON. */
  readonly json: boolean;
  /** Whether the result is printed alone. */
  readonly quiet: boolean;
  /** Whether each line of events begins with the time. */
  readonly timestamps: boolean;
  /** Whether a terminal gets colors. */
  readonly color: boolean;
}

/** The options of `echo send`. */
export interface SendOptions {
  readonly target: Target;
  readonly task: Task;
  readonly style: Style;
  /** For how long it may run, in milliseconds; `Infinity` is for ever. */
  readonly deadlineMs: number;
  /** On what it fails besides. */
  readonly conditions: readonly Condition[];
  /** Where metrics of the run are served, if anywhere. */
  readonly metrics: MetricsAddress | undefined;
  /** The file with certificates to trust besides, if one is named. */
  readonly caFile?: string;
}

/** A command line of `echo send`. */
export type SendLine = CommandLine<typeof FLAGS>;

/** The flags that ask for load. */
const LOAD_FLAGS = ["connections", "duration", "rate"] as const;

/** The flags that go with --count alone. */
const PING_FLAGS = ["interval", "reconnect", "timestamps"] as const;

/** The flags that go with --count or with load. */
const REPEAT_FLAGS = ["fail-if", "metrics"] as const;

/** The flags that go with those that ask for load, alone. */
const LOAD_ALONE_FLAGS = ["start-at", "workers"] as const;

/** A message that is sent again and again is kept in memory. */
const MAX_MESSAGE_BYTES = 256 * 1024 * 1024;

/** So are the messages of all connections, as each has its number. */
const MAX_MESSAGES_BYTES = 1024 * 1024 * 1024;

/**
 * Turns a command line into options.
 *
 * @param line The command line.
 * @returns What to do.
 * @throws {UsageError} If flags and operands exclude each other.
 */
export function sendOptions(line: SendLine): SendOptions {
  const { values, given } = line;
  checkTls(line);
  return {
    target: {
      transport: values.udp ? "udp" : values.tls ? "tls" : "tcp",
      hostname: values.host,
      port: values.port,
      timeoutMs: values.timeout,
      retryMs: values.retry,
      ...(values.tls && {
        tls: given.has("tls-name") ? { name: values["tls-name"] } : {},
      }),
    },
    ...(given.has("tls-ca") && { caFile: values["tls-ca"] }),
    task: taskOf(line),
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

/** TLS is for TCP, and its flags are for TLS. */
function checkTls({ values, given }: SendLine): void {
  if (values.tls && values.udp) {
    throw new UsageError("--tls and --udp exclude each other: TLS is for TCP");
  }
  for (const flag of ["tls-ca", "tls-name"] as const) {
    if (given.has(flag) && !values.tls) {
      throw new UsageError(`--${flag} goes with --tls`);
    }
  }
}

function taskOf(line: SendLine): Task {
  const { values, given } = line;
  const repeat = repeatFlag(line);
  for (const flag of PING_FLAGS) {
    if (given.has(flag) && repeat !== "count") {
      throw new UsageError(`--${flag} goes with --count`);
    }
  }
  const load = LOAD_FLAGS.map((flag) => `--${flag}`).join(", ");
  for (const flag of LOAD_ALONE_FLAGS) {
    const isLoad = repeat !== undefined && repeat !== "count";
    if (given.has(flag) && !isLoad) {
      throw new UsageError(`--${flag} goes with ${load}`);
    }
  }
  for (const flag of REPEAT_FLAGS) {
    if (given.has(flag) && repeat === undefined) {
      throw new UsageError(`--${flag} goes with --count, ${load}`);
    }
  }
  if (repeat === undefined) {
    const payload = payloadOf(line);
    if (values.udp) checkDatagram(payload);
    return { kind: "once", payload };
  }
  const message = messageOf(line, repeat);
  if (values.udp) checkDatagramBytes(message);
  if (repeat === "count") {
    return {
      kind: "ping",
      message,
      count: values.count || Infinity,
      intervalMs: values.interval,
      reconnect: values.reconnect,
    };
  }
  return {
    kind: "load",
    message,
    connections: values.connections,
    durationMs: values.duration,
    ratePerSecond: given.has("rate") ? values.rate : undefined,
    threads: threadsOf(line),
    ...(given.has("start-at") && { startAt: values["start-at"] }),
  };
}

/** Each thread needs a connection. */
function threadsOf({ values }: SendLine): number {
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

type RepeatFlag = "count" | typeof LOAD_FLAGS[number];

/** Returns the flag that asks to send again and again, if one does. */
function repeatFlag({ given }: SendLine): RepeatFlag | undefined {
  const loadFlag = LOAD_FLAGS.find((flag) => given.has(flag));
  if (!given.has("count")) return loadFlag;
  if (loadFlag) {
    throw new UsageError(`--count and --${loadFlag} exclude each other`);
  }
  return "count";
}

/** What is sent again and again must be in memory, and prove something. */
function messageOf(line: SendLine, repeat: RepeatFlag): ProbeMessage {
  const { values, given, operands, afterDashes } = line;
  const isOurs = !given.has("size") && operands.length === 0 &&
    afterDashes.length === 0;
  if (isOurs) return DEFAULT_MESSAGE_BYTES;
  const payload = payloadOf(line);
  switch (payload.kind) {
    case "stdin":
      throw new UsageError(`--${repeat} and - exclude each other`);
    case "generated":
      return checkSize(payload.size, values.connections, repeat);
    case "message":
      if (payload.bytes.length > 0) return payload.bytes;
      throw new UsageError(
        `--${repeat} and an empty MESSAGE exclude each other: ` +
          "it proves nothing",
      );
  }
}

/** A datagram has a length, and no more than so many bytes. */
function checkDatagram(payload: Payload): void {
  switch (payload.kind) {
    case "stdin":
      throw new UsageError(
        "--udp and - exclude each other: a stream is for TCP",
      );
    case "generated":
      return checkDatagramBytes(payload.size);
    case "message":
      return checkDatagramBytes(payload.bytes);
  }
}

function checkDatagramBytes(message: ProbeMessage): void {
  const isSize = typeof message === "number";
  const bytes = isSize ? message : message.length;
  if (bytes <= MAX_DATAGRAM_BYTES) return;
  throw new UsageError(
    `${isSize ? "--size" : "MESSAGE"} with --udp is at most ` +
      `${MAX_DATAGRAM_BYTES} B, as a datagram is: it has ${bytes}`,
  );
}

function checkSize(
  size: number,
  connections: number,
  repeat: RepeatFlag,
): number {
  const mostEach = Math.floor(MAX_MESSAGES_BYTES / connections);
  const most = Math.min(MAX_MESSAGE_BYTES, mostEach);
  if (size <= most) return size;
  const many = most === mostEach ? ` and ${connections} connections` : "";
  throw new UsageError(
    `--size with --${repeat}${many} is at most ${formatBytes(most)}`,
  );
}

function payloadOf(
  { values, given, operands, afterDashes }: SendLine,
): Payload {
  const words = [...operands, ...afterDashes];
  const isStdin = operands[0] === "-";
  if (isStdin && words.length > 1) {
    throw new UsageError(
      "- streams stdin and takes no other MESSAGE; send it as text after --",
    );
  }
  if (given.has("size")) {
    if (words.length === 0) return { kind: "generated", size: values.size };
    throw new UsageError(
      `--size and ${isStdin ? "-" : "MESSAGE"} exclude each other`,
    );
  }
  if (isStdin) return { kind: "stdin" };
  const text = words.length > 0 ? words.join(" ") : DEFAULT_MESSAGE;
  return { kind: "message", bytes: encode(text) };
}
