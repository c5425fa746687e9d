import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "../testing/properties.ts";
import {
  addTimelines,
  MOST_ROWS,
  summaryOf,
  Timeline,
  type TimelineRow,
} from "./timeline.ts";

const START = 5000;

function sum(rows: TimelineRow[], key: "messages" | "failed" | "durationMs") {
  return rows.reduce((sum, row) => sum + row[key], 0);
}

/** Makes a timeline in which something comes back in each of its seconds. */
function filled(seconds: number): Timeline {
  const timeline = new Timeline(START);
  for (let second = 0; second < seconds; second++) {
    timeline.addVerified(START + second * 1000, second + 1);
  }
  return timeline;
}

describe("Timeline", () => {
  it("has a row for each second, and one for what is left", () => {
    const timeline = new Timeline(START);
    timeline.addVerified(START, 1);
    timeline.addFailed(START + 100);
    timeline.addVerified(START + 999.9, 3);
    timeline.addVerified(START + 1000, 20);
    timeline.addFailed(START + 2200);
    timeline.addFailed(START + 2300);
    assertEquals(timeline.rows(START + 2500), [
      {
        ...{ startMs: 0, durationMs: 1000, messages: 2, failed: 1 },
        ...{ p50Ms: 1, p99Ms: 3 },
      },
      {
        ...{ startMs: 1000, durationMs: 1000, messages: 1, failed: 0 },
        ...{ p50Ms: 20, p99Ms: 20 },
      },
      {
        ...{ startMs: 2000, durationMs: 500, messages: 0, failed: 2 },
        ...{ p50Ms: undefined, p99Ms: undefined },
      },
    ]);
  });

  it("has rows for seconds in which nothing happened", () => {
    const timeline = new Timeline(START);
    timeline.addVerified(START + 3500, 1);
    const rows = timeline.rows(START + 5100);
    assertEquals(rows.map(({ messages }) => messages), [0, 0, 0, 1, 0, 0]);
    assertEquals(rows.at(-1)!.durationMs, 100);
  });

  it("has no row of no time", () => {
    assertEquals(new Timeline(START).rows(START), []);
    assertEquals(filled(2).rows(START + 2000).length, 2);
  });

  it("has a row for what came back at its very end", () => {
    assertEquals(sum(filled(3).rows(START + 2000), "messages"), 3);
  });

  it("has percentiles of two digits", () => {
    const timeline = new Timeline(START);
    for (let ms = 1; ms <= 1000; ms++) timeline.addVerified(START + ms / 2, ms);
    const [row] = timeline.rows(START + 600);
    assertEquals([row!.p50Ms, row!.p99Ms], [500, 990]);
    timeline.addVerified(START + 1000, 0.123456);
    timeline.addVerified(START + 2000, 0);
    const [, second, third] = timeline.rows(START + 2001);
    assertEquals([second!.p50Ms, second!.p99Ms], [0.12, 0.12]);
    assertLessOrEqual(third!.p99Ms!, 1e-6);
  });

  it("makes one row of each two when a minute is full", () => {
    const full = filled(60);
    assertEquals(full.rows(START + 59_999).length, MOST_ROWS);
    const rows = full.rows(START + 60_500);
    assertEquals(rows.length, 31);
    assertEquals(rows.slice(0, 2), [
      {
        ...{ startMs: 0, durationMs: 2000, messages: 2, failed: 0 },
        ...{ p50Ms: 1, p99Ms: 2 },
      },
      {
        ...{ startMs: 2000, durationMs: 2000, messages: 2, failed: 0 },
        ...{ p50Ms: 3, p99Ms: 4 },
      },
    ]);
    assertEquals(rows.at(-1), {
      ...{ startMs: 60_000, durationMs: 500, messages: 0, failed: 0 },
      ...{ p50Ms: undefined, p99Ms: undefined },
    });
    // The next minute has rows of two seconds, and the next two have four.
    assertEquals(full.rows(START + 119_999).length, MOST_ROWS);
    const long = full.rows(START + 120_001);
    assertEquals([long.length, long[0]!.durationMs], [31, 4000]);
    assertEquals([long[0]!.messages, sum(long, "messages")], [4, 60]);
  });

  it("loses nothing, however long it is", () => {
    const gaps = fc.array(
      fc.record({
        gapMs: fc.oneof(
          fc.integer({ min: 0, max: 900 }),
          fc.integer({ min: 0, max: 300_000 }),
        ),
        isFailure: fc.boolean(),
      }),
      { maxLength: 50 },
    );
    fc.assert(
      fc.property(gaps, (all) => {
        const timeline = new Timeline(START);
        let now = START;
        for (const { gapMs, isFailure } of all) {
          now += gapMs;
          if (isFailure) timeline.addFailed(now);
          else timeline.addVerified(now, gapMs);
        }
        const rows = timeline.rows(now + 0.5);
        const failed = all.filter(({ isFailure }) => isFailure).length;
        assertEquals(sum(rows, "failed"), failed);
        assertEquals(sum(rows, "messages"), all.length - failed);
        assertEquals(sum(rows, "durationMs"), now + 0.5 - START);
        assertLessOrEqual(rows.length, MOST_ROWS);
        rows.forEach(({ startMs, durationMs, messages, p50Ms }, at) => {
          assertEquals(startMs, at * rows[0]!.durationMs);
          assert(durationMs <= rows[0]!.durationMs);
          assertEquals(p50Ms === undefined, messages === 0);
        });
      }),
    );
  });
});

