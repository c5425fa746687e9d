import { Tally, type TallyRecord } from "../../probe/tally.ts";
import { LastAnswer } from "../last_answer.ts";
import { fromSent, type SentError } from "../thread_errors.ts";
import type { FromLoadWorker, ToLoadWorker } from "./worker_messages.ts";

/** A worker that loads, as the command sees it. */
export class LoadThread {
  readonly #worker: Worker;
  readonly #prepared = Promise.withResolvers<boolean>();
  readonly #begun = Promise.withResolvers<void>();
  readonly #opened = Promise.withResolvers<void>();
  readonly #finished = Promise.withResolvers<Tally>();
  #asked: PromiseWithResolvers<Tally | undefined> | undefined;
  #onOpening = () => {};
  #isOpening = false;
  readonly #counts = new LastAnswer<Tally | undefined>(undefined);

  /** How many of its connections were opened or could not be. */
  opened = 0;
  /** When it answered last, as `performance.now()`. */
  toldAt = 0;

  /** Starts a thread, which waits to be told what to do. */
  constructor(script: URL) {
    for (const it of [this.#prepared, this.#finished]) {
      // Either may reject unawaited; that must not crash the process.
      (it.promise as Promise<unknown>).catch(() => {});
    }
    this.#worker = new Worker(script, { type: "module" });
    this.#worker.onmessage = ({ data }) => this.#receive(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      const { message } = event;
      this.#died({ name: "Error", message });
    };
  }

  /** What it counted when it was asked last, without rows. */
  get counts(): Tally | undefined {
    return this.#counts.value;
  }

  /** What it found, once it is finished; rejects if it dies. */
  get finished(): Promise<Tally> {
    return this.#finished.promise;
  }

  /**
   * Lets it get ready.
   *
   * @throws {Error} If it dies.
   */
  prepare(
    message: Extract<ToLoadWorker, { type: "prepare" }>,
  ): Promise<boolean> {
    this.tell(message);
    return this.#prepared.promise;
  }

  /**
   * Lets it open its connections. Both promises settle without an error, at the end at the
   * latest: `begun` when its first connection was opened or could not be.
   */
  open(
    onOpening: () => void,
  ): { begun: Promise<void>; opened: Promise<void> } {
    this.#onOpening = onOpening;
    this.#isOpening = true;
    this.tell({ type: "open" });
    return { begun: this.#begun.promise, opened: this.#opened.promise };
  }

  /** Asks what it found so far. */
  found(): Promise<Tally | undefined> {
    this.#asked ??= Promise.withResolvers();
    this.tell({ type: "ask", withRows: true });
    const ended = this.finished.catch(() => undefined);
    return Promise.race([this.#asked.promise, ended]);
  }

  /** Brings {@linkcode LoadThread.counts} up to date, if the thread answers. */
  async updateCounts(): Promise<void> {
    // Before that it counts nothing.
    if (!this.#isOpening) return;
    await this.#counts.update(() =>
      this.tell({ type: "ask", withRows: false })
    );
  }

  /** Sends a message to the worker. */
  tell(message: ToLoadWorker): void {
    this.#worker.postMessage(message);
  }

  /** Ends the thread at once. */
  terminate(): void {
    this.#worker.terminate();
    this.#endOpening();
    const { value } = this.#counts;
    if (value) {
      const record = value.toRecord();
      const counts = { ...record.counts, open: 0 };
      this.#counts.take(Tally.from({ ...record, counts }));
    }
    this.#counts.end();
  }

  #endOpening(): void {
    this.#begun.resolve();
    this.#opened.resolve();
  }

  #receive(message: FromLoadWorker): void {
    switch (message.type) {
      case "prepared":
        return this.#prepared.resolve(message.isWarm);
      case "opening":
        this.opened = message.opened;
        this.#begun.resolve();
        return this.#onOpening();
      case "opened":
        return this.#opened.resolve();
      case "tally": {
        const tally = Tally.from(message.tally);
        if (!message.withRows) {
          this.toldAt = performance.now();
          return this.#counts.take(tally);
        }
        this.#asked?.resolve(tally);
        this.#asked = undefined;
        return;
      }
      case "finished":
        this.#finished.resolve(finalOf(message.tally, message.error));
        // It lives on, to tell what it counted until the command ends.
        return this.#endOpening();
      case "failed":
        return this.#died(message.error);
    }
  }

  #died(sent: SentError): void {
    const error = fromSent(sent);
    this.#prepared.reject(error);
    this.#finished.reject(error);
    this.terminate();
  }
}

function finalOf(record: TallyRecord, error: SentError | undefined): Tally {
  const tally = Tally.from(record);
  tally.error = error && fromSent(error);
  return tally;
}
