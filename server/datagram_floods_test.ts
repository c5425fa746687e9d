import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import { type EchoServer, serve, type ServeOptions } from "../server.ts";
import { stopClock } from "../testing/clock.ts";
import {
  DatagramPeer,
  untilCounted,
  untilSo,
} from "../testing/datagram_peer.ts";
import { recorder } from "../testing/events.ts";
import { patternOf } from "../testing/peer.ts";
import { SAMPLE } from "./datagram_limits.ts";
import { replace } from "../testing/replace.ts";
import { connectTo, HELLO, roundTrip } from "../testing/visitor.ts";

/**
 * Starts a server whose socket the test may send from: so a datagram looks that is
 * forged to be the server's.
 */
function serveForged(
  options: ServeOptions = {},
): [server: EchoServer, socket: Deno.DatagramConn] {
  const { listenDatagram } = Deno;
  let socket: Deno.DatagramConn | undefined;
  using _ = replace(Deno, "listenDatagram", (options) => {
    return socket = listenDatagram(options as never);
  });
  return [serve({ port: 0, udp: true, ...options }), socket!];
}

/** Counts what two servers answered. */
const answers = (servers: EchoServer[]) =>
  servers.map((server) => server.stats().udp!.datagrams);

describe("two servers of datagrams", () => {
  const loops: [name: string, options: ServeOptions, most: number][] = [
    ["fall silent after a forged datagram", {}, 1000],
    ["fall silent within their rate", { udpRatePerSecond: 50 }, 50],
    ["on :: fall silent within their rate", { hostname: "::" }, 1000],
  ];
  for (const [name, options, most] of loops) {
    it(name, async () => {
      using clock = stopClock();
      const [first, socket] = serveForged(options);
      const [second] = serveForged(options);
      const hostname = options.hostname === "::" ? "::1" : "127.0.0.1";
      const { port } = second.addr;
      const forge = () =>
        socket.send(HELLO, { transport: "udp", hostname, port });
      // Each datagram goes to and fro until one of the two has had enough.
      const servers = [first, second];
      const dropped = () =>
        servers.flatMap((server) => Object.values(server.stats().udp!.dropped))
          .reduce((sum, n) => sum + n, 0);
      await forge();
      await untilSo(() => dropped() === 1);
      const all = answers(servers);
      // Of a loop one datagram in 16 is looked at.
      const least = most === 1000 && hostname === "127.0.0.1"
        ? most - SAMPLE
        : most;
      assert(all.every((n) => n >= least && n <= most), `${all} of ${most}`);
      // In the second that has passed nothing goes on by itself.
      await clock.pass(1000);
      assertEquals(answers(servers), all);
      await Promise.all(servers.map((it) => it.shutdown({ timeoutMs: 0 })));
    });
  }

  it("fall silent after several forged datagrams", async () => {
    using _ = stopClock();
    const [first, socket] = serveForged();
    const [second] = serveForged();
    const servers = [first, second];
    const forged = 10;
    for (let n = 0; n < forged; n++) {
      await socket.send(patternOf(8, n), { ...second.addr, transport: "udp" });
    }
    const countDropped = () =>
      servers.map((server) => server.stats().udp!.dropped.loop ?? 0)
        .reduce((sum, n) => sum + n);
    await untilSo(() => countDropped() === forged);
    for (const count of answers(servers)) {
      const most = 1000 + 4 * SAMPLE * forged;
      assert(count >= 900 && count <= most, `${count} answers`);
    }
    await Promise.all(servers.map((it) => it.shutdown({ timeoutMs: 0 })));
  });
});

describe("serve() in a flood of datagrams", () => {
  it("drops what is repeated on loopback, and nothing that differs", async () => {
    using _ = stopClock();
    const server = serve({ port: 0, udp: true });
    await using peer = new DatagramPeer();
    // A batch at a time, as the kernel's buffer holds no more.
    const batch = 100;
    for (let sent = 0; sent < 1500; sent += batch) {
      for (let n = 0; n < batch; n++) await peer.send(server, HELLO);
      await untilCounted(server, sent + batch);
    }
    const { loop = 0 } = server.stats().udp!.dropped;
    assert(loop >= 500 && loop <= 500 + SAMPLE, `${loop} dropped`);
    for (let sent = 0; sent < 1500; sent += batch) {
      for (let n = 0; n < batch; n++) {
        await peer.send(server, patternOf(20, sent + n));
      }
      await untilCounted(server, 1500 + sent + batch);
    }
    assertEquals(server.stats().udp, {
      datagrams: 3000 - loop,
      bytes: 5 * (1500 - loop) + 20 * 1500,
      dropped: { loop },
    });
    await server.shutdown({ timeoutMs: 0 });
  });

  it("answers 5,000 ports, and tells of each once", async () => {
    using _ = stopClock();
    const { events, onEvent } = recorder();
    const server = serve({ port: 0, udp: true, onEvent });
    const senders = 5000;
    const ports = new Set<number>();
    while (ports.size < senders) {
      // Some at a time, as a process has few descriptors.
      const peers: DatagramPeer[] = [];
      while (peers.length < 100) {
        const peer = new DatagramPeer();
        peers.push(peer);
        if (ports.has(peer.addr.port)) continue;
        if (ports.size === senders) break;
        ports.add(peer.addr.port);
        assertEquals(await peer.ask(server, HELLO), HELLO);
      }
      for (const peer of peers) await peer[Symbol.asyncDispose]();
    }
    await server.shutdown({ timeoutMs: 0 });
    for (const type of ["open", "data", "close"]) {
      assertEquals(events.filter((it) => it.type === type).length, senders);
    }
    assertEquals(events.length, 3 * senders);
    assertEquals(server.stats().udp?.datagrams, senders);
  });

  it("serves connections besides, and datagrams beside connections", async () => {
    await using server = serve({ port: 0, udp: true });
    let isOver = false;
    const floods = Array.from({ length: 2 }, async (_, seed) => {
      await using peer = new DatagramPeer();
      for (let n = 0; !isOver; n++) {
        await peer.send(server, patternOf(64, 1_000_000 * seed + n));
        await nextTurn();
      }
    });
    using conn = await connectTo(server);
    await using asker = new DatagramPeer();
    // A flood may cost the asker datagrams, but not all of them.
    for (let turn = 0; turn < 20 || asker.received.length === 0; turn++) {
      await asker.send(server, patternOf(32, turn));
      assertEquals(await roundTrip(conn), HELLO);
    }
    isOver = true;
    await Promise.all(floods);
  });
});
