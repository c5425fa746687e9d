/**
 * The messages between the command and the threads that load for it.
 *
 * @module
 */

import type { ProbeCounts } from "../../probe/counts.ts";
import type { Ends } from "../../probe/probe_client.ts";
import type { MessagesPart, ProbeMessage } from "../../probe/messages.ts";
import type { SentError } from "../thread_errors.ts";
import type { Target } from "../target.ts";

/** What one thread sends. */
export interface LoadShare {
  /** What is sent each time. */
  readonly message: ProbeMessage;
  /** How many connections the thread has. */
  readonly connections: number;
  /** For how long it sends messages, in milliseconds. */
  readonly durationMs: number | undefined;
  /** How many messages are due to it a second, if they are due at times. */
  readonly ratePerSecond: number | undefined;
  /** Which of the threads it is. */
  readonly part: MessagesPart;
}

/** A message to a thread. */
export type ToLoadWorker =
  /** Get ready: load a server within this process. */
  | { type: "prepare"; target: Target; share: LoadShare }
  /** Open the connections. */
  | { type: "open" }
  /** Begin to send. */
  | { type: "start" }
  /** End, as at Ctrl-C. */
  | { type: "stop" }
  /** Tell what the load does at the moment. */
  | { type: "ask progress" }
  /** Tell what the load found so far. */
  | { type: "ask summary" }
  /** Tell what the load counted so far, over bounds in milliseconds. */
  | { type: "ask counts"; boundsMs: readonly number[] };

/** What a thread does at the moment. */
export interface SentProgress {
  /** How many messages or connections failed so far. */
  readonly failed: number;
  /** How long the latest second is, less than one if it is the first. */
  readonly durationMs: number;
  /** When it began, in milliseconds from the start. */
  readonly startMs: number;
  /** How many messages came back in it. */
  readonly messages: number;
  /** Their latencies: see `encodeHistogram()`. */
  readonly histogram: string;
  /** How many messages are under way. */
  readonly underWay: number;
  /** How long ago the oldest of them was sent, in milliseconds, 0 without any. */
  readonly oldestMs: number;
}

/** What a thread found. */
export interface SentSummary {
  /** The result, as `jsonLoad()` writes it. */
  readonly json: Record<string, unknown>;
  /** How many messages are under way. */
  readonly underWay: number;
  /** How long ago the oldest of them was sent, in milliseconds, 0 without any. */
  readonly oldestMs: number;
  /** The first connection, if there was one. */
  readonly ends: Ends | undefined;
  /** What made the first connection of all impossible. */
  readonly error: SentError | undefined;
}

/** A message from a thread. */
export type FromLoadWorker =
  /** It is ready; whether its first calls are not in the numbers. */
  | { type: "prepared"; isWarm: boolean }
  /** A connection was opened or could not be: how many were. */
  | { type: "opening"; opened: number }
  /** All connections are open. */
  | { type: "opened" }
  | { type: "progress"; progress: SentProgress }
  | { type: "summary"; summary: SentSummary }
  | { type: "counts"; counts: ProbeCounts }
  /** The load is over; what it counted may still be asked. */
  | { type: "finished"; summary: SentSummary }
  | { type: "failed"; error: SentError };
