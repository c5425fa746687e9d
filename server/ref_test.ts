import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { serve } from "../server.ts";
import { stopClock } from "../testing/clock.ts";
import { DatagramPeer, untilSo } from "../testing/datagram_peer.ts";
import { recorder } from "../testing/events.ts";
import { connectTo, HELLO, roundTrip } from "../testing/visitor.ts";
import { selfSigned } from "./self_signed.ts";

/** What keeps the process alive, unless it is told not to. */
type Socket = Deno.Listener | Deno.Conn;

/**
 * Keeps which sockets of a kind the process does not wait for. A test cannot see its
 * own process end, so it looks at what the runtime is told.
 *
 * @param prototype The methods of that kind of socket.
 * @param unrefs The sockets.
 * @returns Disposing of it brings the runtime's own methods back.
 */
function watchRefs(prototype: Socket, unrefs: Set<unknown>): Disposable {
  const { ref, unref } = prototype;
  prototype.ref = function () {
    unrefs.delete(this);
    ref.call(this);
  };
  prototype.unref = function () {
    unrefs.add(this);
    unref.call(this);
  };
  return {
    [Symbol.dispose]: () => void Object.assign(prototype, { ref, unref }),
  };
}

describe("EchoServer.ref() and EchoServer.unref()", () => {
  it("are for the listener and all connections, old and new", async () => {
    await using server = serve({ port: 0 });
    using first = await connectTo(server);
    assertEquals(await roundTrip(first), HELLO);

    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const unrefs = new Set<Socket>();
    using _listeners = watchRefs(Object.getPrototypeOf(listener), unrefs);
    const tcpConn = Object.getPrototypeOf(first);
    using _conns = watchRefs(Object.getPrototypeOf(tcpConn), unrefs);
    const unrefPorts = () =>
      [...unrefs]
        .map((it) => ("remoteAddr" in it ? it.remoteAddr : it.addr))
        .map((addr) => (addr as Deno.NetAddr).port);

    server.unref();
    const { port } = server.addr;
    const firstPort = first.localAddr.port;
    assertEquals(unrefPorts(), [port, firstPort]);
    using second = await connectTo(server);
    assertEquals(await roundTrip(second), HELLO);
    assertEquals(unrefPorts(), [port, firstPort, second.localAddr.port]);

    server.ref();
    assertEquals(unrefPorts(), []);
    using third = await connectTo(server);
    assertEquals(await roundTrip(third), HELLO);
    assertEquals(unrefPorts(), []);
    for (const conn of [first, second]) {
      assertEquals(await roundTrip(conn), HELLO);
    }
  });

  it("are for replies that wait because of a fault", async () => {
    using clock = stopClock();
    const faults = { latency: { ms: 50 } };
    const { events, onEvent } = recorder();
    const server = serve({ port: 0, udp: true, faults, onEvent });
    using conn = await connectTo(server);
    await conn.write(HELLO);
    await using peer = new DatagramPeer();
    await peer.send(server, HELLO);
    await untilSo(() =>
      events.filter((it) => it.type === "fault").length === 2
    );
    await clock.pass(0);
    const before = clock.unrefTimers;
    server.unref();
    await clock.pass(0);
    assertEquals(clock.unrefTimers - before, 2);
    await clock.pass(50);
    assertEquals(await peer.untilReceived(1), [HELLO]);
    await server.shutdown({ timeoutMs: 0 });
  });

  it("say that a server with TLS keeps its process alive", async () => {
    await using server = serve({ port: 0, ...await selfSigned() });
    assertThrows(() => server.unref(), Deno.errors.NotSupported);
    server.ref();
  });

  it("are not called by themselves", async () => {
    await using server = serve({ port: 0 });
    using sample = await connectTo(server);
    const unrefs = new Set<Socket>();
    const tcpConn = Object.getPrototypeOf(sample);
    using _ = watchRefs(Object.getPrototypeOf(tcpConn), unrefs);
    using conn = await connectTo(server);
    assertEquals(await roundTrip(conn), HELLO);
    assertEquals(unrefs.size, 0);
  });
});

describe("serve() of a client that lost power", () => {
  it("has the kernel find out", async () => {
    await using server = serve({ port: 0 });
    using first = await connectTo(server);
    const prototype = Object.getPrototypeOf(first) as Deno.TcpConn;
    const { setKeepAlive } = prototype;
    const kept: (boolean | undefined)[] = [];
    prototype.setKeepAlive = function (keepAlive) {
      kept.push(keepAlive);
      setKeepAlive.call(this, keepAlive);
    };
    try {
      using second = await connectTo(server);
      assertEquals(await roundTrip(second), HELLO);
    } finally {
      prototype.setKeepAlive = setKeepAlive;
    }
    assertEquals(kept.length >= 1 && kept.at(-1) !== false, true);
  });
});
