/**
 * Workers whose code a test writes: `deno test` may not read that of the real ones.
 *
 * @module
 */

import type { LogOutput } from "../cli/serve/log.ts";
import type { LogEvent } from "../cli/serve/log_events.ts";
import { replace } from "./replace.ts";
import { Watched } from "./waiting.ts";

/**
 * Makes the code of a worker. It listens when it is told to serve, unless the test
 * says otherwise.
 *
 * @param onMessage What else it does with a `message` of the given `type`.
 * @param onServe What it does when it is told to serve with `options`, as number
 * `index`, with shared counters, the `total` of all and its `own`.
 * @returns The address of the code.
 */
export function script(onMessage: string, onServe = "listen()"): URL {
  const code = `
    const tell = (message) => postMessage(message);
    let listener, options, style, total, own;
    const index = Number(name);
    const listen = () => {
      const { hostname, port, reusePort } = options;
      listener = Deno.listen({ hostname, port, reusePort });
      tell({ type: "listening", addr: listener.addr });
    };
    const log = (text) =>
      tell({ type: "log", lines: new TextEncoder().encode(text) });
    const die = (message) =>
      tell({ type: "failed", error: { name: "Error", message } });
    const finish = (accepted, open = 0, bytes = 0) =>
      tell({ type: "finished", stats: { accepted, open, closed: {}, bytes } });
    onmessage = ({ data: message }) => {
      const { type } = message;
      if (type === "serve") {
        ({ options, log: style } = message);
        ({ total, own } = options.shared);
        ${onServe};
      }
      ${onMessage}
    };
  `;
  return new URL(`data:text/javascript,${encodeURIComponent(code)}`);
}

/**
 * Makes the code of a worker that dies when {@linkcode Mortals.kill} says so. On
 * shutdown it has accepted one connection and echoed ten bytes.
 *
 * @param onMessage What else it does with a `message` of the given `type`.
 * @param onServe What else it does when it is told to serve, before it listens.
 * @returns The address of the code.
 */
export function mortalScript(onMessage = "", onServe = ""): URL {
  return script(
    `if (type === "log written") die("boom");
    if (type === "shutdown" || type === "stop") finish(1, 0, 10);
    ${onMessage}`,
    `${onServe}; listen(); log(String(index))`,
  );
}

/** What was told of a worker that died. */
export type Death = Extract<LogEvent, { type: "worker_died" }>;

/** Workers that run {@linkcode mortalScript}, and their log. */
export class Mortals implements LogOutput, Disposable {
  /** What was told of those that died. */
  readonly deaths: Death[] = [];
  /** How many threads were started. */
  started = 0;
  readonly #watched = new Watched();
  /** What kills the workers that serve, by their number. */
  readonly #killers = new Map<number, () => void>();
  readonly #restored: Disposable;

  /** Begins to count the threads. */
  constructor() {
    const started = () => void this.started++;
    this.#restored = replace(
      globalThis,
      "Worker",
      class extends Worker {
        constructor(...args: ConstructorParameters<typeof Worker>) {
          super(...args);
          started();
        }
      },
    );
  }

  /** Takes what a worker says when it serves: its number. */
  write(lines: Uint8Array): Promise<number> {
    const { promise, resolve } = Promise.withResolvers<number>();
    const index = Number(new TextDecoder().decode(lines));
    // A worker dies of the answer to its only batch.
    this.#killers.set(index, () => resolve(0));
    this.#watched.changed();
    return promise;
  }

  /** Takes note of a death. */
  readonly tell = (event: LogEvent): void => {
    if (event.type !== "worker_died") throw new Error(event.type);
    this.deaths.push(event);
    this.#killers.delete(event.worker);
    this.#watched.changed();
  };

  /**
   * Waits until so many workers died.
   *
   * @param count How many, from the first on.
   */
  async untilDead(count: number): Promise<void> {
    await this.#watched.until(
      () => this.deaths.length >= count || null,
      () => `${count} deaths among ${Deno.inspect(this.deaths)}`,
    );
  }

  /**
   * Waits until a worker serves.
   *
   * @param index Its number.
   * @returns What kills it.
   */
  untilServing(index: number): Promise<() => void> {
    return this.#watched.until(
      () => this.#killers.get(index),
      () => `a worker ${index}`,
    );
  }

  /**
   * Kills workers once they serve, and waits until that was told.
   *
   * @param indexes Their numbers.
   */
  async kill(...indexes: number[]): Promise<void> {
    const deaths = this.deaths.length + indexes.length;
    const killers = await Promise.all(
      indexes.map((index) => this.untilServing(index)),
    );
    for (const kill of killers) kill();
    await this.untilDead(deaths);
  }

  /** Counts no more. */
  [Symbol.dispose](): void {
    this.#restored[Symbol.dispose]();
  }
}

/**
 * Waits until workers that listened are gone, with their listeners.
 *
 * @param addr Where they listened.
 */
export async function untilGone({ port }: { port: number }): Promise<void> {
  for (let attempt = 1; attempt <= 200; attempt++) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    } catch (error) {
      // It may also be reset, when the listener goes just then.
      if (error instanceof Deno.errors.ConnectionRefused) return;
    }
    // Not a timer of the test's: a test may have a clock of its own.
    const pause = AbortSignal.timeout(attempt);
    await new Promise((resolve) => pause.addEventListener("abort", resolve));
  }
  throw new Error(`something still listens on ${port}`);
}
