/**
 * How a message may be lost.
 *
 * @module
 */

import { MismatchError, ShortEchoError } from "../client.ts";
import { isReset } from "../net.ts";

/**
 * Why a message was lost: `refused` when nothing listened, `timeout` when no
 * connection or no reply came in time, `reset` when the connection broke,
 * `closed` when the server ended it, `mismatch` when other bytes came back,
 * `error` for anything else.
 */
export type FailureReason =
  | "refused"
  | "timeout"
  | "reset"
  | "closed"
  | "mismatch"
  | "error";

/**
 * Tells why a message was lost.
 *
 * @param error What sending it threw.
 * @returns The reason.
 */
export function failureReason(error: unknown): FailureReason {
  if (error instanceof MismatchError) return "mismatch";
  if (error instanceof ShortEchoError) {
    return error.cause === undefined ? "closed" : failureReason(error.cause);
  }
  if (error instanceof Deno.errors.ConnectionRefused) return "refused";
  if (error instanceof Deno.errors.TimedOut) return "timeout";
  return isReset(error) ? "reset" : "error";
}
