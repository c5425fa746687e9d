import { assertEquals, assertLess, assertRejects } from "@std/assert";
import { deadline } from "@std/async/deadline";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { MismatchError } from "../client.ts";
import { stopClock } from "../testing/clock.ts";
import { patternOf, startPeer } from "../testing/peer.ts";
import {
  changing,
  clientOn,
  ECHOING,
  GivenSource,
  MemoryConn,
  readOnce,
  sourceOf,
} from "../testing/socket.ts";
import { HELLO } from "../testing/visitor.ts";
import { connectStream } from "./connect.ts";

/** Echoes, and keeps its side open. */
const OPEN_ENDED = { write: ECHOING.write! };

describe("StreamClient.echoBytes() with a timeout", () => {
  it("waits for a source as long as it takes", async () => {
    using clock = stopClock();
    const conn = new MemoryConn(ECHOING);
    const source = new GivenSource();
    const result = clientOn(conn, 300).echoBytes(source);
    for (const byte of HELLO) {
      await clock.pass(10_000);
      source.give(Uint8Array.of(byte));
    }
    await clock.pass(10_000);
    source.end();
    // From the first byte to the last one's verification.
    assertEquals(await result, { bytes: 5, durationMs: 40_000 });
    assertEquals(clock.timers, 0);
  });

  it("waits for a sink as long as it takes", async () => {
    using clock = stopClock();
    const conn = new MemoryConn(ECHOING);
    const result = clientOn(conn, 300).echoBytes(sourceOf(HELLO, 1), {
      async write() {
        await new Promise((resolve) => setTimeout(resolve, 10_000));
        return 1;
      },
    });
    await clock.pass(49_999);
    assertEquals(conn.closed, 0);
    await clock.pass(1);
    assertEquals(await result, { bytes: 5, durationMs: 40_000 });
  });

  it("gives up on a server that does not answer while its source waits", async () => {
    using clock = stopClock();
    const conn = new MemoryConn();
    const source = new GivenSource();
    const result = assertRejects(
      () => clientOn(conn, 500).echoBytes(source),
      Deno.errors.TimedOut,
      "No reply from 192.0.2.1:7 within 0.5 s: 2 of the 5 B sent so far came back",
    );
    await clock.pass(10_000);
    source.give(HELLO);
    await clock.pass(400);
    conn.reply(HELLO.subarray(0, 2));
    await clock.pass(499);
    assertEquals(conn.closed, 0);
    await clock.pass(50);
    assertEquals(conn.closed, 1);
    await result;
    assertEquals(clock.timers, 0);
    source.end();
  });

  it("gives up on a server that does not read", async () => {
    using clock = stopClock();
    const conn = new MemoryConn({ write: () => new Promise(() => {}) });
    const source = new GivenSource();
    const result = assertRejects(
      () => clientOn(conn, 500).echoBytes(source),
      Deno.errors.TimedOut,
      "0 of the 5 B sent so far came back",
    );
    await clock.pass(10_000);
    source.give(HELLO);
    await clock.pass(499);
    assertEquals(conn.closed, 0);
    await clock.pass(50);
    await result;
  });

  it("gives up on a server that answers and does not read", async () => {
    using clock = stopClock();
    const conn = new MemoryConn({
      write(bytes, conn) {
        conn.reply(bytes);
        return new Promise(() => {});
      },
    });
    const result = assertRejects(
      () => clientOn(conn, 500).echoBytes(sourceOf(HELLO)),
      Deno.errors.TimedOut,
      "all 5 B sent so far came back",
    );
    await clock.pass(499);
    assertEquals(conn.closed, 0);
    await clock.pass(50);
    await result;
  });

  it("waits for a source after a server that answered before it read", async () => {
    using clock = stopClock();
    const reading = Promise.withResolvers<number>();
    const conn = new MemoryConn({
      write(bytes, conn) {
        conn.reply(bytes);
        return reading.promise;
      },
    });
    const source = new GivenSource();
    const result = clientOn(conn, 500).echoBytes(source);
    source.give(HELLO);
    await clock.pass(499);
    reading.resolve(5);
    await clock.pass(10_000);
    assertEquals(conn.closed, 0);
    source.end();
    await conn.until("the half-close", () => conn.hasEnded);
    conn.reply(null);
    assertEquals((await result).bytes, 5);
  });

  it("gives up on a server that stops in the middle", async () => {
    using peer = startPeer(async (conn) => {
      await conn.write(await readOnce(conn, 1000));
    });
    using client = await connectStream({ port: peer.port, timeoutMs: 100 });
    await assertRejects(
      () => client.echoBytes(sourceOf(patternOf(20 << 20))),
      Deno.errors.TimedOut,
      "1,000 of ",
    );
  });

  it("fails as its source fails while it waits for the server", async () => {
    using clock = stopClock();
    const conn = new MemoryConn();
    const source = new GivenSource();
    const result = clientOn(conn, 500).echoBytes(source);
    source.give(HELLO);
    await clock.pass(100);
    source.end(new Error("broken"));
    await assertRejects(() => result, Error, "broken");
    assertEquals([conn.closed, clock.timers], [1, 0]);
  });

  it("leaves no timer when it is closed while its sink is slow", async () => {
    using clock = stopClock();
    const client = clientOn(new MemoryConn(ECHOING), 500);
    const writing = Promise.withResolvers<number>();
    const sink = { write: () => writing.promise };
    const result = client.echoBytes(sourceOf(HELLO), sink);
    await clock.pass(10_000);
    client.close();
    writing.resolve(5);
    await result;
    assertEquals(clock.timers, 0);
  });
});

