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
const CAN_PIN = Deno.build.os === "linux" && LAST_CORE > 0;

/** The core that a server gets for itself, where that can be had. */
export const SERVER_CORE: number | undefined = CAN_PIN ? 0 : undefined;

/** The core that loads and clients get. */
export const LOAD_CORE: number | undefined = CAN_PIN ? LAST_CORE : undefined;

/** Who runs where, in words. */
export const PLACEMENT: string = CAN_PIN
  ? `Server on core ${SERVER_CORE}, load on core ${LOAD_CORE}, ` +
    "--workers 0 and startup anywhere"
  : "Not bound to cores";

function spawn(
  line: CommandLine,
  core: number | undefined,
  options: Deno.CommandOptions,
): Deno.ChildProcess {
  const pinned = core === undefined
    ? line
    : ["taskset", "-c", `${core}`, ...line];
  const [program = "", ...args] = pinned;
  return new Deno.Command(program, { ...options, args }).spawn();
}

/**
 * Runs a program to its end.
 *
 * @param line The program and its arguments.
 * @returns What it printed on stdout and stderr, or `undefined` if it is not
 * there or failed.
 */
export async function outputOf(
  line: CommandLine,
): Promise<string | undefined> {
  const [program = "", ...args] = line;
  try {
    const output = await new Deno.Command(program, { args }).output();
    if (!output.success) return undefined;
    const text = new TextDecoder();
    return text.decode(output.stdout) + text.decode(output.stderr);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
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
  const stop = async () => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It ended by itself.
    }
    await child.status;
  };
  const ended = child.status.then(({ code }) => {
    throw new Error(`${command(port).join(" ")} ended with ${code}`);
  });
  ended.catch(() => {});
  try {
    const connecting = connect({ port, retryMs: PATIENCE_MS });
    (await Promise.race([connecting, ended])).close();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    port,
    async residentMiB() {
      const kib = await outputOf(["ps", "-o", "rss=", "-p", `${child.pid}`]);
      if (!kib) throw new Error("Cannot tell memory: no ps, or no server");
      return Number(kib) / 1024;
    },
    [Symbol.asyncDispose]: stop,
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
 * @param whileOpen Called when it printed its result and before it ends.
 * @returns What it printed.
 * @throws {Error} If it failed or took too long.
 */
export async function runLoad(
  line: CommandLine,
  core: number | undefined,
  whileOpen: () => Promise<void> = () => Promise.resolve(),
): Promise<LoadResult> {
  const child = spawn(line, core, {
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
  let text = "";
  for await (
    const piece of child.stdout.pipeThrough(new TextDecoderStream())
  ) {
    text += piece;
    if (!text.endsWith("\n")) continue;
    await whileOpen();
    await child.stdin.close();
  }
  clearTimeout(timer);
  const { code } = await child.status;
  if (code !== 0) throw new Error(`${line.join(" ")} ended with ${code}`);
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
  const timer = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
  const { code } = await child.status;
  clearTimeout(timer);
  if (code !== 0) throw new Error(`${line.join(" ")} ended with ${code}`);
  return performance.now() - startedAt;
}

/**
 * Runs a server until it says something, and ends it.
 *
 * @param line Its command line.
 * @returns How long it took to print anything, in milliseconds.
 * @throws {Error} If it ended without.
 */
export async function timeToLine(line: CommandLine): Promise<number> {
  const startedAt = performance.now();
  // Whichever of its streams that is.
  const child = spawn(["sh", "-c", 'exec "$0" "$@" 2>&1', ...line], undefined, {
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  });
  const reader = child.stdout.getReader();
  const { done } = await reader.read();
  const ms = performance.now() - startedAt;
  if (done) throw new Error(`${line.join(" ")} ended without a word`);
  child.kill("SIGKILL");
  await reader.cancel();
  await child.status;
  return ms;
}
