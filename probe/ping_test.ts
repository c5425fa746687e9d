import { assert, assertEquals, assertGreaterOrEqual } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { writeAll } from "../net.ts";
import { serve } from "../server.ts";
import { freePort, startPeer } from "../testing/peer.ts";
import { ping, type PingEvent, type PingOptions } from "./ping.ts";

const HELLO = new TextEncoder().encode("hello");

/** Pings, and tells in short what became of each message. */
async function run(options: Omit<PingOptions, "message">) {
  const events: PingEvent[] = [];
  const summary = await ping({
    message: HELLO,
    intervalMs: 20,
    timeoutMs: 300,
    ...options,
    onEvent(event) {
      events.push(event);
      return options.onEvent?.(event);
    },
  });
  const story = events.map((event) =>
    event.type === "lost" ? event.reason : event.type
  );
  return { summary, story, events };
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
      if (length === null) return;
      await answer(conn, buffer.slice(0, length), ++number);
    }
  });
}

describe("ping()", () => {
  it("sends each message on the same connection, and sums up", async () => {
    await using server = serve({ port: 0 });
    const { port } = server.addr;
    const { summary, story, events } = await run({ port, count: 4 });
    assertEquals(story, ["connected", "reply", "reply", "reply", "reply"]);
    assertEquals(server.stats.accepted, 1);
    const { sent, verified, lost, longestOutageMs, rttMs } = summary;
    assertEquals([sent, verified, lost, longestOutageMs], [4, 4, 0, 0]);
    const times = events.flatMap((e) => e.type === "reply" ? [e.rttMs] : []);
    // Three significant digits.
    assert(Math.abs(rttMs!.min / Math.min(...times) - 1) < 0.002);
    assert(Math.abs(rttMs!.max / Math.max(...times) - 1) < 0.002);
    assert(rttMs!.min <= rttMs!.p50 && rttMs!.p50 <= rttMs!.p99);
    assertEquals(
      events.flatMap((event) => "seq" in event ? [event.seq] : []),
      [1, 2, 3, 4],
    );
  });

  it("keeps to its schedule, from start to start", async () => {
    using peer = peerThat(async (conn, message) => {
      await new Promise((resolve) => setTimeout(resolve, 30));
      await writeAll(conn, message);
    });
    const { summary } = await run({
      port: peer.port,
      count: 4,
      intervalMs: 50,
    });
    // Three intervals and the last reply; a pause after each would make 4 × 80.
    assertGreaterOrEqual(summary.durationMs, 3 * 50 + 29);
  });

  it("connects for each message with reconnect", async () => {
    await using server = serve({ port: 0 });
    const { port } = server.addr;
    const { story, events } = await run({ port, count: 3, reconnect: true });
    assertEquals(story, ["reply", "reply", "reply"]);
    assertEquals(server.stats.accepted, 3);
    for (const event of events) assert("connectMs" in event && event.connectMs);
  });

  it("takes a wrong, a short and a broken reply for a loss", async () => {
    using peer = peerThat(async (conn, message, number) => {
      if (number === 2) message[0]! ^= 1;
      await writeAll(conn, message.subarray(0, number === 4 ? 3 : 5));
      if (number === 4) conn.close();
    });
    const { summary, story } = await run({ port: peer.port, count: 5 });
    assertEquals(story, [
      ...["connected", "reply", "mismatch"],
      ...["connected", "reply", "closed"],
      ...["connected", "reply"],
    ]);
    assertEquals([summary.sent, summary.verified, summary.lost], [5, 3, 2]);
    assertEquals(peer.accepted, 3);
  });

  it("does not take a late reply for the next message's", async () => {
    using peer = peerThat(async (conn, message, number) => {
      if (number === 2) await new Promise((r) => setTimeout(r, 450));
      await writeAll(conn, message);
    });
    const { summary, story } = await run({ port: peer.port, count: 3 });
    assertEquals(story, [
      ...["connected", "reply", "timeout"],
      ...["connected", "reply"],
    ]);
    assertGreaterOrEqual(summary.longestOutageMs, 300);
  });

  it("does not take a second reply for the next message's", async () => {
    using peer = peerThat(async (conn, message, number) => {
      await writeAll(conn, message);
      if (number === 1) await writeAll(conn, message);
    });
    const { story } = await run({ port: peer.port, count: 3, intervalMs: 100 });
    // It may come so soon that the first reply shows it.
    assertEquals(story.filter((what) => what === "mismatch").length, 1);
    assertEquals(story.filter((what) => what === "connected").length, 2);
    assertEquals(story.at(-1), "reply");
  });

  it("finds bytes after the last reply of a connection", async () => {
    using peer = peerThat(async (conn, message) => {
      await writeAll(conn, message);
      setTimeout(() => writeAll(conn, message).catch(() => {}), 10);
    });
    const { port } = peer;
    assertEquals((await run({ port, count: 1 })).story, [
      ...["connected", "mismatch"],
    ]);
    assertEquals((await run({ port, count: 2, reconnect: true })).story, [
      ...["mismatch", "mismatch"],
    ]);
  });

  it("watches a server across a restart on the same port", async () => {
    const port = freePort();
    let server: ReturnType<typeof serve> | undefined;
    const drainTimeoutMs = 0;
    const { summary, story } = await run({
      port,
      count: 6,
      async onEvent(event) {
        if (!("seq" in event)) return;
        if (event.seq === 1) server = serve({ port, drainTimeoutMs });
        if (event.seq === 3) await server!.shutdown();
        if (event.seq === 4) server = serve({ port, drainTimeoutMs });
      },
    });
    await server!.shutdown();
    assertEquals(story.slice(0, 4), [
      "refused",
      "connected",
      "reply",
      "reply",
    ]);
    assertEquals(story.slice(-3), ["connected", "reply", "reply"]);
    assertEquals([summary.sent, summary.verified, summary.lost], [6, 4, 2]);
    assert(summary.longestOutageMs > 0);
  });

  it("ends with its signal, and does not count what it cut off", async () => {
    using peer = peerThat(async (conn, message, number) => {
      if (number <= 2) await writeAll(conn, message);
      else stop.abort();
    });
    const stop = new AbortController();
    const { signal } = stop;
    const { summary, story } = await run({ port: peer.port, signal });
    assertEquals(story, ["connected", "reply", "reply"]);
    assertEquals([summary.sent, summary.verified, summary.lost], [2, 2, 0]);
  });

  it("has no round trips to sum up when nothing came back", async () => {
    const { summary } = await run({ port: freePort(), count: 2 });
    assertEquals([summary.sent, summary.lost], [2, 2]);
    assertEquals(summary.rttMs, undefined);
  });
});
