import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { IrregularKind } from "../client.ts";
import { type FakeClock, stopClock } from "../testing/clock.ts";
import { failure } from "../testing/probe.ts";
import fc from "../testing/properties.ts";
import { asOneRun, mergeLoads } from "./load_merge.ts";
import type { LoadSummary } from "./load_summary.ts";
import { LoadTally } from "./load_tally.ts";

/** What a load may come upon, after some time, on one of its connections. */
interface Happening {
  readonly afterMs: number;
  readonly connection: number;
  readonly what:
    | { readonly kind: "reply"; readonly latencyMs: number }
    | { readonly kind: "loss"; readonly reason: "timeout" | "reset" }
    | { readonly kind: "irregular"; readonly irregular: IrregularKind }
    | { readonly kind: "late"; readonly ms: number }
    | { readonly kind: "unsent" | "too late" };
}

const CONNECTIONS = 6;

const DURATION_MS = 90_000;

const HAPPENINGS: fc.Arbitrary<Happening[]> = fc.array(
  fc.record({
    afterMs: fc.integer({ min: 0, max: 1500 }),
    connection: fc.integer({ min: 0, max: CONNECTIONS - 1 }),
    what: fc.oneof(
      {
        weight: 8,
        arbitrary: fc.record({
          kind: fc.constant("reply" as const),
          latencyMs: fc.double({ min: -3, max: 4, noNaN: true })
            .map((power) => 10 ** power),
        }),
      },
      fc.record({
        kind: fc.constant("loss" as const),
        reason: fc.constantFrom("timeout" as const, "reset" as const),
      }),
      fc.record({
        kind: fc.constant("irregular" as const),
        irregular: fc.constantFrom<IrregularKind>("duplicated", "late"),
      }),
      fc.record({
        kind: fc.constant("late" as const),
        // A clock does not tell less than a nanosecond.
        ms: fc.double({ min: 0, max: 50, noNaN: true })
          .map((ms) => ms < 1e-6 ? 0 : ms),
      }),
      fc.record({
        kind: fc.constantFrom("unsent" as const, "too late" as const),
      }),
    ),
  }),
  { maxLength: 150, size: "max" },
);

/** Plays a load, counted by one tally for each group of its connections. */
function play(
  happenings: readonly Happening[],
  groupOf: (connection: number) => number,
  ratePerSecond?: number,
): LoadSummary[] {
  using clock: FakeClock = stopClock();
  const all = Array.from({ length: CONNECTIONS }, (_, at) => at);
  const tallies = [...new Set(all.map(groupOf))].sort().map((group) => {
    const connections = all.filter((it) => groupOf(it) === group).length;
    const tally = new LoadTally({
      connections,
      // A part of the rate that has no rounding error.
      ratePerSecond: ratePerSecond && ratePerSecond * connections,
    });
    return { group, tally };
  });
  for (const { tally } of tallies) tally.start(DURATION_MS);
  happenings.forEach(({ afterMs, connection, what }) => {
    clock.passAtOnce(afterMs);
    const group = groupOf(connection);
    const { tally } = tallies.find((it) => it.group === group)!;
    switch (what.kind) {
      case "reply":
        return tally.addVerified(undefined, what.latencyMs);
      case "loss": {
        const detail = `${what.reason} at ${performance.now()}`;
        return tally.addFailed(
          failure(what.reason, detail),
          performance.now(),
        );
      }
      case "irregular":
        return tally.addIrregular(what.irregular);
      case "late":
        return tally.addLate(what.ms);
      case "unsent":
        return tally.addUnsent();
      case "too late":
        return tally.addTooLate(2);
    }
  });
  clock.passAtOnce(250);
  for (const { tally } of tallies) {
    tally.stop();
    tally.end(0);
  }
  return tallies.map(({ tally }) => tally.summary());
}

