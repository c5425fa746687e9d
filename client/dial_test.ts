import {
  assert,
  assertEquals,
  assertGreater,
  assertInstanceOf,
  assertLess,
  assertLessOrEqual,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { deadline } from "@std/async/deadline";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { TcpAddress, TlsAddress, UdpAddress } from "../net/address.ts";
import { connectUdp } from "../client.ts";
import { serve } from "../server.ts";
import { stopClock } from "../testing/clock.ts";
import { replace } from "../testing/replace.ts";
import { deadEnd, ListenerCount, readOnce } from "../testing/socket.ts";
import { freePort, startPeer } from "../testing/peer.ts";
import { readExactly, readToEnd } from "../testing/visitor.ts";
import { dial, openUdp } from "./dial.ts";

function at(port: number, hostname = "127.0.0.1"): TcpAddress {
  return { transport: "tcp", hostname, port };
}

describe("dial()", () => {
  it("connects, and tells to what and how long it took", async () => {
    const locals: TcpAddress[] = [];
    using peer = startPeer(async (conn) => {
      const { hostname, port } = conn.remoteAddr as Deno.NetAddr;
      locals.push(at(port, hostname));
      await conn.write(await readOnce(conn));
    });
    for (const hostname of ["127.0.0.1", "localhost"]) {
      const startedAt = performance.now();
      const dialed = await dial(at(peer.port, hostname), 5000, undefined);
      const elapsedMs = performance.now() - startedAt;
      using conn = dialed.conn;
      assertEquals(dialed.remote, at(peer.port));
      assertGreater(dialed.connectMs, 0);
      assertLessOrEqual(dialed.connectMs, elapsedMs);

      await conn.write(Uint8Array.of(42));
      const reply = new Uint8Array(10);
      assertEquals(await conn.read(reply), 1);
      assertEquals(reply[0], 42);
      assertEquals(dialed.local, locals.at(-1));
    }
  });

  it("fails when the server reset the connection by then", async () => {
    using peer = startPeer((conn) => readOnce(conn));
    const { connect } = Deno;
    // Whether a reset shows here depends on the system and the moment.
    const connectReset = async (options: Deno.ConnectOptions) => {
      const conn = await connect(options);
      conn.setNoDelay = () => {
        throw new TypeError("Invalid argument (os error 22)");
      };
      return conn;
    };
    using _ = replace(Deno, "connect", connectReset as typeof connect);
    await assertRejects(
      () => dial(at(peer.port), 5000, undefined),
      Deno.errors.ConnectionReset,
      "Connection reset by peer",
    );
  });

  it("gives up when the time is over, neither sooner nor later", async () => {
    using nowhere = await deadEnd();
    for (const signal of [undefined, new AbortController().signal]) {
      using clock = stopClock();
      const result = dial(at(nowhere.port), 1500, signal).catch((why) => why);
      await clock.pass(1499);
      const soon = await Promise.race([result, nextTurn("not yet")]);
      assertEquals(soon, "not yet");
      await clock.pass(1);
      const error = await result;
      assertInstanceOf(error, Deno.errors.TimedOut);
      assertEquals(error.message, "timed out after 1.5 s");
    }
  });

  it("does not give up before a time beyond what timers can wait", async () => {
    using peer = startPeer((conn) => readOnce(conn));
    for (const timeoutMs of [2 ** 31, 1e12, Infinity]) {
      const { conn } = await dial(at(peer.port), timeoutMs, undefined);
      conn[Symbol.dispose]();
    }

    using nowhere = await deadEnd();
    for (const timeoutMs of [2 ** 31, 1e12, Infinity]) {
      const stop = new AbortController();
      const dialing = dial(at(nowhere.port), timeoutMs, stop.signal);
      setTimeout(() => stop.abort(new Error("enough")), 30);
      await assertRejects(() => dialing, Error, "enough");
    }
  });

  it("gives up when it is cancelled, with the signal's reason", async () => {
    using nowhere = await deadEnd();
    for (const reason of [new Error("enough"), "enough", null]) {
      const stop = new AbortController();
      const dialing = dial(at(nowhere.port), 60_000, stop.signal);
      setTimeout(() => stop.abort(reason), 10);
      assertEquals(await dialing.catch((error) => error), reason);
    }
  });

  it("leaves no listener on the signal", async () => {
    using peer = startPeer((conn) => readOnce(conn));
    const { signal } = new AbortController();
    const listeners = new ListenerCount(signal);
    using _ = replace(AbortSignal, "any", () => {
      throw new Error("it leaves something on a signal in Deno 2.6");
    });
    const { conn } = await dial(at(peer.port), 5000, signal);
    conn[Symbol.dispose]();
    assertEquals([listeners.added, listeners.now], [1, 0]);
    await assertRejects(() => dial(at(freePort()), 5000, signal));
    assertEquals([listeners.added, listeners.now], [2, 0]);
  });

  it("refuses a connection to itself, and closes it", async () => {
    const ended = Promise.withResolvers<void>();
    using peer = startPeer(async (conn) => {
      await readToEnd(conn);
      ended.resolve();
    });
    // The kernel makes one of 28,000 so, where nobody listens.
    const { connect } = Deno;
    const connectToItself = async (options: Deno.ConnectOptions) => {
      const conn = await connect(options);
      return Object.defineProperty(conn, "localAddr", {
        value: conn.remoteAddr,
      });
    };
    using _ = replace(Deno, "connect", connectToItself as typeof connect);
    const tls: TlsAddress = { ...at(peer.port), transport: "tls" };
    for (const address of [at(peer.port), at(peer.port, "localhost"), tls]) {
      await assertRejects(
        () => dial(address, 5000, undefined),
        Deno.errors.ConnectionRefused,
        "connection refused",
      );
    }
    await deadline(ended.promise, 10_000);
  });

  it("fails as Deno.connect() fails", async () => {
    const address = at(freePort());
    await assertRejects(
      () => dial(address, 5000, undefined),
      Deno.errors.ConnectionRefused,
    );
  });

  it("closes a connection that comes after it was cancelled", async () => {
    const ended = Promise.withResolvers<void>();
    using peer = startPeer(async (conn) => {
      await readToEnd(conn);
      ended.resolve();
    });
    const address = at(peer.port);
    const late = Promise.withResolvers<void>();
    // Deno's own does it only if it connects and is cancelled in the same turn.
    const { connect } = Deno;
    const connectLate = async () => {
      await late.promise;
      return await connect({ hostname: "127.0.0.1", port: peer.port });
    };
    Object.assign(Deno, { connect: connectLate });
    try {
      const stop = new AbortController();
      const dialing = dial(address, 60_000, stop.signal);
      stop.abort(new Error("enough"));
      await assertRejects(() => dialing, Error, "enough");
    } finally {
      Deno.connect = connect;
    }
    late.resolve();
    await deadline(ended.promise, 10_000);
  });

  it("lets no bytes wait until those before are acknowledged", async () => {
    // It answers two bytes at a time: the first is acknowledged with a delay.
    using peer = startPeer(async (conn) => {
      while (true) await conn.write(await readExactly(conn, 2));
    });
    const { conn } = await dial(at(peer.port), 5000, undefined);
    using _ = conn;
    const roundTripMs: number[] = [];
    for (let turn = 0; turn < 6; turn++) {
      const startedAt = performance.now();
      await conn.write(Uint8Array.of(1));
      await conn.write(Uint8Array.of(2));
      assertEquals(await conn.read(new Uint8Array(3)), 2);
      roundTripMs.push(performance.now() - startedAt);
    }
    // Linux acknowledges at once at first, then 40 ms later.
    assertLess(Math.min(...roundTripMs.slice(1)), 35);
  });
});

describe("dial() of a name", () => {
  /** What the system does with a name; an address it connects to. */
  function replaceConnect(
    connectToName: (options: Deno.ConnectOptions) => Promise<Deno.TcpConn>,
  ) {
    const { connect } = Deno;
    const asked: string[] = [];
    const replaced = replace(
      Deno,
      "connect",
      ((options) => {
        const { hostname = "" } = options as Deno.ConnectOptions;
        asked.push(hostname);
        return hostname === "localhost"
          ? connectToName(options as Deno.ConnectOptions)
          : connect(options as Deno.ConnectOptions);
      }) as typeof connect,
    );
    return { asked, [Symbol.dispose]: () => replaced[Symbol.dispose]() };
  }

  /** Connects to a black hole, until it is given up. */
  function connectToNowhere({ signal }: Deno.ConnectOptions) {
    const { promise, reject } = Promise.withResolvers<never>();
    signal!.addEventListener("abort", () => reject(signal!.reason));
    return promise;
  }

  it("tries all addresses where the system tried one", async () => {
    using peer = startPeer((conn) => readOnce(conn));
    const refusal = new Deno.errors.ConnectionRefused("refused");
    using calls = replaceConnect(() => Promise.reject(refusal));
    const address = at(peer.port, "localhost");
    const { conn, remote } = await dial(address, 60_000, undefined);
    using _ = conn;
    assertEquals(remote, at(peer.port));
    assertEquals(calls.asked[0], "localhost");
    assertEquals(calls.asked.at(-1), "127.0.0.1");
  });

  it("does so when a quarter of a second has passed", async () => {
    using peer = startPeer((conn) => readOnce(conn));
    using clock = stopClock();
    const stop = new AbortController();
    let nowhere: AbortSignal | undefined;
    using calls = replaceConnect((options) => {
      nowhere = options.signal;
      return connectToNowhere(options);
    });
    const dialing = dial(at(peer.port, "localhost"), 60_000, stop.signal);
    await clock.pass(249);
    assertEquals(calls.asked, ["localhost"]);
    await clock.pass(1);
    const { conn, remote } = await dialing;
    using _ = conn;
    assertEquals(remote, at(peer.port));
    assert(nowhere?.aborted);
    assertEquals(clock.timers, 0);
  });

  it("fails as the system failed if no address is better", async () => {
    const refusal = new Deno.errors.ConnectionRefused("the system's");
    using _ = replaceConnect(() => Promise.reject(refusal));
    const error = await assertRejects(
      () => dial(at(freePort(), "localhost"), 60_000, undefined),
    );
    assertStrictEquals(error, refusal);
  });

  it("asks once for a name that does not resolve, or without a right", async () => {
    for (
      const failure of [
        new Error("failed to lookup address information: no such name"),
        new Deno.errors.NotCapable("requires net access"),
      ]
    ) {
      using calls = replaceConnect(() => Promise.reject(failure));
      const error = await assertRejects(
        () => dial(at(freePort(), "localhost"), 60_000, undefined),
      );
      assertStrictEquals(error, failure);
      assertEquals(calls.asked, ["localhost"]);
    }
  });

  it("closes a connection that another one preceded", async () => {
    const ended = Promise.withResolvers<void>();
    const late = Promise.withResolvers<void>();
    let connections = 0;
    using peer = startPeer(async (conn) => {
      if (++connections === 1) await readOnce(conn);
      else ended.resolve(readToEnd(conn).then(() => {}));
    });
    const { connect } = Deno;
    using clock = stopClock();
    using _ = replaceConnect(async () => {
      await late.promise;
      return await connect({ hostname: "127.0.0.1", port: peer.port });
    });
    const dialing = dial(at(peer.port, "localhost"), 60_000, undefined);
    await clock.pass(250);
    const { conn } = await dialing;
    using _conn = conn;
    late.resolve();
    await ended.promise;
  });
});

describe("openUdp()", () => {
  it("gives back a socket that has the server's own port", async () => {
    const { listenDatagram } = Deno;
    const first = listenDatagram({
      ...{ transport: "udp", hostname: "127.0.0.1", port: 0 },
    });
    const { port } = first.addr as Deno.NetAddr;
    const given = [first];
    using _ = replace(Deno, "listenDatagram", (options) => {
      const socket = given.pop();
      return socket ?? listenDatagram(options as never);
    });
    const address: UdpAddress = {
      ...{ transport: "udp", hostname: "127.0.0.1", port },
    };
    const { routes: [route] } = await openUdp(address, 5000, undefined);
    const { socket } = route!;
    assertNotEquals((socket.addr as Deno.NetAddr).port, port);
    socket.close();
    listenDatagram({ transport: "udp", hostname: "127.0.0.1", port }).close();
  });

  it("has a socket for each address that the machine can have one for", async () => {
    const { listenDatagram } = Deno;
    const none = new Deno.errors.AddrNotAvailable("no IPv6 (os error 99)");
    let isThere = true;
    using _ = replace(Deno, "listenDatagram", (options) => {
      if (!isThere) throw none;
      return listenDatagram(options as never);
    });
    const address: UdpAddress = {
      ...{ transport: "udp", hostname: "localhost", port: 7 },
    };
    const { routes } = await openUdp(address, 5000, undefined);
    for (const { socket } of routes) socket.close();
    assertGreater(routes.length, 0);
    isThere = false;
    const error = await assertRejects(() => openUdp(address, 5000, undefined));
    assertStrictEquals(error, none);
  });

  it("names the flag of Deno that is missing", async () => {
    using _ = replace(Deno, "listenDatagram", undefined as never);
    const error = await assertRejects(() => connectUdp({ port: 7 }), TypeError);
    const where = "Cannot connect to 127.0.0.1:7/udp";
    assertEquals(
      error.message,
      `${where}: UDP needs Deno's flag --unstable-net, or "unstable": ["net"] ` +
        "in deno.json",
    );
    assertThrows(
      () => serve({ port: 0, udp: true }),
      TypeError,
      "--unstable-net",
    );
  });
});
