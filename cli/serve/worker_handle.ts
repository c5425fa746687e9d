/**
 * One thread that serves, as the command sees it.
 *
 * @module
 */

import type { Writer } from "../../net/streams.ts";
import type { ServeOptions, ServeStats } from "../../server.ts";
import type { LogStyle } from "./log.ts";
import {
  fromSent,
  type FromWorker,
  type SentError,
  type ToWorker,
} from "./worker_messages.ts";

/** A worker that serves, as the command sees it. */
export class ServeWorker {
  /** The totals of its server, once that is finished; rejects if it dies. */
  readonly finished: Promise<ServeStats>;
  readonly #worker: Worker;
  readonly #number: number;
  readonly #out: Writer;
  readonly #listening = Promise.withResolvers<Deno.NetAddr>();
  readonly #finished = Promise.withResolvers<ServeStats>();
  #open = Promise.withResolvers<number>();

  /**
   * Starts a thread, which waits to be told to serve.
   *
   * @param script The code of the worker.
   * @param number The worker's number, for an error.
   * @param out Where its log goes.
   */
  constructor(script: URL, number: number, out: Writer) {
    this.#number = number;
    this.#out = out;
    this.finished = this.#finished.promise;
    // Either may reject unawaited; that must not crash the process.
    this.finished.catch(() => {});
    this.#listening.promise.catch(() => {});
    this.#worker = new Worker(script, { type: "module" });
    this.#worker.onmessage = ({ data }) => this.#receive(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      const { message } = event;
      this.#died({ name: "Error", message });
    };
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
    this.tell({ type: "serve", options, log });
    return this.#listening.promise;
  }

  /** Counts the connections that are open. */
  countOpen(): Promise<number> {
    this.#open = Promise.withResolvers();
    this.tell({ type: "count open" });
    return this.#open.promise;
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
    this.#worker.terminate();
  }

  #receive(message: FromWorker): void {
    switch (message.type) {
      case "listening":
        return this.#listening.resolve(message.addr);
      case "log":
        return void this.#log(message.lines);
      case "open":
        return this.#open.resolve(message.count);
      case "finished":
        this.#finished.resolve(message.stats);
        return this.terminate();
      case "failed":
        return this.#died(message.error);
    }
  }

  async #log(lines: Uint8Array): Promise<void> {
    const isOpen = await this.#out.write(lines).then(() => true, () => false);
    this.tell({ type: "log written", isOpen });
  }

  #died(sent: SentError): void {
    // Before it listens, a worker says why it cannot, as a server in this thread.
    this.#listening.reject(fromSent(sent));
    this.#finished.reject(
      new Error(`Worker ${this.#number} died: ${sent.message}`),
    );
    this.#open.resolve(0);
  }
}
