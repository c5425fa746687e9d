/**
 * Processes that a comparison starts, on the cores that they should have.
 *
 * @module
 */

import { availableParallelism } from "node:os";

/** A command line: a program and its arguments. */
export type CommandLine = readonly string[];

/**
 * The longest that a server may take until it listens, and a load beyond the time
 * that it was given.
 */
export const PATIENCE_MS = 20_000;

/** Starts processes and knows those that still run. */
export class Processes {
  readonly #running = new Set<Deno.ChildProcess>();

  /**
   * Starts a process that leads a group of its own, so that {@linkcode stop} also
   * ends the processes that it starts itself.
   *
   * @param line The program and its arguments.
   * @param options Its streams.
   * @param core The one core that it may use, by default any.
   * @returns The process.
   */
  spawn(
    line: CommandLine,
    options: Pick<Deno.CommandOptions, "stdin" | "stdout" | "stderr">,
    core?: number,
  ): Deno.ChildProcess {
    const pinned = core === undefined
      ? line
      : ["taskset", "-c", `${core}`, ...line];
    const [program = "", ...args] = pinned;
    const child = new Deno.Command(program, {
      ...options,
      args,
      detached: true,
    })
      .spawn();
    this.#running.add(child);
    return child;
  }

  /**
   * Kills a process with its group, and waits for its end.
   *
   * @param child The process, which may have ended already.
   */
  async stop(child: Deno.ChildProcess): Promise<void> {
    this.#kill(child);
    await child.status;
  }

  /** Kills all processes that were not stopped yet, with their groups. */
  killAll(): void {
    for (const child of this.#running) this.#kill(child);
  }

  #kill(child: Deno.ChildProcess): void {
    this.#running.delete(child);
    try {
      Deno.kill(-child.pid, "SIGKILL");
    } catch {
      // The whole group ended by itself.
    }
  }

  /**
   * Waits for something that a process does, and stops the process.
   *
   * @param child The process.
   * @param limitMs When to kill it if it has not done it by then, in milliseconds.
   * @param work Waits for what the process does.
   * @returns What `work` returns.
   */
  async stopAfter<T>(
    child: Deno.ChildProcess,
    limitMs: number,
    work: () => Promise<T>,
  ): Promise<T> {
    const timer = setTimeout(() => this.#kill(child), limitMs);
    try {
      return await work();
    } finally {
      clearTimeout(timer);
      await this.stop(child);
    }
  }

  /**
   * Runs a program to its end.
   *
   * @param line The program and its arguments.
   * @returns What it printed on stdout and stderr, or `undefined` if this machine
   * does not have it.
   * @throws {Error} If the program failed; the message has what it printed.
   */
  async outputOf(line: CommandLine): Promise<string | undefined> {
    try {
      const child = this.spawn(line, {
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      });
      const output = await child.output();
      this.#running.delete(child);
      const decoder = new TextDecoder();
      const text = decoder.decode(output.stdout) +
        decoder.decode(output.stderr);
      if (!output.success) throw new Error(`${line.join(" ")}: ${text}`);
      return text;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  }
}

/**
 * Checks how a process ended.
 *
 * @param child The process.
 * @param line Its command line, for the error.
 * @throws {Error} If its exit status is not 0.
 */
export async function checkSuccess(
  child: Deno.ChildProcess,
  line: CommandLine,
): Promise<void> {
  const { code } = await child.status;
  if (code !== 0) throw new Error(`${line.join(" ")} ended with ${code}`);
}

/** The cores that processes are bound to, where this machine can bind them. */
export interface Placement {
  /** The core of a server. */
  readonly serverCore?: number;
  /** The core of loads and clients. */
  readonly loadCore?: number;
}

/**
 * Finds out whether processes can be bound to cores.
 *
 * @param processes Starts the program that binds them.
 * @returns A core for the server and another one for its load, or neither.
 */
export async function findPlacement(processes: Processes): Promise<Placement> {
  const lastCore = availableParallelism() - 1;
  const canBind = Deno.build.os === "linux" && lastCore > 0 &&
    await processes.outputOf(["taskset", "--version"]) !== undefined;
  return canBind ? { serverCore: 0, loadCore: lastCore } : {};
}
