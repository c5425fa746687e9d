import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLessOrEqual,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { writeAll } from "../net/streams.ts";
import { type EchoServer, serve } from "../server.ts";
import { freePort, startPeer } from "../testing/peer.ts";
import { connectTo } from "../testing/probe.ts";
import { ping, type PingOptions } from "./ping.ts";

const HELLO = new TextEncoder().encode("hello");

/** Pings a server, each message when the one before is settled. */
async function pingServer(
  port: number,
  options: Partial<PingOptions> & { timeoutMs?: number },
) {
  const story: string[] = [];
  const details: string[] = [];
  const { timeoutMs } = options;
  const summary = await ping({
    connect: connectTo({ port, timeoutMs }),
    message: HELLO,
    intervalMs: 0,
    ...options,
    async onEvent(event) {
      story.push(event.type === "lost" ? event.reason : event.type);
      if ("detail" in event) details.push(event.detail);
      await options.onEvent?.(event);
    },
  });
  const { sent, messages, failed } = summary;
  return { summary, counts: [sent, messages, failed], story, details };
}

/** Answers the messages of all its connections by number, counted from 1. */
function peerThat(
  answer: (conn: Deno.TcpConn, message: Uint8Array, number: number) => unknown,
) {
  let number = 0;
  return startPeer(async (conn) => {
    const buffer = new Uint8Array(100);
    while (true) {
      const length = await conn.read(buffer);
      if (length === null) return conn.close();
      await answer(conn, buffer.slice(0, length), ++number);
    }
  });
}

