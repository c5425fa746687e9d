import { load } from "../../probe/load.ts";
import type { Tally } from "../../probe/tally.ts";
import { reportErrors, toSent } from "../thread_errors.ts";
import { connectorTo } from "../connector.ts";
import { warmUpLoad } from "./warm_up.ts";
import type { FromLoadWorker, ToLoadWorker } from "./worker_messages.ts";

/** The global scope of a worker. */
interface WorkerScope extends EventTarget {
  postMessage(message: FromLoadWorker): void;
  close(): void;
  onmessage: ((event: MessageEvent<ToLoadWorker>) => void) | null;
}

/** What the command asks for first. */
type Prepare = Extract<ToLoadWorker, { type: "prepare" }>;

/** Loads as the command says, and tells it what happens. */
function startWorker(scope: WorkerScope): void {
  const stop = new AbortController();
  const start = Promise.withResolvers<void>();
  let task: Prepare | undefined;
  let tally: Tally | undefined;
  stop.signal.addEventListener("abort", () => start.resolve());

  const prepare = async ({ target, share }: Prepare) => {
    const hasRate = share.ratePerSecond !== undefined;
    const isWarm = await warmUpLoad(target.transport, hasRate);
    scope.postMessage({ type: "prepared", isWarm });
  };

  const open = async ({ target, share }: Prepare) => {
    await load({
      ...share,
      retryMs: target.retryMs,
      signal: stop.signal,
      connect: connectorTo(target),
      onTally: (given) => tally = given,
      onOpening: (opened) => scope.postMessage({ type: "opening", opened }),
      untilStart() {
        scope.postMessage({ type: "opened" });
        return start.promise;
      },
    });
    const { error } = tally!;
    scope.postMessage({
      ...{ type: "finished", tally: tally!.toRecord() },
      error: error === undefined ? undefined : toSent(error),
    });
  };

  const fail = (error: unknown) => {
    scope.postMessage({ type: "failed", error: toSent(error) });
    scope.close();
  };
  reportErrors(scope, fail);
  scope.onmessage = ({ data: message }) => {
    switch (message.type) {
      case "prepare":
        task = message;
        prepare(message).catch(fail);
        break;
      case "open":
        open(task!).catch(fail);
        break;
      case "start":
        start.resolve();
        break;
      case "stop":
        stop.abort();
        break;
      case "ask": {
        const { withRows } = message;
        const record = tally?.toRecord(withRows);
        if (record) {
          scope.postMessage({ type: "tally", tally: record, withRows });
        }
        break;
      }
    }
  };
}

startWorker(globalThis as unknown as WorkerScope);
