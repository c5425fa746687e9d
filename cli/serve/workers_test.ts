import { assertEquals, assertThrows } from "@std/assert";
import { deadline } from "@std/async/deadline";
import { describe, it } from "@std/testing/bdd";
import { replace } from "../../testing/replace.ts";
import { script, untilGone } from "../../testing/workers.ts";
import { UsageError } from "../flags.ts";
import {
  checkWorkers,
  serveInWorkers,
  type WorkersOptions,
} from "./workers.ts";

/** What a server with played workers is asked to do, unless a test says otherwise. */
const OPTIONS: WorkersOptions = {
  count: 2,
  serve: { hostname: "127.0.0.1", port: 0 },
  style: "none",
  out: { write: () => Promise.resolve(0) },
  tell(event) {
    throw new Error(`told ${event.type}`);
  },
};

/** A wait of a test that would not end if the code were broken, in milliseconds. */
const LONG_MS = 10_000;

/** A log that keeps its batches. */
function logSink() {
  const texts: string[] = [];
  return {
    texts,
    write(p: Uint8Array) {
      texts.push(new TextDecoder().decode(p));
      return Promise.resolve(0);
    },
  };
}

describe("serveInWorkers()", () => {
  it("adds up what its workers did, and logs what they say", async () => {
    const out = logSink();
    const server = await serveInWorkers({
      ...OPTIONS,
      ...{ count: 3, out },
      script: script(`
        if (type === "count open") tell({ type: "open", count: 2 });
        if (type === "shutdown") log("bye\\n");
        if (type === "log written" && message.isOpen) finish(5, 1, 7);
      `),
    });
    assertEquals(await server.countOpen(), 6);
    server.shutdown();
    assertEquals(await server.finished, {
      ...{ accepted: 15, open: 3, bytes: 21 },
      closed: {},
    });
    assertEquals(out.texts, ["bye\n", "bye\n", "bye\n"]);
    // A worker that is finished is no more.
    await untilGone(server.addr);
  });

  it("lets the others share the port that the first one took", async () => {
    const out = logSink();
    const server = await serveInWorkers({
      ...OPTIONS,
      ...{ count: 3, out, style: "json" },
      serve: { ...OPTIONS.serve, idleTimeoutMs: 1234, maxConnections: 5 },
      script: script(
        `if (type === "log written") finish(0);`,
        `log(JSON.stringify({ ...options, shared: index, style })); listen()`,
      ),
    });
    await server.finished;
    const { port } = server.addr;
    const options = {
      ...{ hostname: "127.0.0.1", idleTimeoutMs: 1234, maxConnections: 5 },
      ...{ reusePort: true, style: "json" },
    };
    const said = out.texts.map((text) => JSON.parse(text))
      .sort((a, b) => a.shared - b.shared);
    assertEquals(said, [
      { ...options, port: 0, shared: 1 },
      { ...options, port, shared: 2 },
      { ...options, port, shared: 3 },
    ]);
  });

  it("gives its workers counters that they share", async () => {
    const server = await serveInWorkers({
      ...OPTIONS,
      script: script(
        `if (type === "count open") {
          tell({ type: "open", count: Number([...counts].join("")) });
        }
        if (type === "stop") finish(0);`,
        `Atomics.add(counts, 0, index); Atomics.add(counts, index, 4); listen()`,
      ),
    });
    assertEquals(await server.countOpen(), 2 * 344);
    server.stop();
    await server.finished;
  });

  it("tells its workers how many lines were lost", async () => {
    const server = await serveInWorkers({
      ...OPTIONS,
      ...{ count: 1, out: { write: () => Promise.resolve(3) } },
      script: script(
        `if (type === "log written") finish(message.isOpen && message.lost);`,
        `listen(); log("hello")`,
      ),
    });
    assertEquals((await server.finished).accepted, 3);
  });

  it("tells its workers when the log is closed", async () => {
    const server = await serveInWorkers({
      ...OPTIONS,
      ...{
        count: 1,
        out: { write: () => Promise.reject(new Error("closed")) },
      },
      script: script(
        `if (type === "log written") finish(message.isOpen ? 0 : 1);`,
        `listen(); log("hello")`,
      ),
    });
    assertEquals((await server.finished).accepted, 1);
  });

  it("shuts the others down when one has the only client", async () => {
    const out = logSink();
    const othersDown = Promise.withResolvers<void>();
    const server = await serveInWorkers({
      ...OPTIONS,
      count: 3,
      serve: { ...OPTIONS.serve, once: true },
      out: {
        async write(lines) {
          const lost = await out.write(lines);
          if (out.texts.filter((text) => text !== "2").length === 2) {
            othersDown.resolve();
          }
          return lost;
        },
      },
      // The first time that somebody counts its client comes, then it leaves.
      script: script(
        `if (type === "count open" && index === 2) {
          tell({ type: "open", count: 0 });
          if (globalThis.hasClient) finish(1);
          else tell({ type: "taken" });
          globalThis.hasClient = true;
        } else if (type === "count open") tell({ type: "open", count: 0 });
        if (type === "shutdown") log(String(index));
        if (type === "log written") finish(0);`,
      ),
    });
    await server.countOpen();
    await deadline(othersDown.promise, LONG_MS);
    // Not of interest here is whether one that is finished is counted.
    server.countOpen();
    const { accepted } = await deadline(server.finished, LONG_MS);
    assertEquals(accepted, 1);
    assertEquals(out.texts.sort(), ["1", "3"]);
    await untilGone(server.addr);
  });

  it("counts no connections of a worker that is finished", async () => {
    const server = await serveInWorkers({
      ...OPTIONS,
      script: script(
        `if (type === "count open") {
          tell({ type: "open", count: index });
          if (index === 1) finish(0);
        }
        if (type === "stop") finish(0);`,
      ),
    });
    const counted = [];
    try {
      // That it finished may not have arrived with its first answer.
      while (counted.at(-1) !== 2 && counted.length < 100) {
        counted.push(await deadline(server.countOpen(), LONG_MS));
      }
    } finally {
      server.stop();
      await server.finished;
    }
    assertEquals([counted[0], counted.at(-1)], [3, 2]);
  });
});

describe("checkWorkers()", () => {
  it("wants the right to read all of its code, not a part", () => {
    if (Deno.build.os !== "linux") return;
    const asked: unknown[] = [];
    using _ = replace(Deno.permissions, "querySync", (descriptor) => {
      asked.push(descriptor);
      return { state: "granted" } as Deno.PermissionStatus;
    });
    checkWorkers();
    assertEquals(asked, [
      { name: "read", path: new URL("../..", import.meta.url) },
    ]);
  });

  it("says what workers need here", () => {
    const { state } = Deno.permissions.querySync({ name: "read" });
    if (Deno.build.os !== "linux") {
      assertThrows(checkWorkers, UsageError, "--workers needs Linux");
    } else if (state !== "granted") {
      assertThrows(checkWorkers, UsageError, "--workers needs to read its own");
    } else checkWorkers();
  });
});
