import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { type EchoServer, serve } from "../server.ts";
import { stopClock } from "../testing/clock.ts";
import {
  DatagramPeer,
  mayTakeServicePorts,
  ownAddress,
  untilCounted,
  untilSo,
} from "../testing/datagram_peer.ts";
import { recorder } from "../testing/events.ts";
import { patternOf } from "../testing/peer.ts";
import { connectTo, HELLO, readToEnd, roundTrip } from "../testing/visitor.ts";

/** Tells whether nothing holds the TCP port or the UDP port of a server any more. */
async function assertPortsFree({ addr }: EchoServer): Promise<void> {
  const { hostname, port } = addr;
  Deno.listen({ hostname, port }).close();
  await using _ = new DatagramPeer(hostname, port);
}

/** Waits until all that came before is received, which another datagram follows. */
async function receivedUntil(
  peer: DatagramPeer,
  last: Uint8Array,
): Promise<number> {
  await using marker = new DatagramPeer();
  await marker.send(peer, last);
  await untilSo(() => peer.senders.includes(`127.0.0.1 ${marker.addr.port}`));
  return peer.received.length;
}

/** Puts datagrams in an order: sent at once, they leave in any. */
function sorted(datagrams: readonly Uint8Array[]): string[] {
  return datagrams.map((bytes) => bytes.toString()).sort();
}

/** Serves one datagram, of the peer, whose reply waits for a second. */
async function serveOneLate(peer: DatagramPeer): Promise<EchoServer> {
  const { events, onEvent } = recorder();
  const server = serve({
    ...{ port: 0, udp: true, once: true, onEvent },
    faults: { latency: { ms: 1000 } },
  });
  await peer.send(server, HELLO);
  await untilSo(() => events.some(({ type }) => type === "data"));
  return server;
}

/** The edges: nothing, DNS's limit, what Ethernet carries at once, UDP's limit. */
const SIZES = [0, 1, 512, 1472, 1473, 65_507];

