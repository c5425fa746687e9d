/**
 * One thread that serves, as the command sees it.
 *
 * @module
 */

import type { ServeOptions, ServeStats } from "../../server.ts";
import type { SharedCounts } from "../../server/slots.ts";
import { LastAnswer } from "../last_answer.ts";
import { fromSent, type SentError } from "../thread_errors.ts";
import type { LogOutput, LogStyle } from "./log.ts";
import { NO_STATS } from "./stats.ts";
import type { FromWorker, ToWorker } from "./worker_messages.ts";

/** What a {@linkcode ServeWorker} needs of the command. */
export interface WorkerHooks {
  /** Its number among the workers, from 1: the name of its thread. */
  readonly index: number;
  /** The counters of its connections. */
  readonly shared: SharedCounts;
  /** Where its log goes. */
  readonly out: LogOutput;
  /** Learns that its server, which serves once, has its client. */
  onTaken(): void;
}

/** A worker that serves, as the command sees it. */
export class ServeWorker {
  /** The totals of its server, once that is finished; rejects if it dies. */
  readonly finished: Promise<ServeStats>;
  /** The totals of its server, as they were told last. */
  readonly stats: LastAnswer<ServeStats> = new LastAnswer(NO_STATS);
  readonly #worker: Worker;
  readonly #hooks: WorkerHooks;
  readonly #listening = Promise.withResolvers<Deno.NetAddr>();
  readonly #finished = Promise.withResolvers<ServeStats>();

  /**
   * Starts a thread, which waits to be told to serve.
   *
   * @param script The code of the worker.
   * @param hooks What it needs of the command.
   */
  constructor(script: URL, hooks: WorkerHooks) {
    this.#hooks = hooks;
    this.finished = this.#finished.promise;
    // Either may reject unawaited; that must not crash the process.
    this.finished.catch(() => {});
    this.#listening.promise.catch(() => {});
    this.#worker = new Worker(script, {
      type: "module",
      name: `${hooks.index}`,
    });
    this.#worker.onmessage = ({ data }) => this.#receive(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      const { message } = event;
      this.#died({ name: "Error", message });
    };
  }

  /** The counters of its connections. */
  get shared(): SharedCounts {
    return this.#hooks.shared;
  }

  /**
   * Lets the worker serve.
   *
   * @param options Where to listen, and limits.
   * @param log How its log looks.
   * @returns The address that it listens on.
   * @throws {Error} If it cannot listen.
   */
  serve(options: ServeOptions, log: LogStyle): Promise<Deno.NetAddr> {
    const { shared } = this;
    this.tell({ type: "serve", options: { ...options, shared }, log });
    return this.#listening.promise;
  }

  /** Brings {@linkcode ServeWorker.stats} up to date, if the worker answers. */
  async updateStats(): Promise<void> {
    await this.stats.update(() => this.tell({ type: "count all" }));
  }

  /**
   * Sends a message to the worker.
   *
   * @param message The message.
   */
  tell(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  /** Ends the thread at once. */
  terminate(): void {
    this.stats.end();
    this.#worker.terminate();
  }

  #receive(message: FromWorker): void {
    switch (message.type) {
      case "listening":
        return this.#listening.resolve(message.addr);
      case "log":
        return void this.#log(message.lines);
      case "taken":
        return this.#hooks.onTaken();
      case "stats":
        return this.stats.take(message.stats);
      case "finished":
        this.stats.take(message.stats);
        this.#finished.resolve(message.stats);
        return this.terminate();
      case "failed":
        if (message.stats) this.stats.take(message.stats);
        return this.#died(message.error);
    }
  }

  async #log(lines: Uint8Array): Promise<void> {
    const written = await this.#hooks.out.write(lines).then(
      (lost) => ({ isOpen: true, lost }),
      () => ({ isOpen: false, lost: 0 }),
    );
    this.tell({ type: "log written", ...written });
  }

  #died(sent: SentError): void {
    const error = fromSent(sent);
    this.#listening.reject(error);
    this.#finished.reject(error);
    this.terminate();
  }
}
