/**
 * The messages between the command and the threads that serve for it.
 *
 * @module
 */

import type { ServeOptions, ServeStats } from "../../server.ts";
import type { SharedCounts } from "../../server/slots.ts";
import type { SentError } from "../thread_errors.ts";
import type { LogStyle } from "./log.ts";

/** What a worker serves, and the counters that it shares with others. */
export type WorkerOptions = ServeOptions & { shared?: SharedCounts };

/** A message to a worker. */
export type ToWorker =
  | { type: "serve"; options: WorkerOptions; log: LogStyle }
  | { type: "log written"; isOpen: boolean; lost: number }
  | { type: "count all" }
  | { type: "shutdown" }
  | { type: "stop" };

/** A message from a worker. */
export type FromWorker =
  | { type: "listening"; addr: Deno.NetAddr }
  | { type: "log"; lines: Uint8Array }
  | { type: "stats"; stats: ServeStats }
  | { type: "taken" }
  | { type: "finished"; stats: ServeStats }
  | { type: "failed"; error: SentError; stats?: ServeStats | undefined };
