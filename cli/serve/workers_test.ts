import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { isNetworkError } from "../../net/errors.ts";
import type { Writer } from "../../net/streams.ts";
import { type CloseEvent, serve } from "../../server.ts";
import { recorder } from "../../testing/events.ts";
import { freePort } from "../../testing/peer.ts";
import { deadEnd } from "../../testing/socket.ts";
import { UsageError } from "../flags.ts";
import { checkWorkers, serveInWorkers } from "./workers.ts";

const OPTIONS = { hostname: "127.0.0.1", port: 0 };
const NOWHERE: Writer = { write: (p) => Promise.resolve(p.length) };

/**
 * Makes a worker's code, which `deno test` may not read from a file. It listens
 * when it is told to serve, unless the test says otherwise.
 *
 * @param onMessage What else it does with a `message` of the given `type`.
 * @param onServe What it does when it is told to serve.
 */
function script(onMessage: string, onServe = "listen()"): URL {
  const code = `
    const tell = (message) => postMessage(message);
    let listener;
    const listen = () => {
      listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      tell({ type: "listening", addr: listener.addr });
    };
    const log = (text) =>
      tell({ type: "log", lines: new TextEncoder().encode(text) });
    const die = (message) =>
      tell({ type: "failed", error: { name: "Error", message } });
    const finish = (accepted, open = 0, bytes = 0) =>
      tell({ type: "finished", stats: { accepted, open, bytes } });
    onmessage = ({ data: message }) => {
      const { type } = message;
      if (type === "serve") {
        const { options, log: style } = message;
        ${onServe};
      }
      ${onMessage}
    };
  `;
  return new URL(`data:text/javascript,${encodeURIComponent(code)}`);
}

/** A log that keeps its batches. */
function logSink() {
  const texts: string[] = [];
  return {
    texts,
    write(p: Uint8Array) {
      texts.push(new TextDecoder().decode(p));
      return Promise.resolve(p.length);
    },
  };
}

/** Waits until a worker that listened there is gone, with its listener. */
async function untilGone({ port }: { port: number }): Promise<void> {
  for (let attempt = 1; attempt <= 1000; attempt++) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    } catch (error) {
      // It may also be reset, when the listener goes just then.
      if (error instanceof Deno.errors.ConnectionRefused) return;
    }
    await delay(attempt);
  }
  throw new Error(`something still listens on ${port}`);
}

