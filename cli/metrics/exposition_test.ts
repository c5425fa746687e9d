import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { countedBy, type Metric, renderMetrics, single } from "./exposition.ts";

/** Renders the values of a metric, without what describes it. */
function valuesOf(metric: Metric): string[] {
  return renderMetrics([metric]).trimEnd().split("\n")
    .filter((line) => !line.startsWith("#"));
}

describe("renderMetrics()", () => {
  it("describes each metric before its values", () => {
    const text = renderMetrics([
      single("counter", "cats_total", "Cats that came", 3),
      countedBy("dogs_total", "Dogs", "size", { small: 1, big: 0 }),
      { name: "birds", help: "Birds", type: "gauge", samples: [] },
    ]);
    assertEquals(
      text,
      "# HELP cats_total Cats that came\n" +
        "# TYPE cats_total counter\n" +
        "cats_total 3\n" +
        "# HELP dogs_total Dogs\n" +
        "# TYPE dogs_total counter\n" +
        'dogs_total{size="small"} 1\n' +
        'dogs_total{size="big"} 0\n' +
        "# HELP birds Birds\n" +
        "# TYPE birds gauge\n",
    );
    assertEquals(renderMetrics([]), "");
  });

  it("separates labels, and escapes what is in them", () => {
    const labels = { one: 'a "b" \\ c\nd', two: "{,} é" };
    const samples = [{ labels, value: 1 }, { labels: {}, value: 2 }];
    assertEquals(valuesOf({ name: "x", help: "", type: "gauge", samples }), [
      'x{one="a \\"b\\" \\\\ c\\nd",two="{,} é"} 1',
      "x 2",
    ]);
  });

  it("escapes the description, but for its quotes", () => {
    const text = renderMetrics([single("gauge", "x", 'a "b"\n\\', 0)]);
    assertEquals(text.split("\n")[0], '# HELP x a "b"\\n\\\\');
  });

  it("writes numbers as Go reads them", () => {
    const texts: [value: number, text: string][] = [
      [0, "0"],
      [-1.5, "-1.5"],
      [1e21, "1e+21"],
      [5e-7, "5e-7"],
      [9007199254740991, "9007199254740991"],
      [Infinity, "+Inf"],
      [-Infinity, "-Inf"],
      [NaN, "NaN"],
    ];
    for (const [value, text] of texts) {
      assertEquals(valuesOf(single("gauge", "x", "", value)), [`x ${text}`]);
    }
  });

  it("ends a histogram with all values, their sum and their number", () => {
    const distribution = {
      ...{ bounds: [0.001, 2], upTo: [4, 5], count: 7, sum: 12.5 },
    };
    assertEquals(
      renderMetrics([
        { name: "x_seconds", help: "Times", type: "histogram", distribution },
      ]),
      "# HELP x_seconds Times\n" +
        "# TYPE x_seconds histogram\n" +
        'x_seconds_bucket{le="0.001"} 4\n' +
        'x_seconds_bucket{le="2"} 5\n' +
        'x_seconds_bucket{le="+Inf"} 7\n' +
        "x_seconds_sum 12.5\n" +
        "x_seconds_count 7\n",
    );
  });
});
