import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { FaultOptions } from "../../server.ts";
import fc from "../../testing/properties.ts";
import { UsageError } from "../flags.ts";
import {
  checkTransport,
  faultsOfConnections,
  formatFaults,
  parseFaults,
} from "./faults.ts";

describe("parseFaults()", () => {
  const taken: [text: string, options: FaultOptions][] = [
    ["latency=50ms", { latencyMs: 50, latencyPercent: 100 }],
    ["latency=1ms~0ms", { latencyMs: 1, jitterMs: 0, latencyPercent: 100 }],
    ["latency=50ms~10ms:0.1", {
      ...{ latencyMs: 50, jitterMs: 10, latencyPercent: 0.1 },
    }],
    ["latency=1m30s:50%", { latencyMs: 90_000, latencyPercent: 50 }],
    ["latency=5ms~5ms:5", {
      ...{ latencyMs: 5, jitterMs: 5, latencyPercent: 5 },
    }],
    ["rate=100k", { rateBytesPerSecond: 102_400, ratePercent: 100 }],
    ["rate=1:5", { rateBytesPerSecond: 1, ratePercent: 5 }],
    ["slice=100:1", { sliceBytes: 100, slicePercent: 1 }],
    ["corrupt", { corruptPercent: 100 }],
    ["corrupt:100%", { corruptPercent: 100 }],
    ["corrupt:0", { corruptPercent: 0 }],
    ["corrupt:0.0%", { corruptPercent: 0 }],
    ["cut=10k:0", { cutBytes: 10_240, cutPercent: 0 }],
    ["latency=5ms:0", { latencyMs: 5, latencyPercent: 0 }],
    ["stall:0.001", { stallPercent: 0.001 }],
    ["cut", { cutPercent: 100 }],
    ["cut:5", { cutPercent: 5 }],
    ["cut=10k:5", { cutBytes: 10_240, cutPercent: 5 }],
    [" corrupt, cut ", { corruptPercent: 100, cutPercent: 100 }],
    ["loss:1,duplicate:2,reorder:3", {
      ...{ lossPercent: 1, duplicatePercent: 2, reorderPercent: 3 },
    }],
    ["latency=5ms,corrupt:1,cut=7", {
      ...{ latencyMs: 5, latencyPercent: 100, corruptPercent: 1 },
      ...{ cutBytes: 7, cutPercent: 100 },
    }],
  ];
  for (const [text, options] of taken) {
    it(`takes ${text}`, () => assertEquals(parseFaults(text), options));
  }

  const percent =
    "expected a percentage such as 0.1 or 50, at most 100; 0 is never";
  const size = "expected a size such as";
  const refused: [text: string, message: string][] = [
    ["", "a fault is missing"],
    ["stall,", "a fault is missing"],
    ["stall, ,cut", "a fault is missing"],
    ["=5", "a fault is missing"],
    ["corupt", "unknown fault corupt, did you mean corrupt?"],
    ["xyz:5", "unknown fault xyz"],
    ["Stall", "unknown fault Stall, did you mean stall?"],
    ["toString", "unknown fault toString"],
    ["\x1b[2J", "unknown fault \\x1b[2J"],
    ["stall,corrupt,stall:5", "stall is given twice"],
    ["latency", "latency needs a value"],
    ["latency:5", "latency needs a value"],
    ["latency=", "latency: expected a time such as"],
    ["latency=0", "latency: expected a time such as"],
    ["latency=5ms~6ms", "latency: a latency varies by no more than itself"],
    ["latency=5ms~", "latency: expected a time such as"],
    ["latency=5ms~1ms~1ms", "latency: expected a time such as"],
    ["rate", "rate needs a value"],
    ["rate=0", `rate: ${size}`],
    ["slice=x", `slice: ${size}`],
    ["cut=", `cut: ${size}`],
    ["corrupt=5", "corrupt takes no value, only a percentage"],
    ["stall=5", "stall takes no value, only a percentage"],
    ["loss=5", "loss takes no value, only a percentage"],
    ["corrupt:", `corrupt: ${percent}`],
    ["corrupt:100.1", `corrupt: ${percent}`],
    ["corrupt:-5", `corrupt: ${percent}`],
    ["corrupt:1e1", `corrupt: ${percent}`],
    ["corrupt:5%%", `corrupt: ${percent}`],
    ["corrupt:%5", `corrupt: ${percent}`],
    ["corrupt:5:5", `corrupt: ${percent}`],
    ["cut=5:x", `cut: ${percent}`],
  ];
  for (const [text, message] of refused) {
    const isOfName = /^(a fault is missing|unknown)/.test(message);
    const listed = isOfName ? ", and lists what there is" : "";
    it(`refuses "${text}"${listed}`, () => {
      const error = assertThrows(() => parseFaults(text), UsageError);
      assertEquals(error.message.slice(0, message.length), message);
      const list = / \(faults: latency=.*reorder;.*\)$/;
      assertEquals(list.test(error.message), isOfName);
      assertMatch(error.message, /^[ -~]+$/);
    });
  }
});

