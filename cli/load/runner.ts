import { load, type LoadOptions } from "../../probe/load.ts";
import type { LoadProgress, Summary } from "../../probe/tally.ts";
import { connectorTo } from "../connector.ts";
import { warmUpLoad } from "./warm_up.ts";
import type { ReadRun } from "../metrics/probe.ts";
import type { Target } from "../target.ts";

/** What is sent, over how many connections and for how long. */
export interface LoadTask
  extends Pick<LoadOptions, "message" | "durationMs" | "ratePerSecond"> {
  /** How many connections there are. */
  readonly connections: number;
}

/** What a load tells while it goes on, and what ends it. */
export interface LoadHooks {
  /** Ends the load, as Ctrl-C does. */
  readonly signal: AbortSignal;
  /** Called when a connection was opened or could not be, with how many were. */
  readonly onOpening: (opened: number) => void;
  /**
   * Called when the connections are open. The clock starts when what this returns
   * settles; after a stop that must be soon.
   */
  readonly untilStart: () => Promise<unknown>;
  /** Called before the clock starts, with what goes on counting. */
  readonly onStart: (progress: LoadProgress) => void;
  /** Called at the beginning, with what reads the counts. */
  readonly onCounting?: ((read: ReadRun) => void) | undefined;
}

/** A thread of a load died: what it counted is lost. */
export class ThreadDiedError extends Error {
  /** The error's name, `ThreadDiedError`. */
  override readonly name = "ThreadDiedError";
}

/** A load that is ready to run. */
export interface LoadRunner extends Disposable {
  /** Whether the client's first calls are not in the numbers. */
  readonly isWarm: boolean;

  /** Loads. */
  run(hooks: LoadHooks): Promise<Summary>;
}

/** Makes a load in this thread ready. */
export async function loadInThisThread(
  target: Target,
  task: LoadTask,
  signal?: AbortSignal,
): Promise<LoadRunner> {
  const hasRate = task.ratePerSecond !== undefined;
  return {
    isWarm: await warmUpLoad(target.transport, hasRate, signal),
    run: (hooks) =>
      load({
        ...{ ...task, ...hooks },
        retryMs: target.retryMs,
        connect: connectorTo(target),
        onTally: (tally) => hooks.onCounting?.(() => tally),
      }),
    [Symbol.dispose]() {},
  };
}
