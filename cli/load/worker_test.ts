import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { serve } from "../../server.ts";
import { freePort, startPeer } from "../../testing/peer.ts";
import { readOnce } from "../../testing/socket.ts";
import { Watched } from "../../testing/waiting.ts";
import { Tally } from "../../probe/tally.ts";
import type {
  FromLoadWorker,
  LoadShare,
  ToLoadWorker,
} from "./worker_messages.ts";

/** The global scope as a worker's code sees it. */
const scope = globalThis as unknown as {
  onmessage: (event: { data: ToLoadWorker }) => void;
  postMessage(message: FromLoadWorker): void;
  close(): void;
};

/** Runs a worker's code in this thread, and plays the command. */
async function start(code: () => Promise<unknown>) {
  const messages: FromLoadWorker[] = [];
  const watched = new Watched();
  const note = (message: FromLoadWorker) => {
    messages.push(message);
    watched.changed();
  };
  scope.postMessage = note;
  let closed = 0;
  scope.close = () => closed++;
  await code();
  const { onmessage } = scope;
  return {
    get closed() {
      return closed;
    },
    tell: (data: ToLoadWorker) => onmessage({ data }),
    /** Takes the next message of a type out of those that came. */
    next<T extends FromLoadWorker["type"]>(type: T) {
      return watched.until(
        () => {
          const at = messages.findIndex((message) => message.type === type);
          if (at < 0) return undefined;
          const [message] = messages.splice(at, 1);
          return message as Extract<FromLoadWorker, { type: T }>;
        },
        () => `"${type}" among ${Deno.inspect(messages)}`,
      );
    },
  };
}

/** What it is told first. */
function prepareFor(
  port: number,
  share: Partial<LoadShare> = {},
): Extract<ToLoadWorker, { type: "prepare" }> {
  return {
    type: "prepare",
    target: {
      ...{ transport: "tcp", hostname: "127.0.0.1", port },
      ...{ timeoutMs: 5000, retryMs: 0 },
    },
    share: {
      ...{ message: 64, connections: 2, durationMs: 50 },
      ...{ ratePerSecond: undefined, part: { run: 7, index: 0, count: 2 } },
      ...share,
    },
  };
}

// Each test has code of its own: a module is run once under one address.
describe("A thread of a load", () => {
  it("opens, waits, loads, and tells what it found", async () => {
    await using server = serve({ port: 0 });
    const thread = await start(() => import("./worker.ts?whole"));
    const { port } = server.addr;
    thread.tell(prepareFor(port));
    assertEquals((await thread.next("prepared")).isWarm, true);
    assertEquals(server.stats().accepted, 0);

    thread.tell({ type: "open" });
    assertEquals((await thread.next("opening")).opened, 1);
    assertEquals((await thread.next("opening")).opened, 2);
    await thread.next("opened");
    assertEquals([server.stats().open, server.stats().bytes], [2, 0]);

    thread.tell({ type: "start" });
    const { tally, error } = await thread.next("finished");
    const summary = Tally.from(tally).summary();
    const { messages, runs, latencyMs } = summary;
    assert(messages > 0);
    assertEquals(server.stats().bytes, messages * 64);
    assertEquals([runs[0]!.durationMs, runs[0]!.connections], [50, 2]);
    assert(latencyMs!.min > 0);
    assertEquals(summary.ends?.remote.port, port);
    assertEquals([error, summary.underWay], [undefined, 0]);
  });

  it("tells what it does meanwhile, and ends when it is told to", async () => {
    const asked = Promise.withResolvers<void>();
    using silent = startPeer(async (conn) => {
      await readOnce(conn);
      asked.resolve();
    });
    const thread = await start(() => import("./worker.ts?stopped"));
    thread.tell(prepareFor(silent.port, { connections: 1, durationMs: 1e6 }));
    await thread.next("prepared");
    thread.tell({ type: "open" });
    await thread.next("opened");
    thread.tell({ type: "start" });
    await asked.promise;
    thread.tell({ type: "ask", withRows: true });
    const { tally, withRows } = await thread.next("tally");
    assertEquals([withRows, tally.rows.length], [true, 1]);
    const { underWay, messages, oldestMs } = Tally.from(tally).summary();
    assertEquals([underWay, messages], [1, 0]);
    assert(oldestMs > 0);
    thread.tell({ type: "stop" });
    const finished = await thread.next("finished");
    assertEquals(finished.tally.failures, { unanswered: 1 });
  });

  it("ends when it is told to before it starts", async () => {
    await using server = serve({ port: 0 });
    const thread = await start(() => import("./worker.ts?early"));
    thread.tell(prepareFor(server.addr.port, { ratePerSecond: 100 }));
    await thread.next("prepared");
    thread.tell({ type: "open" });
    await thread.next("opened");
    thread.tell({ type: "stop" });
    const { tally } = await thread.next("finished");
    const { messages, durationMs } = Tally.from(tally).summary();
    assertEquals([messages, durationMs], [0, 0]);
    assertEquals(server.stats().bytes, 0);
  });

  it("tells what it counted, also when it is over", async () => {
    const asked = Promise.withResolvers<void>();
    using silent = startPeer(async (conn) => {
      await readOnce(conn);
      asked.resolve();
    });
    const thread = await start(() => import("./worker.ts?counts"));
    thread.tell(prepareFor(silent.port, { connections: 1, durationMs: 1e6 }));
    await thread.next("prepared");
    thread.tell({ type: "open" });
    thread.tell({ type: "ask", withRows: false });
    const { counts: early } = (await thread.next("tally")).tally;
    assertEquals([early.sent, early.connected, early.open], [0, 0, 0]);
    await thread.next("opened");
    thread.tell({ type: "start" });
    await asked.promise;
    thread.tell({ type: "ask", withRows: false });
    const { counts, rows } = (await thread.next("tally")).tally;
    assertEquals([counts.sent, counts.connected, counts.open], [1, 1, 1]);
    assertEquals(rows, []);
    thread.tell({ type: "stop" });
    await thread.next("finished");
    thread.tell({ type: "ask", withRows: false });
    const { counts: late, failures } = (await thread.next("tally")).tally;
    assertEquals([late.sent, failures], [1, { unanswered: 1 }]);
    assertEquals([late.connected, late.open], [1, 0]);
  });

  it("tells what makes its first connection impossible", async () => {
    const thread = await start(() => import("./worker.ts?refused"));
    thread.tell(prepareFor(freePort()));
    await thread.next("prepared");
    thread.tell({ type: "open" });
    const { error } = await thread.next("finished");
    assertEquals(error?.failure?.reason, "refused");
  });

  it("tells what went wrong with itself, and closes", async () => {
    const thread = await start(() => import("./worker.ts?failed"));
    thread.tell(prepareFor(1, { connections: -1 }));
    await thread.next("prepared");
    thread.tell({ type: "open" });
    const { error } = await thread.next("failed");
    assertEquals([error.name, thread.closed], ["RangeError", 1]);
  });
});
