import { startTimer } from "../net/time.ts";
import { UnansweredError } from "./failure.ts";

/** How long what is under way is waited for after a stop, in milliseconds. */
const GRACE_MS = { least: 100, most: 1000 };

/** The end of a probe. */
export class Ending {
  readonly #stop: AbortSignal;
  readonly #giveUp = new AbortController();
  readonly #longestMs: () => number;

  /** Prepares an end. */
  constructor(stop: AbortSignal, longestMs: () => number) {
    this.#stop = stop;
    this.#longestMs = longestMs;
  }

  /** Closes the clients, and gives up connecting. */
  get giveUp(): AbortSignal {
    return this.#giveUp.signal;
  }

  /**
   * Waits for what is under way. After a stop it waits as long as the longest round
   * trip took, 100 ms at least and a second at most, and then gives up the rest.
   *
   * @throws What `pending` rejects with.
   */
  async wait(pending: Promise<unknown>): Promise<void> {
    let timer: Disposable | undefined;
    const onStop = () => {
      const graceMs = Math.max(GRACE_MS.least, this.#longestMs());
      timer = startTimer(
        Math.min(graceMs, GRACE_MS.most),
        () => this.#giveUp.abort(new UnansweredError()),
      );
    };
    if (this.#stop.aborted) onStop();
    else this.#stop.addEventListener("abort", onStop);
    try {
      await pending;
    } finally {
      this.#stop.removeEventListener("abort", onStop);
      timer?.[Symbol.dispose]();
    }
  }
}