describe("serve() with udp", () => {
  for (const hostname of ["127.0.0.1", "::1", "localhost"]) {
    it(`echoes datagrams and streams on one port of ${hostname}`, async () => {
      await using server = serve({ hostname, port: 0, udp: true });
      await using peer = new DatagramPeer(server.addr.hostname);
      for (const size of SIZES) {
        assertEquals(
          await peer.ask(server, patternOf(size)),
          patternOf(size),
          `${size} B`,
        );
      }
      const { port } = server.addr;
      assertEquals(
        new Set(peer.senders),
        new Set([`${server.addr.hostname} ${port}`]),
      );
      using conn = await connectTo(server);
      assertEquals(await roundTrip(conn), HELLO);
      const bytes = SIZES.reduce((sum, size) => sum + size);
      assertEquals(server.stats(), {
        ...{ accepted: 1, open: 1, closed: {}, bytes: bytes + HELLO.length },
        udp: { datagrams: SIZES.length, bytes, dropped: {} },
      });
    });
  }

  it("echoes datagrams that are under way at once, whole and alone", async () => {
    await using server = serve({ port: 0, udp: true });
    await using peer = new DatagramPeer();
    const datagrams = Array.from(
      { length: 20 },
      (_, n) => patternOf(n * 37 % 1500, n),
    );
    await Promise.all(datagrams.map((bytes) => peer.send(server, bytes)));
    assertEquals(sorted(await peer.untilReceived(20)), sorted(datagrams));
  });

  it("answers IPv4 and IPv6 on ::", async () => {
    await using server = serve({ hostname: "::", port: 0, udp: true });
    const { port } = server.addr;
    for (const hostname of ["127.0.0.1", "::1"]) {
      await using peer = new DatagramPeer(hostname);
      const addr: Deno.NetAddr = { transport: "udp", hostname, port };
      assertEquals(await peer.ask({ addr }, HELLO), HELLO);
      assertEquals(peer.senders, [`${hostname} ${port}`]);
    }
  });

  it("holds IPv4 senders of a :: socket to the rules of IPv4", async () => {
    using _ = stopClock();
    const limits = { udp: true, udpRatePerSecond: 3 };
    const server = serve({ hostname: "::", port: 0, ...limits });
    const { port } = server.addr;
    const at = (hostname: string) => ({
      addr: { transport: "udp" as const, hostname, port },
    });
    for (const hostname of ["127.0.0.1", "127.0.0.2"]) {
      await using peer = new DatagramPeer(hostname);
      for (let n = 0; n < 5; n++) await peer.send(at("127.0.0.1"), HELLO);
      await peer.untilReceived(3);
    }
    await using nfs = new DatagramPeer(ownAddress(), 2049);
    await nfs.send(at("127.0.0.1"), HELLO);
    assertEquals(await untilCounted(server, 11), {
      answered: 6,
      dropped: { rate: 4, port: 1 },
    });
    await server.shutdown({ timeoutMs: 0 });
  });

  it("counts senders of datagrams among those that are open", async () => {
    const { events, onEvent } = recorder();
    await using server = serve({ port: 0, udp: true, onEvent });
    await using peer = new DatagramPeer();
    await peer.ask(server, HELLO);
    using conn = await connectTo(server);
    await roundTrip(conn);
    await using other = new DatagramPeer();
    await other.ask(server, HELLO);
    const open = events.flatMap((it) => it.type === "data" ? [it.open] : []);
    assertEquals(open, [1, 2, 3]);
  });

  it("takes no datagrams without it", async () => {
    await using server = serve({ port: 0 });
    const { hostname, port } = server.addr;
    await using _ = new DatagramPeer(hostname, port);
    assertEquals(server.stats(), {
      accepted: 0,
      open: 0,
      closed: {},
      bytes: 0,
    });
  });

  it("does not answer NFS's port, nor its own", async () => {
    await using server = serve({ port: 0, udp: true });
    await using nfs = new DatagramPeer(ownAddress(), 2049);
    await using own = new DatagramPeer(ownAddress(), server.addr.port);
    for (const peer of [nfs, own]) await peer.send(server, HELLO);
    assertEquals(await untilCounted(server, 2), {
      answered: 0,
      dropped: { port: 2 },
    });
    for (const peer of [nfs, own]) {
      assertEquals(await receivedUntil(peer, HELLO), 1);
    }
    await using client = new DatagramPeer();
    assertEquals(await client.ask(server, HELLO), HELLO);
  });

  const itForges = mayTakeServicePorts() ? it : it.skip;
  itForges(
    "does not answer a port below 1024 (needs the right to it)",
    async () => {
      await using server = serve({ port: 0, udp: true });
      await using peer = new DatagramPeer(ownAddress(), 1023);
      await peer.send(server, HELLO);
      assertEquals(await untilCounted(server, 1), {
        answered: 0,
        dropped: { port: 1 },
      });
      assertEquals(await receivedUntil(peer, HELLO), 1);
    },
  );

  it("answers 5 of 20 in each second at a rate of 5, to each address", async () => {
    using clock = stopClock();
    const limits = { udp: true, udpRatePerSecond: 5 };
    const server = serve({ port: 0, ...limits });
    await using first = new DatagramPeer();
    await using second = new DatagramPeer("127.0.0.2");
    for (let turn = 1; turn <= 2; turn++) {
      for (let n = 0; n < 20; n++) await first.send(server, HELLO);
      // Another address gets all of its own.
      for (let n = 0; n < 5; n++) await second.send(server, HELLO);
      assertEquals(await untilCounted(server, 25 * turn), {
        answered: 10 * turn,
        dropped: { rate: 15 * turn },
      });
      await clock.pass(1000);
    }
    for (const peer of [first, second]) {
      await peer.untilReceived(10);
      assertEquals(await receivedUntil(peer, HELLO), 11);
    }
    await server.shutdown({ timeoutMs: 0 });
  });

  it("does not let clients disturb each other", async () => {
    await using server = serve({ port: 0, udp: true });
    const talk = async (seed: number) => {
      await using peer = new DatagramPeer();
      for (let turn = 0; turn < 100; turn++) {
        const bytes = patternOf(100, 1000 * seed + turn);
        assertEquals(await peer.ask(server, bytes), bytes);
      }
      assertEquals(peer.received.length, 100);
    };
    await Promise.all(Array.from({ length: 10 }, (_, seed) => talk(seed)));
    assertEquals(server.stats().udp?.datagrams, 1000);
  });

  it("serves one datagram with once, and finishes", async () => {
    const server = serve({ port: 0, udp: true, once: true });
    await using nfs = new DatagramPeer(ownAddress(), 2049);
    await nfs.send(server, HELLO);
    await untilCounted(server, 1);
    await using peer = new DatagramPeer();
    assertEquals(await peer.ask(server, HELLO), HELLO);
    await server.finished;
    assertEquals(server.stats(), {
      ...{ accepted: 0, open: 0, closed: {}, bytes: 5 },
      udp: { datagrams: 1, bytes: 5, dropped: { port: 1 } },
    });
    await assertPortsFree(server);
  });

  it("serves no connection with once while the reply of the one datagram waits", async () => {
    using clock = stopClock();
    await using peer = new DatagramPeer();
    const server = await serveOneLate(peer);
    const { hostname, port } = server.addr;
    await untilSo(() => {
      try {
        Deno.listen({ hostname, port }).close();
        return true;
      } catch {
        return false;
      }
    });
    assertEquals(peer.received, []);
    await clock.pass(1000);
    assertEquals(await peer.untilReceived(1), [HELLO]);
    await clock.pass(5);
    await server.finished;
    assertEquals([server.stats().accepted, server.stats().udp?.datagrams], [
      0,
      1,
    ]);
    assertEquals(clock.timers, 0);
  });

  it("lets the reply of the one datagram wait on shutdown, with once", async () => {
    using clock = stopClock();
    await using peer = new DatagramPeer();
    const server = await serveOneLate(peer);
    server.shutdown();
    await clock.pass(999);
    assertEquals(peer.received, []);
    await clock.pass(1);
    assertEquals(await peer.untilReceived(1), [HELLO]);
    await clock.pass(5);
    await server.finished;
  });

  it("serves one connection with once, and no datagram besides", async () => {
    const server = serve({ port: 0, udp: true, once: true });
    using conn = await connectTo(server);
    assertEquals(await roundTrip(conn), HELLO);
    // The connection is still open.
    await using _ = new DatagramPeer("127.0.0.1", server.addr.port);
    assertEquals(await roundTrip(conn), HELLO);
    await conn.closeWrite();
    assertEquals(await readToEnd(conn), new Uint8Array());
    await server.finished;
    assertEquals(server.stats().udp?.datagrams, 0);
  });

  it("answers what is in the socket's queue on shutdown", async () => {
    for (let turn = 0; turn < 5; turn++) {
      const server = serve({ port: 0, udp: true });
      // One datagram from each: the kernel has it when the call returns.
      const peers = Array.from({ length: 30 }, () => new DatagramPeer());
      const sending = peers.map((peer) => peer.send(server, HELLO));
      const finished = server.shutdown();
      assertEquals(server.stats().udp?.datagrams, 0);
      await Promise.all(sending);
      await finished;
      for (const peer of peers) {
        assertEquals(await peer.untilReceived(1), [HELLO]);
        await peer[Symbol.asyncDispose]();
      }
      await assertPortsFree(server);
    }
  });

  it("answers datagrams no more while connections finish", async () => {
    const server = serve({ port: 0, udp: true });
    using conn = await connectTo(server);
    await roundTrip(conn);
    const finished = server.shutdown();
    await untilSo(() => {
      try {
        const { hostname, port } = server.addr;
        Deno.listenDatagram({ transport: "udp", hostname, port }).close();
        return true;
      } catch {
        return false;
      }
    });
    assertEquals(await roundTrip(conn), HELLO);
    await conn.closeWrite();
    await finished;
  });

  it("closes at once on shutdown without a timeout, and on its signal", async () => {
    using clock = stopClock();
    for (const how of ["signal", "shutdown"]) {
      const stop = new AbortController();
      const server = serve({ port: 0, udp: true, signal: stop.signal });
      await using peer = new DatagramPeer();
      await peer.ask(server, HELLO);
      if (how === "signal") stop.abort();
      else server.shutdown({ timeoutMs: 0 });
      await server.finished;
      assertEquals(clock.timers, 0);
      await assertPortsFree(server);
    }
  });

  it("may be stopped before it began, and while its queue is answered", async () => {
    using clock = stopClock();
    const never = serve({ port: 0, udp: true, signal: AbortSignal.abort() });
    await never.finished;
    await assertPortsFree(never);
    const stop = new AbortController();
    const server = serve({ port: 0, udp: true, signal: stop.signal });
    const finished = server.shutdown();
    await clock.pass(1);
    stop.abort();
    await finished;
    assertEquals(clock.timers, 0);
    await assertPortsFree(server);
  });

  it("does not keep the process alive after unref()", async () => {
    await using sample = new DatagramPeer();
    const socket = Deno.listenDatagram({
      ...{ transport: "udp", hostname: "127.0.0.1", port: 0 },
    });
    const prototype = Object.getPrototypeOf(socket);
    socket.close();
    const { ref, unref } = prototype;
    const calls: string[] = [];
    prototype.ref = function () {
      calls.push(`ref ${this.addr.port}`);
      ref.call(this);
    };
    prototype.unref = function () {
      calls.push(`unref ${this.addr.port}`);
      unref.call(this);
    };
    try {
      await using server = serve({ port: 0, udp: true });
      const { port } = server.addr;
      server.unref();
      assertEquals(await sample.ask(server, HELLO), HELLO);
      server.ref();
      assertEquals(await sample.ask(server, HELLO), HELLO);
      assertEquals(calls, [`unref ${port}`, `ref ${port}`]);
    } finally {
      Object.assign(prototype, { ref, unref });
    }
  });
});
