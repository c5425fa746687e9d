import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { FaultOptions } from "../../server.ts";
import fc from "../../testing/properties.ts";
import { UsageError } from "../flags.ts";
import {
  checkTransport,
  formatFaults,
  kindsOfOnly,
  parseFaults,
} from "./faults.ts";

describe("parseFaults()", () => {
  const taken: [text: string, faults: FaultOptions][] = [
    ["latency=1ms~0ms", { latency: { ms: 1, jitterMs: 0 } }],
    ["latency=50ms~10ms:0.1", {
      latency: { ms: 50, jitterMs: 10, percent: 0.1 },
    }],
    ["latency=5ms~5ms", { latency: { ms: 5, jitterMs: 5 } }],
    ["latency=1m30s:50%", { latency: { ms: 90_000, percent: 50 } }],
    ["rate=100k", { rate: { bytesPerSecond: 102_400 } }],
    ["slice=100:1", { slice: { bytes: 100, percent: 1 } }],
    ["corrupt", { corrupt: {} }],
    ["corrupt:100%", { corrupt: { percent: 100 } }],
    ["corrupt:0.0%", { corrupt: { percent: 0 } }],
    ["cut:5", { cut: { percent: 5 } }],
    ["cut=10k:5", { cut: { bytes: 10_240, percent: 5 } }],
    [" corrupt, cut ", { corrupt: {}, cut: {} }],
    ["stall,loss:1,duplicate:2,reorder:3", {
      stall: {},
      loss: { percent: 1 },
      duplicate: { percent: 2 },
      reorder: { percent: 3 },
    }],
  ];
  for (const [text, faults] of taken) {
    it(`takes ${text}`, () => assertEquals(parseFaults(text), faults));
  }

  const percent =
    "expected a percentage such as 0.1 or 50, at most 100; 0 is never";
  const size = "expected a size such as";
  const refused: [text: string, message: string][] = [
    ["", "a fault is missing"],
    ["stall, ,cut", "a fault is missing"],
    ["=5", "a fault is missing"],
    ["corupt", "unknown fault corupt, did you mean corrupt?"],
    ["xyz:5", "unknown fault xyz"],
    ["Stall", "unknown fault Stall, did you mean stall?"],
    ["toString", "unknown fault toString"],
    ["\x1b[2J", "unknown fault \\x1b[2J"],
    ["stall,corrupt,stall:5", "stall is given twice"],
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
        "latency=50ms~10ms:0.1%, rate=100k:5%, slice=100, corrupt:0.001%",
        "rate=1, stall:50%, cut",
        "rate=3M, slice=2G, cut=1025:50%",
        "cut:50%, loss:1%, duplicate, reorder:3%",
      ]
    ) {
      assertEquals(formatFaults(parseFaults(text)), text);
    }
    const never = "latency=5ms:0,rate=5:0,slice=5:0,corrupt:0,cut:0,cut=5:0";
    for (const fault of never.split(",")) {
      assertEquals(formatFaults(parseFaults(fault)), "");
    }
    assertEquals(
      formatFaults({ latency: { ms: 5, jitterMs: 0 } }),
      "latency=5ms",
    );
  });

  it("renders what reads as the same again", () => {
    const percent = fc.integer({ min: 1, max: 999 }).map((it) => it / 10);
    const ms = fc.integer({ min: 1, max: 3_600_000 });
    const bytes = fc.integer({ min: 1, max: 2 ** 40 });
    const faults = fc.record({
      latency: fc.record({ ms, percent }, { requiredKeys: ["ms"] }),
      rate: fc.record({ bytesPerSecond: bytes, percent }),
      cut: fc.record({ bytes, percent }, { requiredKeys: [] }),
      stall: fc.record({ percent }),
    }, { requiredKeys: ["stall"] });
    fc.assert(fc.property(faults, (faults) => {
      const text = formatFaults(faults).replaceAll(" ", "");
      assertEquals(parseFaults(text), faults);
    }));
  });
});

describe("kindsOfOnly()", () => {
  it("returns what only connections, or only datagrams, have", () => {
    const all = "loss,latency=5ms,slice=5,rate=5,corrupt,stall,cut,reorder:0";
    const faults = parseFaults(all);
    assertEquals(
      kindsOfOnly("connections", faults),
      ["rate", "slice", "stall", "cut"],
    );
    assertEquals(kindsOfOnly("datagrams", faults), ["loss"]);
  });
});

describe("checkTransport()", () => {
  it("refuses without datagrams what only datagrams have", () => {
    const faults = parseFaults("latency=5ms,loss:5");
    checkTransport(faults, true);
    assertThrows(
      () => checkTransport(faults, false),
      UsageError,
      "--fault loss goes with --udp, a stream has none",
    );
    checkTransport(parseFaults("latency=5ms,corrupt,cut"), false);
  });
});
