import { assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { chart } from "./chart.ts";
import { bestFirst, ratioOf, renderResults, type Result } from "./report.ts";

function resultOf(
  values: Record<string, number[]>,
  lessIsBetter = false,
): Result {
  const samples = Object.entries(values).map(([entrant, all]) =>
    [entrant, all.map((value) => ({ value }))] as const
  );
  const contest = { key: "speed", name: "speed", unit: "MiB/s", lessIsBetter };
  return { contest, samples: new Map(samples) };
}

describe("ratioOf()", () => {
  it("compares turn by turn: the second one was slow for both", () => {
    const result = resultOf({ us: [120, 12, 130], them: [100, 10, 130] });
    assertEquals(ratioOf(result, "us", "them"), {
      low: 1.1,
      median: 1.2,
      high: 1.2,
    });
    assertEquals(ratioOf(result, "us", "nobody"), undefined);
  });
});

describe("bestFirst()", () => {
  it("begins with the greatest, or with the least where less is better", () => {
    const values = { us: [2], them: [3], others: [1] };
    const names = (result: Result) => bestFirst(result).map(([name]) => name);
    assertEquals(names(resultOf(values)), ["them", "us", "others"]);
    assertEquals(names(resultOf(values, true)), ["others", "us", "them"]);
  });
});

describe("renderResults()", () => {
  it("has the ratios to all others and each contest, the best first", () => {
    const result = resultOf({
      us: [1000, 1500, 1250],
      them: [2500, 2500, 2500],
    });
    const failed = resultOf({});
    assertEquals(
      renderResults([result, failed], [], "us")
        .split("\n").filter((line) => line.startsWith("|")),
      [
        "| us / other   |       them |",
        "| ------------ | ---------: |",
        "| speed, MiB/s | 0.50 ±10 % |",
        "|      |       MiB/s |",
        "| ---- | ----------: |",
        "| them |  2,500 ±0 % |",
        "| us   | 1,250 ±10 % |",
      ],
    );
  });
});

describe("chart()", () => {
  it("draws bars as long as the medians, and escapes what it writes", () => {
    const result = resultOf({ "a<b": [100], us: [30, 50, 70] });
    const svg = chart([result], ["A & B"], (name) => name === "us");
    const [best, second] = [...svg.matchAll(/<rect [^>]*width="([\d.]+)"/g)]
      .map(([, width]) => Number(width));
    assertEquals(best, 2 * second!);
    assertMatch(svg, />a&lt;b<[^]*>us<[^]*>A &amp; B</);
  });
});
