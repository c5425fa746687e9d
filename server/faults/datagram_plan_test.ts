import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { DatagramPlan } from "./datagram_plan.ts";
import { checkFaults, type FaultOptions } from "./options.ts";

/** Plans the replies to datagrams of 64 bytes. */
function faultsOf(options: FaultOptions, count: number) {
  const plan = new DatagramPlan(checkFaults({ seed: 1, ...options }, true));
  return Array.from({ length: count }, () => plan.next(64));
}

const CLEAN = {
  ...{ isLost: false, isDuplicated: false, isReordered: false },
  ...{ wrongBit: undefined, delayMs: 0 },
};

describe("DatagramPlan", () => {
  it("has no fault that was not asked for", () => {
    assertEquals(faultsOf({}, 3), [CLEAN, CLEAN, CLEAN]);
    // What only a connection has does nothing to a datagram.
    const stream = { stall: {}, cut: { bytes: 0 }, slice: { bytes: 1 } };
    assertEquals(faultsOf({ ...stream, rate: { bytesPerSecond: 1 } }, 1), [
      CLEAN,
    ]);
  });

  it("has each fault that all of them have", () => {
    assertEquals(faultsOf({ duplicate: {} }, 1), [
      { ...CLEAN, isDuplicated: true },
    ]);
    assertEquals(faultsOf({ reorder: {} }, 1), [
      { ...CLEAN, isReordered: true },
    ]);
    assertEquals(faultsOf({ latency: { ms: 50 } }, 1), [{
      ...CLEAN,
      delayMs: 50,
    }]);
    const all = { duplicate: {}, reorder: {}, latency: { ms: 5 } };
    const [reply] = faultsOf({ ...all, corrupt: {} }, 1);
    assertEquals({ ...reply, wrongBit: 0 }, {
      ...{ isLost: false, isDuplicated: true, isReordered: true },
      ...{ wrongBit: 0, delayMs: 5 },
    });
    assert(reply!.wrongBit! >= 0 && reply!.wrongBit! < 512);
  });

  it("has no other fault for one that is lost", () => {
    const all = { duplicate: {}, reorder: {}, latency: { ms: 5 } };
    const lost = { ...all, corrupt: {}, loss: {} };
    assertEquals(faultsOf(lost, 1), [{ ...CLEAN, isLost: true }]);
  });

  it("flips any bit of a datagram, and none of an empty one", () => {
    const plan = new DatagramPlan(checkFaults({ corrupt: {} }, true));
    assertEquals(plan.next(0), CLEAN);
    const bits = new Set<number>();
    for (let turn = 0; turn < 1000; turn++) bits.add(plan.next(2).wrongBit!);
    const sorted = [...bits].sort((a, b) => a - b);
    assertEquals(sorted, Array.from({ length: 16 }, (_, at) => at));
  });

  it("makes its share of them, each by itself", () => {
    const faults = faultsOf({
      ...{
        loss: { percent: 10 },
        duplicate: { percent: 20 },
        reorder: { percent: 30 },
      },
      ...{
        corrupt: { percent: 40 },
        latency: { ms: 5, jitterMs: 5, percent: 50 },
      },
    }, 10_000);
    const kept = faults.filter((it) => !it.isLost);
    const share = (isSo: (it: typeof faults[0]) => boolean) =>
      kept.filter(isSo).length * 100 / kept.length;
    assert(Math.abs(kept.length - 9000) < 160, `${kept.length}`);
    const shares: [found: number, percent: number][] = [
      [share((it) => it.isDuplicated), 20],
      [share((it) => it.isReordered), 30],
      [share((it) => it.isDuplicated && it.isReordered), 6],
      [share((it) => it.wrongBit !== undefined), 40],
      [share((it) => it.delayMs > 0), 50],
      [share((it) => it.delayMs > 5), 25],
    ];
    for (const [found, percent] of shares) {
      assert(Math.abs(found - percent) < 2.6, `${found}, not ${percent}`);
    }
    assert(kept.every(({ delayMs }) => delayMs >= 0 && delayMs <= 10));
  });

  it("is the same in each version: a seed that was noted down still holds", () => {
    const faults = faultsOf({ loss: { percent: 30 }, seed: 7 }, 20);
    const lost = faults.flatMap(({ isLost }, at) => isLost ? [at] : []);
    assertEquals(lost, [8, 10, 16, 17, 18]);
  });

  it("has the same faults in the same order of arrival", () => {
    const options = {
      loss: { percent: 50 },
      corrupt: { percent: 50 },
      latency: { ms: 5 },
    };
    const faults = faultsOf(options, 100);
    assertEquals(faultsOf(options, 100), faults);
    assertNotEquals(faultsOf({ ...options, seed: 2 }, 100), faults);
    // One more fault changes nothing about the others.
    assertEquals(
      faultsOf({ ...options, duplicate: { percent: 50 } }, 100)
        .map((it) => ({ ...it, isDuplicated: false })),
      faults,
    );
  });
});
