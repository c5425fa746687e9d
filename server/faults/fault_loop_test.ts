import { Buffer } from "node:buffer";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStrictEquals,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import { stopClock } from "../../testing/clock.ts";
import { patternOf } from "../../testing/peer.ts";
import { joined, playLoop } from "../../testing/played_loop.ts";
import { REPLY_BYTES } from "./fault_loop.ts";
import { checkFaults } from "./options.ts";
import { QUEUE_BYTES } from "./reply_queue.ts";
import { StreamPlan } from "./stream_plan.ts";

const HOUR_MS = 3_600_000;

/** How a client that ended its stream sees the connection end. */
const EOF = { error: undefined, reason: undefined };

describe("a loop without a fault", () => {
  it("echoes, and ends with the client's stream", async () => {
    const { conn, connection, writes, firsts, ends, pool, faults } = playLoop(
      {},
    );
    const bytes = patternOf(50_000);
    conn.reply(bytes.subarray(0, 3), bytes.subarray(3), null);
    await conn.until("the end", () => ends.length > 0);
    assertEquals(joined(writes), bytes);
    assertEquals([connection.bytes, faults, ends], [50_000, [], [EOF]]);
    assertEquals(firsts, [bytes.subarray(0, 3)]);
    await nextTurn();
    assertEquals(pool.used, []);
  });

  it("writes what a write did not take", async () => {
    const { conn, connection, writes, ends } = playLoop({}, {
      write: (bytes) => Math.min(2, bytes.length),
    });
    conn.reply(patternOf(7), null);
    await conn.until("the end", () => ends.length > 0);
    assertEquals(joined(writes), patternOf(7));
    assertEquals(connection.bytes, 7);
  });

  it("waits at the barrier after a read when it must", async () => {
    const opening = Promise.withResolvers<void>();
    const added: number[] = [];
    const barrier = {
      addRead: (bytes: number) => added.push(bytes) === 1,
      pass: () => opening.promise,
    };
    const { conn, writes } = playLoop({}, { barrier });
    conn.reply(patternOf(3));
    await conn.until("the echo", () => writes.length > 0);
    assertEquals([conn.isReading, added], [false, [3]]);
    opening.resolve();
    await conn.until("the next read", () => conn.isReading);
  });

  it("ends with what a read or a write threw", async () => {
    const error = new Deno.errors.ConnectionReset("no");
    const reading = playLoop({});
    reading.conn.reply(error);
    await reading.conn.until("the end", () => reading.ends.length > 0);
    assertStrictEquals(reading.ends[0]?.error, error);

    const writing = playLoop({}, { write: () => Promise.reject(error) });
    writing.conn.reply(patternOf(3));
    await writing.conn.until("the end", () => writing.ends.length > 0);
    assertStrictEquals(writing.ends[0]?.error, error);
    await nextTurn();
    for (const { ends, pool } of [reading, writing]) {
      assertEquals([ends.length, pool.used], [1, []]);
    }
  });

  it("ends with what was thrown when there is no memory", async () => {
    const { ends } = playLoop({}, { isOutOfMemory: true });
    await nextTurn();
    assertEquals(ends.length, 1);
    assertInstanceOf(ends[0]!.error, RangeError);
  });
});

