import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "../testing/properties.ts";
import { bucketEnds, Latencies } from "./latency.ts";

describe("Latencies", () => {
  it("sums up to three significant digits", () => {
    const sample = fc.double({ min: 0.001, max: 100_000, noNaN: true });
    fc.assert(
      fc.property(fc.array(sample, { minLength: 1, maxLength: 500 }), (all) => {
        const latencies = new Latencies();
        for (const ms of all) latencies.record(ms);
        const sorted = all.toSorted((a, b) => a - b);
        const rank = (p: number) =>
          sorted[Math.max(0, Math.ceil(p / 100 * sorted.length) - 1)]!;
        const mean = all.reduce((a, b) => a + b) / all.length;
        const exact = {
          min: sorted[0]!,
          mean,
          p50: rank(50),
          p90: rank(90),
          p99: rank(99),
          p99_9: rank(99.9),
          max: sorted.at(-1)!,
        };
        const summary = latencies.summary()!;
        for (const [name, ms] of Object.entries(exact)) {
          const found = summary[name as keyof typeof exact];
          assert(
            Math.abs(found - ms) <= ms * 0.001 + 1e-6,
            `${name}: ${found} is not ${ms}`,
          );
        }
        const variance = all.reduce((sum, ms) => sum + (ms - mean) ** 2, 0) /
          all.length;
        assert(
          Math.abs(summary.stddev - Math.sqrt(variance)) <= mean * 0.002 + 1e-6,
        );
      }),
    );
  });

  it("counts how many lie in each range", () => {
    const latencies = new Latencies();
    for (let ms = 1; ms <= 1000; ms++) latencies.record(ms);
    assertEquals(latencies.buckets(12), [
      { uptoMs: 1, count: 1 },
      { uptoMs: 2, count: 1 },
      { uptoMs: 5, count: 3 },
      { uptoMs: 10, count: 5 },
      { uptoMs: 20, count: 10 },
      { uptoMs: 50, count: 30 },
      { uptoMs: 100, count: 50 },
      { uptoMs: 200, count: 100 },
      { uptoMs: 500, count: 300 },
      { uptoMs: 1000, count: 500 },
    ]);
    assertEquals(new Latencies().buckets(12), []);
  });

  it("has nothing to sum up before it recorded anything", () => {
    assertEquals(new Latencies().summary(), undefined);
  });
});

describe("bucketEnds()", () => {
  it("ends ranges at round numbers, as many as fit", () => {
    assertEquals(bucketEnds(0.03, 0.4, 12), [0.05, 0.1, 0.2, 0.5]);
    assertEquals(bucketEnds(3, 3, 12), [5]);
    assertEquals(bucketEnds(0.09, 1000, 10), [
      ...[0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000],
    ]);
    assertEquals(bucketEnds(0.01, 10_000, 8), [
      ...[0.01, 0.1, 1, 10, 100, 1000, 10_000],
    ]);
    assertEquals(bucketEnds(0.01, 10_000, 3), [10_000]);
  });
});
