import type { MessagesPart, ProbeMessage } from "../../probe/messages.ts";
import type { TallyRecord } from "../../probe/tally.ts";
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
  /** Tell what the load found so far, with its rows only if they are asked for. */
  | { type: "ask"; withRows: boolean };

/** A message from a thread. */
export type FromLoadWorker =
  /** It is ready; whether its first calls are not in the numbers. */
  | { type: "prepared"; isWarm: boolean }
  /** A connection was opened or could not be: how many were. */
  | { type: "opening"; opened: number }
  /** All connections are open. */
  | { type: "opened" }
  | { type: "tally"; tally: TallyRecord; withRows: boolean }
  /** The load is over; what it counted may still be asked. */
  | { type: "finished"; tally: TallyRecord; error: SentError | undefined }
  | { type: "failed"; error: SentError };
