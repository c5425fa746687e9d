import { ShortEchoError } from "../client.ts";
import {
  describeError,
  isNetworkError,
  type Reason,
  reasonOf,
} from "../net/errors.ts";

/** The reasons that reports tell apart. */
const FAILURE_REASONS = [
  "refused",
  "unreachable",
  "timeout",
  "reset",
  "closed",
  "mismatch",
  "dns",
  "tls",
] as const satisfies readonly Reason[];

/**
 * Why a message was lost: `refused` when nothing listened, `unreachable` when no
 * route led there, or one or a firewall forbade it, `timeout` when no connection or no
 * reply came in time, `reset` when the connection broke, `closed` when the server
 * ended it, `mismatch` when other bytes came back, `dns` when the server's name did
 * not resolve, `tls` when TLS failed, `unanswered` when it was still out at the end,
 * `error` for anything else.
 */
export type FailureReason =
  | typeof FAILURE_REASONS[number]
  | "unanswered"
  | "error";

/** Every reason. */
export const ALL_FAILURE_REASONS: readonly FailureReason[] = [
  ...FAILURE_REASONS,
  "unanswered",
  "error",
];

/** The run ended, and the message was still out. */
export class UnansweredError extends Error {
  /** The error's name, `UnansweredError`. */
  override readonly name = "UnansweredError";

  /** Makes the error and its message. */
  constructor() {
    super("No answer when the run ended");
  }
}

/** Tells why a message was lost. */
export function failureReason(error: unknown): FailureReason {
  if (error instanceof UnansweredError) return "unanswered";
  const reason = reasonOf(error);
  if (reason.startsWith("tls_")) return "tls";
  return FAILURE_REASONS.find((known) => known === reason) ?? "error";
}

/**
 * Tells whether a message could not leave, as of a client that stays open: the next
 * one would fail at once, too.
 */
export function couldNotLeave(error: unknown): boolean {
  return isNetworkError(error) && error.operation === "send";
}

/**
 * Whether a message found its connection cut, before anything of it could come back:
 * that was some time since the message before.
 */
export function isCut(error: unknown): boolean {
  return error instanceof ShortEchoError && error.sent === error.received;
}

/** Says why a message was lost, for a report that names the address already. */
export function detailOf(error: unknown): string {
  return isNetworkError(error) ? error.detail : describeError(error);
}
