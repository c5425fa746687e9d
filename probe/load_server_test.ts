import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertRejects,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import { writeAll } from "../net/streams.ts";
import { serve } from "../server.ts";
import { freePort, startPeer } from "../testing/peer.ts";
import { connectTo } from "../testing/probe.ts";
import { load, type LoadCounters } from "./load.ts";

const message = new TextEncoder().encode("a message of 32 bytes and a bit.");

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
    assertEquals(summary.bytes, summary.messages * message.length);
    assertEquals(server.stats.bytes, summary.bytes);
    assertEquals(server.stats.accepted, 150);
    assertGreaterOrEqual(summary.durationMs, 200);
    const inBuckets = summary.histogram.reduce((sum, b) => sum + b.count, 0);
    assertEquals(inBuckets, summary.messages);
  });

  it("counts a failure, replaces the connection, and goes on", async () => {
    const stop = new AbortController();
    const { signal } = stop;
    using peer = peerThat((conn, bytes, number) => {
      if (number === 3) bytes[0]! ^= 1;
      if (number === 6) return Promise.resolve(conn.close());
      if (number === 9) stop.abort();
    });
    const connect = connectTo({ port: peer.port, signal });
    const summary = await load({
      connect,
      message,
      signal,
      durationMs: 60_000,
    });
    assertEquals(summary.failures, { mismatch: 1, closed: 1 });
    assertEquals(summary.failed, 2);
    assertEquals(peer.accepted, 3);
    // What the ninth came to depends on how fast the abort is.
    assert([6, 7].includes(summary.messages), `${summary.messages} messages`);
  });

  it("goes on across a restart on the same port", async () => {
    const port = freePort();
    const before = serve({ port, drainTimeoutMs: 0 });
    const stop = new AbortController();
    const { signal } = stop;
    const connect = connectTo({ port, signal });
    const isRefused = Promise.withResolvers<void>();
    let counters: Readonly<LoadCounters> | undefined;
    let isOver = false;
    const loading = load({
      ...{ message, connections: 3, durationMs: 20_000, signal },
      async connect(retryMs) {
        try {
          return await connect(retryMs);
        } catch (error) {
          isRefused.resolve();
          throw error;
        }
      },
      onStart: (given) => counters = given,
    }).finally(() => isOver = true);
    const untilMore = async () => {
      const messages = counters?.messages ?? 0;
      while ((counters?.messages ?? 0) <= messages) {
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
      await conn.read(buffer);
      await writeAll(conn, buffer.subarray(0, 1));
      conn.close();
    });
    const { messages, failures } = await load({
      connect: connectTo({ port: peer.port }),
      ...{ message, durationMs: 100, ratePerSecond: 1 },
    });
    assertEquals(messages, 1);
    assertEquals(failures, { mismatch: 1 });
  });

  it("fails as a whole when no server is there", async () => {
    const connect = connectTo({ port: freePort() });
    await assertRejects(
      () => load({ connect, message }),
      Deno.errors.ConnectionRefused,
    );
  });
});
