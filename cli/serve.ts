/**
 * `echo serve`: the server in a terminal.
 *
 * @module
 */

import { DEFAULT_HOSTNAME, DEFAULT_PORT } from "../net.ts";
import { serve } from "../server.ts";
import { type Command, makeCommand } from "./command.ts";
import {
  type Flags,
  parseHost,
  parseTime,
  parseWhole,
  switchFlag,
  UsageError,
} from "./flags.ts";
import { escapeText } from "./format.ts";
import { LineLog, type LogEvent, renderJson, renderText } from "./log.ts";
import type { Terminal } from "./terminal.ts";

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
  "drain-timeout": {
    value: "TIME",
    help: "on SIGINT or SIGTERM let open connections finish for TIME",
    default: 5000,
    defaultText: "5s",
    parse: (text: string) => parseTime(text),
  },
  json: switchFlag("log as JSON lines"),
  quiet: switchFlag("log nothing", "q"),
} satisfies Flags;

interface Options {
  readonly listen: { hostname: string; port: number; once: boolean };
  readonly drainTimeoutMs: number;
  readonly log: "text" | "json" | "none";
}

/** The command `echo serve`. */
export const serveCommand: Command = makeCommand({
  name: "serve",
  about: "Accept TCP connections and send back every byte",
  synopsis: "[OPTIONS]",
  flags: FLAGS,
  options({ values, words, rest }): Options {
    const [word] = [...words, ...rest];
    if (word !== undefined) {
      const port = /^\d+$/.test(word) ? `, did you mean --port ${word}?` : "";
      throw new UsageError(
        `serve takes no argument "${escapeText(word)}"${port}`,
      );
    }
    return {
      listen: { hostname: values.host, port: values.port, once: values.once },
      drainTimeoutMs: values["drain-timeout"],
      log: values.quiet ? "none" : values.json ? "json" : "text",
    };
  },
  run,
});

async function run(
  { listen, drainTimeoutMs, log: style }: Options,
  terminal: Terminal,
): Promise<number> {
  const startedAt = performance.now();
  const isJson = style === "json";
  const render = (event: LogEvent) =>
    isJson ? renderJson(event, terminal.now()) : renderText(event);
  const lines = new LineLog(
    terminal.stdout,
    (lines) => render({ type: "left_out", lines }),
  );
  const log = (event: LogEvent) => {
    if (style !== "none") lines.add(render(event));
  };

  const stopNow = new AbortController();
  const server = serve({
    ...listen,
    drainTimeoutMs,
    signal: stopNow.signal,
    onListen: (addr) => log({ type: "listening", addr }),
    ...(style !== "none" && { onEvent: log }),
  });
  let isStopping = false;
  using _ = terminal.onStopSignal(() => {
    if (isStopping) return stopNow.abort();
    isStopping = true;
    log({ type: "shutdown", open: server.stats.open, drainTimeoutMs });
    server.shutdown();
  });
  await server.finished;

  const durationMs = performance.now() - startedAt;
  log({ type: "stopped", stats: server.stats, durationMs });
  await lines.flush();
  return stopNow.signal.aborted ? 130 : 0;
}