/** Takes out what is compared exactly. */
function exactOf(summary: LoadSummary) {
  const { latencyMs, lateMs, longestOutageMs: _, ...rest } = asOneRun(summary);
  const { recorded: _recorded, busyShare: _busy, ...exact } = rest;
  const { processorShare: _share, ...counted } = exact;
  const stable = (times: LoadSummary["latencyMs"]) => {
    const { mean: _mean, stddev: _stddev, ...rest } = times ?? {};
    return rest;
  };
  return { ...counted, latencyMs: stable(latencyMs), lateMs: stable(lateMs) };
}

function assertSame(found: LoadSummary, whole: LoadSummary): void {
  assertEquals(exactOf(found), exactOf(whole));
  for (const name of ["latencyMs", "lateMs"] as const) {
    const { mean = 0, stddev = 0, max = 0 } = whole[name] ?? {};
    // All but the last digits, which depend on the order of the additions.
    assertAlmostEquals(found[name]?.mean ?? 0, mean, max * 1e-12);
    assertAlmostEquals(found[name]?.stddev ?? 0, stddev, max * 1e-7);
  }
  assertAlmostEquals(found.busyShare ?? -1, whole.busyShare ?? -1, 1e-9);
  // While one part waits others may go on: that is an outage of the part alone.
  assert(found.longestOutageMs >= whole.longestOutageMs);
}

describe("mergeLoads()", () => {
  it("makes the run again of its parts", () => {
    fc.assert(fc.property(
      HAPPENINGS,
      fc.array(fc.nat({ max: 2 }), {
        ...{ minLength: CONNECTIONS, maxLength: CONNECTIONS },
      }),
      fc.constantFrom(undefined, 100),
      (happenings, groups, rate) => {
        const [whole] = play(happenings, () => 0, rate);
        const parts = play(
          happenings,
          (connection) => groups[connection]!,
          rate,
        )
          .map((summary) => ({ startMs: 0, summary }));
        const merged = mergeLoads(parts);
        assertSame(merged, whole!);
        // What is merged can be merged again.
        const [first, ...others] = parts;
        if (others.length === 0) return;
        const rest = { startMs: 0, summary: mergeLoads(others) };
        assertSame(mergeLoads([first!, rest]), whole!);
      },
    ));
  });

  it("puts what happened at the same time together", () => {
    const replies = (count: number) =>
      play(
        Array.from({ length: count }, () => ({
          ...{ afterMs: 100, connection: 0 },
          what: { kind: "reply", latencyMs: 1 } as const,
        })),
        () => 0,
      )[0]!;
    const { timeline, runs } = mergeLoads([
      { startMs: 2000, summary: replies(15) },
      { startMs: 0, summary: replies(5) },
    ]);
    assertEquals(
      timeline.map(({ startMs, messages }) => [startMs, messages]),
      [[0, 5], [1000, 0], [2000, 9], [3000, 6]],
    );
    assertEquals(runs.map(({ startMs }) => startMs), [2000, 0]);
  });

  it("takes the error of each reason that came first", () => {
    const failing = (afterMs: number, connection: number) =>
      play([{
        ...{ afterMs, connection },
        what: { kind: "loss", reason: "reset" },
      }, {
        ...{ afterMs: 1, connection },
        what: { kind: "loss", reason: "timeout" },
      }], () => 0)[0]!;
    const early = failing(10, 0);
    const late = failing(500, 1);
    late.firstErrors.timeout = "the later one";
    early.firstErrors.timeout = "the earlier one";
    for (const both of [[early, late], [late, early]]) {
      const loads = both.map((summary) => ({ startMs: 0, summary }));
      assertEquals(mergeLoads(loads).firstErrors.timeout, "the earlier one");
    }
    assertEquals(
      mergeLoads([
        { startMs: 1000, summary: early },
        { startMs: 0, summary: late },
      ]).firstErrors.timeout,
      "the later one",
    );
  });

  it("takes the longest outage, and the last reply", () => {
    const [one] = play([], () => 0);
    const other = { ...one!, longestOutageMs: 7, lastAfterMs: 9, oldestMs: 8 };
    const found = mergeLoads([other, one!].map((summary) => ({
      ...{ startMs: 0, summary },
    })));
    assertEquals(
      [found.longestOutageMs, found.lastAfterMs, found.oldestMs],
      [7, 9, 8],
    );
  });
});
