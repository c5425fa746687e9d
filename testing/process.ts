/**
 * The compiled executable, run as a user runs it.
 *
 * @module
 */

import { it } from "@std/testing/bdd";

/** What `deno task compile` writes. */
const EXECUTABLE = new URL(
  Deno.build.os === "windows" ? "../echo.exe" : "../echo",
  import.meta.url,
);

/**
 * Declares a test that runs the executable: it shows as ignored where Deno may
 * not run it, and fails where it may and the executable is not there.
 */
export const itRuns: typeof it.skip = Deno.permissions.querySync({
    name: "run",
    command: EXECUTABLE,
  }).state === "granted"
  ? it
  : it.skip;

/** An executable that runs, or ran. */
export interface Process extends AsyncDisposable {
  /** Everything on stdout so far. */
  readonly stdout: string;
  /** Everything on stderr so far. */
  readonly stderr: string;
  /** The exit status, once it and both streams ended. */
  readonly status: Promise<number>;
  /** Sends a signal. */
  kill(signal: Deno.Signal): void;
  /** Waits until stdout holds a match, and returns it. */
  untilStdout(pattern: RegExp): Promise<RegExpMatchArray>;
}

/**
 * Spawns the executable with all its streams piped, unread.
 *
 * @param args The arguments.
 * @returns The child.
 */
export function spawn(...args: string[]): Deno.ChildProcess {
  return new Deno.Command(EXECUTABLE, {
    args,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/**
 * Starts the executable with an empty stdin, and reads what it prints as text.
 *
 * @param args The arguments.
 * @returns The process; disposing of it kills it.
 */
export function start(...args: string[]): Process {
  const child = spawn(...args);
  child.stdin.close();
  const output = { stdout: "", stderr: "" };
  let grew = Promise.withResolvers<void>();
  const collect = async (stream: "stdout" | "stderr") => {
    for await (
      const text of child[stream].pipeThrough(new TextDecoderStream())
    ) {
      output[stream] += text;
      grew.resolve();
      grew = Promise.withResolvers();
    }
  };
  const ended = Promise.all([collect("stdout"), collect("stderr")]);
  const status = ended.then(async () => (await child.status).code);
  return {
    get stdout() {
      return output.stdout;
    },
    get stderr() {
      return output.stderr;
    },
    status,
    kill: (signal) => child.kill(signal),
    async untilStdout(pattern) {
      while (true) {
        const match = output.stdout.match(pattern);
        if (match) return match;
        await Promise.race([
          grew.promise,
          status.then((code) => {
            if (!pattern.test(output.stdout)) {
              throw new Error(
                `ended with ${code}, stdout has no ${pattern}:\n` +
                  output.stdout + output.stderr,
              );
            }
          }),
        ]);
      }
    },
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGKILL");
      } catch {
        // It ended already.
      }
      await status;
    },
  };
}
