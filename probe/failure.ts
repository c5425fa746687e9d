/**
 * How a message may be lost.
 *
 * @module
 */

import { type Reason, reasonOf } from "../net/errors.ts";

/** The reasons that reports tell apart. */
const FAILURE_REASONS = [
  "refused",
  "timeout",
  "reset",
  "closed",
  "mismatch",
] as const satisfies readonly Reason[];

/**
 * Why a message was lost: `refused` when nothing listened, `timeout` when no
 * connection or no reply came in time, `reset` when the connection broke,
 * `closed` when the server ended it, `mismatch` when other bytes came back,
 * `error` for anything else.
 */
export type FailureReason = typeof FAILURE_REASONS[number] | "error";

/**
 * Tells why a message was lost.
 *
 * @param error What sending it threw.
 * @returns The reason.
 */
export function failureReason(error: unknown): FailureReason {
  const reason = reasonOf(error);
  return FAILURE_REASONS.find((known) => known === reason) ?? "error";
}
