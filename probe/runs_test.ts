import { assertAlmostEquals, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "../testing/properties.ts";
import {
  connectionsOfRuns,
  overlapOf,
  rateOfRuns,
  type Run,
  targetRateOfRuns,
} from "./runs.ts";

/** Makes runs of five connections that got a message a millisecond. */
function runsOf(...times: [startMs: number, durationMs: number][]): Run[] {
  return times.map(([startMs, durationMs]) => ({
    ...{ startMs, durationMs, connections: 5 },
    ...{ messagesInTime: durationMs, ratePerSecond: 1200 },
  }));
}

/** A run that could not connect. */
const IDLE: Run = {
  ...{ startMs: 0, durationMs: 0, connections: 7, messagesInTime: 0 },
  ratePerSecond: 30,
};

describe("overlapOf()", () => {
  it("tells for how long runs went on, and all at once", () => {
    const cases: [
      times: [number, number][],
      found: ReturnType<typeof overlapOf>,
    ][] = [
      [[], { runs: 0, mostAtOnce: 0, sharedMs: 0, coveredMs: 0 }],
      [[[0, 9]], { runs: 1, mostAtOnce: 1, sharedMs: 9, coveredMs: 9 }],
      [[[0, 9], [0, 8]], {
        ...{ runs: 2, mostAtOnce: 2, sharedMs: 8, coveredMs: 9 },
      }],
      // Each overlaps with the next, and no moment has all three.
      [[[8, 10], [0, 10], [16, 10]], {
        ...{ runs: 3, mostAtOnce: 2, sharedMs: 0, coveredMs: 26 },
      }],
      // One ends when the next begins.
      [[[0, 10], [10, 10]], {
        ...{ runs: 2, mostAtOnce: 1, sharedMs: 0, coveredMs: 20 },
      }],
      [[[0, 10], [2, 3], [100, 5]], {
        ...{ runs: 3, mostAtOnce: 2, sharedMs: 0, coveredMs: 15 },
      }],
    ];
    for (const [times, found] of cases) {
      assertEquals(overlapOf(runsOf(...times)), found);
    }
  });

  it("leaves out runs that never sent a message", () => {
    assertEquals(overlapOf([IDLE, ...runsOf([5, 9])]).runs, 1);
  });
});

describe("rateOfRuns()", () => {
  it("is a whole number where it can be one", () => {
    for (let messagesInTime = 2; messagesInTime < 20_000; messagesInTime += 2) {
      const run = { ...IDLE, durationMs: 2000, messagesInTime };
      assertEquals(rateOfRuns([run]), messagesInTime / 2);
    }
  });

  it("adds the rates of runs that went on at once", () => {
    assertEquals(rateOfRuns(runsOf([0, 10], [3, 20])), 2000);
    assertEquals(rateOfRuns([...runsOf([0, 10], [3, 20]), IDLE]), 2000);
    assertEquals(rateOfRuns([IDLE]), 0);
  });

  it("does not add those of runs that did not", () => {
    assertEquals(rateOfRuns(runsOf([0, 10], [10, 10])), 1000);
    assertEquals(rateOfRuns(runsOf([0, 10], [8, 10], [16, 10])), 2000);
  });

  it("is the rate of the whole for the parts of a run", () => {
    const part = { ...IDLE, durationMs: 3000, messagesInTime: 1 };
    assertEquals(rateOfRuns([part, part, part]), 3 / 3000 * 1000);
  });

  it("counts the interval of the last post, which may end after the run", () => {
    const rate = (ratePerSecond: number, durationMs: number) => {
      const messagesInTime = Math.ceil(durationMs * ratePerSecond / 1000);
      const run = { startMs: 0, connections: 1, messagesInTime };
      return rateOfRuns([{ ...run, durationMs, ratePerSecond }]);
    };
    assertEquals([rate(0.1, 5000), rate(5, 1000)], [0.1, 5]);
    assertAlmostEquals(rate(3, 1100), 3, 1e-9);
  });
});

describe("connectionsOfRuns(), rateOfRuns() and targetRateOfRuns()", () => {
  it("find the most of any moment", () => {
    const whole = fc.integer({ min: 0, max: 20 });
    const runs = fc.array(fc.record<Run>({
      ...{ startMs: whole, durationMs: whole, connections: whole },
      ...{ messagesInTime: whole, ratePerSecond: whole },
    }));
    fc.assert(fc.property(runs, (runs) => {
      const mostOf = (valueOf: (run: Run) => number) =>
        Math.max(
          0,
          ...runs.map(({ startMs: now }) =>
            runs.filter(({ startMs, durationMs }) =>
              startMs <= now && now < startMs + durationMs
            ).reduce((sum, run) => sum + valueOf(run), 0)
          ),
        );
      // What is posted at times has each post's interval as its time.
      const rate = mostOf(({ durationMs, ratePerSecond, messagesInTime }) => {
        const posts = Math.ceil(durationMs * ratePerSecond! / 1000);
        const ms = Math.max(durationMs, posts * 1000 / (ratePerSecond || 1));
        return messagesInTime * 1000 / ms;
      });
      assertAlmostEquals(rateOfRuns(runs), rate, 1e-6);
      for (
        const [valueOf, found] of [
          [(run: Run) => run.connections, connectionsOfRuns(runs)],
          [(run: Run) => run.ratePerSecond!, targetRateOfRuns(runs)],
        ] as const
      ) {
        // Where none went on, it is what one was asked for.
        const most = mostOf(valueOf) || Math.max(0, ...runs.map(valueOf));
        assertEquals(found, runs.length > 0 ? most : found);
      }
    }));
  });
});

describe("connectionsOfRuns()", () => {
  it("adds those that there were at once", () => {
    assertEquals(connectionsOfRuns(runsOf([0, 10], [9, 10])), 10);
    assertEquals(connectionsOfRuns(runsOf([0, 10], [10, 10])), 5);
    assertEquals(connectionsOfRuns([IDLE]), 7);
  });
});

describe("targetRateOfRuns()", () => {
  it("adds those that were asked for at once", () => {
    assertEquals(targetRateOfRuns(runsOf([0, 10], [9, 10])), 2400);
    assertEquals(targetRateOfRuns(runsOf([0, 10], [10, 10])), 1200);
    assertEquals(targetRateOfRuns([IDLE]), 30);
  });

  it("is not known where a run had none", () => {
    const [run] = runsOf([0, 10]);
    assertEquals(
      targetRateOfRuns([run!, { ...run!, ratePerSecond: undefined }]),
      undefined,
    );
  });
});
