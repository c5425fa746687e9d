import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertObjectMatch,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { IrregularKind } from "../client.ts";
import { type FakeClock, stopClock } from "../testing/clock.ts";
import { failure } from "../testing/probe.ts";
import fc from "../testing/properties.ts";
import { LOCAL, REMOTE } from "../testing/socket.ts";
import type { ProbeClient } from "./probe_client.ts";
import { type Summary, Tally, type TallyRecord } from "./tally.ts";

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
): Tally[] {
  using clock: FakeClock = stopClock();
  const all = Array.from({ length: CONNECTIONS }, (_, at) => at);
  const tallies = [...new Set(all.map(groupOf))].sort().map((group) => {
    const connections = all.filter((it) => groupOf(it) === group).length;
    const tally = new Tally({
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
  return tallies.map(({ tally }) => tally);
}

/** Adds tallies that started so long after the first. */
function sum(...parts: (Tally | [tally: Tally, startMs: number])[]): Tally {
  const sum = new Tally();
  for (const part of parts) {
    if (Array.isArray(part)) sum.add(...part);
    else sum.add(part);
  }
  return sum;
}

/** Sends a tally to a thread, or writes it down, and reads it. */
function sent(tally: Tally): Tally {
  const plain = (tally: Tally) =>
    JSON.parse(JSON.stringify(structuredClone(tally.toRecord())));
  const record = plain(tally);
  assertEquals(plain(Tally.from(record)), record);
  return Tally.from(record);
}

/** Takes out what is compared exactly. */
function exactOf(summary: Summary) {
  const { latencyMs, lateMs, outages: _outages, ...rest } = summary;
  const { recorded: _recorded, busyShare: _busy, ...exact } = rest;
  const stable = (times: Summary["latencyMs"]) => {
    const { mean: _mean, stddev: _stddev, ...rest } = times ?? {};
    return rest;
  };
  return { ...exact, latencyMs: stable(latencyMs), lateMs: stable(lateMs) };
}

function assertSame(sum: Tally, whole: Tally): void {
  sum.asOneRun(0);
  const [found, expected] = [sum.summary(), whole.summary()];
  assertEquals(exactOf(found), exactOf(expected));
  for (const name of ["latencyMs", "lateMs"] as const) {
    const { mean = 0, stddev = 0, max = 0 } = expected[name] ?? {};
    // All but the last digits, which depend on the order of the additions.
    assertAlmostEquals(found[name]?.mean ?? 0, mean, max * 1e-12);
    assertAlmostEquals(found[name]?.stddev ?? 0, stddev, max * 1e-7);
  }
  const { busyShare = -1 } = expected;
  assertAlmostEquals(found.busyShare ?? -1, busyShare, 1e-9);
  // While one part waits others may go on: that is an outage of the part alone.
  assert(found.outages.longestMs >= expected.outages.longestMs);
}

describe("Tally.add()", () => {
  it("makes the run again of its parts, also of those that were sent", () => {
    fc.assert(fc.property(
      HAPPENINGS,
      fc.array(fc.nat({ max: 2 }), {
        ...{ minLength: CONNECTIONS, maxLength: CONNECTIONS },
      }),
      fc.constantFrom(undefined, 100),
      (happenings, groups, rate) => {
        const [whole] = play(happenings, () => 0, rate);
        const [first, ...others] = play(
          happenings,
          (connection) => groups[connection]!,
          rate,
        );
        assertSame(sum(first!, ...others), whole!);
        assertSame(sum(sent(first!), ...others.map(sent)), whole!);
        // What is added can be added again.
        if (others.length === 0) return;
        assertSame(sum(first!, sent(sum(...others))), whole!);
      },
    ));
  });

  it("adds each counter, also one that it does not know", () => {
    const zero = new Tally().toRecord();
    const names = [...Object.keys(zero.counts), "another"];
    const counting = (step: number): TallyRecord => {
      const counts = names.map((name, at) => [name, step * (at + 1)]);
      return { ...zero, counts: Object.fromEntries(counts) };
    };
    const both = sum(Tally.from(counting(1)), Tally.from(counting(100)));
    const { counts } = counting(101);
    assertEquals(sent(both).counts, counts);
    assertObjectMatch(both.summary(), counts);
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
    const { timeline, runs } = sum([replies(15), 2000], replies(5)).summary();
    assertEquals(
      timeline.slice(0, 4).map(({ startMs, messages }) => [startMs, messages]),
      [[0, 5], [1000, 0], [2000, 9], [3000, 6]],
    );
    assertEquals(runs.map(({ startMs }) => startMs), [2000, 0]);
  });

  it("takes the error of each reason that came first", () => {
    const failing = (text: string, ms: number) =>
      Tally.from({
        ...new Tally().toRecord(),
        firstErrors: { timeout: { text, ms } },
      });
    const [early, late] = [failing("early", 11), failing("late", 501)];
    for (const both of [[early, late], [late, early]]) {
      const { firstErrors, firstErrorsMs } = sum(...both).summary();
      assertEquals(firstErrors, { timeout: "early" });
      assertEquals(firstErrorsMs, { timeout: 11 });
    }
    const { firstErrors, firstErrorsMs } = sum([early, 1000], late).summary();
    assertEquals([firstErrors, firstErrorsMs], [
      { timeout: "late" },
      { timeout: 501 },
    ]);
  });

  it("takes the longest outage, and the last reply", () => {
    const one = new Tally();
    const other = Tally.from({
      ...one.toRecord(),
      outages: { count: 1, longestMs: 7, latest: [] },
      longest: { lastAfterMs: 9, oldestMs: 8 },
    });
    const found = sum(other, one).summary();
    assertEquals(
      [found.outages.longestMs, found.lastAfterMs, found.oldestMs],
      [7, 9, 8],
    );
  });

  it("adds how long connecting with TLS took, in all threads", () => {
    const tallies = [1, 3].map((ms) => {
      const tally = new Tally({ connections: 1 });
      const [localAddr, remoteAddr] = [LOCAL, REMOTE];
      const times = { connectMs: ms, handshakeMs: 10 * ms };
      tally.addConnected({ localAddr, remoteAddr, ...times } as ProbeClient);
      return sent(tally);
    });
    const { connectTimes, ends } = sum(...tallies).summary();
    const { connectMs, handshakeMs } = connectTimes!;
    assertEquals([connectMs.max, handshakeMs.mean], [3, 20]);
    assertEquals(ends, { local: LOCAL, remote: REMOTE });
  });
});
