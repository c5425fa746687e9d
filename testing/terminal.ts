/**
 * A terminal in memory, to run a whole command in-process.
 *
 * @module
 */

import { stayAlive } from "./clock.ts";
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
  /** Settles when the command listens for Ctrl-C. */
  readonly listening: Promise<void>;
  /** Settles when the command listens for Ctrl-\\. */
  readonly listeningForStatus: Promise<void>;
  /** Whether the command may still read files. */
  readonly mayRead: boolean;
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
  /** What stdin holds, or where it comes from. */
  stdin?: Uint8Array | Reader;
  /** Whether stdout and stderr are a terminal, or which of them is. */
  isTerminal?: boolean | "stderr";
  /** How wide the terminal is, by default 80. */
  columns?: number;
  /** Whether the user wants colors, by default. */
  hasColor?: boolean;
  /** Where stdout goes besides the record. */
  stdout?: Writer;
  /** The files that the command may read, and what they hold. */
  files?: Record<string, string>;
  /** The time of day, by default always the same. */
  now?: () => Date;
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
  const stop = new Listeners();
  const ask = new Listeners();
  const { stdin = new Uint8Array() } = options;
  let mayRead = true;
  const terminal: Terminal = {
    stdin: stdin instanceof Uint8Array ? readerOf(stdin) : stdin,
    stdout,
    stderr,
    isStdoutTerminal: options.isTerminal === true,
    isStderrTerminal: Boolean(options.isTerminal),
    columns: options.columns ?? 80,
    stderrColumns: options.columns ?? 80,
    hasColor: options.hasColor ?? true,
    now: options.now ?? (() => new Date("2001-02-03T04:05:06.789Z")),
    readFile(path) {
      const text = options.files?.[path];
      if (mayRead && text !== undefined) {
        return Promise.resolve(new TextEncoder().encode(text));
      }
      const { NotCapable, NotFound } = Deno.errors;
      return Promise.reject(new (mayRead ? NotFound : NotCapable)(path));
    },
    endReading() {
      mayRead = false;
      return Promise.resolve();
    },
    onStopSignal: (listener) => stop.add(listener),
    onStatusSignal: (listener) => ask.add(listener),
  };
  const status = main(args, terminal);
  const ended = (how: unknown) => {
    const why = `the command ended with ${how}\n${stderr.written.text}`;
    stdout.written.ended(why);
    stderr.written.ended(why);
    stop.end();
    ask.end();
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
    listening: stop.added,
    listeningForStatus: ask.added,
    interrupt: () => stop.call(),
    askStatus: () => ask.call(),
    get mayRead() {
      return mayRead;
    },
    untilStderr: (pattern) => stderr.written.untilMatch(pattern),
    untilStdout: (pattern) => stdout.written.untilMatch(pattern),
  };
}

/** How a command ended. */
export interface Outcome {
  /** The exit status. */
  readonly status: number;
  /** All of stdout. */
  readonly stdout: string;
  /** All of stderr. */
  readonly stderr: string;
}

/**
 * Waits for the end of a command.
 *
 * @param session The running command.
 * @returns How it ended.
 */
export async function outcome(session: Session): Promise<Outcome> {
  const status = await session.status;
  return { status, stdout: session.stdout, stderr: session.stderr };
}

/** Runs a command with `--udp` to its end, against a server on 127.0.0.1. */
export function runUdp(
  command: "send" | "ping" | "load",
  port: number,
  args: string[],
): Promise<Outcome> {
  return outcome(run([command, "--udp", `-p${port}`, ...args]));
}

/** The listeners of one signal. */
class Listeners {
  readonly #listeners = new Set<() => void>();
  readonly #added = Promise.withResolvers<void>();
  #alive: Disposable | undefined;

  /** Settles when the first one was added. */
  get added(): Promise<void> {
    return this.#added.promise;
  }

  add(listener: () => void): Disposable {
    this.#listeners.add(listener);
    this.#added.resolve();
    // A listener of a signal keeps a process alive.
    this.#alive ??= stayAlive();
    return {
      [Symbol.dispose]: () => {
        this.#listeners.delete(listener);
        if (this.#listeners.size === 0) this.end();
      },
    };
  }

  call(): void {
    for (const listener of this.#listeners) listener();
  }

  /** A command that ended at once, by a second signal, left its listeners. */
  end(): void {
    this.#alive?.[Symbol.dispose]();
    this.#alive = undefined;
  }
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
