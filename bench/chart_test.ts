import { assertEquals, assertGreater, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { chart } from "./chart.ts";

const contest = {
  name: "speed",
  unit: "messages/s",
  table: "servers",
} as const;

function draw(values: Record<string, number[]>): string {
  const samples = Object.entries(values).map(([entrant, all]) =>
    [entrant, all.map((value) => ({ value }))] as const
  );
  const result = { contest, samples: new Map(samples) };
  return chart([result], ["A & B <here>"], (name) => name === "us");
}

describe("chart()", () => {
  it("draws bars as long as the medians", () => {
    const svg = draw({ us: [100], them: [50, 40, 60, 30, 70] });
    const widths = [...svg.matchAll(/<rect [^>]*width="([\d.]+)"/g)]
      .map(([, width]) => Number(width));
    assertEquals(widths[0], 2 * widths[1]!);
    assertGreater(widths[1], 50);
    // The line from quartile to quartile is two fifths of its bar.
    const [, from, to] = [...svg.matchAll(/x1="([\d.]+)" x2="([\d.]+)"/g)][1]!;
    assertEquals(Number(to) - Number(from), 0.4 * widths[1]!);
  });

  it("escapes what it writes", () => {
    assertMatch(draw({ "a<b": [1] }), />a&lt;b</);
    assertMatch(draw({ us: [1] }), />A &amp; B &lt;here></);
  });
});
