import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { checkFaults, type FaultOptions, MAX_FAULT_SEED } from "./options.ts";

const NONE = {
  ...{ latency: undefined, rate: undefined, slice: undefined },
  ...{ corrupt: undefined, stall: undefined, cut: undefined },
  ...{ loss: undefined, duplicate: undefined, reorder: undefined },
};

/** Checks options that come with a seed. */
function check(options: FaultOptions, isUdp = false) {
  return checkFaults({ seed: 5, ...options }, isUdp);
}

describe("checkFaults()", () => {
  const taken: [options: FaultOptions, faults: object][] = [
    [{}, {}],
    [{ latencyMs: 50 }, { latency: { percent: 100, ms: 50, jitterMs: 0 } }],
    [{ latencyMs: 5, jitterMs: 5, latencyPercent: 0.5 }, {
      latency: { percent: 0.5, ms: 5, jitterMs: 5 },
    }],
    [{ latencyMs: Infinity, jitterMs: 5 }, {
      latency: { percent: 100, ms: Infinity, jitterMs: 5 },
    }],
    [{ latencyMs: 5, latencyPercent: 0 }, {}],
    [{ rateBytesPerSecond: 1 }, { rate: { percent: 100, bytesPerSecond: 1 } }],
    [{ rateBytesPerSecond: 9, ratePercent: 1 }, {
      rate: { percent: 1, bytesPerSecond: 9 },
    }],
    [{ sliceBytes: 1 }, { slice: { percent: 100, bytes: 1 } }],
    [{ sliceBytes: 7, slicePercent: 2 }, { slice: { percent: 2, bytes: 7 } }],
    [{ corruptPercent: 100 }, { corrupt: { percent: 100 } }],
    [{ corruptPercent: 0 }, {}],
    [{ stallPercent: 0.1 }, { stall: { percent: 0.1 } }],
    [{ cutBytes: 0 }, { cut: { percent: 100, bytes: 0 } }],
    [{ cutBytes: 9, cutPercent: 3 }, { cut: { percent: 3, bytes: 9 } }],
    [{ cutPercent: 3 }, { cut: { percent: 3, bytes: undefined } }],
    [{ cutBytes: 9, cutPercent: 0 }, {}],
    [{ seed: 0 }, { seed: 0 }],
    [{ seed: MAX_FAULT_SEED }, { seed: 4_294_967_295 }],
    [{ lossPercent: 0, duplicatePercent: 0, reorderPercent: 0 }, {}],
  ];
  for (const [options, faults] of taken) {
    it(`takes ${Deno.inspect(options)}`, () => {
      assertEquals(check(options), { seed: 5, ...NONE, ...faults });
    });
  }

  it("takes what goes with datagrams where there are some", () => {
    const options = { lossPercent: 1, duplicatePercent: 2, reorderPercent: 3 };
    assertEquals(check(options, true), {
      ...{ seed: 5, ...NONE, loss: { percent: 1 } },
      ...{ duplicate: { percent: 2 }, reorder: { percent: 3 } },
    });
    for (const [name, percent] of Object.entries(options)) {
      assertThrows(
        () => check({ [name]: percent }),
        RangeError,
        `faults.${name} goes with datagrams, a stream has none`,
      );
    }
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
  const aSeed = "must be a whole number from 0 to 4294967295: ";
  const refused: [options: FaultOptions, message: string][] = [
    [{ latencyMs: -1 }, "latencyMs must be a time in milliseconds"],
    [{ latencyMs: NaN }, "latencyMs must be a time in milliseconds"],
    [{ latencyMs: 5, jitterMs: 5.1 }, "jitterMs must be a time in millisec"],
    [{ latencyMs: 5, jitterMs: -1 }, "no more than the latency: -1"],
    [{ latencyMs: 5, jitterMs: "1" as never }, "jitterMs must be a time"],
    [{ latencyMs: Infinity, jitterMs: Infinity }, "jitterMs must be a time"],
    [{ jitterMs: 5 }, "jitterMs goes with faults.latencyMs"],
    [{ latencyPercent: 5 }, "latencyPercent goes with faults.latencyMs"],
    [{ latencyMs: 5, latencyPercent: 101 }, `latencyPercent ${aPercent}101`],
    [{ rateBytesPerSecond: 0 }, `rateBytesPerSecond ${aCount}0`],
    [{ rateBytesPerSecond: 1, ratePercent: -1 }, `ratePercent ${aPercent}-1`],
    [{ ratePercent: 5 }, "ratePercent goes with faults.rateBytesPerSecond"],
    [{ sliceBytes: 1.5 }, `sliceBytes ${aCount}1.5`],
    [{ slicePercent: 5 }, "slicePercent goes with faults.sliceBytes"],
    [{ corruptPercent: NaN }, `corruptPercent ${aPercent}NaN`],
    [{ corruptPercent: "5" as never }, `corruptPercent ${aPercent}5`],
    [{ stallPercent: 100.1 }, `stallPercent ${aPercent}100.1`],
    [{ cutBytes: -1 }, "cutBytes must be a whole number, 0 or more: -1"],
    [{ cutBytes: 0.5 }, "cutBytes must be a whole number, 0 or more: 0.5"],
    [{ cutPercent: 200 }, `cutPercent ${aPercent}200`],
    [{ lossPercent: -1 }, `lossPercent ${aPercent}-1`],
    [{ seed: -1 }, `seed ${aSeed}-1`],
    [{ seed: 0.5 }, `seed ${aSeed}0.5`],
    [{ seed: 2 ** 32 }, `seed ${aSeed}4294967296`],
  ];
  for (const [options, message] of refused) {
    it(`refuses ${Deno.inspect(options)}`, () => {
      assertThrows(() => check(options), RangeError, message);
    });
  }
});
