import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { NetworkError } from "../net/errors.ts";
import {
  type Acceptance,
  ADDRESS,
  startAcceptor,
} from "../testing/acceptor.ts";
import { type FakeClock, stopClock } from "../testing/clock.ts";
import { listen } from "./accepting.ts";

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

/** Stops an acceptor and checks that nothing of it is left. */
async function stopWholly(
  { acceptor, listener, running }: Acceptance,
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
    const { listener, acceptor } = acceptance;
    const conns = [];
    for (let turn = 1; turn <= 3; turn++) {
      conns.push(listener.connect());
      await nextTurn();
      assertEquals([acceptance.conns, acceptor.accepted], [conns, turn]);
    }
    assert(conns.every(({ isClosed }) => !isClosed));
    await stopWholly(acceptance, clock);
  });

  it("accepts nothing while there is no room", async () => {
    using clock = stopClock();
    const acceptance = startAcceptor();
    const { listener, acceptor } = acceptance;
    acceptance.hasRoom = false;
    listener.connect();
    await clock.pass(10_000);
    assertEquals([acceptance.conns.length, listener.calls.length], [1, 1]);
    assertEquals(clock.timers, 0, "it does not look again and again");
    acceptor.wake();
    await clock.pass(10_000);
    assertEquals(listener.calls.length, 1);
    acceptance.hasRoom = true;
    acceptor.wake();
    await nextTurn();
    assertEquals(listener.calls.length, 2);
    acceptance.hasRoom = false;
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
    const { listener } = acceptance;
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
    assertEquals(acceptance.conns.length, 3);
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
    const { listener } = acceptance;
    for (const code of CLIENT_ERRORS) {
      listener.fail(systemError(code));
      await nextTurn();
      assertEquals(clock.timers, 0, code);
    }
    listener.connect();
    await nextTurn();
    assertEquals(acceptance.conns.length, 1);
    await stopWholly(acceptance, clock);
  });

  it("tells of clients that left before their turn once in 10 s", async () => {
    using clock = stopClock();
    const acceptance = startAcceptor();
    const { listener, told, failures } = acceptance;
    for (const waitMs of [0, 0, 9_999, 9_999, 10_000, 9_999]) {
      await clock.pass(waitMs);
      listener.fail(systemError("ENOTCONN"));
      await nextTurn();
    }
    assertEquals([told, failures.length], [["reset", "reset"], 0]);
    await stopWholly(acceptance, clock);
  });

  it("tells that it is full once in 10 s", async () => {
    using clock = stopClock();
    const acceptance = startAcceptor();
    const { listener, acceptor, told } = acceptance;
    for (const waitMs of [0, 9_999, 10_000]) {
      await clock.pass(waitMs);
      acceptance.hasRoom = false;
      listener.connect();
      await nextTurn();
      acceptance.hasRoom = true;
      acceptor.wake();
      await nextTurn();
    }
    assertEquals(told, ["full", "full"]);
    await stopWholly(acceptance, clock);
  });

  it("looks for slots that another thread's server gave back", async () => {
    using clock = stopClock();
    const acceptance = startAcceptor({ isShared: true });
    const { listener, conns } = acceptance;
    acceptance.hasRoom = false;
    listener.connect();
    await clock.pass(1000);
    assertEquals([conns.length, listener.calls.length], [1, 1]);
    acceptance.hasRoom = true;
    await clock.pass(5);
    assertEquals([conns.length, listener.calls.length], [1, 2]);
    await stopWholly(acceptance, clock);
  });

  it("holds a connection for which another server took the slot", async () => {
    using clock = stopClock();
    const acceptance = startAcceptor({ isShared: true });
    const { listener, acceptor, conns, told } = acceptance;
    acceptance.isTooLate = true;
    const conn = listener.connect();
    await clock.pass(1000);
    assertEquals([conns, told, conn.isClosed], [[], [], false]);
    acceptance.isTooLate = false;
    await clock.pass(5);
    assertEquals([conns, acceptor.accepted], [[conn], 1]);

    acceptance.isTooLate = true;
    const another = listener.connect();
    await clock.pass(1000);
    assertEquals([conns, another.isClosed], [[conn], false]);
    await stopWholly(acceptance, clock);
    assertEquals([conns, another.isClosed], [[conn], true]);
  });

  it("stops after one connection, if it is to serve once", async () => {
    using clock = stopClock();
    const acceptance = startAcceptor({ once: true });
    const { listener, conns } = acceptance;
    const conn = listener.connect();
    await nextTurn();
    assertEquals([conns, conn.isClosed, listener.closed], [[conn], false, 1]);
    await stopWholly(acceptance, clock);
  });

  it("stops when another server has the one connection", async () => {
    using clock = stopClock();
    const options = { once: true, isShared: true };
    const late = startAcceptor(options);
    late.isTooLate = true;
    const conn = late.listener.connect();
    await nextTurn();
    assertEquals([late.conns, conn.isClosed, late.told], [[], true, []]);
    await stopWholly(late, clock);

    const later = startAcceptor(options);
    later.hasRoom = false;
    later.listener.fail(systemError("ENOTCONN"));
    await nextTurn();
    assertEquals([later.listener.closed, later.told], [1, ["reset"]]);
    await stopWholly(later, clock);
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
    const { listener } = acceptance;
    listener.fail(NO_DESCRIPTORS);
    await nextTurn();
    const [error] = acceptance.failures;
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
    const { listener, acceptor } = acceptance;
    const fail = async (error: Error) => {
      listener.fail(error);
      await nextTurn();
      acceptor.wake();
      await nextTurn();
      return acceptance.failures.splice(0).map(({ detail }) => detail);
    };
    const other = systemError("ENOMEM", "Out of memory");
    assertEquals(await fail(NO_DESCRIPTORS), ["too many open files"]);
    assertEquals(await fail(other), ["out of memory"]);
    assertEquals(await fail(NO_DESCRIPTORS), []);
    // Each failure begins the ten seconds anew, told or not.
    for (let turn = 0; turn < 3; turn++) {
      await clock.pass(9999);
      assertEquals(await fail(NO_DESCRIPTORS), []);
    }
    assertEquals(await fail(other), ["out of memory"]);
    await clock.pass(10_000);
    assertEquals(await fail(NO_DESCRIPTORS), ["too many open files"]);
    await stopWholly(acceptance, clock);
  });

  it("stops while it accepts, and does not tell that this failed", async () => {
    using clock = stopClock();
    const acceptance = startAcceptor();
    await stopWholly(acceptance, clock);
    assertEquals(acceptance.failures, []);
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
    const { listener, acceptor } = acceptance;
    const conn = listener.connect();
    await stopWholly(acceptance, clock);
    assertEquals(conn.isClosed, true);
    assertEquals([acceptance.conns.length, acceptor.accepted], [0, 0]);
  });

  it("stops while it takes a connection, which is served", async () => {
    using clock = stopClock();
    const acceptance = startAcceptor({
      onConnection: (acceptor) => acceptor.stop(),
    });
    const { listener, acceptor } = acceptance;
    const conn = listener.connect();
    await acceptance.running;
    assertEquals([conn.isClosed, acceptor.accepted], [false, 1]);
    assertEquals([listener.calls.length, clock.timers], [1, 0]);
  });
});

