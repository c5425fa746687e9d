import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertInstanceOf,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import { writeAll } from "../net/streams.ts";
import { serve } from "../server.ts";
import { freePort, startPeer } from "../testing/peer.ts";
import { connectTo } from "../testing/probe.ts";
import { load } from "./load.ts";
import type { Tally } from "./tally.ts";

const message = 32;

/** Echoes, unless a message gets another answer by its number, from 1. */
function peerThat(
  answer: (
    conn: Deno.TcpConn,
    bytes: Uint8Array,
    number: number,
  ) => Promise<unknown> | void,
) {
  let number = 0;
  return startPeer(async (conn) => {
    const buffer = new Uint8Array(1000);
    while (true) {
      const length = await conn.read(buffer);
      if (length === null) return conn.close();
      const bytes = buffer.slice(0, length);
      await (answer(conn, bytes, ++number) ?? writeAll(conn, bytes));
    }
  });
}

describe("load() of a server", () => {
  it("counts what the server counted", async () => {
    await using server = serve({ port: 0 });
    const connect = connectTo(server.addr);
    const options = { connect, message, connections: 150, durationMs: 200 };
    const summary = await load(options);
    assertGreaterOrEqual(summary.messages, 150);
    assertEquals([summary.failed, summary.unsent], [0, 0]);
    assertEquals(server.stats().bytes, summary.messages * message);
    assertEquals(server.stats().accepted, 150);
    assertEquals(Math.round(summary.durationMs), 200);
    assertGreaterOrEqual(summary.messages, summary.messagesInTime);
    const inBuckets = summary.histogram.reduce((sum, b) => sum + b.count, 0);
    assertEquals(inBuckets, summary.messages);
  });

  it("counts what the server counted at a rate", async () => {
    await using server = serve({ port: 0 });
    const summary = await load({
      ...{ connect: connectTo(server.addr), message, connections: 3 },
      ...{ durationMs: 200, ratePerSecond: 500 },
    });
    const { messages, failed, unsent, tooLate } = summary;
    assertEquals([failed, unsent], [0, 0]);
    assertEquals(messages + tooLate, 100);
    assertEquals(server.stats().bytes, messages * message);
    assertEquals(server.stats().accepted, 3);
  });

  it("counts a failure, replaces the connection, and goes on", async () => {
    const stop = new AbortController();
    const { signal } = stop;
    using peer = peerThat((conn, bytes, number) => {
      if (number === 3) bytes[0]! ^= 1;
      if (number === 6) return Promise.resolve(conn.close());
      if (number === 9) stop.abort();
    });
    const connect = connectTo({ port: peer.port });
    const summary = await load({
      connect,
      message,
      signal,
      durationMs: 60_000,
    });
    const { unanswered = 0, ...failures } = summary.failures;
    assertEquals(failures, { mismatch: 1, closed: 1 });
    assertEquals(peer.accepted, 3);
    // What becomes of the ninth depends on how long the client may wait for it.
    assertEquals(summary.messages + unanswered, 7);
  });

  it("goes on across a restart on the same port", async () => {
    const port = freePort();
    const before = serve({ port, drainTimeoutMs: 0 });
    const stop = new AbortController();
    const { signal } = stop;
    const connect = connectTo({ port });
    const isRefused = Promise.withResolvers<void>();
    let progress: Tally | undefined;
    let isOver = false;
    const loading = load({
      ...{ message, connections: 3, durationMs: 20_000, signal },
      async connect(options) {
        try {
          return await connect(options);
        } catch (error) {
          isRefused.resolve();
          throw error;
        }
      },
      onStart: (given) => progress = given,
      onOpening() {},
    }).finally(() => isOver = true);
    const untilMore = async () => {
      const count = () => progress?.summary().messages ?? 0;
      const before = count();
      while (count() <= before) {
        assert(!isOver, "the load ended without another message");
        await nextTurn();
      }
    };
    await untilMore();
    await before.shutdown();
    await Promise.race([isRefused.promise, loading]);
    await using _after = serve({ port, drainTimeoutMs: 0 });
    await untilMore();
    stop.abort();
    const { failed, failures } = await loading;
    assertGreaterOrEqual(failed, 4);
    assertGreaterOrEqual(failures.refused!, 1);
  });

  it("does not wait for ever for a server that stopped answering", async () => {
    using peer = peerThat((_, __, number) =>
      number > 5 ? new Promise(() => {}) : undefined
    );
    const connect = connectTo({ port: peer.port, timeoutMs: 500 });
    const options = { connect, message, connections: 2, durationMs: 100 };
    const summary = await load(options);
    assertEquals(summary.messages, 5);
    assertEquals(summary.failures, { timeout: 2 });
  });

  it("finds bytes after the last reply of a connection", async () => {
    using peer = startPeer(async (conn) => {
      const buffer = new Uint8Array(100);
      const length = await conn.read(buffer);
      await writeAll(conn, buffer.subarray(0, length!));
      // The client has ended its side.
      await conn.read(buffer.subarray(length!));
      await writeAll(conn, buffer.subarray(0, length!));
      conn.close();
    });
    const { messages, failures, firstErrors } = await load({
      connect: connectTo({ port: peer.port }),
      ...{ message: 64, durationMs: 100, ratePerSecond: 1 },
    });
    assertEquals([messages, failures], [1, { mismatch: 1 }]);
    assertEquals(firstErrors.mismatch, "the reply to message 1 came again");
  });

  it("names the message whose reply came again", async () => {
    let last: Uint8Array | undefined;
    using peer = peerThat(async (conn, bytes, number) => {
      if (number === 5) await writeAll(conn, last!);
      last = bytes;
      await writeAll(conn, bytes);
    });
    const summary = await load({
      connect: connectTo({ port: peer.port }),
      ...{ message: 64, durationMs: 100 },
    });
    assertEquals(summary.failures, { mismatch: 1 });
    assertEquals(summary.firstErrors, {
      mismatch: "the reply to message 4 came again",
    });
  });

  it("tells of what never comes back at a rate", async () => {
    using peer = peerThat((_, __, number) =>
      number > 1 ? new Promise(() => {}) : undefined
    );
    const stop = new AbortController();
    const summary = await load({
      connect: connectTo({ port: peer.port }),
      ...{ message, durationMs: 60_000, ratePerSecond: 20 },
      signal: stop.signal,
      onStart: (progress) => {
        const timer = setInterval(() => {
          if (progress.underWayNow().messages < 3) return;
          clearInterval(timer);
          stop.abort();
        }, 1);
      },
    });
    const { messages, failures, durationMs } = summary;
    assert(messages <= 1 && durationMs < 60_000);
    assertGreaterOrEqual(failures.unanswered!, 3);
  });

  it("ends with why no server is there", async () => {
    const connect = connectTo({ port: freePort() });
    const { error, failures } = await load({ connect, message });
    assertInstanceOf(error, Deno.errors.ConnectionRefused);
    assertEquals(failures, { refused: 1 });
  });
});