describe("latency", () => {
  it("delays each reply, and no read", async () => {
    using clock = stopClock();
    const { conn, writes } = playLoop({ latency: { ms: 50 } });
    for (const [turn, pauseMs] of [10, 10, 25, 0].entries()) {
      conn.reply(new Uint8Array([turn]));
      await clock.pass(0);
      assert(conn.isReading, "it waits before it reads");
      await clock.pass(pauseMs);
    }
    await clock.pass(1000);
    assertEquals(writes.map(({ at, bytes }) => [bytes[0], at]), [
      ...[[0, 50], [1, 60], [2, 70], [3, 95]],
    ]);
    assertEquals(clock.timers, 0);
  });

  it("keeps the order, whatever the jitter", async () => {
    using clock = stopClock();
    const options = { latency: { ms: 50, jitterMs: 50 } };
    const { conn, writes } = playLoop(options);
    const plan = new StreamPlan(checkFaults({ ...options, seed: 1 }, false), 1);
    const expected: [byte: number, at: number][] = [];
    for (let turn = 0; turn < 100; turn++) {
      conn.reply(new Uint8Array([turn]));
      await clock.pass(1);
      // A timer fires on the next whole millisecond.
      const ready = Math.ceil(turn + plan.reply(turn, 1).delayMs);
      expected.push([turn, Math.max(ready, expected.at(-1)?.[1] ?? 0)]);
    }
    await clock.pass(1000);
    assertEquals(writes.map(({ at, bytes }) => [bytes[0], at]), expected);
  });

  it("is told of each reply that it delays, or once if it delays all", async () => {
    using clock = stopClock();
    const some = playLoop({ latency: { ms: 50, percent: 50 } });
    const all = playLoop({ latency: { ms: 50 } });
    for (let turn = 0; turn < 20; turn++) {
      for (const { conn } of [some, all]) conn.reply(new Uint8Array(64));
      await clock.pass(60);
    }
    const expected = some.writes.flatMap(({ at }, turn) =>
      at === turn * 60 ? [] : [
        { kind: "latency", offset: turn * 64, delayMs: 50, written: turn * 64 },
      ]
    );
    assert(expected.length > 3 && expected.length < 17);
    assertEquals(some.faults as unknown[], expected);
    assertEquals(all.faults, [{ kind: "latency", written: 0 }]);
  });

  it("lets the rest leave after a client ended its stream", async () => {
    using clock = stopClock();
    const { conn, writes, ends } = playLoop({ latency: { ms: 50 } });
    conn.reply(patternOf(3), null);
    await clock.pass(49);
    assertEquals([writes.length, ends.length], [0, 0]);
    await clock.pass(1);
    assertEquals(joined(writes), patternOf(3));
    assertEquals(ends, [EOF]);
  });

  it("is no idle time", async () => {
    using clock = stopClock();
    const { conn, connection, writes } = playLoop({ latency: { ms: 50 } });
    conn.reply(patternOf(3));
    await clock.pass(20);
    for (let sweep = 0; sweep < 100; sweep++) connection.idleSweeps++;
    assertEquals(connection.idleSweeps, -Infinity);
    // What comes meanwhile does not change that.
    conn.reply(patternOf(3));
    await clock.pass(20);
    assertEquals(connection.idleSweeps, -Infinity);
    await clock.pass(1000);
    assertEquals([writes.length, connection.idleSweeps], [2, 0]);
  });

  it("ends at once when the server closes the connection", async () => {
    using clock = stopClock();
    const { conn, connection, writes, ends, pool } = playLoop({
      latency: { ms: HOUR_MS },
    });
    conn.reply(patternOf(3));
    await clock.pass(0);
    assertEquals(clock.timers, 1);
    conn[Symbol.dispose]();
    connection.waiter!.stop();
    await clock.pass(0);
    assertEquals([clock.timers, ends.length, writes.length], [0, 1, 0]);
    assertEquals(pool.used, []);
  });

  it("drops what waits when the connection breaks", async () => {
    using clock = stopClock();
    const { conn, writes, ends } = playLoop({ latency: { ms: HOUR_MS } });
    const error = new Deno.errors.ConnectionReset("no");
    conn.reply(patternOf(3), error);
    await clock.pass(0);
    assertEquals([writes.length, ends.length, clock.timers], [0, 1, 0]);
    assertStrictEquals(ends[0]?.error, error);
  });

  it("keeps the process alive only if its server does", async () => {
    for (const isRef of [true, false]) {
      using clock = stopClock();
      const { conn } = playLoop({ latency: { ms: 50 } }, { isRef });
      conn.reply(patternOf(3));
      await clock.pass(0);
      assertEquals([clock.timers, clock.unrefTimers], [1, isRef ? 0 : 1]);
    }
  });

  it("lets the process end when its server does while a reply waits", async () => {
    using clock = stopClock();
    const play = { isRef: true };
    const { conn, connection, writes } = playLoop(
      { latency: { ms: 50 } },
      play,
    );
    conn.reply(patternOf(3));
    await clock.pass(20);
    assertEquals([clock.timers, clock.unrefTimers], [1, 0]);
    play.isRef = false;
    connection.waiter!.updateRef();
    await clock.pass(0);
    assertEquals([clock.timers, clock.unrefTimers], [1, 1]);
    await clock.pass(29);
    assertEquals(writes.length, 0);
    await clock.pass(1);
    assertEquals([writes.length, clock.timers], [1, 0]);
  });
});

describe("a queue of replies", () => {
  it("stops the reading when it is full", async () => {
    using clock = stopClock();
    const { conn, writes } = playLoop({ latency: { ms: 1000 } });
    const bytes = patternOf(2 * QUEUE_BYTES);
    conn.reply(bytes);
    await clock.pass(500);
    const read = conn.reads.length * REPLY_BYTES;
    assertEquals([read, conn.isReading], [QUEUE_BYTES, false]);
    await clock.pass(500);
    assertEquals(joined(writes).length, QUEUE_BYTES);
    await clock.pass(1000);
    assertEquals(Buffer.compare(joined(writes), bytes), 0);
    assert(conn.isReading);
  });

  it("is let go of when the server closes the connection", async () => {
    using clock = stopClock();
    const { conn, connection, ends, pool } = playLoop({
      latency: { ms: HOUR_MS },
    });
    conn.reply(patternOf(2 * QUEUE_BYTES));
    await clock.pass(0);
    assertEquals(conn.isReading, false);
    connection.waiter!.stop();
    await clock.pass(0);
    assertEquals([ends.length, pool.used, clock.timers], [1, [], 0]);
    assertEquals(conn.reads.length, QUEUE_BYTES / REPLY_BYTES);
  });

  it("counts as idle while the client does not read", async () => {
    using clock = stopClock();
    const blocked = Promise.withResolvers<number>();
    const { conn, connection } = playLoop(
      { latency: { ms: 50 } },
      { write: () => blocked.promise },
    );
    conn.reply(patternOf(3));
    await clock.pass(50);
    connection.idleSweeps++;
    await clock.pass(50);
    assertEquals(connection.idleSweeps, 1);
    blocked.resolve(3);
    await clock.pass(0);
    assertEquals(connection.idleSweeps, 0);
  });
});
