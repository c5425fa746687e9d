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

/** Pings a server every 20 ms. */
async function pingServer(
  port: number,
  options: Partial<PingOptions> & { timeoutMs?: number },
) {
  const story: string[] = [];
  const { timeoutMs } = options;
  const summary = await ping({
    connect: connectTo({ port, timeoutMs, signal: options.signal }),
    message: HELLO,
    intervalMs: 20,
    ...options,
    async onEvent(event) {
      story.push(event.type === "lost" ? event.reason : event.type);
      await options.onEvent?.(event);
    },
  });
  const { sent, verified, lost } = summary;
  return { summary, counts: [sent, verified, lost], story };
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
    const { counts, summary } = await pingServer(port, { count: 4 });
    assertEquals(counts, [4, 4, 0]);
    assertEquals([server.stats.accepted, server.stats.bytes], [1, 20]);
    assert(summary.rttMs!.max <= summary.durationMs);
  });

  it("makes a connection for each message with reconnect", async () => {
    await using server = serve({ port: 0 });
    const { port } = server.addr;
    const options = { count: 3, reconnect: true };
    assertEquals((await pingServer(port, options)).counts, [3, 3, 0]);
    assertEquals(server.stats.accepted, 3);
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
      timeoutMs: 1000,
      onEvent({ type }) {
        if (type === "lost") isLost.resolve();
      },
    });
    assertEquals(story, [
      ...["connected", "reply", "timeout"],
      ...["connected", "reply"],
    ]);
    assertGreaterOrEqual(summary.longestOutageMs, 999);
    assertLessOrEqual(summary.longestOutageMs, summary.durationMs);
  });

  it("does not take a second reply for the next message's", async () => {
    using peer = peerThat(async (conn, message, number) => {
      await writeAll(conn, message);
      if (number === 1) await writeAll(conn, message);
    });
    const { story } = await pingServer(peer.port, { count: 3 });
    // It may come so soon that the first reply shows it.
    assertEquals(story.filter((what) => what === "mismatch").length, 1);
    assertEquals(story.filter((what) => what === "connected").length, 2);
    assertEquals(story.at(-1), "reply");
  });

  it("finds bytes after the last reply of a connection", async () => {
    // Written when the client has ended its side.
    using peer = startPeer(async (conn) => {
      const buffer = new Uint8Array(100);
      const length = await conn.read(buffer);
      await writeAll(conn, buffer.subarray(0, length!));
      await conn.read(buffer);
      await writeAll(conn, buffer.subarray(0, 1));
      conn.close();
    });
    const { port } = peer;
    const { story } = await pingServer(port, { count: 1 });
    assertEquals(story, ["connected", "mismatch"]);
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
    assert(summary.longestOutageMs > 0);
  });

  it("does not count what Ctrl-C cut off", async () => {
    const stop = new AbortController();
    const { signal } = stop;
    using peer = peerThat(async (conn, message, number) => {
      if (number <= 2) await writeAll(conn, message);
      else stop.abort();
    });
    const { counts, story } = await pingServer(peer.port, { signal });
    assertEquals(story, ["connected", "reply", "reply"]);
    assertEquals(counts, [2, 2, 0]);
  });
});
