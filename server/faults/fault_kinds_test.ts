import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import { stopClock } from "../../testing/clock.ts";
import { patternOf } from "../../testing/peer.ts";
import { joined, playLoop } from "../../testing/played_loop.ts";
import { REPLY_BYTES } from "./fault_loop.ts";
import { checkFaults } from "./options.ts";
import { QUEUE_BYTES } from "./reply_queue.ts";
import { StreamPlan } from "./stream_plan.ts";

/** How a client that ended its stream sees the connection end. */
const EOF = { error: undefined, reason: undefined };

/** Finds a seed with which a connection is as a test needs it. */
function seedWhere(isSo: (seed: number) => boolean): number {
  for (let seed = 0; seed < 10_000; seed++) if (isSo(seed)) return seed;
  throw new Error("no seed is so");
}

describe("a rate", () => {
  it("lets bytes leave evenly, in small steps", async () => {
    using clock = stopClock();
    const { conn, writes, faults } = playLoop({
      rate: { bytesPerSecond: 1000 },
    });
    const bytes = patternOf(2000);
    conn.reply(bytes.subarray(0, 1500), bytes.subarray(1500));
    await clock.pass(10_000);
    assertEquals(joined(writes), bytes);
    assertEquals(writes.length, 200);
    for (const [turn, { at }] of writes.entries()) {
      assertEquals(at, (turn + 1) * 10);
    }
    assertEquals(faults, [{ kind: "rate", written: 0 }]);
  });

  it("carries as much as it should in the long run", async () => {
    using clock = stopClock();
    const rate = 1_000_003;
    const { conn, writes } = playLoop({ rate: { bytesPerSecond: rate } });
    conn.reply(patternOf(2_000_006));
    await clock.pass(5000);
    assertEquals(joined(writes).length, 2_000_006);
    assert(Math.abs(writes.at(-1)!.at - 2000) <= 1, `${writes.at(-1)!.at}`);
  });

  it("begins when the latency is over", async () => {
    using clock = stopClock();
    const options = { rate: { bytesPerSecond: 1000 }, latency: { ms: 500 } };
    const { conn, writes } = playLoop(options);
    conn.reply(patternOf(20));
    await clock.pass(1000);
    assertEquals(writes.map(({ at }) => at), [510, 520]);
  });

  it("is given up when the server closes the connection", async () => {
    using clock = stopClock();
    const { conn, connection, writes, ends } = playLoop({
      rate: { bytesPerSecond: 1 },
    });
    conn.reply(patternOf(3));
    await clock.pass(1500);
    connection.waiter!.stop();
    await clock.pass(0);
    assertEquals([writes.length, ends.length, clock.timers], [1, 1, 0]);
  });
});

describe("a slice", () => {
  it("lets a reply leave in pieces, a moment apart", async () => {
    using clock = stopClock();
    const { conn, writes, faults } = playLoop({ slice: { bytes: 10 } });
    for (const length of [25, 10, 3, 20]) {
      conn.reply(patternOf(length));
      await clock.pass(100);
    }
    assertEquals(
      writes.map(({ at, bytes }) => [at, bytes.length]),
      [
        ...[[0, 10], [1, 10], [2, 5]],
        ...[[100, 10]],
        ...[[200, 3]],
        ...[[300, 10], [301, 10]],
      ],
    );
    assertEquals(faults, [{ kind: "slice", written: 0 }]);
  });

  it("does not hold up the reply behind it", async () => {
    using clock = stopClock();
    const { conn, writes } = playLoop({ slice: { bytes: 10 } });
    conn.reply(patternOf(20), patternOf(10));
    await clock.pass(100);
    assertEquals(writes.map(({ at }) => at), [0, 1, 1]);
  });

  it("is told of each reply that it cuts in pieces, unless it cuts all", async () => {
    using clock = stopClock();
    const options = { slice: { bytes: 10, percent: 50 } };
    const { conn, writes, faults } = playLoop(options);
    for (let turn = 0; turn < 20; turn++) {
      conn.reply(new Uint8Array(16));
      await clock.pass(10);
    }
    const sliced = writes.flatMap(({ at, bytes }) =>
      bytes.length === 10 ? [at / 10 * 16] : []
    );
    assert(sliced.length > 3 && sliced.length < 17);
    assertEquals(faults.map(({ offset }) => offset), sliced);
  });

  it("is not told of a reply that is too short for it", async () => {
    using clock = stopClock();
    const { conn, faults } = playLoop({ slice: { bytes: 10 } });
    conn.reply(new Uint8Array(10));
    await clock.pass(10);
    assertEquals(faults, []);
  });

  it("has pieces of its length whatever the rate and the writes", async () => {
    using clock = stopClock();
    const options = { slice: { bytes: 25 }, rate: { bytesPerSecond: 1000 } };
    const { conn, writes } = playLoop(options);
    conn.reply(patternOf(60));
    await clock.pass(1000);
    assertEquals(writes.map(({ bytes }) => bytes.length), [
      ...[10, 10, 5, 10, 10, 5, 10],
    ]);
    assertEquals(joined(writes), patternOf(60));
  });
});

