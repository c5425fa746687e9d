/**
 * The messages between the command and the threads that serve for it.
 *
 * @module
 */

import { type Failure, isNetworkError, withFields } from "../../net/errors.ts";
import type { ServeOptions, ServeStats } from "../../server.ts";
import type { LogStyle } from "./log.ts";

/** A message to a worker. */
export type ToWorker =
  | { type: "serve"; options: ServeOptions; log: LogStyle }
  | { type: "log written"; isOpen: boolean; lost: number }
  | { type: "count open" }
  | { type: "count all" }
  | { type: "shutdown" }
  | { type: "stop" };

/** A message from a worker. */
export type FromWorker =
  | { type: "listening"; addr: Deno.NetAddr }
  | { type: "log"; lines: Uint8Array }
  | { type: "open"; count: number }
  | { type: "stats"; stats: ServeStats }
  | { type: "taken" }
  | { type: "finished"; stats: ServeStats }
  | { type: "failed"; error: SentError };

/** What crosses from one thread to another of an error. */
export interface SentError {
  /** The error's name. */
  readonly name: string;
  /** The error's message. */
  readonly message: string;
  /** The fields of an error of this project. */
  readonly failure?: Failure;
}

/**
 * Takes what may cross to another thread out of an error.
 *
 * @param error What was thrown.
 * @returns The parts of it.
 */
export function toSent(error: unknown): SentError {
  if (!(error instanceof Error)) return { name: "Error", message: `${error}` };
  const { name, message } = error;
  if (!isNetworkError(error)) return { name, message };
  const { operation, address, reason, detail } = error;
  return { name, message, failure: { operation, address, reason, detail } };
}

/**
 * Makes an error of what crossed from another thread.
 *
 * @param sent The parts of the error.
 * @returns An error with the same name, message and fields.
 */
export function fromSent({ name, message, failure }: SentError): Error {
  const error = Object.assign(new Error(message), { name });
  return failure ? withFields(error, failure) : error;
}
