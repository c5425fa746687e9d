import { assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { connect } from "../../client.ts";
import { serve } from "../../server.ts";
import { Watched } from "../../testing/waiting.ts";
import type { FromWorker, ToWorker } from "./worker_messages.ts";

const OPTIONS = { hostname: "127.0.0.1", port: 0 };
const HELLO = new TextEncoder().encode("hello");

/** The global scope as a worker's code sees it. */
const scope = globalThis as unknown as {
  onmessage: (event: { data: ToWorker }) => void;
  postMessage(message: FromWorker): void;
  close(): void;
};

/** Runs a worker's code in this thread, and plays the command. */
async function start(load: () => Promise<unknown>) {
  const messages: FromWorker[] = [];
  const watched = new Watched();
  scope.postMessage = (message) => {
    messages.push(message);
    watched.changed();
  };
  // What it said until it closed tells whether it goes on.
  const closedAfter: number[] = [];
  scope.close = () => closedAfter.push(messages.length);
  await load();
  const { onmessage } = scope;
  return {
    messages,
    closedAfter,
    tell: (data: ToWorker) => onmessage({ data }),
    /** Takes the next message of a type out of those that came. */
    next<T extends FromWorker["type"]>(type: T) {
      return watched.until(
        () => {
          const at = messages.findIndex((message) => message.type === type);
          if (at < 0) return undefined;
          const [message] = messages.splice(at, 1);
          return message as Extract<FromWorker, { type: T }>;
        },
        () => `"${type}" among ${Deno.inspect(messages)}`,
      );
    },
  };
}

function textOf({ lines }: { lines: Uint8Array }): string {
  return new TextDecoder().decode(lines);
}

// Each test has code of its own: a module is run once under one address.
describe("A worker", () => {
  it("serves, counts, and hands over its log batch by batch", async () => {
    const worker = await start(() => import("./worker.ts?log"));
    worker.tell({ type: "count all" });
    assertEquals((await worker.next("stats")).stats.accepted, 0);
    worker.tell({ type: "shutdown" });
    worker.tell({ type: "log written", isOpen: true, lost: 0 });

    worker.tell({ type: "serve", options: OPTIONS, log: "text" });
    const { port } = (await worker.next("listening")).addr;
    using client = await connect({ port });
    assertMatch(
      textOf(await worker.next("log")),
      /^Connection established.*\n$/,
    );
    await client.echo(HELLO);
    worker.tell({ type: "count all" });
    assertEquals((await worker.next("stats")).stats, {
      ...{ accepted: 1, open: 1, closed: {}, bytes: 5 },
    });
    worker.tell({ type: "shutdown" });
    await client.end();
    // The command did not write the first batch yet.
    assertEquals(worker.messages, []);
    worker.tell({ type: "log written", isOpen: true, lost: 0 });
    assertMatch(
      textOf(await worker.next("log")),
      /^Received: hello\nConnection closed with .*: 5 B echoed in .*\n$/,
    );
    assertEquals(worker.messages, []);
    worker.tell({ type: "log written", isOpen: true, lost: 0 });
    assertEquals(await worker.next("finished"), {
      type: "finished",
      stats: { accepted: 1, open: 0, closed: { eof: 1 }, bytes: 5 },
    });
    assertEquals(worker.messages, []);
  });

  it("counts the lines that the command could not write", async () => {
    const worker = await start(() => import("./worker.ts?lost"));
    worker.tell({ type: "serve", options: OPTIONS, log: "text" });
    const { port } = (await worker.next("listening")).addr;
    using client = await connect({ port });
    await worker.next("log");
    worker.tell({ type: "log written", isOpen: true, lost: 1 });
    await client.echo(HELLO);
    assertMatch(
      textOf(await worker.next("log")),
      /^1 line left out: .*\nReceived: hello\n$/,
    );
    worker.tell({ type: "log written", isOpen: true, lost: 0 });
    worker.tell({ type: "stop" });
    await worker.next("log");
    worker.tell({ type: "log written", isOpen: true, lost: 0 });
    await worker.next("finished");
  });

  it("logs no more once its log is closed, and stops at once", async () => {
    const worker = await start(() => import("./worker.ts?closed"));
    worker.tell({ type: "serve", options: OPTIONS, log: "json" });
    const { port } = (await worker.next("listening")).addr;
    using _ = await connect({ port });
    const opened = JSON.parse(textOf(await worker.next("log")));
    assertEquals(opened.event, "open");
    assertMatch(opened.time, /^\d{4}-\d\d-\d\dT.*Z$/);
    worker.tell({ type: "log written", isOpen: false, lost: 0 });
    using client = await connect({ port });
    await client.echo(HELLO);
    worker.tell({ type: "stop" });
    const { stats } = await worker.next("finished");
    assertEquals(stats, {
      ...{ accepted: 2, open: 0, bytes: 5 },
      closed: { shutdown: 2 },
    });
    assertEquals(worker.messages, []);
  });

  it("makes no events without a log", async () => {
    const worker = await start(() => import("./worker.ts?none"));
    worker.tell({ type: "serve", options: OPTIONS, log: "none" });
    const { port } = (await worker.next("listening")).addr;
    using client = await connect({ port });
    await client.echo(HELLO);
    worker.tell({ type: "stop" });
    await worker.next("finished");
    assertEquals(worker.messages, []);
  });

  const onceWith = {
    none: () => import("./worker.ts?once-none"),
    json: () => import("./worker.ts?once-json"),
  };
  for (const log of ["none", "json"] as const) {
    it(`says that it has its only client, with log style ${log}`, async () => {
      const worker = await start(onceWith[log]);
      const options = { ...OPTIONS, once: true };
      worker.tell({ type: "serve", options, log });
      const { port } = (await worker.next("listening")).addr;
      assertEquals(worker.messages, []);
      using client = await connect({ port });
      // Told when the client comes: it may send nothing.
      assertEquals(await worker.next("taken"), { type: "taken" });
      await client.echo(HELLO);
      if (log === "json") {
        await worker.next("log");
        worker.tell({ type: "log written", isOpen: false, lost: 0 });
      }
      await client.end();
      const { stats } = await worker.next("finished");
      assertEquals(stats, {
        ...{ accepted: 1, open: 0, bytes: 5 },
        closed: { eof: 1 },
      });
      assertEquals(worker.messages, []);
    });
  }

  it("takes no more clients than the counters of all allow", async () => {
    const worker = await start(() => import("./worker.ts?shared"));
    const total = new Int32Array(new SharedArrayBuffer(4));
    const own = new Int32Array(new SharedArrayBuffer(4));
    // Another worker has one client.
    total[0] = 1;
    const options = {
      ...{ ...OPTIONS, maxConnections: 2 },
      shared: { total, own },
    };
    worker.tell({ type: "serve", options, log: "none" });
    const { port } = (await worker.next("listening")).addr;
    using first = await connect({ port });
    await first.echo(HELLO);
    assertEquals([total[0], own[0]], [2, 1]);
    using second = await connect({ port });
    const echoing = second.echo(HELLO);
    let isEchoed = false;
    echoing.then(() => isEchoed = true);
    for (let turn = 0; turn < 5; turn++) await first.echo(HELLO);
    assertEquals(isEchoed, false);
    // The other worker's client leaves.
    Atomics.sub(total, 0, 1);
    await echoing;
    assertEquals([total[0], own[0]], [2, 2]);
    worker.tell({ type: "stop" });
    await worker.next("finished");
  });

  it("says what went wrong, and prints no stack", async () => {
    const worker = await start(() => import("./worker.ts?failed"));
    await using server = serve(OPTIONS);
    const { port } = server.addr;
    const options = { ...OPTIONS, port };
    worker.tell({ type: "serve", options, log: "none" });
    const { name, failure } = (await worker.next("failed")).error;
    assertEquals(name, "AddrInUse");
    assertEquals(failure, {
      ...{ operation: "listen", reason: "address_in_use" },
      address: { transport: "tcp", ...options },
      detail: "address already in use",
    });

    const promise = new Promise<never>(() => {});
    const cancelable = true;
    for (
      const event of [
        new ErrorEvent("error", { error: new TypeError("boom"), cancelable }),
        new PromiseRejectionEvent("unhandledrejection", {
          ...{ promise, reason: new TypeError("boom"), cancelable },
        }),
      ]
    ) {
      globalThis.dispatchEvent(event);
      assertEquals(event.defaultPrevented, true);
      // The other tests' code hears it, too.
      assertEquals(worker.messages.splice(0).at(-1), {
        ...{ type: "failed", error: { name: "TypeError", message: "boom" } },
        stats: undefined,
      });
      assertEquals(worker.closedAfter.length > 0, true);
      worker.closedAfter.length = 0;
    }
  });
});
