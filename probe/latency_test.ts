import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { Latencies } from "./latency.ts";

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
          p99: rank(99),
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

  it("has nothing to sum up before it recorded anything", () => {
    assertEquals(new Latencies().summary(), undefined);
  });
});
