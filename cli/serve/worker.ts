/**
 * One of the threads of `echo serve --workers`: a server of its own on the port
 * that it shares with the others.
 *
 * @module
 */

import type { EchoServer, ServeEvent } from "../../server.ts";
import { startServer } from "../../server/echo_server.ts";
import { reportErrors, toSent } from "../thread_errors.ts";
import { EventLog, type LogOutput } from "./log.ts";
import { warmUp } from "./running_server.ts";
import { NO_STATS } from "./stats.ts";
import type { FromWorker, ToWorker } from "./worker_messages.ts";

/** The global scope of a worker. */
interface WorkerScope extends EventTarget {
  postMessage(message: FromWorker): void;
  close(): void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
}

/** What the command says when it wrote a batch, or cannot write any more. */
type LogWritten = Extract<ToWorker, { type: "log written" }>;

/** Hands the lines of a log to the command, one batch at a time. */
class PostedLog implements LogOutput {
  readonly #scope: WorkerScope;
  #written = Promise.withResolvers<LogWritten>();

  constructor(scope: WorkerScope) {
    this.#scope = scope;
  }

  async write(lines: Uint8Array): Promise<number> {
    this.#written = Promise.withResolvers();
    this.#scope.postMessage({ type: "log", lines });
    const { isOpen, lost } = await this.#written.promise;
    if (!isOpen) throw new Error("the log is closed");
    return lost;
  }

  /** Takes note of what became of the last batch. */
  written(message: LogWritten): void {
    this.#written.resolve(message);
  }
}

/** Serves as the command says, and tells it what happens. */
function startWorker(scope: WorkerScope): void {
  const stopNow = new AbortController();
  const out = new PostedLog(scope);
  let server: EchoServer | undefined;
  let isEnding = false;

  const run = async (
    { options, log: style }: Extract<ToWorker, { type: "serve" }>,
  ) => {
    const log = new EventLog(out, style, () => new Date());
    const onEvent = (event: ServeEvent) => {
      const isTaken = event.type === "open" ||
        event.type === "handshake_failed";
      if (options.once && isTaken) {
        scope.postMessage({ type: "taken" });
      }
      log.add(event);
    };
    const hasEvents = style !== "none" || options.once;
    {
      await using _warm = await warmUp(options, style);
      server = startServer({
        ...options,
        signal: stopNow.signal,
        ...(hasEvents && { onEvent }),
      }, options.shared);
      scope.postMessage({ type: "listening", addr: server.addr });
    }
    if (isEnding) server.shutdown();
    await server.finished;
    await log.flush();
    scope.postMessage({ type: "finished", stats: server.stats() });
  };

  const fail = (error: unknown) => {
    const stats = server?.stats();
    scope.postMessage({ type: "failed", error: toSent(error), stats });
    // Its slots are free now: it must not serve on until the command ends it.
    scope.close();
  };
  reportErrors(scope, fail);
  scope.onmessage = ({ data: message }) => {
    switch (message.type) {
      case "serve":
        run(message).catch(fail);
        break;
      case "log written":
        out.written(message);
        break;
      case "count all":
        scope.postMessage({
          type: "stats",
          stats: server?.stats() ?? NO_STATS,
        });
        break;
      case "shutdown":
        isEnding = true;
        server?.shutdown();
        break;
      case "stop":
        stopNow.abort();
        break;
    }
  };
}

startWorker(globalThis as unknown as WorkerScope);
