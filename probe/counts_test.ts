import {
  assertAlmostEquals,
  assertEquals,
  assertGreaterOrEqual,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { type Answer, failure, playLoad, playPing } from "../testing/probe.ts";
import fc from "../testing/properties.ts";
import { type ProbeCounts, type ReadCounts, sumCounts } from "./counts.ts";
import { noIrregularities } from "./irregularities.ts";
import { Latencies } from "./latency.ts";

const BOUNDS_MS = [5, 10, 20];

/** Takes a way to count, and counts when the test says so. */
function counter() {
  let read: ReadCounts | undefined;
  return {
    onCounting: (given: ReadCounts) => void (read = given),
    now: (): ProbeCounts => read!(BOUNDS_MS),
  };
}

/** Takes 10 ms for each round trip, and loses every fifth. */
const FIFTH_FAILS: Answer = async ({ method, nth }) => {
  if (method !== "echo") return;
  await delay(10);
  if (nth % 5 === 0) throw failure("reset");
  return 10;
};

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

describe("sumCounts()", () => {
  const ONE: ProbeCounts = {
    ...{ sent: 10, verified: 8, failures: { reset: 1, timeout: 1 } },
    ...{ unsent: 3, tooLate: 4, connected: 5, open: 2 },
    irregular: { duplicated: 1, reordered: 2, late: 3, corrupt: 4, stray: 5 },
    latencies: { count: 8, sumMs: 70, upTo: [1, 6, 7] },
    late: { count: 10, sumMs: 6, upTo: [9, 9, 10] },
  };
  const OTHER: ProbeCounts = {
    ...{ sent: 100, verified: 90, failures: { timeout: 10 } },
    ...{ unsent: 30, tooLate: 40, connected: 50, open: 20 },
    irregular: { ...noIrregularities(), late: 30 },
    latencies: { count: 90, sumMs: 700, upTo: [10, 60, 90] },
    late: { count: 100, sumMs: 60, upTo: [80, 90, 100] },
  };

  it("adds up each number", () => {
    assertEquals(sumCounts([ONE, OTHER], BOUNDS_MS), {
      ...{ sent: 110, verified: 98, failures: { reset: 1, timeout: 11 } },
      ...{ unsent: 33, tooLate: 44, connected: 55, open: 22 },
      irregular: { ...ONE.irregular, late: 33 },
      latencies: { count: 98, sumMs: 770, upTo: [11, 66, 97] },
      late: { count: 110, sumMs: 66, upTo: [89, 99, 110] },
    });
    assertEquals(ONE.failures, { reset: 1, timeout: 1 });
    assertEquals(ONE.irregular.late, 3);
  });

  it("has a number for each bound, whatever there is", () => {
    const { sent, latencies, late } = sumCounts([], BOUNDS_MS);
    assertEquals([sent, late], [0, undefined]);
    assertEquals(latencies, { count: 0, sumMs: 0, upTo: [0, 0, 0] });
    const unpaced = { ...OTHER, late: undefined };
    assertEquals(sumCounts([unpaced, unpaced], BOUNDS_MS).late, undefined);
    assertEquals(sumCounts([ONE, unpaced], BOUNDS_MS).late, ONE.late);
  });
});

describe("load() tells what it counted", () => {
  it("while it runs, and in the end, with nothing lost between", async () => {
    const { onCounting, now } = counter();
    const middle: ProbeCounts[] = [];
    const { summary, clients } = await playLoad(
      { connections: 2, durationMs: 300, onCounting },
      (call) => {
        if (call.method === "echo" && call.nth === 3) middle.push(now());
        return FIFTH_FAILS(call);
      },
    );
    const [early] = middle;
    // The second connection's first message is still under way.
    assertEquals([early?.sent, early?.verified], [3, 1]);
    assertEquals([early?.connected, early?.open], [2, 2]);
    const { messages, failed, failures } = summary;
    const { sent, verified, latencies, ...rest } = now();
    assertEquals([sent, verified], [messages + failed, messages]);
    assertEquals(latencies, {
      ...{ count: messages, sumMs: messages * 10 },
      upTo: [0, messages, messages],
    });
    assertEquals(rest, {
      ...{ failures, unsent: 0, tooLate: 0, irregular: noIrregularities() },
      ...{ connected: clients.of("connect").length, open: 0, late: undefined },
    });
    assertEquals(failures, { reset: failed });
    // Those that failed were replaced.
    assertGreaterOrEqual(clients.of("connect").length, 4);
  });

  it("on a schedule, with how late messages left", async () => {
    const { onCounting, now } = counter();
    const options = { ratePerSecond: 200, onCounting };
    const { summary } = await playLoad(options, FIFTH_FAILS);
    const { sent, verified, failures, late, unsent, tooLate } = now();
    assertEquals(sent, summary.messages + summary.failed);
    assertEquals([verified, failures], [summary.messages, summary.failures]);
    assertEquals([late?.count, late?.upTo], [sent, [sent, sent, sent]]);
    assertEquals([unsent, tooLate], [summary.unsent, summary.tooLate]);
  });

  it("with connections that cannot be made as sent and failed", async () => {
    const { onCounting, now } = counter();
    let opening: ProbeCounts | undefined;
    const { summary } = await playLoad(
      { connections: 3, onCounting },
      (call) => {
        const { method, client } = call;
        if (method === "connect" && client === 3) {
          throw failure("refused");
        }
        if (method === "echo") opening ??= now();
        return method === "echo" ? delay(10) : undefined;
      },
    );
    assertEquals(opening?.failures, { refused: 1 });
    assertEquals([opening?.connected, opening?.open], [2, 2]);
    assertEquals(now().sent, summary.messages + summary.failed);
  });
});

describe("ping() tells what it counted", () => {
  it("while it runs, and in the end", async () => {
    const { onCounting, now } = counter();
    const seen: number[][] = [];
    const options = { count: 10, onCounting };
    const { summary } = await playPing(options, (call) => {
      if (call.method === "echo") {
        const { sent, verified, connected, open } = now();
        seen.push([sent, verified, connected, open]);
      }
      return FIFTH_FAILS(call);
    });
    assertEquals(seen.slice(0, 2), [[1, 0, 1, 1], [2, 1, 1, 1]]);
    // The fifth was lost, and the sixth connected again.
    assertEquals(seen[5], [6, 4, 2, 1]);
    const { sent, verified, failures, connected, latencies, late } = now();
    assertEquals([sent, verified], [summary.sent, summary.verified]);
    assertEquals([failures, connected], [{ reset: summary.lost }, 2]);
    assertEquals(latencies, { count: 8, sumMs: 80, upTo: [0, 8, 8] });
    assertEquals(late?.count, 10);
  });

  it("with the connections of messages under way, with reconnect", async () => {
    const { onCounting, now } = counter();
    const open: number[] = [];
    const options = { count: 4, intervalMs: 20, reconnect: true, onCounting };
    await playPing(options, async ({ method }) => {
      if (method !== "echo") return;
      open.push(now().open);
      await delay(50);
    });
    assertEquals(open, [1, 2, 3, 3]);
    assertEquals([now().connected, now().open], [4, 0]);
  });
});
