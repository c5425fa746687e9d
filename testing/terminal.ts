/**
 * A terminal in memory, to run a whole command in-process.
 *
 * @module
 */

import { OutputClosedError, type Terminal } from "../cli/terminal.ts";
import { main } from "../main.ts";
import type { Reader, Writer } from "../net/streams.ts";
import { GrowingText } from "./waiting.ts";

/** A command that runs, or ran, in a terminal in memory. */
export interface Session {
  /** Everything on stdout so far. */
  readonly stdout: string;
  /** Everything on stderr so far. */
  readonly stderr: string;
  /** The exit status, once it is known. */
  readonly status: Promise<number>;
  /** Acts as Ctrl-C. */
  interrupt(): void;
  /** Acts as Ctrl-\\. */
  askStatus(): void;
  /** Waits until stderr holds a match, and returns it. Throws if there is none. */
  untilStderr(pattern: RegExp): Promise<RegExpMatchArray>;
  /** Waits until stdout holds a match, and returns it. Throws if there is none. */
  untilStdout(pattern: RegExp): Promise<RegExpMatchArray>;
}

/** How the terminal of {@linkcode run} differs from an empty one. */
export interface RunOptions {
  /** What stdin holds. */
  stdin?: Uint8Array;
  /** Whether stdout and stderr are a terminal, or which of them is. */
  isTerminal?: boolean | "stderr";
  /** Where stdout goes besides the record. */
  stdout?: Writer;
}

/** A stdout whose reader went away, as `head` does. */
export const CLOSED_STDOUT: Writer = {
  write: () => Promise.reject(new OutputClosedError("closed")),
};

/**
 * Starts a command.
 *
 * @param args The arguments after the program's name.
 * @param options How its terminal differs from an empty one.
 * @returns The running command.
 */
export function run(args: string[], options: RunOptions = {}): Session {
  const stdout = new Output(options.stdout);
  const stderr = new Output();
  const listeners = new Set<() => void>();
  const statusListeners = new Set<() => void>();
  const terminal: Terminal = {
    stdin: readerOf(options.stdin ?? new Uint8Array()),
    stdout,
    stderr,
    isStdoutTerminal: options.isTerminal === true,
    isStderrTerminal: Boolean(options.isTerminal),
    columns: 80,
    now: () => new Date("2001-02-03T04:05:06.789Z"),
    onStopSignal: (listener) => listenIn(listeners, listener),
    onStatusSignal: (listener) => listenIn(statusListeners, listener),
  };
  const status = main(args, terminal);
  const ended = (how: unknown) => {
    const why = `the command ended with ${how}\n${stderr.written.text}`;
    stdout.written.ended(why);
    stderr.written.ended(why);
  };
  status.then(ended, ended);
  return {
    get stdout() {
      return stdout.written.text;
    },
    get stderr() {
      return stderr.written.text;
    },
    status,
    interrupt: () => listeners.forEach((listener) => listener()),
    askStatus: () => statusListeners.forEach((listener) => listener()),
    untilStderr: (pattern) => stderr.written.untilMatch(pattern),
    untilStdout: (pattern) => stdout.written.untilMatch(pattern),
  };
}

function listenIn(
  listeners: Set<() => void>,
  listener: () => void,
): Disposable {
  listeners.add(listener);
  return { [Symbol.dispose]: () => void listeners.delete(listener) };
}

class Output implements Writer {
  readonly written = new GrowingText();
  readonly #decoder = new TextDecoder();
  readonly #next: Writer | undefined;

  constructor(next?: Writer) {
    this.#next = next;
  }

  async write(p: Uint8Array): Promise<number> {
    const length = await this.#next?.write(p) ?? p.length;
    const bytes = p.subarray(0, length);
    this.written.append(this.#decoder.decode(bytes, { stream: true }));
    return length;
  }
}

function readerOf(bytes: Uint8Array): Reader {
  let at = 0;
  return {
    read(p) {
      if (at === bytes.length) return Promise.resolve(null);
      const piece = bytes.subarray(at, at + p.length);
      p.set(piece);
      at += piece.length;
      return Promise.resolve(piece.length);
    },
  };
}
