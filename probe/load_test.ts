import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertRejects,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { writeAll } from "../net/streams.ts";
import { serve } from "../server.ts";
import { freePort, startPeer } from "../testing/peer.ts";
import { load } from "./load.ts";

const message = new TextEncoder().encode("a message of 32 bytes and a bit.");

/** Echoes until `answer` does something else. */
function echoing(
  answer: (
    conn: Deno.TcpConn,
    bytes: Uint8Array,
    turn: number,
  ) => Promise<unknown> | void,
) {
  let turns = 0;
  return startPeer(async (conn) => {
    const buffer = new Uint8Array(1000);
    while (true) {
      const length = await conn.read(buffer);
      if (length === null) return conn.close();
      const bytes = buffer.slice(0, length);
      const answered = answer(conn, bytes, ++turns);
      if (answered) await answered;
      else await writeAll(conn, bytes);
    }
  });
}

describe("load()", () => {
  it("counts what the server counted", async () => {
    await using server = serve({ port: 0 });
    const { port } = server.addr;
    const summary = await load({
      port,
      message,
      connections: 40,
      durationMs: 200,
    });
    assert(summary.messages > 40, `${summary.messages} messages`);
    assertEquals(summary.failed, 0);
    assertEquals(summary.unsent, 0);
    assertEquals(summary.bytes, summary.messages * message.length);
    assertEquals(server.stats.bytes, summary.bytes);
    assertEquals(server.stats.accepted, 40);
    assertGreaterOrEqual(summary.durationMs, 200);
    const inBuckets = summary.histogram.reduce((sum, b) => sum + b.count, 0);
    assertEquals(inBuckets, summary.messages);
  });

  it("counts a failure, replaces the connection, and goes on", async () => {
    using peer = echoing((conn, bytes, turn) => {
      if (turn === 3) bytes[0]! ^= 1;
      if (turn === 6) return Promise.resolve(conn.close());
    });
    const { port } = peer;
    const summary = await load({ port, message, durationMs: 600 });
    assertEquals(summary.failures, { mismatch: 1, closed: 1 });
    assertEquals(summary.failed, 2);
    assertEquals(peer.accepted, 3);
    assert(summary.messages > 4, `${summary.messages} messages`);
  });

  it("goes on across a restart of the server on the same port", async () => {
    const port = freePort();
    const server = serve({ port, drainTimeoutMs: 0 });
    const loading = load({ port, message, connections: 3, durationMs: 1500 });
    await delay(300);
    await server.shutdown();
    const messagesBefore = server.stats.bytes / message.length;
    await delay(300);
    await using _ = serve({ port });
    const summary = await loading;
    assert(summary.failed >= 3, `${summary.failed} failed`);
    assert(summary.failures.refused! > 0);
    assert(summary.messages > messagesBefore);
  });

  it("does not wait for ever for a server that stopped answering", async () => {
    using peer = echoing((_, __, turn) => turn > 5 ? delay(60_000) : undefined);
    const { port } = peer;
    const summary = await load({
      port,
      message,
      connections: 2,
      durationMs: 100,
      timeoutMs: 1000,
    });
    assertEquals(summary.messages, 5);
    assertEquals(summary.failures, { timeout: 2 });
  });

  it("finds bytes after the last reply of a connection", async () => {
    using peer = echoing((conn, bytes) => {
      setTimeout(() => writeAll(conn, bytes).catch(() => {}), 20);
      return writeAll(conn, bytes);
    });
    const { messages, failures } = await load({
      port: peer.port,
      message,
      durationMs: 500,
      ratePerSecond: 2,
      timeoutMs: 1000,
    });
    assertEquals(messages, 1);
    assertEquals(failures, { mismatch: 1 });
  });

  it("fails as a whole when no server is there", async () => {
    await assertRejects(
      () => load({ port: freePort(), message }),
      Deno.errors.ConnectionRefused,
    );
  });

  it("ends with its signal, and does not count what it cut off", async () => {
    await using server = serve({ port: 0 });
    const stop = new AbortController();
    const loading = load({
      port: server.addr.port,
      message,
      connections: 5,
      durationMs: 60_000,
      signal: stop.signal,
      onStart: () => setTimeout(() => stop.abort(), 50),
    });
    const summary = await loading;
    assertEquals(summary.failed, 0);
    assert(summary.messages > 0);
  });

  it("sends at the rate that was asked for", async () => {
    await using server = serve({ port: 0 });
    const summary = await load({
      port: server.addr.port,
      message,
      connections: 4,
      durationMs: 1000,
      ratePerSecond: 200,
    });
    assertEquals(summary.failed, 0);
    // On a machine that is busy with other things some may come to nothing.
    assertEquals(summary.messages + summary.unsent, 200);
  });

  it("shows a stall in every message that it delayed", async () => {
    using stalled = startStallingServer(500, 1000);
    const summary = await load({
      port: stalled.port,
      message,
      connections: 10,
      durationMs: 4000,
      ratePerSecond: 500,
    });
    assertEquals(summary.failed, 0);
    assertEquals(summary.messages + summary.unsent, 2000);
    // A quarter of the run was stalled; its messages waited 500 ms on average.
    assertGreaterOrEqual(summary.latencyMs!.p90, 300);
    assertGreaterOrEqual(summary.latencyMs!.max, 900);
  });

  it("tells how much was due and could not be sent", async () => {
    using peer = echoing(async (conn, bytes) => {
      await delay(50);
      await writeAll(conn, bytes);
    });
    const { messages, unsent } = await load({
      port: peer.port,
      message,
      durationMs: 500,
      ratePerSecond: 100,
    });
    assert(messages <= 10, `${messages} messages`);
    assertEquals(messages + unsent, 50);
  });
});

/** A server that answers nothing for a while, some time after its first message. */
function startStallingServer(afterMs: number, forMs: number) {
  let firstAt = 0;
  return startPeer(async (conn) => {
    const buffer = new Uint8Array(1000);
    while (true) {
      const length = await conn.read(buffer);
      if (length === null) return conn.close();
      firstAt ||= performance.now();
      const stallsAt = firstAt + afterMs;
      const now = performance.now();
      if (now >= stallsAt && now < stallsAt + forMs) {
        await delay(stallsAt + forMs - now);
      }
      await writeAll(conn, buffer.slice(0, length));
    }
  });
}
