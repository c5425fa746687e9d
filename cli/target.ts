import { DEFAULT_TIMEOUT_MS } from "../client/api.ts";
import type { Transport } from "../net/address.ts";
import { DEFAULT_HOSTNAME, DEFAULT_PORT } from "../net/defaults.ts";
import {
  type CommandLine,
  type Flags,
  switchFlag,
  UsageError,
} from "./flags.ts";
import type { Terminal } from "./terminal.ts";
import {
  parseFile,
  parseHost,
  parseHostPort,
  parseWhole,
  timeFlag,
} from "./values.ts";

/** Where a client connects, and how long it waits. */
export interface Target {
  /** What carries the messages. */
  readonly transport: Transport;
  /** The server's address or name. */
  readonly hostname: string;
  /** The server's port. */
  readonly port: number;
  /** Certificates that are also trusted, if TLS is spoken, in PEM. */
  readonly caCerts?: readonly string[];
  /** The name that the server's certificate must have, if it is not `hostname`. */
  readonly serverName?: string;
  /** The longest wait for the connection, a reply, or a stream's next byte, in milliseconds. */
  readonly timeoutMs: number;
  /** For how long the first connection is tried again, in milliseconds. */
  readonly retryMs: number;
}

/** How the result is printed. */
export interface Style {
  /** Whether it is printed as JSON. */
  readonly json: boolean;
  /** Whether the result is printed alone. */
  readonly quiet: boolean;
}

/** A target whose authority may still have to be read. */
export interface Targeted {
  readonly target: Target;
  /** The file with certificates that are also trusted, if one is named. */
  readonly caFile?: string;
}

/** The flags of every command that connects. */
export const TARGET_FLAGS = {
  port: {
    short: "p",
    value: "PORT",
    help: "connect to this port",
    default: DEFAULT_PORT,
    parse: (text: string) => parseWhole(text, 1, 65535),
  },
  udp: switchFlag("send datagrams, over UDP"),
  tls: switchFlag("speak TLS, and verify the server's certificate"),
  "tls-ca": {
    value: "FILE",
    help: "also trust this certificate (PEM)",
    default: "",
    parse: parseFile,
  },
  "tls-name": {
    value: "NAME",
    help: "the name that the certificate must have",
    default: "",
    defaultText: "HOST",
    parse: parseHost,
  },
  timeout: timeFlag({
    short: "t",
    help: "longest wait for a connection or a reply",
    default: DEFAULT_TIMEOUT_MS,
    min: 1,
  }),
  retry: timeFlag({
    help: "keep trying to reach the server for TIME",
    default: 0,
  }),
} satisfies Flags;

/** The flags of every command that connects, whatever it prints. */
export const STYLE_FLAGS = {
  deadline: timeFlag({
    short: "w",
    help: "stop after TIME, whatever is left to do",
    default: Infinity,
    defaultText: "",
    min: 1,
  }),
  json: switchFlag("print JSON"),
  quiet: switchFlag("print the result alone", "q"),
} satisfies Flags;

/** Reads where to connect from a command line. */
export function targetOf(
  { values, given }: CommandLine<typeof TARGET_FLAGS>,
  { hostname = DEFAULT_HOSTNAME, port = values.port }: {
    readonly hostname?: string;
    readonly port?: number | undefined;
  },
): Targeted {
  if (values.tls && values.udp) {
    throw new UsageError("--tls and --udp exclude each other: TLS is for TCP");
  }
  for (const flag of ["tls-ca", "tls-name"] as const) {
    if (given.has(flag) && !values.tls) {
      throw new UsageError(`--${flag} goes with --tls`);
    }
  }
  return {
    target: {
      transport: values.udp ? "udp" : values.tls ? "tls" : "tcp",
      ...{ hostname, port },
      timeoutMs: values.timeout,
      retryMs: values.retry,
      ...(given.has("tls-name") && { serverName: values["tls-name"] }),
    },
    ...(given.has("tls-ca") && { caFile: values["tls-ca"] }),
  };
}

/** What to say where --host is typed. */
export const HOST_HINT = "name the server as an argument: HOST[:PORT]";

/** Reads the one HOST[:PORT] among the arguments, if there is one. */
export function hostOperand(
  { operands, afterDashes }: CommandLine<Flags>,
): { hostname?: string; port?: number | undefined } {
  const [text, second] = [...operands, ...afterDashes];
  if (second !== undefined) {
    throw new UsageError(
      `one server at a time, HOST[:PORT]; a text to send goes to --message`,
    );
  }
  return text === undefined ? {} : parseHostPort(text);
}

/** Reads the certificates that are also trusted, if a file with them is named. */
export async function readTarget<T extends Targeted>(
  options: T,
  terminal: Terminal,
): Promise<T> {
  const { target, caFile } = options;
  if (caFile === undefined) return options;
  const { readCertificates } = await import("./tls_files.ts");
  const caCerts = await readCertificates("--tls-ca", caFile, terminal);
  return { ...options, target: { ...target, caCerts } };
}
