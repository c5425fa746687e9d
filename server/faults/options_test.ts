import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { checkFaults, type FaultOptions } from "./options.ts";

/** Checks faults that come with a seed. */
function check(options: FaultOptions, isUdp = false) {
  return checkFaults({ seed: 5, ...options }, isUdp);
}

describe("checkFaults()", () => {
  it("fills in what is left out", () => {
    const latency = { ms: 50, jitterMs: 0, percent: 100 };
    const taken: [options: FaultOptions, faults: object][] = [
      [{}, {}],
      [{ latency: { ms: 50 } }, { latency }],
      [{ latency: { ms: Infinity } }, {
        latency: { ...latency, ms: Infinity },
      }],
      [{ corrupt: {}, cut: {} }, {
        corrupt: { percent: 100 },
        cut: { percent: 100 },
      }],
      [{ rate: { bytesPerSecond: 1 }, slice: { bytes: 1 } }, {
        rate: { bytesPerSecond: 1, percent: 100 },
        slice: { bytes: 1, percent: 100 },
      }],
      [{ cut: { bytes: 0 }, stall: undefined }, {
        cut: { bytes: 0, percent: 100 },
      }],
      [{ seed: 4_294_967_295 }, { seed: 4_294_967_295 }],
    ];
    for (const [options, faults] of taken) {
      assertEquals(check(options), { seed: 5, ...faults });
    }
    const complete = {
      latency: { ms: 5, jitterMs: 5, percent: 0.5 },
      rate: { bytesPerSecond: 9, percent: 1 },
      slice: { bytes: 7, percent: 2 },
      cut: { bytes: 9, percent: 3 },
      stall: { percent: 0.1 },
      loss: { percent: 1 },
      duplicate: { percent: 2 },
      reorder: { percent: 3 },
    };
    assertEquals(check(complete, true), { seed: 5, ...complete });
  });

  it("leaves out what never happens", () => {
    assertEquals(
      check({
        latency: { ms: 5, percent: 0 },
        cut: { bytes: 9, percent: 0 },
        loss: { percent: 0 },
      }),
      { seed: 5 },
    );
  });

  it("takes a random seed where there is none", () => {
    const seeds = Array.from(
      { length: 10 },
      () => checkFaults({}, false).seed,
    );
    assert(new Set(seeds).size > 5);
    assert(seeds.every((seed) => Number.isInteger(seed) && seed >= 0));
  });

  const aPercent = "must be a number from 0 to 100: ";
  const aCount = "must be a whole number, 1 or more, or Infinity: ";
  const aWhole = "must be a whole number, 0 or more: ";
  const aSeed = "must be a whole number from 0 to 4294967295: ";
  const refused: [options: object, message: string][] = [
    [{ latency: {} }, "latency.ms must be a time in milliseconds"],
    [{ latency: { ms: -1 } }, "latency.ms must be a time in milliseconds"],
    [
      { latency: { ms: 5, jitterMs: 5.1 } },
      "latency.jitterMs must be a time in milliseconds, 0 or more, and no more " +
      "than the latency: 5.1",
    ],
    [{ latency: { ms: 5, jitterMs: -1 } }, "the latency: -1"],
    [{ latency: { ms: 5, jitterMs: "1" } }, "the latency: 1"],
    [{ latency: { ms: Infinity, jitterMs: Infinity } }, "latency: Infinity"],
    [{ latency: { ms: 5, percent: 101 } }, `latency.percent ${aPercent}101`],
    [{ rate: {} }, `rate.bytesPerSecond ${aCount}NaN`],
    [{ rate: { bytesPerSecond: 0 } }, `rate.bytesPerSecond ${aCount}0`],
    [{ slice: { bytes: 1.5 } }, `slice.bytes ${aCount}1.5`],
    [{ corrupt: { percent: NaN } }, `corrupt.percent ${aPercent}NaN`],
    [{ corrupt: { percent: "5" } }, `corrupt.percent ${aPercent}5`],
    [{ stall: { percent: 100.1 } }, `stall.percent ${aPercent}100.1`],
    [{ cut: { bytes: -1 } }, `cut.bytes ${aWhole}-1`],
    [{ cut: { bytes: 0.5 } }, `cut.bytes ${aWhole}0.5`],
    [{ loss: { percent: -1 } }, `loss.percent ${aPercent}-1`],
    [{ seed: -1 }, `seed ${aSeed}-1`],
    [{ seed: 0.5 }, `seed ${aSeed}0.5`],
    [{ seed: 2 ** 32 }, `seed ${aSeed}4294967296`],
    [{ loss: {} }, "faults.loss goes with datagrams, a stream has none"],
    [{ toString: {} }, "faults.toString is unknown"],
  ];
  for (const [options, message] of refused) {
    it(`refuses ${Deno.inspect(options)}`, () => {
      assertThrows(() => check(options), RangeError, message);
    });
  }
});
