import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  formatNumber,
  judge,
  latencyTable,
  type Result,
  targetTable,
  valueTable,
  worstOutcomesFirst,
} from "./report.ts";

const speed = {
  name: "speed",
  unit: "messages/s",
  table: "servers",
} as const;

const size = {
  name: "size",
  unit: "MiB",
  table: "servers",
  lessIsBetter: true,
} as const;

function resultOf(
  contest: Result["contest"],
  values: Record<string, number[]>,
): Result {
  const samples = Object.entries(values).map(([entrant, all]) =>
    [entrant, all.map((value) => ({ value }))] as const
  );
  return { contest, samples: new Map(samples) };
}

describe("formatNumber()", () => {
  it("keeps two digits or more", () => {
    assertEquals(
      [0.0123, 0.126, 1.162, 72, 35788.4].map(formatNumber),
      ["0.012", "0.13", "1.16", "72.0", "35,788"],
    );
  });
});

describe("judge()", () => {
  it("compares turn by turn", () => {
    // The second turn was slow for both.
    const results = [
      resultOf(speed, { us: [120, 12, 130], them: [100, 10, 130] }),
    ];
    const target = { contest: "speed", entrant: "us", beside: "them" };
    assertEquals(judge(results, [{ ...target, ratio: 1.2 }]), [
      {
        ...target,
        ratio: 1.2,
        low: 1.1,
        median: 1.2,
        high: 1.2,
        lessIsBetter: false,
        isMet: true,
        isClear: false,
      },
    ]);
    assertEquals(judge(results, [{ ...target, ratio: 1.21 }])[0]?.isMet, false);
  });

  it("compares the usual latencies, too, the other way round", () => {
    const samplesOf = (p50: number) => [
      { value: 1, latencyMs: { p50, p99: 9, p99_9: 9, max: 9 } },
    ];
    const samples = new Map([["us", samplesOf(2)], ["them", samplesOf(1)]]);
    const target = { contest: "speed", entrant: "us", beside: "them" };
    const [outcome] = judge([{ contest: speed, samples }], [target]);
    assertEquals(outcome?.byLatency, { low: 0.5, median: 0.5, high: 0.5 });
  });

  it("wants no more where less is better", () => {
    const results = [resultOf(size, { us: [11], them: [10] })];
    const target = { contest: "size", entrant: "us", beside: "them" };
    assertEquals(judge(results, [{ ...target, ratio: 1.1 }])[0]?.isMet, true);
    assertEquals(judge(results, [{ ...target, ratio: 1.09 }])[0]?.isMet, false);
  });

  it("leaves out a target whose entrants were not measured", () => {
    const results = [resultOf(speed, { us: [1] })];
    const target = {
      contest: "speed",
      entrant: "us",
      beside: "them",
      ratio: 1,
    };
    assertEquals(judge(results, [target]), []);
  });

  it("compares without a verdict where there is no ratio to reach", () => {
    const results = [resultOf(speed, { us: [3], them: [2] })];
    const target = { contest: "speed", entrant: "us", beside: "them" };
    assertEquals(judge(results, [target]), [
      { ...target, low: 1.5, median: 1.5, high: 1.5, lessIsBetter: false },
    ]);
  });
});

describe("worstOutcomesFirst()", () => {
  it("begins with the farthest below its target, and ends without one", () => {
    const results = [
      resultOf(speed, { us: [90], them: [100] }),
      resultOf(size, { us: [12], them: [10] }),
    ];
    const ours = { entrant: "us", beside: "them" };
    const outcomes = judge(results, [
      { ...ours, contest: "speed" },
      { ...ours, contest: "speed", ratio: 0.9 },
      { ...ours, contest: "size" },
      { ...ours, contest: "size", ratio: 1 },
      { ...ours, contest: "speed", ratio: 1 },
    ]);
    assertEquals(
      worstOutcomesFirst(outcomes).map((it) => [it.contest, it.ratio]),
      [
        ["size", 1],
        ["speed", 1],
        ["speed", 0.9],
        ["speed", undefined],
        ["size", undefined],
      ],
    );
  });
});

describe("valueTable()", () => {
  it("has a row for each entrant and a column for each contest", () => {
    const results = [
      resultOf(speed, { us: [1000, 1500, 1250], them: [900] }),
      resultOf(size, { us: [9.994] }),
      resultOf({ ...speed, table: "clients" }, { nobody: [1] }),
    ];
    assertEquals(
      valueTable(results, "servers"),
      `\
|      | speed, messages/s | size, MiB |
| ---- | ----------------: | --------: |
| us   |       1,250 ±10 % | 9.99 ±0 % |
| them |          900 ±0 % |           |`,
    );
  });
});

describe("latencyTable()", () => {
  it("has the medians of what was measured", () => {
    const samples = [1, 3, 2].map((x) => ({
      value: 1000 * x,
      latencyMs: { p50: x, p99: 10 * x, p99_9: 100 * x, max: 1000 * x },
    }));
    assertEquals(
      latencyTable(
        [{ contest: speed, samples: new Map([["us", samples]]) }],
        "servers",
      ),
      `\
|           |             rate | p50 ms | p99 ms | p99.9 ms | max ms |
| --------- | ---------------: | -----: | -----: | -------: | -----: |
| speed: us | 2,000 messages/s |   2.00 |   20.0 |      200 |  2,000 |`,
    );
  });
});

describe("latencyTable() of datagrams", () => {
  it("has how many were lost and late in all turns", () => {
    const latencyMs = { p50: 1, p99: 1, p99_9: 1, max: 1 };
    const samples = [1200, 0, 34].map((lost) => ({
      ...{ value: 1000, latencyMs, datagrams: { lost, late: 1 } },
    }));
    const text = latencyTable(
      [{ contest: speed, samples: new Map([["us", samples]]) }],
      "servers",
    );
    assertEquals(
      text.split("\n").map((line) => line.split("|").slice(-3, -1)),
      [["  lost ", " late "], [" ----: ", " ---: "], [" 1,234 ", "    3 "]],
    );
  });
});

describe("targetTable()", () => {
  it("says which targets were met, and which are too near to tell", () => {
    const us = [1.11, 1.12, 1.13, 1.2, 1.2, 1.2, 1.3, 1.3, 1.3];
    const results = [resultOf(speed, { us, them: us.map(() => 1) })];
    const target = { contest: "speed", entrant: "us", beside: "them" };
    const targets = [
      { ...target, ratio: 1.1 },
      { ...target, ratio: 1.25 },
      { ...target, ratio: 1.41 },
      target,
    ];
    assertEquals(
      targetTable(judge(results, targets)),
      `\
|                  | target |     ratio |                 | by p50 |
| ---------------- | -----: | --------: | --------------: | -----: |
| speed: us / them | ≥ 1.10 | 1.20 ±8 % |             met |        |
| speed: us / them | ≥ 1.25 | 1.20 ±8 % | missed, unclear |        |
| speed: us / them | ≥ 1.41 | 1.20 ±8 % |          missed |        |
| speed: us / them |        | 1.20 ±8 % |                 |        |`,
    );
  });
});