describe("a corruption", () => {
  it("flips one bit of a reply, and tells where before it leaves", async () => {
    const options = { corrupt: {} };
    const { conn, writes, faults, ends } = playLoop(options);
    const bytes = patternOf(300);
    for (const at of [0, 100, 200]) {
      conn.reply(bytes.slice(at, at + 100));
      await conn.until("the echo", () => conn.written === at + 100);
    }
    conn.reply(null);
    await conn.until("the end", () => ends.length > 0);
    const wrong = [...joined(writes)].flatMap((byte, at) => {
      const flipped = byte ^ bytes[at]!;
      if (flipped !== 0) assertEquals(Math.log2(flipped) % 1, 0);
      return flipped === 0 ? [] : [at];
    });
    assertEquals(
      faults,
      [0, 1, 2].map((turn) => ({
        ...{ kind: "corrupt", offset: wrong[turn], written: turn * 100 },
      })) as unknown as typeof faults,
    );
    assertEquals(wrong.map((at) => Math.floor(at / 100)), [0, 1, 2]);
  });

  it("is told once, however the reply leaves", async () => {
    using clock = stopClock();
    const { conn, writes, faults } = playLoop(
      { corrupt: {}, slice: { bytes: 7 }, rate: { bytesPerSecond: 1000 } },
      { write: (bytes) => Math.min(2, bytes.length) },
    );
    conn.reply(patternOf(64));
    await clock.pass(1000);
    const wrong = joined(writes).findIndex((it, at) =>
      it !== patternOf(64)[at]
    );
    const corrupt = faults.filter(({ kind }) => kind === "corrupt");
    assertEquals(corrupt.map(({ offset }) => offset), [wrong]);
    const { written } = corrupt[0]!;
    assert(written <= wrong && wrong < written + 7, `${written}, ${wrong}`);
  });

  it("is not told if the server closes the connection before", async () => {
    using clock = stopClock();
    const { conn, connection, faults } = playLoop({
      ...{ corrupt: {}, latency: { ms: 50, percent: 1e-9 } },
      rate: { bytesPerSecond: 1 },
    });
    conn.reply(patternOf(64));
    await clock.pass(10);
    connection.waiter!.stop();
    await clock.pass(100_000);
    assertEquals(faults.map(({ kind }) => kind), ["rate"]);
  });
});

describe("a stall", () => {
  it("reads, answers nothing, and keeps nothing", async () => {
    const { conn, connection, writes, faults, firsts, ends } = playLoop({
      ...{ stall: {}, cut: { bytes: 0 }, corrupt: {}, slice: { bytes: 1 } },
    });
    const bytes = patternOf(3 * QUEUE_BYTES);
    connection.idleSweeps = 3;
    conn.reply(bytes);
    await conn.until(
      "all reads",
      () => conn.reads.length > bytes.length / REPLY_BYTES,
    );
    assertEquals([writes.length, connection.bytes, ends], [0, 0, []]);
    assertEquals(connection.idleSweeps, 0);
    assertEquals(faults, [{ kind: "stall", written: 0 }]);
    assertEquals(firsts, [bytes.subarray(0, REPLY_BYTES)]);
    conn.reply(null);
    await conn.until("the end", () => ends.length > 0);
    assertEquals(ends, [EOF]);
  });

  it("is not told of a client that sends nothing", async () => {
    const { conn, faults, ends } = playLoop({
      ...{ stall: {}, rate: { bytesPerSecond: 1 }, cut: { bytes: 0 } },
    });
    conn.reply(null);
    await conn.until("the end", () => ends.length > 0);
    assertEquals([faults, ends], [[], [EOF]]);
  });
});

