import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { type FakeClock, stopClock } from "../testing/clock.ts";
import type { Connection } from "./connection.ts";
import { sweepIdle } from "./idle.ts";

const IDLE_TIMEOUT_MS = 400;

/** A connection of which a sweep sees no more than its counter. */
function silentConnection(): Connection {
  return { conn: undefined!, openedAt: 0, bytes: 0, idleSweeps: 0 };
}

/** Sweeps a set of connections, from which those that ended are removed. */
function startSweeps(
  idleTimeoutMs: number,
  untilAllRead = () => Promise.resolve(),
) {
  const connections = new Set<Connection>();
  const ended: Connection[] = [];
  const sweeps = sweepIdle(connections, {
    ...{ idleTimeoutMs, untilAllRead },
    end(connection) {
      connections.delete(connection);
      ended.push(connection);
    },
  });
  return { connections, ended, [Symbol.dispose]: sweeps[Symbol.dispose] };
}

/** Sweeps that wait for reads, with a connection that the next one would end. */
async function startLastSweep(clock: FakeClock) {
  let waiting: PromiseWithResolvers<void> | undefined;
  const sweeps = startSweeps(
    IDLE_TIMEOUT_MS,
    () => waiting?.promise ?? Promise.resolve(),
  );
  const connection = silentConnection();
  sweeps.connections.add(connection);
  await clock.pass(IDLE_TIMEOUT_MS);
  assertEquals(connection.idleSweeps, 4);
  waiting = Promise.withResolvers();
  await clock.pass(IDLE_TIMEOUT_MS / 4);
  const allRead = async () => {
    waiting!.resolve();
    waiting = undefined;
    await clock.pass(0);
  };
  return { ...sweeps, connection, allRead };
}

describe("sweepIdle()", () => {
  it("ends a silent connection after the timeout, at most a quarter later", async () => {
    using clock = stopClock();
    // When the connection opens: just before a sweep, just after one, in between.
    for (const openedAt of [99, 101, 150]) {
      using sweeps = startSweeps(IDLE_TIMEOUT_MS);
      await clock.pass(openedAt);
      sweeps.connections.add(silentConnection());
      await clock.pass(IDLE_TIMEOUT_MS - 1);
      assertEquals(sweeps.ended.length, 0, `opened after ${openedAt} ms`);
      await clock.pass(IDLE_TIMEOUT_MS / 4 + 1);
      assertEquals(sweeps.ended.length, 1, `opened after ${openedAt} ms`);
    }
  });

  it("never ends a connection on which a byte moves now and then", async () => {
    using clock = stopClock();
    using sweeps = startSweeps(IDLE_TIMEOUT_MS);
    const busy = silentConnection();
    sweeps.connections.add(busy);
    for (let turn = 0; turn < 50; turn++) {
      await clock.pass(IDLE_TIMEOUT_MS - 1);
      busy.idleSweeps = 0;
    }
    assertEquals(sweeps.ended, []);
  });

  it("ends a connection that falls silent again", async () => {
    using clock = stopClock();
    using sweeps = startSweeps(IDLE_TIMEOUT_MS);
    const connection = silentConnection();
    sweeps.connections.add(connection);
    await clock.pass(IDLE_TIMEOUT_MS - 1);
    connection.idleSweeps = 0;
    await clock.pass(IDLE_TIMEOUT_MS - 1);
    assertEquals(sweeps.ended, []);
    await clock.pass(IDLE_TIMEOUT_MS / 4 + 1);
    assertEquals(sweeps.ended, [connection]);
  });

  it("ends each connection in its own time", async () => {
    using clock = stopClock();
    using sweeps = startSweeps(IDLE_TIMEOUT_MS);
    const connections = Array.from({ length: 3 }, silentConnection);
    for (const connection of connections) {
      sweeps.connections.add(connection);
      await clock.pass(IDLE_TIMEOUT_MS / 2);
    }
    await clock.pass(10 * IDLE_TIMEOUT_MS);
    assertEquals(sweeps.ended, connections);
  });

  it("never ends a connection before its time, however long that is", async () => {
    for (const idleTimeoutMs of [2 ** 31, 1e12, Infinity]) {
      using clock = stopClock();
      using sweeps = startSweeps(idleTimeoutMs);
      sweeps.connections.add(silentConnection());
      await clock.pass(Math.min(idleTimeoutMs - 1, 1e13));
      assertEquals(sweeps.ended, [], `with ${idleTimeoutMs} ms`);
      if (idleTimeoutMs === Infinity) continue;
      await clock.pass(idleTimeoutMs / 4 + 1);
      assertEquals(sweeps.ended.length, 1, `with ${idleTimeoutMs} ms`);
    }
  });

  it("does not keep the process alive", async () => {
    using clock = stopClock();
    using _ = startSweeps(IDLE_TIMEOUT_MS);
    assertEquals([clock.timers, clock.unrefTimers], [1, 1]);
    await clock.pass(IDLE_TIMEOUT_MS);
    assertEquals([clock.timers, clock.unrefTimers], [1, 5]);
  });

  it("ends no connection after it was disposed of", async () => {
    using clock = stopClock();
    for (const before of [0, 250]) {
      const sweeps = startSweeps(IDLE_TIMEOUT_MS);
      sweeps.connections.add(silentConnection());
      await clock.pass(before);
      sweeps[Symbol.dispose]();
      assertEquals(clock.timers, 0);
      await clock.pass(10 * IDLE_TIMEOUT_MS);
      assertEquals(sweeps.ended, []);
    }
  });

  it("counts when all that arrived was read, and not before", async () => {
    using clock = stopClock();
    using sweeps = await startLastSweep(clock);
    const { connection, ended } = sweeps;
    await clock.pass(10 * IDLE_TIMEOUT_MS);
    assertEquals([connection.idleSweeps, ended.length], [4, 0]);
    assertEquals(
      clock.timers,
      0,
      "no sweep begins before the last one is over",
    );
    await sweeps.allRead();
    assertEquals(ended, [connection]);
    assertEquals(clock.timers, 1);
  });

  it("does not end a connection whose byte is read just before it counts", async () => {
    using clock = stopClock();
    using sweeps = await startLastSweep(clock);
    const { connection, ended } = sweeps;
    connection.idleSweeps = 0;
    await sweeps.allRead();
    await clock.pass(IDLE_TIMEOUT_MS - 1);
    assertEquals(ended, []);
    await clock.pass(1);
    assertEquals(ended, [connection]);
  });

  it("ends no connection when it is disposed of while reads are awaited", async () => {
    using clock = stopClock();
    const sweeps = await startLastSweep(clock);
    sweeps[Symbol.dispose]();
    await sweeps.allRead();
    await clock.pass(10 * IDLE_TIMEOUT_MS);
    const { connection, ended } = sweeps;
    assertEquals([connection.idleSweeps, ended.length], [4, 0]);
    assertEquals(clock.timers, 0);
  });
});