describe("StreamClient.echoBytes() of a server that keeps its side open", () => {
  it("ends a second after the last byte", async () => {
    for (const timeoutMs of [1000, 60_000, Infinity]) {
      using clock = stopClock();
      const conn = new MemoryConn(OPEN_ENDED);
      const result = clientOn(conn, timeoutMs).echoBytes(sourceOf(HELLO));
      await clock.pass(999);
      assertEquals(conn.closed, 0);
      await clock.pass(50);
      assertEquals(conn.closed, 1);
      assertEquals(await result, { bytes: 5, durationMs: 0 });
      assertEquals(clock.timers, 0);
    }
  });

  it("is closed like any other afterwards", async () => {
    using clock = stopClock();
    const client = clientOn(new MemoryConn(OPEN_ENDED));
    const result = client.echoBytes(sourceOf(HELLO));
    await clock.pass(1050);
    await result;
    await assertRejects(
      () => client.echo(HELLO),
      Error,
      "the client is closed",
    );
  });

  it("ends a second after its source, if that ends later", async () => {
    using clock = stopClock();
    const conn = new MemoryConn(OPEN_ENDED);
    const source = new GivenSource();
    const result = clientOn(conn, 60_000).echoBytes(source);
    source.give(HELLO);
    await clock.pass(10_000);
    source.end();
    await clock.pass(999);
    assertEquals(conn.closed, 0);
    await clock.pass(50);
    assertEquals(await result, { bytes: 5, durationMs: 0 });
  });

  it("ends after the timeout, if that is shorter", async () => {
    using clock = stopClock();
    const conn = new MemoryConn(OPEN_ENDED);
    const result = clientOn(conn, 300).echoBytes(sourceOf(HELLO));
    await clock.pass(299);
    assertEquals(conn.closed, 0);
    await clock.pass(50);
    assertEquals((await result).bytes, 5);
  });

  it("gives it the whole timeout for what is not back yet", async () => {
    using clock = stopClock();
    const conn = new MemoryConn();
    const result = clientOn(conn, 5000).echoBytes(sourceOf(HELLO));
    await clock.pass(4999);
    conn.reply(HELLO.subarray(0, 4));
    await clock.pass(4999);
    conn.reply(HELLO.subarray(4), null);
    assertEquals(await result, { bytes: 5, durationMs: 9998 });
  });

  it("finds bytes after the last one, also late", async () => {
    using clock = stopClock();
    const conn = new MemoryConn(OPEN_ENDED);
    const result = clientOn(conn).echoBytes(sourceOf(HELLO));
    await clock.pass(900);
    conn.reply(Uint8Array.of(0x0a));
    const { offset, sent } = await assertRejects(() => result, MismatchError);
    assertEquals([offset, sent], [5, undefined]);
    assertEquals(conn.closed, 1);
  });

  it("closes the connection, which that server sees", async () => {
    const isOver = Promise.withResolvers<void>();
    const isClosed = Promise.withResolvers<void>();
    using peer = startPeer(async (conn) => {
      await conn.write(await readOnce(conn));
      await isOver.promise;
      // A write to what is closed fails, if not the first then another.
      while (await conn.write(HELLO).catch(() => 0) > 0) await delay(1);
      isClosed.resolve();
    });
    const client = await connectStream({ port: peer.port, timeoutMs: 100 });
    assertEquals((await client.echoBytes(sourceOf(HELLO))).bytes, 5);
    isOver.resolve();
    await deadline(isClosed.promise, 10_000);
  });

  it("does not wait for a second when the server ends its side", async () => {
    using peer = startPeer(changing((bytes) => bytes));
    using clock = stopClock();
    using client = await connectStream({ port: peer.port });
    // The clock stands: this ends without its help.
    const { bytes } = await client.echoBytes(sourceOf(HELLO));
    assertEquals(bytes, 5);
    assertLess(clock.timers, 1);
  });
});
