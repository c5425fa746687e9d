import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { NetworkError } from "../net/errors.ts";
import { type FakeClock, stopClock } from "../testing/clock.ts";
import { type AcceptListener, Acceptor, listen } from "./accepting.ts";

const ADDRESS = { transport: "tcp", hostname: "::1", port: 7 } as const;

/** A connection of which an acceptor uses no more than this. */
class FakeConn {
  isClosed = false;

  close(): void {
    this.isClosed = true;
  }
}

/** A listener that accepts and fails when a test says so. */
class FakeListener implements AcceptListener {
  /** When accept was called, as `performance.now()`. */
  readonly calls: number[] = [];
  /** How often it was closed. */
  closed = 0;
  #next = Promise.withResolvers<Deno.TcpConn>();
  /** What each call fails with at once; without it, calls wait. */
  failure: Error | undefined;

  accept(): Promise<Deno.TcpConn> {
    this.calls.push(performance.now());
    if (this.failure) return Promise.reject(this.failure);
    return this.#next.promise;
  }

  close(): void {
    this.closed++;
    this.#next.promise.catch(() => {});
    this.#next.reject(new Deno.errors.BadResource("closed"));
  }

  /** Lets the pending accept return a connection. */
  connect(): FakeConn {
    const conn = new FakeConn();
    const { resolve } = this.#next;
    this.#next = Promise.withResolvers();
    resolve(conn as unknown as Deno.TcpConn);
    return conn;
  }

  /** Lets the pending accept fail. */
  fail(error: Error): void {
    const { reject } = this.#next;
    this.#next = Promise.withResolvers();
    reject(error);
  }
}

/** An error of accept(2). */
function systemError(code: string, words = "Failed"): Error {
  return Object.assign(new Error(`${words} (os error 1)`), { code });
}

