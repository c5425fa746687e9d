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
  /** Whether standard output is a terminal. */
  readonly isStdoutTerminal: boolean;
  /** Whether standard error is a terminal. */
  readonly isStderrTerminal: boolean;
  /** How many characters fit on a line of stdout; 80 if that is not known. */
  readonly columns: number;
  /** How many characters fit on a line of stderr; 80 if that is not known. */
  readonly stderrColumns: number;
  /** Whether the user wants colors: `NO_COLOR` is not set, and `TERM` is not `dumb`. */
  readonly hasColor: boolean;

  /** The time of day. */
  now(): Date;

  /**
   * Reads a file that a flag names.
   *
   * @param path The file.
   * @param mostBytes The most bytes that it may have, a mebibyte by default.
   * @returns What it holds.
   * @throws {Error} If it cannot be read, or is longer.
   */
  readFile(path: string, mostBytes?: number): Promise<Uint8Array>;

  /**
   * Gives up the right to read files, for good. From source Deno needs it to start a
   * thread, and the user says what is allowed: there it stays.
   */
  endReading(): Promise<void>;

  /**
   * Calls a function on each SIGINT (Ctrl-C), on each request to terminate and when
   * the terminal is closed, none of which then ends the process.
   *
   * @param listener What to call.
   * @returns Disposing of it lets the signals end the process again.
   */
  onStopSignal(listener: () => void): Disposable;

  /**
   * Calls a function on each SIGQUIT (Ctrl-\\) and SIGUSR1, which then do not end the
   * process. Windows has no such signals.
   *
   * @param listener What to call.
   * @returns Disposing of it lets the signal end the process again.
   */
  onStatusSignal(listener: () => void): Disposable;
}

/** The width of a terminal whose size is not known. */
const DEFAULT_COLUMNS = 80;

/** The pause before a stream that was not ready is tried again, in milliseconds. */
const WOULD_BLOCK_PAUSE_MS = 5;

/** The signals that end a command in good order. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** The same on Windows, where SIGBREAK is Ctrl-Break and a closed console. */
const WINDOWS_SIGNALS = ["SIGINT", "SIGBREAK"] as const;

/** A signal that comes again within this time is the same one, in milliseconds. */
const REPEATED_SIGNAL_MS = 50;

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
    isStdoutTerminal: Deno.stdout.isTerminal(),
    isStderrTerminal: Deno.stderr.isTerminal(),
    get columns() {
      return columnsOf(Deno.stdout);
    },
    get stderrColumns() {
      return columnsOf(Deno.stderr);
    },
    get hasColor() {
      return !Deno.noColor && !isDumb();
    },
    now: () => new Date(),
    readFile,
    async endReading() {
      if (!Deno.build.standalone) return;
      await Deno.permissions.revoke({ name: "read" });
    },
    onStopSignal(listener) {
      return listen(isWindows() ? WINDOWS_SIGNALS : SIGNALS, listener);
    },
    onStatusSignal(listener) {
      return listen(isWindows() ? [] : ["SIGQUIT", "SIGUSR1"], listener);
    },
  };
}

function columnsOf(stream: { isTerminal(): boolean }): number {
  // The size is that of any standard stream; a terminal that nobody told it has 0 columns.
  return stream.isTerminal() && Deno.consoleSize().columns || DEFAULT_COLUMNS;
}

/** The executable has the right to read TERM. Without it, reading would ask the user. */
function isDumb(): boolean {
  const variable = "TERM";
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  return state === "granted" && Deno.env.get(variable) === "dumb";
}

/** The most bytes of a file that a flag names: a hundred certificates and more. */
const MOST_FILE_BYTES = 1024 * 1024;

function concat(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

async function readFile(
  path: string,
  mostBytes = MOST_FILE_BYTES,
): Promise<Uint8Array> {
  // Without the right to it, reading would ask the user.
  const { state } = await Deno.permissions.query({ name: "read", path });
  if (state !== "granted") throw new Deno.errors.NotCapable("no right to read");
  using file = await Deno.open(path);
  const { isDirectory } = await file.stat();
  if (isDirectory) throw new Deno.errors.IsADirectory("it is a directory");
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of file.readable) {
    length += piece.length;
    if (length > mostBytes) {
      throw new Error(`it is longer than ${mostBytes / 1024 ** 2} MiB`);
    }
    pieces.push(piece);
  }
  return concat(pieces, length);
}

function isWindows(): boolean {
  return Deno.build.os === "windows";
}

function listen(
  signals: readonly Deno.Signal[],
  listener: () => void,
): Disposable {
  const listeners = signals
    .map((signal) => [signal, oncePerPress(listener)] as const);
  for (const it of listeners) Deno.addSignalListener(...it);
  return {
    [Symbol.dispose]() {
      for (const it of listeners) Deno.removeSignalListener(...it);
    },
  };
}

/**
 * Calls a function when a signal comes, but not when it is repeated at once. Under
 * `deno task` one Ctrl-C is two signals: one of the terminal, which sends it to all
 * processes, and one of `deno task`, which passes on its own.
 */
function oncePerPress(listener: () => void): () => void {
  let last = -Infinity;
  return () => {
    const now = performance.now();
    if (now - last >= REPEATED_SIGNAL_MS) listener();
    last = now;
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
