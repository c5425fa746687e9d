/**
 * The terminal as the commands see it. Nothing else touches the standard
 * streams, signals or the wall clock, so a test runs a whole command in-process
 * with a terminal of its own.
 *
 * @module
 */

import { type Reader, reasonOf, type Writer } from "../net.ts";

/** What a command needs of the process it runs in. */
export interface Terminal {
  /** Standard input. */
  readonly stdin: Reader;
  /** Standard output: the result. */
  readonly stdout: Writer;
  /** Standard error: the talk. */
  readonly stderr: Writer;

  /** The time of day. */
  now(): Date;

  /**
   * Calls a function on each SIGINT (Ctrl-C) and each request to terminate,
   * which then no longer end the process.
   *
   * @param listener What to call.
   * @returns Disposing of it lets the signals end the process again.
   */
  onStopSignal(listener: () => void): Disposable;
}

/** The reader of the result went away, as `head` does when it has enough. */
export class OutputClosedError extends Error {
  /** The error's name, `OutputClosedError`. */
  override readonly name = "OutputClosedError";
}

/**
 * The terminal of this process.
 *
 * @returns Its streams, whose errors say which stream failed, and its signals.
 */
export function processTerminal(): Terminal {
  return {
    stdin: {
      read: (p) =>
        Deno.stdin.read(p).catch((error) => {
          throw new Error(`Cannot read stdin: ${reasonOf(error)}`);
        }),
    },
    stdout: {
      write: (p) =>
        Deno.stdout.write(p).catch((error) => {
          throw error instanceof Deno.errors.BrokenPipe
            ? new OutputClosedError("Cannot write to stdout: it was closed")
            : new Error(`Cannot write to stdout: ${reasonOf(error)}`);
        }),
    },
    stderr: Deno.stderr,
    now: () => new Date(),
    onStopSignal(listener) {
      // Windows has no SIGTERM; SIGBREAK is its Ctrl-Break and its closed console.
      const terminate = Deno.build.os === "windows" ? "SIGBREAK" : "SIGTERM";
      const signals = ["SIGINT", terminate] as const;
      for (const signal of signals) Deno.addSignalListener(signal, listener);
      return {
        [Symbol.dispose]() {
          for (const signal of signals) {
            Deno.removeSignalListener(signal, listener);
          }
        },
      };
    },
  };
}
