/**
 * One of the threads of `echo send --workers`: a load of its own, with a part of the
 * connections and of the rate.
 *
 * @module
 */

import type { ReadCounts } from "../../probe/counts.ts";
import { encodeHistogram } from "../../probe/histogram_text.ts";
import { load, type LoadSummary, type RunningLoad } from "../../probe/load.ts";
import { reportErrors, toSent } from "../thread_errors.ts";
import { connectorTo } from "../connector.ts";
import { jsonLoad } from "../../report/load_json.ts";
import { warmUpLoad } from "./warm_up.ts";
import type {
  FromLoadWorker,
  SentProgress,
  SentSummary,
  ToLoadWorker,
} from "./worker_messages.ts";

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
  let running: RunningLoad | undefined;
  let readCounts: ReadCounts | undefined;
  stop.signal.addEventListener("abort", () => start.resolve());

  const prepare = async ({ target, share }: Prepare) => {
    const hasRate = share.ratePerSecond !== undefined;
    const isWarm = await warmUpLoad(target.transport, hasRate);
    scope.postMessage({ type: "prepared", isWarm });
  };

  const open = async ({ target, share }: Prepare) => {
    const summary = await load({
      ...share,
      retryMs: target.retryMs,
      signal: stop.signal,
      connect: connectorTo(target),
      onCounting: (read) => readCounts = read,
      onOpening: (opened) => scope.postMessage({ type: "opening", opened }),
      untilStart() {
        scope.postMessage({ type: "opened" });
        return start.promise;
      },
      onStart: (given) => running = given,
    });
    tellSummary("finished", summary);
  };

  const tellSummary = (type: "summary" | "finished", summary: LoadSummary) =>
    scope.postMessage({ type, summary: toSentSummary(summary, task!) });

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
      case "ask progress":
        if (running) {
          scope.postMessage({
            type: "progress",
            progress: toSentProgress(running),
          });
        }
        break;
      case "ask summary":
        if (running) tellSummary("summary", running.summary());
        break;
      case "ask counts":
        if (readCounts) {
          const counts = readCounts(message.boundsMs);
          scope.postMessage({ type: "counts", counts });
        }
        break;
    }
  };
}

function toSentSummary(
  summary: LoadSummary,
  { target, share }: Prepare,
): SentSummary {
  const { underWay, oldestMs, ends, error } = summary;
  return {
    // Whether it is warm, and when it began, is the command's to know.
    json: jsonLoad({ summary, context: { ...share, target, isWarm: true } }),
    ...{ underWay, oldestMs, ends },
    error: error === undefined ? undefined : toSent(error),
  };
}

function toSentProgress(running: RunningLoad): SentProgress {
  const { startMs, durationMs, messages, histogram } = running.lastRecorded();
  const { messages: underWay, sinceAt } = running.underWayNow();
  return {
    ...{ failed: running.failed, startMs, durationMs, messages, underWay },
    histogram: encodeHistogram(histogram),
    oldestMs: sinceAt === undefined ? 0 : performance.now() - sinceAt,
  };
}

startWorker(globalThis as unknown as WorkerScope);
