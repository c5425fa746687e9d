import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "../../testing/properties.ts";
import { checkFaults, type FaultOptions } from "./options.ts";
import { delayOf, flipBit, StreamPlan } from "./stream_plan.ts";

/** Plans the faults of a connection. */
function plan(options: FaultOptions, connection = 1): StreamPlan {
  return new StreamPlan(
    checkFaults({ seed: 1, ...options }, false),
    connection,
  );
}

/** Plans many connections, and counts those that are as a test asks. */
function count(options: FaultOptions, isSo: (plan: StreamPlan) => boolean) {
  let found = 0;
  for (let connection = 1; connection <= 10_000; connection++) {
    if (isSo(plan(options, connection))) found++;
  }
  return found;
}

const CLEAN = { delayMs: 0, sliceBytes: Infinity, wrongBit: undefined };

describe("StreamPlan", () => {
  it("has no fault that was not asked for", () => {
    const { isStalled, bytesPerSecond } = plan({});
    assertEquals([isStalled, bytesPerSecond], [false, Infinity]);
    assertEquals(plan({}).cutAt(100), Infinity);
    for (const offset of [0, 64, 2 ** 40]) {
      assertEquals(plan({}).reply(offset, 64), CLEAN);
    }
  });

  it("has each fault that every reply and connection has", () => {
    const all = plan({
      ...{
        latency: { ms: 50 },
        rate: { bytesPerSecond: 1000 },
        slice: { bytes: 10 },
      },
      ...{ corrupt: {}, stall: {}, cut: { bytes: 700 } },
    });
    assertEquals([all.isStalled, all.bytesPerSecond], [true, 1000]);
    assertEquals(all.cutAt(100), 700);
    const { delayMs, sliceBytes, wrongBit } = all.reply(64, 1);
    assertEquals([delayMs, sliceBytes], [50, 10]);
    assert(wrongBit !== undefined && wrongBit >= 0 && wrongBit < 8);
  });

  it("stalls, limits and cuts its share of the connections", () => {
    const near = (found: number, percent: number) =>
      assert(
        Math.abs(found - percent * 100) < 250,
        `${found}, not ${percent} %`,
      );
    near(count({ stall: { percent: 10 } }, (it) => it.isStalled), 10);
    const rate = { rate: { bytesPerSecond: 7, percent: 20 } };
    near(count(rate, (it) => it.bytesPerSecond === 7), 20);
    near(count(rate, (it) => it.bytesPerSecond === Infinity), 80);
    const cut = { cut: { bytes: 9, percent: 50 } };
    near(count(cut, (it) => it.cutAt(64) === 9), 50);
    near(count(cut, (it) => it.cutAt(64) === Infinity), 50);
  });

  it("cuts within the first reply where it is not told where", () => {
    const places = new Set<number>();
    for (let connection = 1; connection <= 2000; connection++) {
      places.add(plan({ cut: {} }, connection).cutAt(64));
    }
    const sorted = [...places].sort((a, b) => a - b);
    assertEquals(sorted, Array.from({ length: 64 }, (_, at) => at));
    assertEquals(plan({ cut: {} }).cutAt(1), 0);
  });

  it("has the same faults for a reply at the same place, whatever came before", () => {
    const options = { latency: { ms: 9, jitterMs: 9, percent: 50 } };
    const more = { ...options, corrupt: { percent: 50 }, slice: { bytes: 1 } };
    const offsets = Array.from({ length: 200 }, (_, at) => at * 64);
    const faults = offsets.map((at) => plan(more).reply(at, 64));
    const again = plan(more);
    again.cutAt(64);
    assertEquals(
      offsets.toReversed().map((at) => again.reply(at, 64)).toReversed(),
      faults,
    );
    assertEquals(
      offsets.map((at) => plan(options).reply(at, 64).delayMs),
      faults.map(({ delayMs }) => delayMs),
      "one more fault changes another",
    );
    const other = offsets.map((at) => plan(more, 2).reply(at, 64));
    assertNotEquals(other, faults, "another connection has the same faults");
    const seeded = offsets.map((at) =>
      plan({ ...more, seed: 2 }).reply(at, 64)
    );
    assertNotEquals(seeded, faults, "another seed has the same faults");
  });

  it("makes faults to its share of the replies, each by itself", () => {
    const faulty = plan({
      ...{ latency: { ms: 5, percent: 10 }, corrupt: { percent: 20 } },
      ...{ slice: { bytes: 3, percent: 50 } },
    });
    let [late, wrong, sliced, lateAndWrong] = [0, 0, 0, 0];
    for (let at = 0; at < 10_000; at++) {
      const reply = faulty.reply(at * 64, 64);
      if (reply.delayMs === 5) late++;
      if (reply.wrongBit !== undefined) wrong++;
      if (reply.delayMs === 5 && reply.wrongBit !== undefined) lateAndWrong++;
      if (reply.sliceBytes === 3) sliced++;
    }
    const found = [late, wrong, sliced, lateAndWrong];
    for (const [at, percent] of [10, 20, 50, 2].entries()) {
      assert(Math.abs(found[at]! - percent * 100) < 250, `${found}`);
    }
  });

  it("flips any bit of a reply, none beyond", () => {
    const bits = new Set<number>();
    const wrong = plan({ corrupt: {} });
    for (let at = 0; at < 1000; at++) bits.add(wrong.reply(at, 3).wrongBit!);
    const sorted = [...bits].sort((a, b) => a - b);
    assertEquals(sorted, Array.from({ length: 24 }, (_, at) => at));
  });

  it("spreads the delay evenly around the latency", () => {
    const late = plan({ latency: { ms: 20, jitterMs: 10 } });
    const twentieths = new Array(20).fill(0);
    for (let at = 0; at < 20_000; at++) {
      twentieths[Math.floor(late.reply(at, 64).delayMs - 10)]++;
    }
    assertEquals(twentieths.length, 20);
    for (const found of twentieths) {
      assert(Math.abs(found - 1000) < 160, `${twentieths}`);
    }
  });
});

describe("delayOf()", () => {
  it("goes from the latency less the jitter to the latency and the jitter", () => {
    const latency = { ms: 50, jitterMs: 10 };
    assertEquals([0, 0.5, 0.75, 1].map((it) => delayOf(latency, it)), [
      ...[40, 50, 55, 60],
    ]);
    assertEquals(
      delayOf({ ms: Infinity, jitterMs: 10 }, 0),
      Infinity,
    );
  });
});

describe("flipBit()", () => {
  it("changes one bit of one byte, and tells which byte", () => {
    fc.assert(fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 20 }),
      fc.nat(),
      (bytes, number) => {
        const bit = number % (bytes.length * 8);
        const before = bytes.slice();
        const at = flipBit(bytes, bit);
        assertEquals(at, Math.floor(bit / 8));
        assertEquals(bytes[at]! ^ before[at]!, 2 ** (bit % 8));
        bytes[at] = before[at]!;
        assertEquals(bytes, before);
      },
    ));
  });
});
