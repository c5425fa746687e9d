import { SelfPipe } from "../net/self_pipe.ts";
import { block, BLOCK_SLACK_MS, untilNear } from "./schedule.ts";

/** How much may be under way at once: past either, what is due is not sent. */
export const MOST_UNDER_WAY = { messages: 10_000, bytes: 16 * 1024 * 1024 };

/** A message that is under way. */
export interface Sent {
  /** The message's number, from 1. */
  readonly number: number;
  /** When it was sent, as `performance.now()`. */
  readonly sentAt: number;
}

/** What an open loop does. */
export interface OpenLoopOptions {
  /** When the first message is due, as `performance.now()`. */
  readonly startedAt: number;
  /** From one message to the next, in milliseconds, above 0. */
  readonly intervalMs: number;
  /** The number of the first message. */
  readonly first: number;
  /** The number of the last message. */
  readonly last: number;
  /** What is due at this moment or later is not sent, as `performance.now()`. */
  readonly endsAt: number;
  /** How many bytes a message has. */
  readonly messageBytes: number;
  /** Ends the sending. */
  readonly stop: AbortSignal;
  /** Called shortly before a message is due, if nothing is under way. */
  readonly onIdle?: () => Promise<void>;
  /**
   * How late a message may leave, in milliseconds. A later one is not sent: this
   * process was stopped, or the machine was asleep.
   *
   * @default {Infinity}
   */
  readonly mostLateMs?: number;
  /** Called when a message is not sent, as too many are under way. */
  readonly onUnsent: () => void;
  /** Called when a message is not sent, as it is too late. */
  readonly onTooLate?: () => void;
  /** Called when a message leaves, with how late that is, in milliseconds. */
  readonly send: (sent: Sent, lateMs: number) => Promise<unknown>;
}

/** How many messages may leave before the event loop looks for replies. */
const MOST_A_POLL = 32;

/**
 * The last part of a wait, in milliseconds, in which the event loop looks for
 * replies: so it is exact, and what the next message needs of this process lies in
 * the processor's caches. Without that a round trip after a pause takes twice as
 * long over loopback, which is not the server's doing.
 */
const LOOKING_MS = 0.375;

/**
 * What is due before the end leaves until so long after it, in milliseconds: a client
 * that is a little late is no reason not to send it.
 */
const LATE_END_MS = 100;

/** How much time what is done in an idle time may take, in milliseconds. */
const IDLE_MS = 1;

/** Sends messages when they are due. */
export class OpenLoop {
  readonly #options: OpenLoopOptions;
  readonly #underWay = new Set<Sent>();
  readonly #poll = new SelfPipe();
  /** How long the message took that was settled last, in milliseconds. */
  #lastTookMs = 0;
  /** Settles when a message is settled, or when the alarm goes off. */
  #woken = Promise.withResolvers<void>();
  #alarm: ReturnType<typeof setTimeout> | undefined;
  #alarmAt = Infinity;

  /** Makes a loop that does not run. */
  constructor(options: OpenLoopOptions) {
    this.#options = options;
  }

  /** The messages under way, the oldest first. */
  get underWay(): ReadonlySet<Sent> {
    return this.#underWay;
  }

  /** Sends the messages, and ends when the last has left. */
  async run(): Promise<number> {
    const { startedAt, intervalMs, first, last, stop } = this.#options;
    // A rounding error must not make one more message due.
    const endsAt = this.#options.endsAt - Math.min(intervalMs, 1) * 1e-6;
    const { mostLateMs = Infinity, onTooLate } = this.#options;
    const dueAt = (number: number) => startedAt + (number - first) * intervalMs;
    let stoppedAt = Infinity;
    const onStop = () => {
      stoppedAt = performance.now();
      this.#wake();
    };
    stop.addEventListener("abort", onStop);
    let sentAtOnce = 0;
    let number = first;
    for (; number <= last && dueAt(number) < endsAt; number++) {
      const due = dueAt(number);
      if (performance.now() < due) {
        await this.#untilDue(due);
        sentAtOnce = 0;
      } else if (++sentAtOnce === MOST_A_POLL) {
        await this.#poll.untilPolled();
        sentAtOnce = 0;
      }
      const now = performance.now();
      if (stop.aborted || now >= endsAt + LATE_END_MS) break;
      if (now - due <= mostLateMs) this.#send(number, now, now - due);
      else onTooLate?.();
    }
    // What was due just before a stop would have left a moment later.
    const lastDue = stoppedAt - LATE_END_MS;
    const end = Math.min(performance.now(), endsAt, lastDue);
    stop.removeEventListener("abort", onStop);
    clearTimeout(this.#alarm);
    await this.#poll.close();
    let unsent = 0;
    while (number + unsent <= last && dueAt(number + unsent) < end) unsent++;
    return unsent;
  }

  /** Waits until no message is under way. */
  async untilSettled(): Promise<void> {
    while (this.#underWay.size > 0) await this.#woken.promise;
  }

  async #untilDue(due: number): Promise<void> {
    const { stop, onIdle, intervalMs } = this.#options;
    await untilNear(due, stop);
    if (onIdle && this.#underWay.size === 0) {
      if (due - performance.now() > IDLE_MS) await onIdle();
    }
    while (!stop.aborted) {
      const leftMs = due - performance.now();
      if (leftMs <= 0) return;
      const sleepMs = leftMs - LOOKING_MS;
      const isIdle = this.#underWay.size === 0;
      if (isIdle && sleepMs > BLOCK_SLACK_MS) {
        // Set after the sending, the next alarm would delay the look for the reply.
        this.#wakeAt(due + intervalMs - LOOKING_MS);
        block(due - LOOKING_MS - performance.now());
      } else if (!isIdle && sleepMs > this.#lastTookMs) {
        // The reply comes before, as it seems: the event loop may sleep.
        this.#wakeAt(due - LOOKING_MS);
        await this.#woken.promise;
      } else await this.#poll.untilPolled();
    }
  }

  /** Wakes the loop at a moment, if it sleeps. */
  #wakeAt(moment: number): void {
    // An earlier alarm does no harm: another one is set after it.
    if (this.#alarmAt <= moment || moment === Infinity) return;
    clearTimeout(this.#alarm);
    this.#alarmAt = moment;
    this.#alarm = setTimeout(() => {
      this.#alarmAt = Infinity;
      this.#wake();
    }, Math.max(0, moment - performance.now()));
  }

  #wake(): void {
    this.#woken.resolve();
    this.#woken = Promise.withResolvers();
  }

  #send(number: number, now: number, lateMs: number): void {
    const { messageBytes, onUnsent, send } = this.#options;
    const { size } = this.#underWay;
    const bytes = (size + 1) * messageBytes;
    const isTooMuch = size >= MOST_UNDER_WAY.messages ||
      (size > 0 && bytes > MOST_UNDER_WAY.bytes);
    if (isTooMuch) return onUnsent();
    const sent: Sent = { number, sentAt: now };
    this.#underWay.add(sent);
    send(sent, lateMs).then(() => {
      this.#underWay.delete(sent);
      this.#lastTookMs = performance.now() - now;
      this.#wake();
    });
  }
}
