import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import { getEventListeners } from "node:events";
import type { NetworkError } from "./net/errors.ts";
import { writeAll } from "./net/streams.ts";
import { serve, type ServeOptions } from "./server.ts";
import { stopClock } from "./testing/clock.ts";
import { replace } from "./testing/replace.ts";
import { watchSweeps } from "./testing/barrier.ts";
import { recorder } from "./testing/events.ts";
import { patternOf } from "./testing/peer.ts";
import {
  connectTo,
  HELLO,
  readExactly,
  readToEnd,
  roundTrip,
  untilRefused,
} from "./testing/visitor.ts";

describe("serve()", () => {
  it("listens on 127.0.0.1, on a free port if that is 0", async () => {
    await using server = serve({ port: 0 });
    assertEquals(server.addr.hostname, "127.0.0.1");
    assert(server.addr.port > 0);
    using conn = await connectTo(server);
    assertEquals(await roundTrip(conn), HELLO);
  });

  it("listens on IPv6", async () => {
    await using server = serve({ hostname: "::1", port: 0 });
    assertEquals(server.addr.hostname, "::1");
    using conn = await connectTo(server);
    assertEquals(await roundTrip(conn), HELLO);
  });

  it("takes an option that is undefined for one that is missing", async () => {
    await using server = serve({
      port: 0,
      ...{ hostname: undefined, once: undefined, maxConnections: undefined },
      ...{ idleTimeoutMs: undefined, drainTimeoutMs: undefined },
      ...{ reusePort: undefined, signal: undefined },
      ...{ onListen: undefined, onEvent: undefined },
    });
    using first = await connectTo(server);
    using second = await connectTo(server);
    assertEquals(await roundTrip(first), HELLO);
    assertEquals(await roundTrip(second), HELLO);
  });

  it("runs beside another in one process", async () => {
    await using one = serve({ port: 0 });
    await using other = serve({ port: 0 });
    for (const [at, server] of [one, other, one].entries()) {
      using conn = await connectTo(server);
      const bytes = patternOf(100, at);
      await writeAll(conn, bytes);
      assertEquals(await readExactly(conn, 100), bytes);
    }
    assertEquals([one.stats().bytes, other.stats().bytes], [200, 100]);
  });

  it("says which address is in use, with the fields of the failure", async () => {
    await using server = serve({ port: 0 });
    const { port } = server.addr;
    const error = assertThrows(
      () => serve({ port }),
      Deno.errors.AddrInUse,
      `Cannot listen on 127.0.0.1:${port}: address already in use`,
    );
    const { operation, address, reason, detail } = error as NetworkError;
    assertEquals({ operation, address, reason, detail }, {
      operation: "listen",
      address: { transport: "tcp", hostname: "127.0.0.1", port },
      reason: "address_in_use",
      detail: "address already in use",
    });
  });

  it("says that a name does not resolve", () => {
    const error = assertThrows(
      () => serve({ hostname: "nosuch.invalid", port: 0 }),
      Error,
      "Cannot listen on nosuch.invalid:0: the name does not resolve",
    );
    assertEquals((error as NetworkError).reason, "dns");
  });

  // An address that is kept for documentation (RFC 5737).
  it("says that the machine has no such address", () => {
    const error = assertThrows(
      () => serve({ hostname: "192.0.2.1", port: 0 }),
      Deno.errors.AddrNotAvailable,
      "Cannot listen on 192.0.2.1:0: this machine has no such address",
    );
    assertEquals((error as NetworkError).reason, "no_such_address");
  });

  const badValues: [name: keyof ServeOptions, values: unknown[]][] = [
    ["port", [NaN, -1, 1.5, 65_536, "80"]],
    ["maxConnections", [NaN, -1, 0, 1.5, "5"]],
    ["idleTimeoutMs", [NaN, -1, "5"]],
    ["drainTimeoutMs", [NaN, -1, "5"]],
  ];
  for (const [name, values] of badValues) {
    it(`refuses a ${name} that is none`, () => {
      for (const value of values) {
        assertThrows(
          () => serve({ port: 0, [name]: value }),
          RangeError,
          name,
        );
      }
    });
  }

  it("calls onListen before it returns", async () => {
    let addr: unknown;
    await using server = serve({ port: 0, onListen: (it) => addr = it });
    assertEquals(addr, server.addr);
  });

  it("throws what onListen throws, and listens no more", async () => {
    let port = 0;
    const onListen = (addr: Deno.NetAddr) => {
      port = addr.port;
      throw new Error("no");
    };
    assertThrows(() => serve({ port: 0, onListen }), Error, "no");
    await using server = serve({ port });
    assertEquals(server.addr.port, port);
  });

  it("refuses the clients after the first with once", async () => {
    const server = serve({ port: 0, once: true });
    {
      using conn = await connectTo(server);
      await roundTrip(conn);
      await untilRefused(server);
      assertEquals(await roundTrip(conn), HELLO);
      assertEquals(server.stats(), {
        ...{ accepted: 1, open: 1, bytes: 10 },
        closed: {},
      });
    }
    await server.finished;
    assertEquals(server.stats(), {
      ...{ accepted: 1, open: 0, bytes: 10 },
      closed: { eof: 1 },
    });
  });

  it("serves 2,000 clients through a limit of 10 at once", async () => {
    let open = 0;
    let mostOpen = 0;
    await using server = serve({
      port: 0,
      maxConnections: 10,
      onEvent({ type }) {
        if (type === "open") mostOpen = Math.max(mostOpen, ++open);
        if (type === "close") open--;
      },
    });
    const visit = async () => {
      for (let turn = 0; turn < 20; turn++) {
        using conn = await connectTo(server);
        assertEquals(await roundTrip(conn), HELLO);
      }
    };
    await Promise.all(Array.from({ length: 100 }, visit));
    assertEquals(server.stats().accepted, 2000);
    assertEquals(server.stats().bytes, 2000 * HELLO.length);
    assertEquals(mostOpen, 10);
  });

  it("counts a closed connection for as long as its write goes on", async () => {
    const { onEvent, untilClosed } = recorder();
    await using server = serve({
      ...{ port: 0, maxConnections: 1, idleTimeoutMs: 20 },
      onEvent,
    });
    using first = await connectTo(server);
    const prototype = Object.getPrototypeOf(first) as Deno.TcpConn;
    const { write } = prototype;
    const ended = Promise.withResolvers<void>();
    // As before Deno 2.9, where closing does not end a write that is under way.
    using _ = replace(
      prototype,
      "write",
      async function (this: Deno.TcpConn, p) {
        if (this.localAddr.port === server.addr.port) await ended.promise;
        return write.call(this, p);
      },
    );
    await writeAll(first, HELLO);
    assertEquals((await untilClosed(server))[0]?.reason, "idle");
    using second = await connectTo(server);
    const reply = roundTrip(second);
    for (let turn = 0; turn < 100; turn++) await nextTurn();
    assertEquals(server.stats(), {
      ...{ accepted: 1, open: 0, bytes: 0 },
      closed: { idle: 1 },
    });
    ended.resolve();
    assertEquals(await reply, HELLO);
    assertEquals(server.stats().accepted, 2);
  });

  it("closes connections that are idle after idleTimeoutMs", async () => {
    using clock = stopClock();
    using sweeps = watchSweeps();
    const { onEvent, untilClosed } = recorder();
    await using server = serve({ port: 0, idleTimeoutMs: 400, onEvent });
    using silent = await connectTo(server);
    await roundTrip(silent);
    for (let sweep = 1; sweep <= 5; sweep++) {
      assertEquals(server.stats().open, 1);
      await clock.pass(100);
      // The timer of the next sweep is set when this one is over.
      await sweeps.untilSwept();
    }
    assertEquals((await untilClosed(server))[0]?.reason, "idle");
    assertEquals(await readToEnd(silent), new Uint8Array());
    const finished = server.shutdown();
    await clock.pass(3);
    await finished;
    assertEquals(clock.timers, 0);
  });

  it("never closes a connection for idleness unless it is told to", async () => {
    using clock = stopClock();
    for (const idleTimeoutMs of [undefined, Infinity, 1e13]) {
      await using server = serve({
        port: 0,
        drainTimeoutMs: 0,
        idleTimeoutMs,
      });
      using conn = await connectTo(server);
      await roundTrip(conn);
      await clock.pass(1e12);
      assertEquals(await roundTrip(conn), HELLO);
    }
  });

  // Elsewhere the kernel does not spread connections over listeners.
  const itOnLinux = Deno.build.os === "linux" ? it : it.skip;

  itOnLinux("shares its port with reusePort, and only then", async () => {
    await using server = serve({ port: 0, reusePort: true });
    const { port } = server.addr;
    await using other = serve({ port, reusePort: true });
    assertEquals(other.addr, server.addr);
    for (const reusePort of [false, undefined]) {
      assertThrows(() => serve({ port, reusePort }), Deno.errors.AddrInUse);
    }
  });

  it("tells its totals while connections are open", async () => {
    await using server = serve({ port: 0 });
    assertEquals(server.stats(), {
      ...{ accepted: 0, open: 0, bytes: 0 },
      closed: {},
    });
    using conn = await connectTo(server);
    await roundTrip(conn);
    assertEquals(server.stats(), {
      ...{ accepted: 1, open: 1, bytes: 5 },
      closed: {},
    });
    using other = await connectTo(server);
    await roundTrip(other);
    await roundTrip(conn);
    assertEquals(server.stats(), {
      ...{ accepted: 2, open: 2, bytes: 15 },
      closed: {},
    });
    await other.closeWrite();
    await readToEnd(other);
    assertEquals(server.stats(), {
      ...{ accepted: 2, open: 1, bytes: 15 },
      closed: { eof: 1 },
    });
  });
});

