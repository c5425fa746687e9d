/**
 * Errors that cross from one thread to another.
 *
 * @module
 */

import { type Failure, isNetworkError, withFields } from "../net/errors.ts";

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

/**
 * Lets the command report errors in a line; the runtime would print the stack.
 *
 * @param scope The global scope of a worker.
 * @param report Called with each error that nothing caught.
 */
export function reportErrors(
  scope: EventTarget,
  report: (error: unknown) => void,
): void {
  scope.addEventListener("error", (event) => {
    event.preventDefault();
    report((event as ErrorEvent).error);
  });
  scope.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    report((event as PromiseRejectionEvent).reason);
  });
}