/** Errors that accept(2) has from the network of the one client it took. */
const CLIENT_ERRORS = [
  ...["ECONNABORTED", "ECONNRESET", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN"],
  ...["ENETUNREACH", "ENOTCONN", "EPERM", "EPROTO"],
];

const NO_DESCRIPTORS = systemError("EMFILE", "Too many open files");

/** Runs an acceptor of a fake listener. */
function startAcceptor() {
  const listener = new FakeListener();
  const server = {
    hasRoom: true,
    conns: [] as unknown[],
    failures: [] as NetworkError[],
    isOver: false,
  };
  const acceptor = new Acceptor(listener, {
    address: ADDRESS,
    hasRoom: () => server.hasRoom,
    onConnection: (conn) => server.conns.push(conn),
    onFailure: (error) => server.failures.push(error),
  });
  const running = acceptor.run().then(() => {
    server.isOver = true;
  });
  return { listener, server, acceptor, running };
}

/** Stops an acceptor and checks that nothing of it is left. */
async function stopWholly(
  { acceptor, listener, running }: ReturnType<typeof startAcceptor>,
  clock: FakeClock,
): Promise<void> {
  const calls = listener.calls.length;
  acceptor.stop();
  await running;
  assertEquals([listener.closed, clock.timers], [1, 0]);
  acceptor.stop();
  acceptor.wake();
  await clock.pass(10_000);
  assertEquals([listener.closed, listener.calls.length], [1, calls]);
}

describe("Acceptor", () => {
  it("takes and counts one connection after the other", async () => {
    using clock = stopClock();
    const acceptance = startAcceptor();
    const { listener, server, acceptor } = acceptance;
    const conns = [];
    for (let turn = 1; turn <= 3; turn++) {
      conns.push(listener.connect());
      await nextTurn();
      assertEquals([server.conns, acceptor.accepted], [conns, turn]);
    }
    assert(conns.every(({ isClosed }) => !isClosed));
    await stopWholly(acceptance, clock);
  });

  it("accepts nothing while there is no room", async () => {
    using clock = stopClock();
    const acceptance = startAcceptor();
    const { listener, server, acceptor } = acceptance;
    server.hasRoom = false;
    listener.connect();
    await clock.pass(10_000);
    assertEquals([server.conns.length, listener.calls.length], [1, 1]);
    acceptor.wake();
    await clock.pass(10_000);
    assertEquals(listener.calls.length, 1);
    server.hasRoom = true;
    acceptor.wake();
    await nextTurn();
    assertEquals(listener.calls.length, 2);
    server.hasRoom = false;
    listener.connect();
    await nextTurn();
    await stopWholly(acceptance, clock);
  });

  it("pauses after each failure for longer, from 5 to 500 ms", async () => {
    using clock = stopClock();
    const acceptance = startAcceptor();
    const { listener } = acceptance;
    const startedAt = performance.now();
    listener.failure = NO_DESCRIPTORS;
    listener.fail(NO_DESCRIPTORS);
    await clock.pass(2135);
    assertEquals(
      listener.calls.map((at) => Math.round(at - startedAt)),
      [0, 5, 15, 35, 75, 155, 315, 635, 1135, 1635, 2135],
    );
    await stopWholly(acceptance, clock);
  });

  it("begins with a short pause again after a success", async () => {
    using clock = stopClock();
    const acceptance = startAcceptor();
    const { listener, server } = acceptance;
    for (let turn = 0; turn < 3; turn++) {
      listener.fail(NO_DESCRIPTORS);
      await clock.pass(5);
      listener.fail(NO_DESCRIPTORS);
      await clock.pass(9);
      const calls = listener.calls.length;
      await clock.pass(1);
      assertEquals(listener.calls.length, calls + 1);
      listener.connect();
      await nextTurn();
    }
    assertEquals(server.conns.length, 3);
    await stopWholly(acceptance, clock);
  });

  it("ends a pause when a connection ended", async () => {
    using clock = stopClock();
    const acceptance = startAcceptor();
    const { listener, acceptor } = acceptance;
    for (let turn = 1; turn <= 5; turn++) {
      listener.fail(NO_DESCRIPTORS);
      await nextTurn();
      assertEquals([listener.calls.length, clock.timers], [turn, 1]);
      acceptor.wake();
      await nextTurn();
      assertEquals([listener.calls.length, clock.timers], [turn + 1, 0]);
    }
    await stopWholly(acceptance, clock);
  });

  it("is not held up by clients that left before their turn", async () => {
    using clock = stopClock();
    const acceptance = startAcceptor();
    const { listener, server } = acceptance;
    for (const code of CLIENT_ERRORS) {
      listener.fail(systemError(code));
      await nextTurn();
      assertEquals(clock.timers, 0, code);
    }
    listener.connect();
    await nextTurn();
    assertEquals(server.conns.length, 1);
    await stopWholly(acceptance, clock);
  });

  it("pauses after a failure that it does not know", async () => {
    using clock = stopClock();
    const acceptance = startAcceptor();
    acceptance.listener.fail(new Error("no"));
    await nextTurn();
    assertEquals(clock.timers, 1);
    await stopWholly(acceptance, clock);
  });

  it("tells a failure: what it could not do, where and why", async () => {
    using clock = stopClock();
    const acceptance = startAcceptor();
    const { listener, server } = acceptance;
    listener.fail(NO_DESCRIPTORS);
    await nextTurn();
    const [error] = server.failures;
    assertEquals(
      error?.message,
      "Cannot accept a connection on [::1]:7: too many open files",
    );
    assertEquals({ ...error }, {
      operation: "accept",
      address: ADDRESS,
      reason: "other",
      detail: "too many open files",
    });
    assertEquals(error?.cause, NO_DESCRIPTORS);
    await stopWholly(acceptance, clock);
  });

  it("tells each kind of failure again after 10 s without one", async () => {
    using clock = stopClock();
    const acceptance = startAcceptor();
    const { listener, acceptor, server } = acceptance;
    const fail = async (error: Error) => {
      listener.fail(error);
      await nextTurn();
      acceptor.wake();
      await nextTurn();
      return server.failures.splice(0).map(({ detail }) => detail);
    };
    const other = systemError("ECONNABORTED", "Aborted");
    assertEquals(await fail(NO_DESCRIPTORS), ["too many open files"]);
    assertEquals(await fail(other), ["aborted"]);
    assertEquals(await fail(NO_DESCRIPTORS), []);
    // Each failure begins the ten seconds anew, told or not.
    for (let turn = 0; turn < 3; turn++) {
      await clock.pass(9999);
      assertEquals(await fail(NO_DESCRIPTORS), []);
    }
    assertEquals(await fail(other), ["aborted"]);
    await clock.pass(10_000);
    assertEquals(await fail(NO_DESCRIPTORS), ["too many open files"]);
    await stopWholly(acceptance, clock);
  });

  it("stops while it accepts, and does not tell that this failed", async () => {
    using clock = stopClock();
    const acceptance = startAcceptor();
    await stopWholly(acceptance, clock);
    assertEquals(acceptance.server.failures, []);
  });

  it("stops while it pauses", async () => {
    using clock = stopClock();
    const acceptance = startAcceptor();
    acceptance.listener.failure = NO_DESCRIPTORS;
    acceptance.listener.fail(NO_DESCRIPTORS);
    await clock.pass(1000);
    await stopWholly(acceptance, clock);
  });

  it("closes a connection that comes in the same turn as the stop", async () => {
    using clock = stopClock();
    const acceptance = startAcceptor();
    const { listener, server, acceptor } = acceptance;
    const conn = listener.connect();
    await stopWholly(acceptance, clock);
    assertEquals(conn.isClosed, true);
    assertEquals([server.conns.length, acceptor.accepted], [0, 0]);
  });

  it("stops while it takes a connection, which is served", async () => {
    using clock = stopClock();
    const acceptance = startAcceptor();
    const { listener, server, acceptor } = acceptance;
    server.conns.push = () => {
      acceptor.stop();
      return 0;
    };
    const conn = listener.connect();
    await acceptance.running;
    assertEquals([conn.isClosed, acceptor.accepted], [false, 1]);
    assertEquals([listener.calls.length, clock.timers], [1, 0]);
  });
});

describe("Acceptor.drainQueue()", () => {
  it("stops after three pauses that bring no client", async () => {
    using clock = stopClock();
    const { listener, acceptor, running, server } = startAcceptor();
    const draining = acceptor.drainQueue();
    await clock.pass(2);
    assertEquals(listener.closed, 0);
    await clock.pass(1);
    await Promise.all([draining, running]);
    assertEquals([listener.closed, clock.timers], [1, 0]);
    assertEquals(server.failures, []);
  });

  it("goes on while clients come, however few", async () => {
    using clock = stopClock();
    const { listener, acceptor, running, server } = startAcceptor();
    const draining = acceptor.drainQueue();
    for (let turn = 0; turn < 20; turn++) {
      await clock.pass(2);
      listener.connect();
      await nextTurn();
    }
    await clock.pass(3);
    assertEquals(listener.closed, 0);
    await clock.pass(1);
    await Promise.all([draining, running]);
    assertEquals([listener.closed, server.conns.length], [1, 20]);
  });

  it("stops after a second, though clients come all the time", async () => {
    using clock = stopClock();
    const { listener, acceptor, running, server } = startAcceptor();
    const draining = acceptor.drainQueue();
    for (let turn = 0; turn < 999; turn++) {
      listener.connect();
      await clock.pass(1);
    }
    assertEquals(listener.closed, 0);
    await clock.pass(1);
    await Promise.all([draining, running]);
    assertEquals([listener.closed, server.conns.length], [1, 999]);
  });

  it("ends at once when the acceptor is stopped", async () => {
    using clock = stopClock();
    const acceptance = startAcceptor();
    const draining = acceptance.acceptor.drainQueue();
    await stopWholly(acceptance, clock);
    await draining;
  });
});

describe("listen()", () => {
  it("says why it cannot listen, with the fields of the failure", () => {
    using listener = listen(
      { ...ADDRESS, hostname: "127.0.0.1", port: 0 },
      false,
    );
    const { port } = listener.addr;
    const address = { transport: "tcp", hostname: "127.0.0.1", port } as const;
    const error = assertThrows(
      () => listen(address, false),
      Deno.errors.AddrInUse,
      `Cannot listen on 127.0.0.1:${port}: address already in use`,
    );
    const { operation, reason, detail } = error as NetworkError;
    assertEquals([operation, reason], ["listen", "address_in_use"]);
    assertEquals(detail, "address already in use");
    assertEquals((error as NetworkError).address, address);
  });

  // Elsewhere the kernel's own limit may be lower, and sharing spreads nothing.
  const itOnLinux = Deno.build.os === "linux" ? it : it.skip;

  itOnLinux("lets more clients queue than Deno does by default", async () => {
    using listener = listen(
      { ...ADDRESS, hostname: "127.0.0.1", port: 0 },
      false,
    );
    const { port } = listener.addr;
    const conns = await Promise.all(
      Array.from({ length: 700 }, () => Deno.connect({ port })),
    );
    for (const conn of conns) conn.close();
  });

  itOnLinux("shares the port with whoever asks for the same", () => {
    const anywhere = { ...ADDRESS, hostname: "127.0.0.1", port: 0 };
    using first = listen(anywhere, true);
    const there = { ...anywhere, port: first.addr.port };
    using second = listen(there, true);
    assertEquals(second.addr, first.addr);
    assertThrows(() => listen(there, false), Deno.errors.AddrInUse);
  });
});