describe("ServeOptions.signal", () => {
  it("closes everything at once when it is aborted", async () => {
    const { onEvent, untilClosed } = recorder();
    const stop = new AbortController();
    const server = serve({ port: 0, signal: stop.signal, onEvent });
    const conns = [await connectTo(server), await connectTo(server)];
    for (const conn of conns) await roundTrip(conn);
    stop.abort();
    for (const conn of conns) {
      assertEquals(await readToEnd(conn), new Uint8Array());
    }
    await server.finished;
    const closed = await untilClosed(server, 2);
    assertEquals(closed.map(({ reason }) => reason), ["shutdown", "shutdown"]);
    await untilRefused(server);
  });

  it("ends a server at once that has no connection", async () => {
    const stop = new AbortController();
    const server = serve({ port: 0, signal: stop.signal });
    stop.abort();
    await server.finished;
    assertEquals(server.stats(), {
      ...{ accepted: 0, open: 0, bytes: 0 },
      closed: {},
    });
  });

  it("lets a server not begin when it is aborted already", async () => {
    const server = serve({ port: 0, signal: AbortSignal.abort() });
    await server.finished;
    await untilRefused(server);
  });

  it("is not listened to any more when the server is finished", async () => {
    const { signal } = new AbortController();
    const server = serve({ port: 0, signal });
    assertEquals(getEventListeners(signal, "abort").length, 1);
    await server.shutdown();
    assertEquals(getEventListeners(signal, "abort").length, 0);
  });
});
