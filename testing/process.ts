/**
 * The compiled executable, run as a user runs it.
 *
 * @module
 */

import { it } from "@std/testing/bdd";
import { GrowingText } from "./waiting.ts";

/** What `deno task compile` writes. */
export const EXECUTABLE: URL = new URL(
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

/**
 * Declares a test that runs another program beside the executable: it shows as
 * ignored where that is not installed.
 *
 * @param program The program's name.
 * @returns Declares the test.
 */
export function itRunsBeside(program: string): typeof it.skip {
  const shell = { name: "run", command: "sh" } as const;
  if (Deno.permissions.querySync(shell).state !== "granted") return it.skip;
  const args = ["-c", 'command -v "$1"', "sh", program];
  const { success } = new Deno.Command("sh", { args }).outputSync();
  return success ? itRuns : it.skip;
}

/** An executable that runs, or ran. */
export interface Process extends AsyncDisposable {
  /** Its process id. */
  readonly pid: number;
  /** Everything on stdout so far. */
  readonly stdout: string;
  /** Everything on stderr so far. */
  readonly stderr: string;
  /** The exit status, once it and both streams ended. */
  readonly status: Promise<number>;
  /** Sends a signal. */
  kill(signal: Deno.Signal): void;
  /** Waits until stdout holds a match, and returns it. Throws if there is none. */
  untilStdout(pattern: RegExp): Promise<RegExpMatchArray>;
  /** Waits until stderr holds a match, and returns it. Throws if there is none. */
  untilStderr(pattern: RegExp): Promise<RegExpMatchArray>;
}

/**
 * Runs a script of the shell.
 *
 * @param script The script, in which `"$1"` is the first argument.
 * @param args The arguments.
 * @returns What it printed on stdout.
 */
export async function shell(
  script: string,
  ...args: string[]
): Promise<string> {
  const command = new Deno.Command("sh", {
    args: ["-c", script, "sh", ...args],
  });
  return new TextDecoder().decode((await command.output()).stdout);
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
  return watch(spawn(...args));
}

/**
 * Starts the executable as {@linkcode start} does, with few file descriptors.
 *
 * @param descriptors How many it may have open.
 * @param args The arguments.
 * @returns The process; disposing of it kills it.
 */
export function startWithLimit(
  descriptors: number,
  ...args: string[]
): Process {
  const script = 'ulimit -n "$1"; shift; exec "$@"';
  return startIn(script, `${descriptors}`, ...args);
}

/**
 * Starts the executable as {@linkcode start} does, with a file for its stdout.
 *
 * @param path The file.
 * @param args The arguments.
 * @returns The process; disposing of it kills it.
 */
export function startWithFile(path: string, ...args: string[]): Process {
  const script = 'file=$1; shift; exec "$@" >"$file"';
  return startIn(script, path, ...args);
}

/**
 * Starts another program, whose output goes nowhere.
 *
 * @param program The program, which the shell finds.
 * @param args Its arguments.
 * @returns Disposing of it kills the program, and all that it started.
 */
export function startOther(
  program: string,
  ...args: string[]
): AsyncDisposable {
  // In a group of its own, whose number is that of the process.
  const child = new Deno.Command("sh", {
    args: ["-c", 'exec setsid "$@"', "sh", program, ...args],
    ...{ stdin: "null", stdout: "null", stderr: "null" },
  }).spawn();
  return {
    async [Symbol.asyncDispose]() {
      await shell('exec env kill -9 -- "-$1"', `${child.pid}`);
      await child.status;
    },
  };
}

/** Starts the executable by a script, whose arguments follow its first one. */
function startIn(script: string, first: string, ...args: string[]): Process {
  const command = new Deno.Command("sh", {
    args: ["-c", script, "sh", first, EXECUTABLE.pathname, ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
  return watch(command.spawn());
}

/**
 * Runs a script of the shell, which gets the executable's name as `"$0"`.
 *
 * @param script The script; what it runs last should be `exec`.
 * @param args Its arguments.
 * @returns The process; disposing of it kills it.
 */
export function startScript(script: string, ...args: string[]): Process {
  const command = new Deno.Command("sh", {
    args: ["-c", script, EXECUTABLE.pathname, ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
  return watch(command.spawn());
}

/**
 * Declares a test that needs a program: it shows as ignored where that is not
 * installed, or where Deno may not look.
 *
 * @param program The program's name.
 * @returns Declares the test.
 */
export function itWith(program: string): typeof it.skip {
  if (itRuns !== it) return it.skip;
  const found = new Deno.Command("sh", {
    args: ["-c", 'command -v "$1"', "sh", program],
  }).outputSync();
  return found.success ? it : it.skip;
}

/** Needs `ip`, and a system that lets it make a network of its own. */
export const itInNetwork: typeof it.skip = itWith("ip") === it &&
    await shell("unshare -rnm true && echo yes") === "yes\n"
  ? it
  : it.skip;

/**
 * Runs a script of the shell in a network of its own, in which names are as the
 * lines of `hosts` say and `$0` is the executable.
 */
export function startInNetwork(script: string, hosts = ""): Process {
  const before = "ip link set lo up && mount -t tmpfs tmpfs /run && " +
    'echo "$1" >/run/hosts && mount --bind /run/hosts /etc/hosts || exit 9\n';
  return startScript(
    'exec unshare -rnm sh -c "$1" "$0" "$2"',
    before + script,
    hosts,
  );
}

/**
 * Starts `echo serve` on a free port of 127.0.0.1.
 *
 * @param args Further arguments.
 * @returns The process, which listens, and its port.
 */
export async function startServe(
  ...args: string[]
): Promise<[server: Process, port: string]> {
  const server = start("serve", "--port", "0", ...args);
  const [, port] = await server.untilStdout(/127\.0\.0\.1:(\d+)/);
  return [server, port!];
}

/**
 * Counts the sockets that listen on a port of 127.0.0.1.
 *
 * @param port The port.
 * @returns How many there are.
 */
export function countListeners(port: string): Promise<number> {
  // In state 0A, LISTEN: proc(5).
  return countSockets(port, '$4 == "0A"');
}

/**
 * Counts the connections that were accepted on a port of 127.0.0.1, and not closed
 * by their server.
 *
 * @param port The port.
 * @returns How many there are.
 */
export function countAccepted(port: string): Promise<number> {
  // In the kernel's queue, and when its process closed it, a socket has no inode.
  return countSockets(port, '$4 != "0A" && $10 != 0');
}

async function countSockets(port: string, condition: string): Promise<number> {
  const hex = Number(port).toString(16).toUpperCase().padStart(4, "0");
  const program = `$2 == "0100007F:${hex}" && ${condition}`;
  return Number(await shell('awk "$1" /proc/net/tcp | wc -l', program));
}

/** What hangs is ended, so that its test fails. */
const TIMEOUT_MS = 60_000;

function watch(child: Deno.ChildProcess): Process {
  child.stdin.close();
  const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
  const stdout = new GrowingText();
  const stderr = new GrowingText();
  const collect = async (
    stream: ReadableStream<Uint8Array<ArrayBuffer>>,
    text: GrowingText,
  ) => {
    const pieces = stream.pipeThrough(new TextDecoderStream());
    for await (const piece of pieces) text.append(piece);
  };
  const collected = Promise.all([
    collect(child.stdout, stdout),
    collect(child.stderr, stderr),
  ]);
  const status = collected.then(async () => {
    const { code } = await child.status;
    clearTimeout(timer);
    const why = `the process ended with ${code}\n${stderr.text}`;
    stdout.ended(why);
    stderr.ended(why);
    return code;
  });
  return {
    pid: child.pid,
    get stdout() {
      return stdout.text;
    },
    get stderr() {
      return stderr.text;
    },
    status,
    kill: (signal) => child.kill(signal),
    untilStdout: (pattern) => stdout.untilMatch(pattern),
    untilStderr: (pattern) => stderr.untilMatch(pattern),
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
