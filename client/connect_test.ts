import {
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { deadline } from "@std/async/deadline";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import { connect, type ConnectOptions, type NetworkError } from "../client.ts";
import { serve } from "../server.ts";
import { stopClock } from "../testing/clock.ts";
import { freePort, startPeer } from "../testing/peer.ts";
import { deadEnd, ListenerCount, readOnce } from "../testing/socket.ts";
import { HELLO } from "../testing/visitor.ts";

/** Connects in vain, and returns the error. */
async function failing(options: ConnectOptions): Promise<NetworkError> {
  return await assertRejects(() => connect(options)) as NetworkError;
}

/** Waits for something that takes no more than turns of the event loop. */
async function turnsUntil(isSo: () => boolean): Promise<void> {
  while (!isSo()) await nextTurn();
}

/** An attempt to connect that fails, and then pauses while the clock stands. */
async function pausing(options: ConnectOptions) {
  const stop = new AbortController();
  const listeners = new ListenerCount(stop.signal);
  const connecting = connect({
    ...{ timeoutMs: Infinity, signal: stop.signal },
    ...options,
  });
  // It is awaited later.
  connecting.catch(() => {});
  // An attempt listens to the signal, and then a pause does.
  const countPauses = () => Math.floor(listeners.added / 2);
  await turnsUntil(() => countPauses() === 1);
  return { connecting, listeners, countPauses, stop };
}

/**
 * Declares a test of a failure after which Deno 2.6 leaves a resource of its own
 * behind, the handle by which the signal would cancel `Deno.connect()`.
 */
function itLeavesAHandle(
  name: string,
  fn: () => Promise<void>,
  permissions: Deno.PermissionOptions = "inherit",
): void {
  Deno.test({
    name: `connect() ${name}`,
    permissions,
    sanitizeOps: true,
    sanitizeResources: false,
    fn: () => deadline(fn(), 10_000),
  });
}

describe("connect()", () => {
  it("says that the connection was refused, and where", async () => {
    const port = freePort();
    const error = await failing({ port });
    assertInstanceOf(error, Deno.errors.ConnectionRefused);
    assertInstanceOf(error.cause, Deno.errors.ConnectionRefused);
    const { message, operation, address, reason, detail } = error;
    assertEquals({ message, operation, address, reason, detail }, {
      message: `Cannot connect to 127.0.0.1:${port}: connection refused`,
      operation: "connect",
      address: { transport: "tcp", hostname: "127.0.0.1", port },
      reason: "refused",
      detail: "connection refused",
    });
  });

  it("gives up after 5 s", async () => {
    using nowhere = await deadEnd();
    using clock = stopClock();
    const result = failing({ port: nowhere.port });
    await clock.pass(4999);
    const soon = await Promise.race([result, nextTurn("not yet")]);
    assertEquals(soon, "not yet");
    await clock.pass(1);
    assertInstanceOf(await result, Deno.errors.TimedOut);
  });

  it("gives up after the timeout, and says where", async () => {
    using nowhere = await deadEnd();
    const { port } = nowhere;
    const error = await failing({ port, timeoutMs: 50 });
    assertInstanceOf(error, Deno.errors.TimedOut);
    const { message, operation, reason, detail } = error;
    assertEquals({ message, operation, reason, detail }, {
      message: `Cannot connect to 127.0.0.1:${port}: timed out after 0.05 s`,
      operation: "connect",
      reason: "timeout",
      detail: "timed out after 0.05 s",
    });
  });

  it("keeps trying until a server is there", async () => {
    for (const retryMs of [10_000, 1e12, Infinity]) {
      const port = freePort();
      const connecting = connect({ port, retryMs });
      // The first attempt failed before anything else could happen.
      await assertRejects(() => Deno.connect({ port }));
      await using _ = serve({ port });
      using client = await connecting;
      assertEquals((await client.echo(HELLO)).bytes, 5);
    }
  });

  it("pauses twice as long each time, and tries at the end", async () => {
    using clock = stopClock();
    const startedAt = performance.now();
    const port = freePort();
    const reasons: string[] = [];
    const { connecting, listeners, countPauses } = await pausing({
      ...{ port, retryMs: 1000 },
      onAttemptFailed: ({ reason }) => reasons.push(reason),
    });
    let isOver = false;
    const result = connecting.catch((error) => error)
      .finally(() => isOver = true);
    const pausesAt: number[] = [];
    while (!isOver) {
      pausesAt.push(performance.now() - startedAt);
      // No timer waits while it tries.
      while (clock.timers > 0) await clock.pass(1);
      await turnsUntil(() => isOver || countPauses() > pausesAt.length);
    }
    assertEquals(pausesAt, [0, 20, 60, 140, 300, 550, 800]);
    assertEquals(performance.now() - startedAt, 1000);
    // The last attempt is told by what is thrown.
    assertEquals(reasons, pausesAt.map(() => "refused"));
    assertInstanceOf(await result, Deno.errors.ConnectionRefused);
    assertEquals(listeners.now, 0);
  });

  it("does not count failed attempts as connecting", async () => {
    using clock = stopClock();
    const port = freePort();
    const { connecting, countPauses } = await pausing({ port, retryMs: 60 });
    await clock.pass(20);
    await turnsUntil(() => countPauses() === 2);
    using _ = startPeer((conn) => readOnce(conn), port);
    await clock.pass(40);
    using client = await connecting;
    assertEquals(client.connectMs, 0);
  });

  it("waits as long as it takes without a timeout", async () => {
    using peer = startPeer(async (conn) => {
      const bytes = await readOnce(conn);
      await new Promise((resolve) => setTimeout(resolve, 30));
      await conn.write(bytes);
    });
    for (const timeoutMs of [2 ** 31, 1e12, Infinity]) {
      using client = await connect({ port: peer.port, timeoutMs });
      assertEquals((await client.echo(HELLO)).bytes, 5);
    }
  });

  it("refuses at once what is no time and no port", async () => {
    const notTimes = [NaN, -1, -Infinity, "5", null];
    const notPorts = [NaN, -1, 1.5, 65_536, Infinity, "12345", null];
    const wrong: [string, unknown][] = [
      ...notTimes.map((ms): [string, unknown] => ["timeoutMs", ms]),
      ...notTimes.map((ms): [string, unknown] => ["retryMs", ms]),
      ...notPorts.map((port): [string, unknown] => ["port", port]),
    ];
    for (const [name, value] of wrong) {
      const options = { port: freePort(), retryMs: 60_000, [name]: value };
      const { message } = await assertRejects(
        () => deadline(connect(options), 10_000),
        RangeError,
      );
      assertEquals(message.startsWith(`${name} must be `), true, message);
      assertEquals(message.endsWith(`: ${value}`), true, message);
    }
  });

  itLeavesAHandle("says that a name does not resolve, and where", async () => {
    const error = await failing({ hostname: "nosuch.invalid" });
    const { message, reason, detail, address } = error;
    assertEquals({ message, reason, detail, address }, {
      message: "Cannot connect to nosuch.invalid:12345: " +
        "the name does not resolve",
      reason: "dns",
      detail: "the name does not resolve",
      address: { transport: "tcp", hostname: "nosuch.invalid", port: 12345 },
    });
  });

  itLeavesAHandle("does not try again with what is no name", async () => {
    await assertRejects(
      () => connect({ hostname: "a b", retryMs: Infinity }),
      URIError,
      "Cannot connect to a b:12345: ",
    );
  });

  itLeavesAHandle("does not try again what Deno forbids", async () => {
    await assertRejects(
      () => connect({ port: 1, retryMs: Infinity }),
      Deno.errors.NotCapable,
      "Cannot connect to 127.0.0.1:1: ",
    );
  }, { net: false });
});

describe("connect() with a signal", () => {
  const reasons = [new Error("enough"), "enough", null];

  it("connects to nothing once it is aborted", async () => {
    using peer = startPeer((conn) => readOnce(conn));
    const { port } = peer;
    for (const reason of reasons) {
      const signal = AbortSignal.abort(reason);
      const error = await connect({ port, signal }).catch((error) => error);
      assertStrictEquals(error, reason);
    }
    // The peer would have accepted the others before this one.
    using _ = await connect({ port });
    await turnsUntil(() => peer.accepted > 0);
    assertEquals(peer.accepted, 1);
  });

  it("gives up in the midst of connecting", async () => {
    using nowhere = await deadEnd();
    const { port } = nowhere;
    for (const retryMs of [0, Infinity]) {
      for (const reason of reasons) {
        const stop = new AbortController();
        const { signal } = stop;
        const listeners = new ListenerCount(signal);
        const options = { port, retryMs, signal, timeoutMs: Infinity };
        const connecting = connect(options).catch((error) => error);
        setTimeout(() => stop.abort(reason), 10);
        assertStrictEquals(await connecting, reason);
        assertEquals(listeners.now, 0);
      }
    }
  });

  it("gives up in the midst of a pause", async () => {
    using clock = stopClock();
    const port = freePort();
    for (const reason of reasons) {
      const { connecting, listeners, stop } = await pausing({
        ...{ port, retryMs: Infinity },
      });
      stop.abort(reason);
      assertStrictEquals(await connecting.catch((error) => error), reason);
      assertEquals(listeners.now, 0);
      assertEquals(clock.timers, 0);
    }
  });

  it("leaves no listener on the signal when it fails", async () => {
    const { signal } = new AbortController();
    const listeners = new ListenerCount(signal);
    await failing({ port: freePort(), signal });
    assertEquals(listeners.now, 0);
  });

  it("leaves one listener on the signal until the client is closed", async () => {
    using peer = startPeer((conn) => readOnce(conn));
    const { signal } = new AbortController();
    const listeners = new ListenerCount(signal);
    const client = await connect({ port: peer.port, signal });
    assertEquals(listeners.now, 1);
    client.close();
    assertEquals(listeners.now, 0);
  });
});
