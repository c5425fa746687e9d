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
        if (type === "shutdown") log("bye\\n");
        if (type === "log written" && message.isOpen) finish(5, 1, 7);
      `),
    });
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
        `if (type === "stop") finish(own[0]);`,
        `Atomics.add(total, 0, index); Atomics.add(own, 0, index); listen()`,
      ),
    });
    assertEquals(server.countOpen(), 3);
    server.stop();
    assertEquals((await server.finished).accepted, 3);
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
        `if (type === "count all") {
          const stats = { accepted: 0, open: 0, closed: {}, bytes: 0 };
          tell({ type: "stats", stats });
          if (index === 2 && globalThis.hasClient) finish(1);
          else if (index === 2) tell({ type: "taken" });
          globalThis.hasClient = true;
        }
        if (type === "shutdown") log(String(index));
        if (type === "log written") finish(0);`,
      ),
    });
    await server.stats();
    await deadline(othersDown.promise, LONG_MS);
    const counted = server.stats();
    const { accepted } = await deadline(server.finished, LONG_MS);
    assertEquals(accepted, 1);
    await counted;
    assertEquals(out.texts.sort(), ["1", "3"]);
    await untilGone(server.addr);
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
