import { assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { type Answer, failure, playPing } from "../testing/probe.ts";

/** When the clock of these tests begins, as `performance.now()`. */
const START = 1000;

/** Answers after some time, and says how long that was. */
async function answerAt(at: number): Promise<number> {
  const askedAt = performance.now();
  if (at > askedAt) await delay(at - askedAt);
  return performance.now() - askedAt;
}

describe("ping() of a server with outages", () => {
  /** Loses the echoes of some numbers, and answers the others, after 10 ms. */
  function losing(...lost: number[]): Answer {
    return async ({ method, nth }) => {
      if (method !== "echo") return;
      await delay(10);
      if (lost.includes(nth)) throw failure("timeout");
    };
  }

  it("takes the longest of its outages", async () => {
    for (
      const [lost, count, longestMs] of [
        [[2], 1, 110],
        [[2, 3, 4, 6], 2, 310],
        [[2, 4, 5, 6, 8], 3, 310],
        // The outage goes on when the last message is lost.
        [[2, 9, 10], 2, 110],
        [[2, 8, 9, 10], 2, 210],
      ] as const
    ) {
      const { summary } = await playPing({
        count: 10,
        async onEvent({ type }) {
          // Printing that a message came back is no part of the outage.
          if (type === "reply") await delay(20);
        },
      }, losing(...lost));
      const { outages } = summary;
      assertEquals([outages.count, outages.longestMs], [count, longestMs]);
    }
  });

  it("tells when they were, and why", async () => {
    const { summary } = await playPing({ count: 6 }, losing(2, 3, 5));
    assertEquals(summary.outages.latest, [
      {
        ...{ startedAt: START + 100, endedAt: START + 310 },
        ...{ messages: 2, reason: "timeout" },
      },
      {
        ...{ startedAt: START + 400, endedAt: START + 510 },
        ...{ messages: 1, reason: "timeout" },
      },
    ]);
  });

  it("counts the time to connect as a part of the outage", async () => {
    const { summary } = await playPing({ count: 3 }, async (call) => {
      if (call.method !== "connect") return;
      await delay(50);
      if (call.nth === 1) throw failure("refused");
    });
    // The first message is lost at 50, the second comes back at 200.
    assertEquals(summary.outages.longestMs, 200);
  });

  it("ends an outage where a later message came back meanwhile", async () => {
    const { summary, sentAt } = await playPing(
      { count: 8, reconnect: true },
      async ({ method, client }) => {
        if (method !== "echo" || client !== 2) return;
        await delay(500);
        throw failure("timeout");
      },
    );
    assertEquals(sentAt.length, 8);
    // The message of 100 was given up at 600; that of 200 came back at once.
    assertEquals(summary.outages.latest, [
      {
        ...{ startedAt: START + 100, endedAt: START + 200 },
        ...{ messages: 1, reason: "timeout" },
      },
    ]);
    assertEquals(summary.outages.longestMs, 100);
  });
});

describe("ping() of a server that is known exactly", () => {
  it("finds a delay in each round trip", async () => {
    const { summary, counts } = await playPing(
      { count: 100, intervalMs: 10 },
      ({ method }) => method === "echo" ? answerAt(performance.now() + 20) : 0,
    );
    assertEquals(counts, [100, 100, 0]);
    const { min, mean, p50, p99, max, stddev } = summary.latencyMs!;
    assertEquals([min, mean, p50, p99, max], Array(5).fill(20));
    assertEquals([stddev, summary.jitterMs, summary.lateMs!.max], [0, 0, 0]);
    assertEquals(summary.durationMs, 99 * 10 + 20);
  });

  it("shows a stall of four seconds in forty messages", async () => {
    const { summary, counts, events } = await playPing(
      { count: 170 },
      ({ method }) => {
        if (method !== "echo") return;
        const now = performance.now() - START;
        const isStalled = now >= 5000 && now < 9000;
        return answerAt(isStalled ? START + 9000 : START + now + 1);
      },
    );
    assertEquals(counts, [170, 170, 0]);
    const rtts = events.filter((event) => event.type === "reply")
      .map(({ rttMs }) => rttMs);
    const slow = Array.from({ length: 40 }, (_, at) => 4000 - at * 100);
    assertEquals(rtts, [...Array(50).fill(1), ...slow, ...Array(80).fill(1)]);
    assertEquals(summary.latencyMs!.max, 4000);
    // What came back late was not lost.
    assertEquals(summary.outages.count, 0);
  });

  it("shows a server that is away for 12 of 17 seconds", async () => {
    for (const reconnect of [false, true]) {
      const { summary, counts, events, sentAt } = await playPing(
        { count: 170, reconnect },
        ({ method }) => {
          const now = performance.now() - START;
          if (now < 2500 || now >= 14_500) return;
          if (method === "connect") throw failure("refused");
          if (method === "echo") throw failure("reset");
        },
      );
      // 70.6 %.
      assertEquals(counts, [170, 50, 120]);
      const lost = events.filter((event) => event.type === "lost");
      assertEquals(
        lost.map(({ seq }) => seq),
        Array.from({ length: 120 }, (_, at) => at + 26),
      );
      const reasons = lost.map(({ reason }) => reason);
      assertEquals(reasons.filter((it) => it === "reset").length, +!reconnect);
      assertEquals(sentAt.length, reconnect ? 50 : 51);
      const { count, longestMs } = summary.outages;
      assertEquals([count, longestMs], [1, 12_000]);
    }
  });
});

describe("ping() in a process that was stopped", () => {
  it("sends what is a second late at most, and tells of the rest", async () => {
    const { summary, counts, events } = await playPing({
      count: 60,
      // The clock goes on by five seconds at once, at 50 ms.
      onTally: () => setTimeout(() => Atomics.wait(NOTHING, 0, 0, 5000), 50),
    });
    // Due at 100 to 4000 ms.
    assertEquals([summary.tooLate, counts], [40, [20, 20, 0]]);
    const seqs = events.flatMap((event) => "seq" in event ? [event.seq] : []);
    assertEquals(seqs.slice(0, 3), [1, 42, 43]);
    assertEquals(Math.floor(summary.lateMs!.max), 950);
    assertEquals([summary.unsent, summary.outages.count], [0, 0]);
  });
});

const NOTHING = new Int32Array(new SharedArrayBuffer(4));
