/**
 * One of the threads of `echo serve --workers`: a server of its own on the port
 * that it shares with the others.
 *
 * @module
 */

import { type EchoServer, serve } from "../server.ts";
import { EventLog } from "./log.ts";
import type { FromWorker, ToWorker } from "./worker_messages.ts";

const scope = globalThis as unknown as {
  postMessage(message: FromWorker): void;
  onmessage: (event: MessageEvent<ToWorker>) => void;
};

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

async function run(
  { options, log: style }: Extract<ToWorker, { type: "serve" }>,
): Promise<void> {
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
}

function fail(error: unknown): void {
  const { name, message } = error instanceof Error
    ? error
    : new Error(String(error));
  scope.postMessage({ type: "failed", name, message });
}

// The command reports it in a line; by itself the runtime prints the stack.
addEventListener("error", (event) => {
  event.preventDefault();
  fail(event.error);
});
addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  fail(event.reason);
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
