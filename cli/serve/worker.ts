/**
 * One of the threads of `echo serve --workers`: a server of its own on the port
 * that it shares with the others.
 *
 * @module
 */

import { type EchoServer, serve } from "../../server.ts";
import { EventLog } from "./log.ts";
import { type FromWorker, toSent, type ToWorker } from "./worker_messages.ts";

/** The global scope of a worker. */
interface WorkerScope extends EventTarget {
  postMessage(message: FromWorker): void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
}

/** Serves as the command says, and tells it what happens. */
function startWorker(scope: WorkerScope): void {
  const stopNow = new AbortController();
  let server: EchoServer | undefined;
  let logWritten: ((isOpen: boolean) => void) | undefined;

  /** Hands lines to the command, one batch at a time. */
  const logWriter = {
    async write(lines: Uint8Array): Promise<number> {
      scope.postMessage({ type: "log", lines });
      const isOpen = await new Promise<boolean>((resolve) =>
        logWritten = resolve
      );
      if (!isOpen) throw new Error("the log is closed");
      return lines.length;
    },
  };

  const run = async (
    { options, log: style }: Extract<ToWorker, { type: "serve" }>,
  ) => {
    const log = new EventLog(logWriter, style, () => new Date());
    server = serve({
      ...options,
      signal: stopNow.signal,
      ...(style !== "none" && { onEvent: (event) => log.add(event) }),
    });
    scope.postMessage({ type: "listening", addr: server.addr });
    await server.finished;
    await log.flush();
    scope.postMessage({ type: "finished", stats: server.stats });
  };

  const fail = (error: unknown) =>
    scope.postMessage({ type: "failed", error: toSent(error) });
  // The command reports errors in a line; the runtime would print the stack.
  scope.addEventListener("error", (event) => {
    event.preventDefault();
    fail((event as ErrorEvent).error);
  });
  scope.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    fail((event as PromiseRejectionEvent).reason);
  });

  scope.onmessage = ({ data: message }) => {
    switch (message.type) {
      case "serve":
        run(message).catch(fail);
        break;
      case "log written":
        logWritten?.(message.isOpen);
        break;
      case "count open":
        scope.postMessage({ type: "open", count: server?.stats.open ?? 0 });
        break;
      case "shutdown":
        server?.shutdown();
        break;
      case "stop":
        stopNow.abort();
        break;
    }
  };
}

startWorker(globalThis as unknown as WorkerScope);
