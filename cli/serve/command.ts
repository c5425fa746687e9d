/**
 * `echo serve`: the server in a terminal.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import {
  DEFAULT_HOSTNAME,
  DEFAULT_PORT,
  writeAll,
  type Writer,
} from "../net.ts";
import type { ServeOptions } from "../server.ts";
import { type Command, makeCommand, printLine } from "./command.ts";
import {
  type Flags,
  parseHost,
  parseTime,
  parseWhole,
  switchFlag,
  UsageError,
} from "./flags.ts";
import { escapeText } from "./format.ts";
import { EventLog, type LogStyle } from "./log.ts";
import { OutputClosedError, type Terminal } from "./terminal.ts";
import {
  checkWorkers,
  serveHere,
  serveInWorkers,
  type Serving,
} from "./workers.ts";

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
  "idle-timeout": {
    value: "TIME",
    help: "close a connection that moved no byte for TIME",
    default: Infinity,
    defaultText: "never",
    parse: (text: string) => parseTime(text, 1),
  },
  "drain-timeout": {
    value: "TIME",
    help: "on SIGINT or SIGTERM let open connections finish for TIME",
    default: 5000,
    defaultText: "5s",
    parse: (text: string) => parseTime(text),
  },
  workers: {
    value: "N",
    help: "threads sharing the port; 0 is one a core (Linux)",
    default: 1,
    parse: (text: string) => parseWhole(text, 0, 256),
  },
  json: switchFlag("log as JSON lines"),
  quiet: switchFlag("log nothing", "q"),
} satisfies Flags;

const NOTES = `\
TIME is 250ms, 5s, 2m, 1h or plain seconds.

The log goes to stdout. SIGINT (Ctrl-C) or SIGTERM ends the server: exit status
0, or 130 when a second one stops it at once.`;

/** How long the log has left when the server is told to stop at once. */
const LAST_WORDS_MS = 50;

interface Options {
  readonly serve: ServeOptions;
  readonly workers: number;
  readonly drainTimeoutMs: number;
  readonly log: LogStyle;
}

/** The command `echo serve`. */
export const serveCommand: Command = makeCommand({
  name: "serve",
  about: "Accept TCP connections and send back every byte",
  synopsis: "[OPTIONS]",
  notes: NOTES,
  flags: FLAGS,
  options({ values, given, words, rest }): Options {
    const [word] = [...words, ...rest];
    if (word !== undefined) {
      const port = /^\d+$/.test(word) ? `, did you mean --port ${word}?` : "";
      throw new UsageError(
        `serve takes no argument "${escapeText(word)}"${port}`,
      );
    }
    const workers = values.workers || navigator.hardwareConcurrency;
    if (workers > 1) {
      checkWorkers();
      for (const flag of ["once", "max-connections"] as const) {
        if (!given.has(flag)) continue;
        throw new UsageError(
          `--workers and --${flag} exclude each other: ` +
            "workers do not count each other's connections",
        );
      }
    }
    const drainTimeoutMs = values["drain-timeout"];
    return {
      serve: {
        hostname: values.host,
        port: values.port,
        once: values.once,
        maxConnections: values["max-connections"],
        idleTimeoutMs: values["idle-timeout"],
        drainTimeoutMs,
      },
      workers,
      drainTimeoutMs,
      log: values.quiet ? "none" : values.json ? "json" : "text",
    };
  },
  run,
});

async function run(options: Options, terminal: Terminal): Promise<number> {
  const startedAt = performance.now();
  const { workers, drainTimeoutMs } = options;
  const out = logWriter(terminal);
  const log = new EventLog(out, options.log, () => terminal.now());

  let server: Serving | undefined;
  let signals = 0;
  const stoppedNow = Promise.withResolvers<void>();
  const stop = async () => {
    if (!server) return;
    if (signals > 1) {
      stoppedNow.resolve();
      return server.stop();
    }
    const open = await server.countOpen();
    log.add({ type: "shutdown", open, drainTimeoutMs });
    server.shutdown();
  };
  using _ = terminal.onStopSignal(() => {
    signals++;
    stop();
  });

  if (workers > 1) {
    // A worker may serve before the others listen, but has nothing to say yet.
    const listening = Promise.withResolvers<void>();
    const workersOut: Writer = {
      write: (p) => listening.promise.then(() => out.write(p)),
    };
    const { serve, log: style } = options;
    server = await serveInWorkers(workers, serve, style, workersOut);
    log.add({ type: "listening", addr: server.addr });
    await log.flush();
    listening.resolve();
  } else {
    const isQuiet = options.log === "none";
    server = serveHere(options.serve, isQuiet ? undefined : log);
    log.add({ type: "listening", addr: server.addr });
  }
  // The signal may have come while the workers started.
  if (signals > 0) stop();

  // At once is at once, whoever has not finished or does not read the log.
  const lastWords = stoppedNow.promise.then(() => delay(LAST_WORDS_MS));
  const stats = await Promise.race([server.finished, lastWords]);
  if (stats) {
    const durationMs = performance.now() - startedAt;
    log.add({ type: "stopped", stats, durationMs });
    await Promise.race([log.flush(), lastWords]);
  }
  return signals > 1 ? 130 : 0;
}

/**
 * Writes whole pieces in turn, whoever they come from. A full disk is said once
 * and costs what it costs; only a reader that is gone ends the log.
 */
function logWriter({ stdout, stderr }: Terminal): Writer {
  let last: Promise<unknown> = Promise.resolve();
  let hasFailed = false;
  const write = async (p: Uint8Array) => {
    try {
      await writeAll(stdout, p);
    } catch (error) {
      if (error instanceof OutputClosedError) throw error;
      if (!hasFailed) {
        await printLine(stderr, `echo: ${(error as Error).message}`);
      }
      hasFailed = true;
    }
    return p.length;
  };
  return {
    write(p) {
      const written = last.then(() => write(p));
      last = written.catch(() => {});
      return written;
    },
  };
}