describe("ping() of a server", () => {
  it("sends each message on the same connection", async () => {
    await using server = serve({ port: 0 });
    const { port } = server.addr;
    for (const intervalMs of [0, 5]) {
      const options = { count: 4, intervalMs };
      const { counts, summary } = await pingServer(port, options);
      assertEquals(counts, [4, 4, 0]);
      assert(summary.latencyMs!.max <= summary.durationMs);
      assertEquals(summary.ends!.remote, server.addr);
    }
    assertEquals([server.stats().accepted, server.stats().bytes], [2, 40]);
  });

  it("verifies messages of any size", async () => {
    await using server = serve({ port: 0 });
    for (const message of [1, 20, 63, 64, 65, 200_000]) {
      const options = { count: 12, message };
      const { counts, summary } = await pingServer(server.addr.port, options);
      assertEquals([counts, summary.surplus], [[12, 12, 0], 0]);
    }
  });

  it("makes a connection for each message with reconnect", async () => {
    await using server = serve({ port: 0 });
    const { port } = server.addr;
    const options = { count: 3, reconnect: true };
    assertEquals((await pingServer(port, options)).counts, [3, 3, 0]);
    assertEquals(server.stats().accepted, 3);
  });

  it("takes a wrong, a short and a broken reply for a loss", async () => {
    using peer = peerThat(async (conn, message, number) => {
      if (number === 2) message[0]! ^= 1;
      await writeAll(conn, message.subarray(0, number === 4 ? 3 : 5));
      if (number === 4) conn.close();
    });
    const { counts, story } = await pingServer(peer.port, { count: 5 });
    assertEquals(story, [
      ...["connected", "reply", "mismatch"],
      ...["connected", "reply", "closed"],
      ...["connected", "reply"],
    ]);
    assertEquals(counts, [5, 3, 2]);
    assertEquals(peer.accepted, 3);
  });

  it("does not take a late reply for the next message's", async () => {
    const isLost = Promise.withResolvers<void>();
    using peer = peerThat(async (conn, message, number) => {
      if (number === 2) await isLost.promise;
      await writeAll(conn, message);
    });
    const { story, summary } = await pingServer(peer.port, {
      count: 3,
      timeoutMs: 500,
      onEvent({ type }) {
        if (type === "lost") isLost.resolve();
      },
    });
    assertEquals(story, [
      ...["connected", "reply", "timeout"],
      ...["connected", "reply"],
    ]);
    const { longestMs } = summary.outages;
    assertGreaterOrEqual(longestMs, 499);
    assertLessOrEqual(longestMs, summary.durationMs);
  });

  it("sends while an answer is to come, and verifies all of them", async () => {
    // It answers in the order of the messages, when the third is there.
    let held = new Uint8Array();
    using peer = peerThat(async (conn, bytes) => {
      held = new Uint8Array([...held, ...bytes]);
      if (held.length === 3 * 64) await writeAll(conn, held);
    });
    const options = { count: 3, message: 64, intervalMs: 10 };
    const { counts, summary } = await pingServer(peer.port, options);
    assertEquals([counts, peer.accepted], [[3, 3, 0], 1]);
    assertGreaterOrEqual(summary.latencyMs!.max, summary.latencyMs!.min);
  });

  it("names the message whose reply came again", async () => {
    for (const message of [1, 20, 64, 90]) {
      let first: Uint8Array | undefined;
      using peer = peerThat(async (conn, bytes, number) => {
        first ??= bytes;
        // The second copy comes before the reply to the next message.
        if (number === 2) await writeAll(conn, first);
        await writeAll(conn, bytes);
      });
      const options = { count: 3, message };
      const { story, details } = await pingServer(peer.port, options);
      assertEquals(story, [
        ...["connected", "reply", "mismatch", "connected", "reply"],
      ]);
      assertEquals(details, ["the reply to message 1 came again"]);
    }
  });

  it("names a second reply that came with the first", async () => {
    using peer = peerThat((conn, bytes, number) =>
      writeAll(
        conn,
        number === 2 ? new Uint8Array([...bytes, ...bytes]) : bytes,
      )
    );
    const options = { count: 3, message: 64 };
    const { counts, details } = await pingServer(peer.port, options);
    assertEquals([counts, peer.accepted], [[3, 2, 1], 2]);
    assertEquals(details, ["the reply to message 2 came again"]);
  });

  it("finds bytes after the last reply of a connection", async () => {
    // Written when the client has ended its side.
    using peer = startPeer(async (conn) => {
      const buffer = new Uint8Array(100);
      const length = await conn.read(buffer);
      await writeAll(conn, buffer.subarray(0, length!));
      await conn.read(buffer.subarray(length!));
      await writeAll(conn, buffer.subarray(0, length!));
      conn.close();
    });
    const { port } = peer;
    const one = await pingServer(port, { count: 1, message: 64 });
    assertEquals(one.story, ["connected", "reply", "surplus"]);
    assertEquals(one.details, ["the reply to message 1 came again"]);
    assertEquals([one.counts, one.summary.surplus], [[1, 1, 0], 1]);
    const anew = await pingServer(port, { count: 2, reconnect: true });
    assertEquals(anew.story, ["mismatch", "mismatch"]);
  });

  it("watches it across a restart on the same port", async () => {
    const port = freePort();
    let server: EchoServer | undefined;
    const { counts, story, summary } = await pingServer(port, {
      count: 6,
      async onEvent(event) {
        if (!("seq" in event)) return;
        if (event.seq === 1) server = serve({ port, drainTimeoutMs: 0 });
        if (event.seq === 3) await server!.shutdown();
        if (event.seq === 4) server = serve({ port, drainTimeoutMs: 0 });
      },
    });
    await server!.shutdown();
    assertEquals(story.slice(0, 4), [
      ...["refused", "connected", "reply", "reply"],
    ]);
    assertEquals(story.slice(-3), ["connected", "reply", "reply"]);
    assertEquals(counts, [6, 4, 2]);
    assertEquals(summary.outages.count, 2);
    assert(summary.outages.longestMs > 0);
  });

  it("tells what was unanswered at Ctrl-C", async () => {
    const stop = new AbortController();
    const { signal } = stop;
    using peer = peerThat(async (conn, message, number) => {
      if (number <= 2) await writeAll(conn, message);
      else stop.abort();
    });
    const { counts, story, details } = await pingServer(peer.port, { signal });
    assertEquals(story, ["connected", "reply", "reply", "unanswered"]);
    assertEquals(counts, [3, 2, 1]);
    assertEquals(details, ["no answer when the run ended"]);
  });

  it("looks for a second reply also after Ctrl-C", async () => {
    const stop = new AbortController();
    let last = new Uint8Array();
    using peer = startPeer(async (conn) => {
      const buffer = new Uint8Array(64);
      while (await conn.read(buffer) !== null) {
        last = buffer.slice();
        await writeAll(conn, last);
      }
      await writeAll(conn, last);
      conn.close();
    });
    const { story, details } = await pingServer(peer.port, {
      ...{ message: 64, signal: stop.signal },
      onEvent(event) {
        if ("seq" in event && event.seq === 2) stop.abort();
      },
    });
    assertEquals(story, ["connected", "reply", "reply", "surplus"]);
    assertEquals(details, ["the reply to message 2 came again"]);
  });
});
