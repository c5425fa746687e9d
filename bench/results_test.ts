import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { judge, type Result } from "./report.ts";
import { renderResults, renderTables } from "./results.ts";

const latencyMs = { p50: 1, p99: 2, p99_9: 3, max: 4 };

const results: Result[] = [
  {
    contest: { name: "start", unit: "ms", table: "startup" },
    samples: new Map([["us", [{ value: 40 }]]]),
  },
  {
    contest: { name: "waits", unit: "round trips/s", table: "latency" },
    samples: new Map([["us", [{ value: 1000, latencyMs }]]]),
  },
  {
    contest: { name: "speed", unit: "messages/s", table: "servers" },
    samples: new Map([["us", [{ value: 120 }]], ["them", [{ value: 100 }]]]),
  },
];

const outcomes = judge(results, [
  { contest: "speed", entrant: "us", beside: "them", ratio: 1.1 },
]);

const standings = [{
  contest: "speed, messages/s",
  ours: { entrant: "us", median: 100 },
  best: { entrant: "them", median: 1 },
  share: 0.8,
}];

const TABLES = `\
- a machine
- its programs

## Behind the best of the others

|                   |    ours | the best other | of it |
| ----------------- | ------: | -------------: | ----: |
| speed, messages/s | us: 100 |     them: 1.00 |  0.80 |

## Ratios

|                  | target |     ratio |              | by p50 |
| ---------------- | -----: | --------: | -----------: | -----: |
| speed: us / them | ≥ 1.10 | 1.20 ±0 % | met, unclear |        |

## Servers

|      | speed, messages/s |
| ---- | ----------------: |
| us   |          120 ±0 % |
| them |          100 ±0 % |

## Latencies

|           |                rate | p50 ms | p99 ms | p99.9 ms | max ms |
| --------- | ------------------: | -----: | -----: | -------: | -----: |
| waits: us | 1,000 round trips/s |   1.00 |   2.00 |     3.00 |   4.00 |

## Startup

|     | start, ms |
| --- | --------: |
| us  | 40.0 ±0 % |`;

describe("renderTables()", () => {
  it("has the caption, what is worst, the ratios, each table with results", () => {
    const caption = ["a machine", "its programs"];
    assertEquals(
      renderTables({ caption, results, standings, outcomes }),
      TABLES,
    );
  });

  it("has no heading without a table", () => {
    const comparison = {
      ...{ caption: ["a"], results: [], standings: [], outcomes: [] },
    };
    assertEquals(renderTables(comparison), "- a");
  });
});

describe("renderResults()", () => {
  it("has the chart before the tables, and ends as a text file does", () => {
    const caption = ["a machine", "its programs"];
    const comparison = { caption, results, standings, outcomes };
    const text = renderResults(comparison, "chart.svg");
    const chart = "![A bar for each server and client in each contest]" +
      "(chart.svg)";
    assertEquals(
      text.replace(/^# Results\n\n[^#]*?\n\n(?=!)/, ""),
      `${chart}\n\n${TABLES}\n`,
    );
  });
});