describe("Timeline.lastSecond()", () => {
  it("is the latest second that is over, or the first one", () => {
    const timeline = filled(3);
    const first = filled(1).lastSecond(START + 400);
    assertEquals([first.startMs, first.durationMs, first.messages], [
      0,
      400,
      1,
    ]);
    assertEquals(filled(1).lastSecond(START + 1100).durationMs, 1000);
    assertEquals(timeline.lastSecond(START + 2999).startMs, 1000);
    const last = timeline.lastSecond(START + 3000);
    assertEquals([last.startMs, last.durationMs], [2000, 1000]);
    assertEquals([last.messages, last.p50Ms], [1, 3]);
    const long = filled(60).lastSecond(START + 60_100);
    assertEquals([long.startMs, long.durationMs], [59_000, 1000]);
    assertEquals([long.messages, long.p99Ms], [1, 60]);
  });
});

describe("addTimelines()", () => {
  /** The rows of a run with some messages per second. */
  function rowsOf(seconds: number, perSecond: number) {
    const timeline = new Timeline(START);
    for (let nth = 0; nth < seconds * perSecond; nth++) {
      timeline.addVerified(START + nth * 1000 / perSecond, 1 + nth % 7);
    }
    return timeline.recorded(START + seconds * 1000);
  }

  it("splits rows by time, where the runs did not begin together", () => {
    const rows = addTimelines([
      { startMs: 0, rows: rowsOf(5, 10) },
      { startMs: 600, rows: rowsOf(5, 1000) },
    ]);
    const rates = rows.map((row) => row.messages * 1000 / row.durationMs);
    assertEquals(rates.map(Math.round), [410, 1010, 1010, 1010, 1010, 1000]);
    assertEquals(sum(rows.map(summaryOf), "durationMs"), 5600);
  });

  it("loses nothing, and shows no rate that nobody had", () => {
    const runs = fc.array(
      fc.record({
        startMs: fc.integer({ min: 0, max: 9000 }),
        seconds: fc.integer({ min: 1, max: 9 }),
        perSecond: fc.integer({ min: 1, max: 50 }),
      }),
      { minLength: 1, maxLength: 4 },
    );
    fc.assert(fc.property(runs, (runs) => {
      const rows = addTimelines(runs.map(({ startMs, seconds, perSecond }) => ({
        startMs,
        rows: rowsOf(seconds, perSecond),
      })));
      const total = runs.reduce((n, run) => n + run.seconds * run.perSecond, 0);
      assertEquals(sum(rows.map(summaryOf), "messages"), total);
      const most = runs.reduce((n, { perSecond }) => n + perSecond, 0);
      for (const { messages, durationMs, histogram } of rows) {
        assertEquals(histogram.totalCount, messages);
        // Whole messages of each run, at the row's ends.
        const allowed = most * durationMs / 1000 + 2 * runs.length;
        assertLessOrEqual(messages, allowed);
      }
    }));
  });
});