describe("Acceptor.acceptQueue()", () => {
  it("stops after three pauses that bring no client", async () => {
    using clock = stopClock();
    const { listener, acceptor, running, failures } = startAcceptor();
    const draining = acceptor.acceptQueue();
    await clock.pass(2);
    assertEquals(listener.closed, 0);
    await clock.pass(1);
    await Promise.all([draining, running]);
    assertEquals([listener.closed, clock.timers], [1, 0]);
    assertEquals(failures, []);
  });

  it("goes on while clients come, however few", async () => {
    using clock = stopClock();
    const { listener, acceptor, running, conns } = startAcceptor();
    const draining = acceptor.acceptQueue();
    for (let turn = 0; turn < 20; turn++) {
      await clock.pass(2);
      listener.connect();
      await nextTurn();
    }
    await clock.pass(3);
    assertEquals(listener.closed, 0);
    await clock.pass(1);
    await Promise.all([draining, running]);
    assertEquals([listener.closed, conns.length], [1, 20]);
  });

  it("stops after a second, though clients come all the time", async () => {
    using clock = stopClock();
    const { listener, acceptor, running, conns } = startAcceptor();
    const draining = acceptor.acceptQueue();
    for (let turn = 0; turn < 999; turn++) {
      listener.connect();
      await clock.pass(1);
    }
    assertEquals(listener.closed, 0);
    await clock.pass(1);
    await Promise.all([draining, running]);
    assertEquals([listener.closed, conns.length], [1, 999]);
  });

  it("ends at once when the acceptor is stopped", async () => {
    using clock = stopClock();
    const acceptance = startAcceptor();
    const draining = acceptance.acceptor.acceptQueue();
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