describe("formatFaults()", () => {
  it("renders faults as they are given, 100 % left out", () => {
    for (
      const text of [
        "latency=50ms",
        "latency=50ms~10ms:0.1%, rate=100k:5%, slice=100, corrupt:0.001%",
        "rate=1, stall:50%, cut",
        "rate=3M, slice=2G, cut=1025:50%",
        "cut:50%, loss:1%, duplicate, reorder:3%",
      ]
    ) {
      assertEquals(formatFaults(parseFaults(text.replaceAll(", ", ","))), text);
    }
    assertEquals(formatFaults({ jitterMs: 0, stallPercent: 0 }), "");
    const never = "latency=5ms:0,rate=5:0,slice=5:0,corrupt:0,cut:0,cut=5:0";
    for (const fault of never.split(",")) {
      assertEquals(formatFaults(parseFaults(fault)), "");
    }
    assertEquals(formatFaults({ latencyMs: 5, jitterMs: 0 }), "latency=5ms");
    assertEquals(
      formatFaults({ rateBytesPerSecond: 5, cutBytes: 7 }),
      "rate=5, cut=7",
    );
  });

  it("renders what reads as the same again", () => {
    const percent = fc.integer({ min: 1, max: 1000 }).map((it) => it / 10);
    const ms = fc.integer({ min: 1, max: 3_600_000 });
    const bytes = fc.integer({ min: 1, max: 2 ** 40 });
    // With each of its faults or without it.
    const maybe = (options: fc.Arbitrary<FaultOptions>) =>
      fc.option(options, { nil: {} });
    fc.assert(fc.property(
      maybe(fc.record({ latencyMs: ms, latencyPercent: percent })),
      maybe(fc.record({ rateBytesPerSecond: bytes, ratePercent: percent })),
      maybe(fc.record({ cutBytes: bytes, cutPercent: percent })),
      maybe(fc.record({ stallPercent: percent })),
      (...parts) => {
        const options: FaultOptions = Object.assign({}, ...parts);
        const text = formatFaults(options);
        const compact = text.replaceAll(", ", ",").replaceAll(/ /g, "");
        assertEquals(compact === "" ? {} : parseFaults(compact), options);
      },
    ));
  });
});

describe("faultsOfConnections()", () => {
  it("tells which faults datagrams do not have", () => {
    const all = "latency=5ms,rate=5,slice=5,corrupt,stall,cut,loss,reorder";
    assertEquals(
      faultsOfConnections(parseFaults(all)),
      ["rate", "slice", "stall", "cut"],
    );
    assertEquals(faultsOfConnections(parseFaults("latency=5ms,loss:5")), []);
  });
});

describe("checkTransport()", () => {
  it("refuses without datagrams what only datagrams have", () => {
    for (const kind of ["loss", "duplicate", "reorder"]) {
      const faults = parseFaults(`latency=5ms,${kind}:5`);
      checkTransport(faults, true);
      assertThrows(
        () => checkTransport(faults, false),
        UsageError,
        `--fault ${kind} goes with --udp, a stream has none`,
      );
    }
    const all = "latency=5ms,rate=5,slice=5,corrupt,stall,cut";
    checkTransport(parseFaults(all), false);
  });
});
