import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { Contest, Result } from "./report.ts";
import { standingTable, worstFirst } from "./standings.ts";

const kinds = {
  isOurs: (name: string) => name.startsWith("us"),
  isFloor: (name: string) => name === "floor",
};

function resultOf(
  contest: Pick<Contest, "name" | "lessIsBetter">,
  values: Record<string, number[]>,
  p99_9?: number,
): Result {
  const latencyMs = p99_9 && { p50: 1, p99: 1, p99_9, max: 1000 };
  const samples = Object.entries(values).map(([entrant, all]) =>
    [
      entrant,
      all.map((value) => ({ value, ...(latencyMs && { latencyMs }) })),
    ] as const
  );
  return {
    contest: { unit: "units", table: "servers", ...contest },
    samples: new Map(samples),
  };
}

describe("worstFirst()", () => {
  it("has where ours is behind the best other, the worst first", () => {
    const results = [
      resultOf({ name: "speed" }, { us: [90], a: [100], b: [50] }),
      resultOf({ name: "ahead" }, { us: [101], a: [100] }),
      resultOf({ name: "size", lessIsBetter: true }, {
        us: [4],
        a: [2],
        b: [3],
      }),
    ];
    assertEquals(worstFirst(results, kinds), [
      {
        contest: "size, units",
        ours: { entrant: "us", median: 4 },
        best: { entrant: "a", median: 2 },
        share: 0.5,
      },
      {
        contest: "speed, units",
        ours: { entrant: "us", median: 90 },
        best: { entrant: "a", median: 100 },
        share: 0.9,
      },
    ]);
  });

  it("compares turn by turn, the first of ours with no floor", () => {
    // The second turn was slow for both: the medians alone would say 0.8.
    const values = {
      us: [80, 9, 90],
      "us too": [1],
      floor: [200],
      a: [100, 10, 100],
    };
    const [standing] = worstFirst([resultOf({ name: "speed" }, values)], kinds);
    assertEquals(standing?.share, 0.9);
  });

  it("compares the longest waits, too", () => {
    const [ours] = [resultOf({ name: "waits" }, { us: [2] }, 30)];
    const [theirs] = [resultOf({ name: "waits" }, { a: [1] }, 10)];
    const samples = new Map([...ours!.samples, ...theirs!.samples]);
    const standings = worstFirst([{ ...ours!, samples }], kinds);
    assertEquals(standings.map(({ contest }) => contest), [
      "waits, ms at p99.9",
    ]);
    assertEquals(standings[0]?.ours, { entrant: "us", median: 30 });
  });

  it("leaves out a contest without ours or without others", () => {
    const results = [
      resultOf({ name: "alone" }, { us: [1], floor: [2] }),
      resultOf({ name: "theirs" }, { a: [1] }),
    ];
    assertEquals(worstFirst(results, kinds), []);
  });
});

describe("standingTable()", () => {
  it("has the values and the share", () => {
    const standings = worstFirst(
      [resultOf({ name: "speed" }, { us: [1000], a: [1250] })],
      kinds,
    );
    assertEquals(
      standingTable(standings),
      `\
|              |      ours | the best other | of it |
| ------------ | --------: | -------------: | ----: |
| speed, units | us: 1,000 |       a: 1,250 |  0.80 |`,
    );
  });
});