describe("serveInWorkers()", () => {
  it("adds up what its workers did, and logs what they say", async () => {
    const log = logSink();
    const server = await serveInWorkers(
      3,
      OPTIONS,
      "text",
      log,
      script(`
        if (type === "count open") tell({ type: "open", count: 2 });
        if (type === "shutdown") log("bye\\n");
        if (type === "log written" && message.isOpen) finish(5, 1, 7);
      `),
    );
    assertEquals(await server.countOpen(), 6);
    server.shutdown();
    assertEquals(await server.finished, { accepted: 15, open: 3, bytes: 21 });
    assertEquals(log.texts, ["bye\n", "bye\n", "bye\n"]);
    // A worker that is finished is no more.
    await untilGone(server.addr);
  });

  it("lets the others share the port that the first one took", async () => {
    const log = logSink();
    const port = freePort();
    const server = await serveInWorkers(
      2,
      { ...OPTIONS, port, idleTimeoutMs: 1234 },
      "json",
      log,
      script(
        `if (type === "log written") finish(0);`,
        `log(JSON.stringify({ options, style }) + "\\n"); listen();`,
      ),
    );
    await server.finished;
    const options = { ...OPTIONS, idleTimeoutMs: 1234, reusePort: true };
    assertEquals(log.texts.map((text) => JSON.parse(text)), [
      { options: { ...options, port }, style: "json" },
      { options: { ...options, port: server.addr.port }, style: "json" },
    ]);
  });

  it("tells its workers when the log is closed", async () => {
    const server = await serveInWorkers(
      1,
      OPTIONS,
      "text",
      { write: () => Promise.reject(new Error("closed")) },
      script(
        `if (type === "log written") finish(message.isOpen ? 0 : 1);`,
        `listen(); log("hello")`,
      ),
    );
    assertEquals((await server.finished).accepted, 1);
  });

  it("ends as a whole when a worker dies", async () => {
    const server = await serveInWorkers(
      2,
      OPTIONS,
      "none",
      NOWHERE,
      script(
        `if (type === "stop" && isSecond) die("boom");`,
        `globalThis.isSecond = options.port !== 0; listen()`,
      ),
    );
    server.stop();
    await assertRejects(() => server.finished, Error, "Worker 2 died: boom");
    await untilGone(server.addr);
  });

  it("ends when a worker throws what nothing catches", async () => {
    const server = await serveInWorkers(
      1,
      OPTIONS,
      "none",
      NOWHERE,
      script(`if (type === "count open") throw new Error("boom");`),
    );
    // What died has no connections.
    assertEquals(await server.countOpen(), 0);
    const error = await assertRejects(() => server.finished, Error);
    assertMatch(error.message, /^Worker 1 died: .*boom/);
    await untilGone(server.addr);
  });

  it("says why a worker cannot listen, and ends the others", async () => {
    const listening = Promise.withResolvers<Deno.NetAddr>();
    const out: Writer = {
      write(p) {
        listening.resolve(JSON.parse(new TextDecoder().decode(p)));
        return Promise.resolve(p.length);
      },
    };
    const address = { transport: "tcp", hostname: "::1", port: 7 } as const;
    const failure = {
      ...{ operation: "listen", address, reason: "address_in_use" },
      detail: "address already in use",
    };
    const sent = { name: "AddrInUse", message: "Cannot listen", failure };
    const fail = script(
      "",
      `if (options.port === 0) {
        listen();
        log(JSON.stringify(listener.addr));
      } else tell({ type: "failed", error: ${JSON.stringify(sent)} })`,
    );
    const error = await assertRejects(() =>
      serveInWorkers(3, OPTIONS, "none", out, fail)
    );
    assert(isNetworkError(error));
    assertEquals([error.name, error.message], ["AddrInUse", "Cannot listen"]);
    assertEquals(error.operation, "listen");
    assertEquals(error.reason, "address_in_use");
    await untilGone(await listening.promise);
  });

  it("shares its port with nobody else, and leaves them alone", async () => {
    const { onEvent, untilClosed } = recorder();
    await using server = serve({ ...OPTIONS, onEvent });
    const { port } = server.addr;
    const error = await assertRejects(
      () => serveInWorkers(2, { ...OPTIONS, port }, "none", NOWHERE),
      Deno.errors.AddrInUse,
      `Cannot listen on 127.0.0.1:${port}: address already in use`,
    );
    assert(isNetworkError(error) && error.reason === "address_in_use");
    // It looked whether the server answers.
    const [{ reason, bytes }] = await untilClosed(server) as [CloseEvent];
    assertEquals([reason, bytes], ["eof", 0]);
  });

  it("takes a server that does not accept for one", async () => {
    using busy = await deadEnd();
    const { port } = busy;
    await assertRejects(
      () => serveInWorkers(2, { ...OPTIONS, port }, "none", NOWHERE),
      Deno.errors.AddrInUse,
    );
  });

  it("does not look for a server on another machine", async () => {
    const options = { hostname: "192.0.2.1", port: freePort() };
    const error = await assertRejects(
      () => serveInWorkers(2, options, "none", NOWHERE),
      Deno.errors.AddrNotAvailable,
      "Cannot listen on 192.0.2.1:",
    );
    assert(isNetworkError(error) && error.reason === "no_such_address");
  });

  // Of an address for broadcasts Linux lets a socket listen, but not connect.
  const itOnLinux = Deno.build.os === "linux" ? it : it.skip;
  itOnLinux("says why it cannot look for a server", async () => {
    const options = { hostname: "127.255.255.255", port: freePort() };
    const error = await assertRejects(
      () => serveInWorkers(2, options, "none", NOWHERE),
      Error,
      `Cannot listen on 127.255.255.255:${options.port}: network is unreachable`,
    );
    assert(isNetworkError(error) && error.reason === "other");
  });
});

describe("checkWorkers()", () => {
  it("wants the right to read all of its code, not a part", () => {
    if (Deno.build.os !== "linux") return;
    const asked: unknown[] = [];
    const { querySync } = Deno.permissions;
    Deno.permissions.querySync = (descriptor) => {
      asked.push(descriptor);
      return { state: "granted" } as Deno.PermissionStatus;
    };
    try {
      checkWorkers();
    } finally {
      Deno.permissions.querySync = querySync;
    }
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
