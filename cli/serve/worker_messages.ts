/**
 * What the command and the threads that serve for it say to each other.
 *
 * @module
 */

import type { ServeOptions, ServeStats } from "../server.ts";
import type { LogStyle } from "./log.ts";

/** What a worker is told. */
export type ToWorker =
  | { type: "serve"; options: ServeOptions; log: LogStyle }
  | { type: "log written"; isOpen: boolean }
  | { type: "count open" }
  | { type: "shutdown" }
  | { type: "stop" };

/** What a worker tells. */
export type FromWorker =
  | { type: "listening"; addr: Deno.NetAddr }
  | { type: "log"; lines: Uint8Array }
  | { type: "open"; count: number }
  | { type: "finished"; stats: ServeStats }
  | { type: "failed"; name: string; message: string };
