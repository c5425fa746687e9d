/**
 * The terminal as the commands see it. Nothing else touches the standard
 * streams, signals or the wall clock, so a test runs a whole command in-process
 * with a terminal of its own.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import { describeError } from "../net/errors.ts";
import type { Reader, Writer } from "../net/streams.ts";

/** What a command needs of the process it runs in. */
export interface Terminal {
  /** Standard input. */
  readonly stdin: Reader;
  /** Standard output: the result. */
  readonly stdout: Writer;
  /** Standard error: the talk. Writing to it never fails. */
  readonly stderr: Writer;
  /** Whether standard error is a terminal. */
  readonly isStderrTerminal: boolean;
  /** How many characters fit on a line of stdout; 80 if it is no terminal. */
  readonly columns: number;

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

/** The pause before a stream that was not ready is tried again, in milliseconds. */
const WOULD_BLOCK_PAUSE_MS = 5;

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
        whenReady(() => Deno.stdin.read(p)).catch((error) => {
          throw new Error(`Cannot read stdin: ${describeError(error)}`);
        }),
    },
    stdout: {
      write: (p) =>
        whenReady(() => Deno.stdout.write(p)).catch((error) => {
          throw error instanceof Deno.errors.BrokenPipe
            ? new OutputClosedError("Cannot write to stdout: it was closed")
            : new Error(`Cannot write to stdout: ${describeError(error)}`);
        }),
    },
    stderr: {
      // Talk without a reader must not change the result.
      write: (p) => Deno.stderr.write(p).catch(() => p.length),
    },
    isStderrTerminal: Deno.stderr.isTerminal(),
    get columns() {
      return Deno.stdout.isTerminal() ? Deno.consoleSize().columns : 80;
    },
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

/**
 * Reads or writes a stream that the program at its other end may have made
 * non-blocking (`O_NONBLOCK` is the pipe's, not the process's).
 */
async function whenReady<T>(transfer: () => Promise<T>): Promise<T> {
  while (true) {
    try {
      return await transfer();
    } catch (error) {
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      await delay(WOULD_BLOCK_PAUSE_MS);
    }
  }
}
