/**
 * The tool, and what programs import of it: an echo server, and a client that checks
 * every byte that comes back.
 *
 * @example Both ends
 * ```ts
 * import { connect, serve } from "@echo/echo";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = serve({ port: 0 });
 * await using client = await connect({ port: server.addr.port });
 * const { bytes } = await client.echo(new TextEncoder().encode("hello"));
 * assertEquals(bytes, 5);
 * ```
 *
 * @module
 */

import {
  type Command,
  COMMON_FLAGS,
  printLine,
  PROGRAM,
  runCommonFlags,
} from "./cli/command.ts";
import {
  nearestName,
  parseCommandLine,
  renderFlags,
  UsageError,
} from "./cli/flags.ts";
import {
  OutputClosedError,
  processTerminal,
  type Terminal,
} from "./cli/terminal.ts";
import type {
  ConnectOptions,
  EchoClient,
  UdpClient,
  UdpConnectOptions,
} from "./client.ts";
import type { Address } from "./net/address.ts";
import { DEFAULT_HOSTNAME, DEFAULT_PORT } from "./net/defaults.ts";
import { isNetworkError, type Operation, type Reason } from "./net/errors.ts";
import { escapeText, escapeUnprintable } from "./net/text.ts";
import type { EchoServer, ServeOptions, ServerTls } from "./server.ts";
import type { SelfSignedOptions } from "./server/self_signed.ts";

export type * from "./client.ts";
export type * from "./server.ts";
export type { SelfSignedOptions };

/** The commands: each is loaded when it is asked for. */
const COMMANDS: Record<string, [about: string, () => Promise<Command>]> = {
  serve: [
    "send back every byte",
    async () => (await import("./cli/serve/command.ts")).serveCommand,
  ],
  send: [
    "send one message or a stream, and check what comes back",
    async () => (await import("./cli/send/command.ts")).sendCommand,
  ],
  ping: [
    "send a message at every interval",
    async () => (await import("./cli/ping/command.ts")).pingCommand,
  ],
  load: [
    "send many messages over many connections",
    async () => (await import("./cli/load/command.ts")).loadCommand,
  ],
  report: [
    "make one report of the results of many loads",
    async () => (await import("./cli/report/command.ts")).reportCommand,
  ],
};

/** What commands were called before. */
const FORMER: Record<string, string> = { merge: "report" };

const ABOUT = `\
An echo server, and a client that checks every byte that comes back.

Usage: ${PROGRAM} <COMMAND> [OPTIONS]

Commands:
${
  Object.entries(COMMANDS)
    .map(([name, [about]]) => `  ${name.padEnd(6)}  ${about}`).join("\n")
}

Options:
${renderFlags(COMMON_FLAGS)}

More on a command: ${PROGRAM} help <COMMAND>`;

const UNREACHABLE = "check the address, and this machine's routes and firewall";

/** What to try, by what failed and why; `SERVE` is the command that serves there. */
const HINTS: Partial<Record<Operation, Partial<Record<Reason, string>>>> = {
  connect: {
    tls_untrusted: "trust it, or its authority's, with: --tls-ca <FILE>",
    tls_wrong_name: "say which of its names is meant with --tls-name",
    tls_expired: "renew it on the server, and check this machine's clock",
    tls_not_yet_valid: "check this machine's clock, and the server's",
    tls_authority:
      "give the server one of its own that this authority signed (CA:FALSE)",
    tls_not_spoken: "does the server speak TLS on that port? leave out --tls",
    refused: "is a server running there? start one with: SERVE",
    timeout: "check the host and the port, or wait longer with --timeout",
    unreachable: UNREACHABLE,
    dns: "check the name",
  },
  send: { unreachable: UNREACHABLE },
  listen: {
    address_in_use: "choose another with --port",
    no_such_address: "choose one of its own with --host",
    permission_denied:
      "ports below 1024 need privileges, choose another with --port",
    dns: "check the name",
  },
};

/**
 * Runs the tool. Returns the exit status: 0 if all went well, 1 if not, 2 if the
 * command line is wrong. Errors become a line on stderr.
 *
 * @ignore The command line is not for programs.
 */
