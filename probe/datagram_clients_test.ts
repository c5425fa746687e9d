import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { connectUdp, type UdpClient } from "../client.ts";
import { echo, startDatagramPeer } from "../testing/datagrams.ts";
import { load } from "./load.ts";
import { ping, type PingEvent } from "./ping.ts";
import type { ConnectProbe } from "./probe_client.ts";

/** A connector that keeps its clients, to a port of 127.0.0.1. */
function connectTo(port: number, timeoutMs?: number) {
  const clients: UdpClient[] = [];
  const connect: ConnectProbe = async ({ signal, onIrregular }) => {
    const options = { port, timeoutMs, signal, onIrregular };
    const client = await connectUdp(options);
    clients.push(client);
    return client;
  };
  return { clients, connect };
}

describe("ping() over UDP", () => {
  it("has one socket, whatever is lost", async () => {
    using peer = startDatagramPeer(async (datagram, peer) => {
      if (peer.got.length % 2) await echo(datagram, peer);
    });
    const { clients, connect } = connectTo(peer.port, 1000);
    const summary = await ping({
      ...{ connect, count: 4, intervalMs: 1, message: 64 },
    });
    assertEquals([summary.sent, summary.messages, summary.failed], [4, 2, 2]);
    assertEquals(clients.map(({ isOpen }) => isOpen), [false]);
  });

  it("closes each socket with reconnect, also of what is lost", async () => {
    using peer = startDatagramPeer();
    const { clients, connect } = connectTo(peer.port, 5);
    const summary = await ping({
      ...{ connect, count: 5, intervalMs: 1, message: 64, reconnect: true },
    });
    assertEquals([summary.sent, summary.messages, summary.failed], [5, 0, 5]);
    assertEquals(clients.map(({ isOpen }) => isOpen), Array(5).fill(false));
    const ports = new Set(clients.map(({ localAddr }) => localAddr.port));
    assertEquals(ports.size, 5);
  });

  it("tells of a late reply with reconnect before its socket is closed", async () => {
    using peer = startDatagramPeer();
    const { connect } = connectTo(peer.port, 5);
    const events: PingEvent[] = [];
    await ping({
      ...{ connect, count: 1, message: 64, reconnect: true },
      async onEvent(event) {
        events.push(event);
        if (event.type !== "lost") return;
        const [{ bytes, from }] = await peer.untilGot(1) as [
          typeof peer.got[0],
        ];
        await peer.send(bytes, from);
      },
    });
    assertEquals(
      events.map((event) =>
        event.type === "irregular" ? `${event.seq} ${event.kind}` : event.type
      ),
      ["lost", "1 late"],
    );
  });

  it("sends what cannot leave no faster than it must", async () => {
    const { connect } = connectTo(0);
    const stop = new AbortController();
    const errors: string[] = [];
    const summary = await ping({
      ...{ connect, intervalMs: 0, message: 64, signal: stop.signal },
      onEvent(event) {
        if (event.type === "lost") errors.push(event.detail);
        if (errors.length === 3) stop.abort();
      },
    });
    assertEquals(errors, Array(3).fill("invalid argument"));
    assertEquals(summary.failed, 3);
    // Two pauses, of 100 ms.
    assert(summary.durationMs >= 190);
  });
});

describe("load() over UDP", () => {
  it("sends what cannot leave no faster than it must", async () => {
    const { connect } = connectTo(0);
    const summary = await load({ connect, durationMs: 250, message: 64 });
    assert(summary.failed <= 3, `${summary.failed} failed`);
    assertEquals(summary.failures, { unreachable: summary.failed });
  });

  it("keeps a socket that lost a message, and closes it in the end", async () => {
    using peer = startDatagramPeer(async (datagram, peer) => {
      if (peer.got.length !== 2) await echo(datagram, peer);
    });
    const { clients, connect } = connectTo(peer.port, 50);
    const summary = await load({ connect, durationMs: 200, message: 64 });
    assert(summary.failures.timeout! >= 1);
    assertEquals(summary.messages + summary.failed, peer.got.length);
    assertEquals(clients.map(({ isOpen }) => isOpen), [false]);
  });
});
