/**
 * The processes of a comparison: servers, loads, and what they take.
 *
 * @module
 */

import { availableParallelism } from "node:os";
import { connect } from "../client.ts";
import type { Latency } from "./report.ts";

/** A command line: a program and its arguments. */
export type CommandLine = readonly string[];

/** How long a server has until it listens, and a load beyond its own time. */
const PATIENCE_MS = 20_000;

const LAST_CORE = availableParallelism() - 1;

/** The processes that were not stopped yet. */
const running = new Set<Deno.ChildProcess>();

const CAN_PIN = Deno.build.os === "linux" && LAST_CORE > 0 &&
  await outputOf(["taskset", "--version"]) !== undefined;

/** The core that a server gets for itself, where that can be had. */
export const SERVER_CORE: number | undefined = CAN_PIN ? 0 : undefined;

/** The core that loads and clients get. */
export const LOAD_CORE: number | undefined = CAN_PIN ? LAST_CORE : undefined;

/** Who runs where, in words. */
export const PLACEMENT: string = CAN_PIN
  ? `Server on core ${SERVER_CORE}, load on core ${LOAD_CORE}, ` +
    "--workers 0 and startup anywhere"
  : "Not bound to cores";

/** Each leads a group, which has what it starts itself and may leave behind. */
function spawn(
  line: CommandLine,
  core: number | undefined,
  options: Deno.CommandOptions,
): Deno.ChildProcess {
  const pinned = core === undefined
    ? line
    : ["taskset", "-c", `${core}`, ...line];
  const [program = "", ...args] = pinned;
  const command = new Deno.Command(program, {
    ...options,
    args,
    detached: true,
  });
  const child = command.spawn();
  running.add(child);
  return child;
}

function kill(child: Deno.ChildProcess): void {
  running.delete(child);
  try {
    Deno.kill(-child.pid, "SIGKILL");
  } catch {
    // All of them ended by themselves.
  }
}

/** Kills all processes that are left, and what they started. */
export function killAll(): void {
  running.forEach(kill);
}

/**
 * Runs a program to its end.
 *
 * @param line The program and its arguments.
 * @returns What it printed on stdout and stderr, or `undefined` if it is not
 * there.
 * @throws {Error} If it failed, with what it printed.
 */
export async function outputOf(
  line: CommandLine,
): Promise<string | undefined> {
  try {
    const child = spawn(line, undefined, {
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    });
    const output = await child.output();
    running.delete(child);
    const decoder = new TextDecoder();
    const text = decoder.decode(output.stdout) + decoder.decode(output.stderr);
    if (!output.success) throw new Error(`${line.join(" ")}: ${text}`);
    return text;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Waits for the end of a process, which is killed when that takes too long. */
async function untilEnd(
  child: Deno.ChildProcess,
  line: CommandLine,
  mostMs: number,
  meanwhile: () => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const timer = setTimeout(() => kill(child), mostMs);
  try {
    await meanwhile();
    const { code } = await child.status;
    if (code !== 0) throw new Error(`${line.join(" ")} ended with ${code}`);
  } finally {
    clearTimeout(timer);
    await stop(child);
  }
}

async function stop(child: Deno.ChildProcess): Promise<void> {
  kill(child);
  await child.status;
}

/** A server that runs. */
export interface RunningServer extends AsyncDisposable {
  /** The TCP port that it listens on. */
  readonly port: number;
  /** Asks the system how much memory it holds, in MiB. */
  residentMiB(): Promise<number>;
}

/**
 * Starts a server, and waits until it takes connections.
 *
 * @param command Its command line, by the port that it is to listen on.
 * @param core The one core that it may use, by default any.
 * @returns The server; disposing of it kills it.
 * @throws {Error} If it does not listen.
 */
export async function startServer(
  command: (port: number) => CommandLine,
  core?: number,
): Promise<RunningServer> {
  const port = freePort();
  const child = spawn(command(port), core, {
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
  });
  const ended = new AbortController();
  child.status.then(({ code }) =>
    ended.abort(new Error(`${command(port).join(" ")} ended with ${code}`))
  );
  try {
    const { signal } = ended;
    (await connect({ port, retryMs: PATIENCE_MS, signal })).close();
  } catch (error) {
    await stop(child);
    throw error;
  }
  return {
    port,
    async residentMiB() {
      const kib = await outputOf(["ps", "-o", "rss=", "-p", `${child.pid}`]);
      if (!kib) throw new Error("Cannot tell memory: no ps, or no server");
      return Number(kib) / 1024;
    },
    [Symbol.asyncDispose]: () => stop(child),
  };
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** What a load printed. */
export interface LoadResult {
  /** How many of its unit a second. */
  readonly rate: number;
  /** Of round trips alone. */
  readonly latencyMs?: Latency;
}

/**
 * Runs a load to its end.
 *
 * @param line Its command line.
 * @param core The one core that it may use, by default any.
 * @param lastsMs How long it loads, in milliseconds.
 * @param whileOpen Called when it printed its result and before it ends.
 * @returns What it printed.
 * @throws {Error} If it failed or took too long.
 */
export async function runLoad(
  line: CommandLine,
  core: number | undefined,
  lastsMs: number,
  whileOpen: () => Promise<void>,
): Promise<LoadResult> {
  const child = spawn(line, core, {
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  });
  let text = "";
  await untilEnd(child, line, lastsMs + PATIENCE_MS, async () => {
    const pieces = child.stdout.pipeThrough(new TextDecoderStream());
    for await (const piece of pieces) {
      text += piece;
      if (!text.endsWith("\n")) continue;
      await whileOpen();
      await child.stdin.close();
    }
  });
  return JSON.parse(text);
}

/**
 * Runs a command to its end.
 *
 * @param line Its command line.
 * @param core The one core that it may use, by default any.
 * @returns How long that took, in milliseconds.
 * @throws {Error} If it failed or took too long.
 */
export async function timeToEnd(
  line: CommandLine,
  core?: number,
): Promise<number> {
  const startedAt = performance.now();
  const child = spawn(line, core, {
    stdin: "null",
    stdout: "null",
    stderr: "null",
  });
  await untilEnd(child, line, PATIENCE_MS);
  return performance.now() - startedAt;
}

/**
 * Runs a server until it says that it is listening, on whichever of its streams,
 * and ends it.
 *
 * @param line Its command line.
 * @returns How long that took, in milliseconds.
 * @throws {Error} If it ended without or took too long.
 */
export async function timeToListening(line: CommandLine): Promise<number> {
  const startedAt = performance.now();
  const script = ["sh", "-c", 'exec "$0" "$@" 2>&1', ...line];
  const child = spawn(script, undefined, {
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  });
  const timer = setTimeout(() => kill(child), PATIENCE_MS);
  let text = "";
  try {
    const pieces = child.stdout.pipeThrough(new TextDecoderStream());
    for await (const piece of pieces) {
      text += piece;
      if (/listening/i.test(text)) return performance.now() - startedAt;
    }
    throw new Error(`${line.join(" ")} does not listen: ${text}`);
  } finally {
    clearTimeout(timer);
    await stop(child);
  }
}