export async function main(
  args: readonly string[],
  terminal: Terminal = processTerminal(),
): Promise<number> {
  try {
    return await run(args, terminal);
  } catch (error) {
    if (error instanceof OutputClosedError) return 1;
    await printLine(terminal.stderr, `echo: ${describe(error)}`).catch(
      () => {},
    );
    return error instanceof UsageError ? 2 : 1;
  }
}

async function run(
  args: readonly string[],
  terminal: Terminal,
): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined) {
    await printLine(terminal.stderr, ABOUT);
    return 2;
  }
  const names = Object.keys(COMMANDS);
  if (name === "version") return await run(["--version", ...rest], terminal);
  if (name === "help") {
    const [topic, ...more] = rest;
    return await run(
      topic === undefined ? ["--help"] : [
        ...[topic, "--help", ...more],
      ],
      terminal,
    );
  }
  if (Object.hasOwn(COMMANDS, name)) {
    const [, load] = COMMANDS[name]!;
    return await (await load()).run(rest, terminal);
  }
  if (name.startsWith("-")) {
    const misplaced = names.find((name) => rest.includes(name));
    if (misplaced) {
      throw new UsageError(
        `flags go after the command: ${PROGRAM} ${misplaced}`,
      );
    }
    const line = parseCommandLine(args, COMMON_FLAGS);
    const status = await runCommonFlags(line.values, terminal, () => ABOUT);
    if (status !== undefined) return status;
  }
  const former = Object.hasOwn(FORMER, name) ? FORMER[name] : undefined;
  const nearest = nearestName(name, names);
  throw new UsageError(
    `unknown command "${escapeText(name)}", ` +
      (former
        ? `it is ${PROGRAM} ${former} now`
        : nearest
        ? `did you mean ${nearest}?`
        : `expected ${names.slice(0, -1).join(", ")} or ${names.at(-1)}`),
  );
}

/** Renders an error as one line, with what to try if that is known. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const message = escapeUnprintable(error.message.replaceAll("\n", " "));
  const hint = isNetworkError(error) &&
    HINTS[error.operation]?.[error.reason];
  if (!hint) return message;
  return `${message}, ${hint.replace("SERVE", serveAt(error.address))}`;
}

/** The command that starts a server at an address. */
function serveAt({ hostname, port, transport }: Address): string {
  return [
    `${PROGRAM} serve`,
    ...(hostname === DEFAULT_HOSTNAME ? [] : ["-H", hostname]),
    ...(port === DEFAULT_PORT ? [] : ["-p", port]),
    ...(transport === "tcp" ? [] : [`--${transport}`]),
  ].join(" ");
}

/** As the tool, this loads what a command needs, when it needs it. */
const server = import.meta.main ? undefined : await import("./server.ts");

/**
 * Starts an echo server, as `serve()` of `@echo/echo/server` does.
 *
 * @param options Where to listen, limits and callbacks.
 * @returns The server, which listens already.
 */
export function serve(options: ServeOptions = {}): EchoServer {
  return server!.serve(options);
}

/**
 * Connects to an echo server, as `connect()` of `@echo/echo/client` does.
 *
 * @param options Where to connect to, timeouts and a signal.
 * @returns The connected client.
 */
export async function connect(
  options: ConnectOptions = {},
): Promise<EchoClient> {
  return await (await import("./client.ts")).connect(options);
}

/**
 * Opens a UDP socket to an echo server, as `connectUdp()` of `@echo/echo/client` does.
 *
 * @param options Where to send to, a timeout and a signal.
 * @returns The client.
 */
export async function connectUdp(
  options: UdpConnectOptions = {},
): Promise<UdpClient> {
  return await (await import("./client.ts")).connectUdp(options);
}

/**
 * Makes a certificate for a test server, as `selfSigned()` of
 * `@echo/echo/self-signed` does.
 *
 * @param options What the certificate says.
 * @returns The certificate and its key.
 */
export async function selfSigned(
  options: SelfSignedOptions = {},
): Promise<ServerTls> {
  return await (await import("./server/self_signed.ts")).selfSigned(options);
}

if (import.meta.main) Deno.exit(await main(Deno.args));