describe("a cut", () => {
  it("ends the connection in place of the next byte", async () => {
    const { conn, connection, writes, faults, ends, pool } = playLoop({
      cut: { bytes: 100 },
    });
    conn.reply(patternOf(250));
    await conn.until("the end", () => ends.length > 0);
    assertEquals(joined(writes), patternOf(100));
    assertEquals(connection.bytes, 100);
    assertEquals(faults, [{ kind: "cut", offset: 100, written: 100 }]);
    assertEquals(ends, [{ error: undefined, reason: "cut" }]);
    await nextTurn();
    assertEquals([ends.length, pool.used], [1, []]);
  });

  it("ends a reading that waits for room", async () => {
    using clock = stopClock();
    const { conn, ends, pool } = playLoop({
      cut: { bytes: 5 },
      latency: { ms: 1000 },
    });
    conn.reply(patternOf(2 * QUEUE_BYTES));
    await clock.pass(500);
    assertEquals(conn.isReading, false);
    await clock.pass(500);
    assertEquals([ends.length, pool.used], [1, []]);
  });

  it("waits for a byte that it can leave out", async () => {
    const { conn, writes, faults, ends } = playLoop({ cut: { bytes: 100 } });
    conn.reply(patternOf(60), patternOf(40));
    await conn.until("the echo", () => conn.written === 100);
    await nextTurn();
    assertEquals([faults, ends], [[], []]);
    conn.reply(patternOf(1));
    await conn.until("the end", () => ends.length > 0);
    assertEquals(joined(writes).length, 100);
    assertEquals(faults, [{ kind: "cut", offset: 100, written: 100 }]);
  });

  it("lets a client alone that sends no more than it echoes", async () => {
    const { conn, writes, faults, ends } = playLoop({ cut: { bytes: 100 } });
    conn.reply(patternOf(100), null);
    await conn.until("the end", () => ends.length > 0);
    assertEquals(joined(writes), patternOf(100));
    assertEquals([faults, ends], [[], [EOF]]);
  });

  it("comes within the first reply where it is not told where", async () => {
    const seed = seedWhere((seed) => {
      const faults = checkFaults({ cut: {}, seed }, false);
      return new StreamPlan(faults, 1).cutAt(64) === 17;
    });
    const { conn, writes, ends } = playLoop({ cut: {}, seed });
    conn.reply(patternOf(64));
    await conn.until("the end", () => ends.length > 0);
    assertEquals(joined(writes), patternOf(17));
  });

  it("leaves no corruption to be told behind it", async () => {
    const isBehind = (seed: number) => {
      const faults = checkFaults({ corrupt: {}, seed }, false);
      return new StreamPlan(faults, 1).reply(0, 64).wrongBit! >= 10 * 8;
    };
    for (
      const [isWrong, seed] of [
        [false, seedWhere(isBehind)],
        [true, seedWhere((seed) => !isBehind(seed))],
      ] as const
    ) {
      const options = { corrupt: {}, cut: { bytes: 10 }, seed };
      const { conn, faults, ends } = playLoop(options);
      conn.reply(patternOf(64));
      await conn.until("the end", () => ends.length > 0);
      const kinds = faults.map(({ kind }) => kind);
      assertEquals(kinds, isWrong ? ["corrupt", "cut"] : ["cut"]);
    }
  });
});

describe("the faults of a connection", () => {
  it("are those of its number, counted from 1", async () => {
    const options = { cut: {}, seed: 3 };
    for (const before of [0, 1, 5]) {
      const { conn, writes, ends } = playLoop(options, { before });
      conn.reply(patternOf(1000));
      await conn.until("the end", () => ends.length > 0);
      const plan = new StreamPlan(checkFaults(options, false), before + 1);
      assertEquals(joined(writes).length, plan.cutAt(1000));
    }
  });
});
