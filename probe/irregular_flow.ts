import type { IrregularKind } from "../client.ts";
import { startTimer } from "../net/time.ts";
import type { IrregularEvent, IrregularManyEvent } from "./ping_events.ts";

/** How many replies are told one by one in each span of time. */
const MOST_TOLD = 5;

/** How long such a span is, in milliseconds. */
const SPAN_MS = 1000;

/** Tells of a few replies a second one by one, and of the others in one event. */
export class IrregularFlow implements Disposable {
  readonly #tell: (event: IrregularEvent | IrregularManyEvent) => void;
  /** When the span began, as `performance.now()`. */
  #begunAt = -Infinity;
  #told = 0;
  /** How many were not told, by kind. */
  #counts: Partial<Record<IrregularKind, number>> = {};
  #firstUntoldAt = 0;
  #timer: Disposable | undefined;
  #ends: IrregularEvent["ends"];

  /** Makes a flow of nothing. */
  constructor(tell: (event: IrregularEvent | IrregularManyEvent) => void) {
    this.#tell = tell;
  }

  /** Takes a reply. */
  add(event: IrregularEvent): void {
    const now = performance.now();
    if (!this.#timer && now - this.#begunAt >= SPAN_MS) {
      this.#begunAt = now;
      this.#told = 0;
    }
    if (this.#told < MOST_TOLD) {
      this.#told++;
      return this.#tell(event);
    }
    this.#counts[event.kind] = (this.#counts[event.kind] ?? 0) + 1;
    this.#ends = event.ends;
    if (this.#timer) return;
    this.#firstUntoldAt = now;
    const leftMs = this.#begunAt + SPAN_MS - now;
    this.#timer = startTimer(leftMs, () => this.#tellMany());
  }

  /** Tells now of what was not told. */
  [Symbol.dispose](): void {
    if (this.#timer) this.#tellMany();
  }

  #tellMany(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    const counts = this.#counts;
    this.#counts = {};
    this.#begunAt = -Infinity;
    this.#tell({
      ...{ type: "irregular_many", counts, ends: this.#ends },
      withinMs: performance.now() - this.#firstUntoldAt,
    });
  }
}
