import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Socket } from "node:net";
import { writeAll } from "../net/streams.ts";
import { serve } from "../server.ts";
import { stopClock } from "../testing/clock.ts";
import { recorder } from "../testing/events.ts";
import { patternOf } from "../testing/peer.ts";
import {
  connectTo,
  HELLO,
  readExactly,
  readToEnd,
  roundTrip,
} from "../testing/visitor.ts";
import { PREVIEW_BYTES } from "./events.ts";

describe("ServeOptions.onEvent", () => {
  it("is told what happens on a connection, in order", async () => {
    const { events, onEvent, untilClosed } = recorder();
    using clock = stopClock();
    await using server = serve({ port: 0, onEvent, drainTimeoutMs: 0 });
    await clock.pass(5000);
    using conn = await connectTo(server);
    for (let turn = 0; turn < 3; turn++) await roundTrip(conn);
    await clock.pass(1234);
    await conn.closeWrite();
    await untilClosed(server);
    const remote = conn.localAddr;
    assertEquals(events as unknown[], [
      { type: "open", remote },
      { type: "data", remote, preview: HELLO, bytes: 5, open: 1 },
      { type: "close", remote, bytes: 15, durationMs: 1234, reason: "eof" },
    ]);
  });

  it("gets a copy of at most 512 of the first bytes", async () => {
    assertEquals(PREVIEW_BYTES, 512);
    for (const length of [1, 511, 512]) {
      const { events, onEvent } = recorder();
      await using server = serve({ port: 0, onEvent });
      using conn = await connectTo(server);
      for (const seed of [1, 2]) {
        await writeAll(conn, patternOf(length, seed));
        await readExactly(conn, length);
      }
      const data = events.filter((event) => event.type === "data");
      assertEquals(data.map(({ bytes }) => bytes), [length]);
      assertEquals(data[0]?.preview, patternOf(length, 1));
      assertEquals(data[0]?.preview.buffer.byteLength, length);
    }
  });

  it("may throw: the server goes on, and tells the first error in the end", async () => {
    const errors: Error[] = [];
    const server = serve({
      port: 0,
      onEvent({ type }) {
        errors.push(new Error(type));
        throw errors.at(-1);
      },
    });
    for (let turn = 0; turn < 3; turn++) {
      using conn = await connectTo(server);
      assertEquals(await roundTrip(conn), HELLO);
      assertEquals(await roundTrip(conn), HELLO);
    }
    const error = await assertRejects(() => server.shutdown());
    assertStrictEquals(error, errors[0]);
    const types = errors.map(({ message }) => message);
    assertEquals(types.filter((type) => type === "open").length, 3);
    assertEquals(types.filter((type) => type === "data").length, 3);
    assertEquals(types.filter((type) => type === "close").length, 3);
    assertEquals(server.stats(), {
      ...{ accepted: 3, open: 0, bytes: 30 },
      closed: { eof: 3 },
    });
  });

  it("may throw undefined", async () => {
    const server = serve({
      port: 0,
      onEvent() {
        throw undefined;
      },
    });
    (await connectTo(server)).close();
    let reason: unknown = "none";
    await server.shutdown().catch((error) => reason = error);
    assertEquals(reason, undefined);
  });

  it("may stop the server while a connection opens", async () => {
    const stop = new AbortController();
    const { events, onEvent } = recorder();
    const server = serve({
      port: 0,
      signal: stop.signal,
      onEvent(event) {
        onEvent(event);
        if (event.type === "open") stop.abort();
      },
    });
    using conn = await connectTo(server);
    await server.finished;
    assertEquals(await readToEnd(conn), new Uint8Array());
    assertEquals(events.map(({ type }) => type), ["open", "close"]);
  });

  // As on macOS, where a client that is gone already makes that fail.
  it("is told of a connection that the system refuses to set up", async () => {
    const { onEvent, untilClosed } = recorder();
    await using server = serve({ port: 0, onEvent });
    using sample = await connectTo(server);
    await roundTrip(sample);
    const error = new Error("Invalid argument (os error 22)");
    const tcpConn = Object.getPrototypeOf(sample);
    const { setNoDelay } = tcpConn;
    tcpConn.setNoDelay = () => {
      throw error;
    };
    try {
      using conn = await connectTo(server);
      assertEquals(await readToEnd(conn), new Uint8Array());
    } finally {
      tcpConn.setNoDelay = setNoDelay;
    }
    const [closed] = await untilClosed(server);
    assertEquals([closed?.reason, closed?.error], ["error", error]);
    assertEquals(await roundTrip(sample), HELLO);
  });

  // Before Deno 2.9 nothing resets a connection that waits for its turn.
  const itResets = "resetAndDestroy" in Socket.prototype &&
      Deno.build.os === "linux"
    ? it
    : it.skip;

  itResets(
    "is told that clients broke their connections in the queue",
    async () => {
      const { events, onEvent } = recorder();
      await using server = serve({ port: 0, maxConnections: 1, onEvent });
      {
        using first = await connectTo(server);
        await roundTrip(first);
        for (let turn = 0; turn < 3; turn++) {
          const left = new Socket().connect(server.addr.port, "127.0.0.1");
          await new Promise((resolve) => left.once("connect", resolve));
          left.resetAndDestroy();
          await new Promise((resolve) => left.once("close", resolve));
        }
      }
      using conn = await connectTo(server);
      assertEquals(await roundTrip(conn), HELLO);
      const others = events.filter(({ type }) =>
        !["open", "data", "close"].includes(type)
      );
      assertEquals(others, [{ type: "full", open: 1 }, { type: "reset" }]);
      assertEquals(server.stats(), {
        ...{ accepted: 2, open: 1, bytes: 10 },
        closed: { eof: 1 },
      });
    },
  );

  it("is told how many connections are open at the first bytes", async () => {
    const { events, onEvent } = recorder();
    await using server = serve({ port: 0, onEvent });
    using first = await connectTo(server);
    await roundTrip(first);
    using second = await connectTo(server);
    await roundTrip(second);
    const counts = events.map((event) => event.type === "data" && event.open);
    assertEquals(counts, [false, 1, false, 2]);
  });
});
