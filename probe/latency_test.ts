import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertGreaterOrEqual,
  assertLessOrEqual,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "../testing/properties.ts";
import { bucketEnds, Latencies } from "./latency.ts";

/** Latencies from a microsecond to 100 seconds, few of them or many. */
const SAMPLES = fc.array(
  fc.double({ min: -3, max: 5, noNaN: true }).map((power) => 10 ** power),
  { minLength: 1, maxLength: 3000, size: "max" },
);

/** Making a failing sample of this size smaller would take minutes. */
const LARGE = { numRuns: 25, endOnFailure: true };

function recorded(all: readonly number[]): Latencies {
  const latencies = new Latencies();
  for (const ms of all) latencies.record(ms);
  return latencies;
}

/**
 * Checks that a number is the exact one in three digits: half a unit of the last
 * digit, and one in a thousand for the histogram.
 */
function assertNear(found: number, exact: number, name: string): void {
  assertLessOrEqual(
    Math.abs(found - exact),
    exact * 0.006 + 1e-6,
    `${name}: ${found} instead of ${exact}`,
  );
}

describe("Latencies", () => {
  it("has the exact extremes, mean and deviation", () => {
    fc.assert(
      fc.property(SAMPLES, (all) => {
        const { min, mean, max, stddev } = recorded(all).summary()!;
        const sum = all.reduce((a, b) => a + b);
        const squares = all.reduce(
          (sum, ms) => sum + (ms - mean) ** 2,
          0,
        );
        assertEquals(min, all.reduce((a, b) => Math.min(a, b)));
        assertEquals(max, all.reduce((a, b) => Math.max(a, b)));
        assertAlmostEquals(mean, sum / all.length, max * 1e-12);
        const deviation = Math.sqrt(squares / all.length);
        assertAlmostEquals(stddev, deviation, max * 1e-9);
        assertEquals(recorded(all).longestMs, max);
        assertEquals(recorded(all).count, all.length);
      }),
      LARGE,
    );
  });

  it("has no deviation among equal latencies, and their mean", () => {
    for (const ms of [0.1, 0.123456789, 1e5 / 3]) {
      const { min, mean, p50, p99_9, max, stddev } = recorded(
        Array(1000).fill(ms),
      ).summary()!;
      assertEquals([min, mean, p50, p99_9, max], Array(5).fill(ms));
      assertAlmostEquals(stddev, 0, ms * 1e-9);
    }
  });

  it("keeps small deviations of long latencies", () => {
    // The squares of these have more digits than a number holds.
    const { mean, stddev } = recorded([1e9, 1e9 + 1, 1e9 + 2]).summary()!;
    assertEquals(mean, 1e9 + 1);
    assertAlmostEquals(stddev, Math.sqrt(2 / 3), 1e-6);
  });

  it("has percentiles of three digits between its extremes", () => {
    fc.assert(
      fc.property(SAMPLES, (all) => {
        const sorted = all.toSorted((a, b) => a - b);
        const rank = (p: number) =>
          sorted[Math.ceil(p / 100 * sorted.length - 1e-9) - 1]!;
        const summary = recorded(all).summary()!;
        const { min, p50, p90, p99, p99_9, max } = summary;
        const found = [min, p50, p90, p99, p99_9, max];
        assertEquals(found, found.toSorted((a, b) => a - b));
        for (
          const [p, ms] of [[50, p50], [90, p90], [99, p99], [99.9, p99_9]]
        ) {
          assertNear(ms!, rank(p!), `p${p}`);
          const isRound = ms === Number(ms!.toPrecision(5));
          assert(isRound || ms === min || ms === max, `p${p}: ${ms}`);
        }
      }),
      LARGE,
    );
  });

  it("tells the tail of many latencies apart", () => {
    const { p50, p90, p99, p99_9, max } = recorded(
      Array.from({ length: 10_000 }, (_, at) => at + 1),
    ).summary()!;
    assertNear(p50, 5000, "p50");
    assertNear(p90, 9000, "p90");
    assertNear(p99, 9900, "p99");
    assertNear(p99_9, 9990, "p99_9");
    assertEquals(max, 10_000);
  });

  it("finds no latency longer than the longest", () => {
    const { p50, p99_9, max } = recorded([1234.567891]).summary()!;
    assertEquals([p50, p99_9, max], [1234.567891, 1234.567891, 1234.567891]);
  });

  it("records what no clock can measure", () => {
    const { min, mean, p50, max, stddev } = recorded([0, 0]).summary()!;
    assertEquals([min, mean, p50, max, stddev], [0, 0, 0, 0, 0]);
    const { p50: half, max: most } = recorded([0, 0, 1]).summary()!;
    assertNear(half, 0, "p50");
    assertEquals(most, 1);
  });

  it("counts what no clock can measure", () => {
    const buckets = recorded([0, 0, 1]).buckets(12);
    assertEquals(buckets.reduce((sum, { count }) => sum + count, 0), 3);
  });

  it("has nothing to sum up before it recorded anything", () => {
    assertEquals(new Latencies().summary(), undefined);
    assertEquals(new Latencies().buckets(12), []);
    assertEquals([new Latencies().count, new Latencies().longestMs], [0, 0]);
  });

  it("counts how many lie in each range", () => {
    const all = Array.from({ length: 1000 }, (_, at) => at + 1);
    assertEquals(recorded(all).buckets(12), [
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
    // Numbers of which a percentile is off by a rounding error.
    for (const total of [600, 624, 650]) {
      assertEquals(recorded(all.slice(0, total)).buckets(12).slice(-2), [
        { uptoMs: 500, count: 300 },
        { uptoMs: 1000, count: total - 500 },
      ]);
    }
  });

  it("counts each latency in one range", () => {
    fc.assert(
      fc.property(SAMPLES, fc.integer({ min: 1, max: 20 }), (all, most) => {
        const buckets = recorded(all).buckets(most);
        assertLessOrEqual(buckets.length, most);
        let counted = 0;
        for (const { uptoMs, count } of buckets) {
          counted += count;
          // Three significant digits: one more in a thousand may be counted.
          const least = all.filter((ms) => ms <= uptoMs).length;
          const most = all.filter((ms) => ms <= uptoMs * 1.002).length;
          assert(least <= counted && counted <= most, `up to ${uptoMs} ms`);
        }
        assertEquals(counted, all.length);
      }),
      LARGE,
    );
  });
});

describe("bucketEnds()", () => {
  it("ends ranges at round numbers", () => {
    assertEquals(bucketEnds(0.03, 0.4, 12), [0.05, 0.1, 0.2, 0.5]);
    assertEquals(bucketEnds(3, 3, 12), [5]);
    assertEquals(bucketEnds(2, 20, 12), [2, 5, 10, 20]);
  });

  it("takes fewer round numbers where they are too many", () => {
    const [min, max] = [0.09, 1000];
    const halves = [
      ...[0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000],
    ];
    const thirds = [0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000];
    const tenths = [0.1, 1, 10, 100, 1000];
    assertEquals(bucketEnds(min, max, 13), halves);
    assertEquals(bucketEnds(min, max, 12), thirds);
    assertEquals(bucketEnds(min, max, 9), thirds);
    assertEquals(bucketEnds(min, max, 8), tenths);
    assertEquals(bucketEnds(min, max, 5), tenths);
    assertEquals(bucketEnds(min, max, 4), [1000]);
  });

  it("leaves out no value, and has no range without need", () => {
    const value = fc.double({ min: -5, max: 6, noNaN: true })
      .map((power) => 10 ** power);
    fc.assert(
      fc.property(value, value, fc.integer({ min: 1, max: 20 }), (a, b, n) => {
        const [min, max] = [Math.min(a, b), Math.max(a, b)];
        const ends = bucketEnds(min, max, n);
        assert(ends.length >= 1 && ends.length <= n);
        assertGreaterOrEqual(ends[0]!, min);
        assertGreaterOrEqual(ends.at(-1)!, max);
        assert(ends.slice(0, -1).every((end) => end < max));
        assert(ends.every((end, at) => at === 0 || end > ends[at - 1]!));
      }),
    );
  });
});

const BOUNDS_MS = [5, 10, 20];

describe("Latencies.spread()", () => {
  it("counts up to each bound, to three digits", () => {
    const power = fc.double({ min: -5, max: 5, noNaN: true });
    const times = power.map((power) => 10 ** power);
    const options = { maxLength: 300, size: "max" as const };
    fc.assert(
      fc.property(
        fc.array(times, options),
        fc.array(times, { maxLength: 20 }),
        (all, bounds) => {
          const latencies = new Latencies();
          for (const ms of all) latencies.record(ms);
          const boundsMs = bounds.sort((a, b) => a - b);
          const { count, sumMs, upTo } = latencies.spread(boundsMs);
          const sum = all.reduce((a, b) => a + b, 0);
          assertEquals([count, upTo.length], [all.length, boundsMs.length]);
          assertAlmostEquals(sumMs, sum, sum * 1e-9);
          // It counts whole nanoseconds.
          const least = (ms: number) => Math.max(ms, 1e-6);
          const below = (bound: number) =>
            all.filter((ms) => least(ms) <= bound).length;
          for (const [index, boundMs] of boundsMs.entries()) {
            const found = upTo[index]!;
            assertGreaterOrEqual(found, below(boundMs * 0.999 - 1e-6));
            assertGreaterOrEqual(below(boundMs * 1.001 + 1e-6), found);
          }
        },
      ),
    );
  });

  it("counts what is just as long as a bound", () => {
    const latencies = new Latencies();
    for (const ms of [5, 10, 10, 20, 20.1]) latencies.record(ms);
    assertEquals(latencies.spread(BOUNDS_MS).upTo, [1, 3, 4]);
    assertEquals(latencies.spread([1e9]).upTo, [5]);
    assertEquals(latencies.spread([]).upTo, []);
  });
});
