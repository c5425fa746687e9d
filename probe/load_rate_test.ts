import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { type Answer, failure, playLoad } from "../testing/probe.ts";

/** When the clock of these tests begins, as `performance.now()`. */
const START = 1000;

/** Answers the echoes after some time. */
function taking(ms: number): Answer {
  return async ({ method }) => {
    if (method === "echo") await delay(ms);
  };
}

/** Never answers. */
const forever = () => new Promise<void>(() => {});

function range(length: number): number[] {
  return Array.from({ length }, (_, at) => at);
}

describe("load() at a rate", () => {
  it("sends at equal distances, round the connections", async () => {
    const { clients, summary, times } = await playLoad(
      { connections: 4, ratePerSecond: 100 },
      taking(3),
    );
    assertEquals(times("echo"), range(10).map((at) => at * 10));
    const used = clients.of("echo").map(({ client }) => client);
    assertEquals(new Set(used.slice(0, 4)).size, 4);
    assertEquals(used.slice(4), used.slice(0, 6));
    assertEquals([summary.messages, summary.messagesInTime], [10, 10]);
    assertEquals([summary.unsent, summary.tooLate], [0, 0]);
    assertEquals([summary.durationMs, summary.busyShare], [100, undefined]);
    const { latencyMs, lateMs } = summary;
    assertEquals([latencyMs!.min, latencyMs!.max], [3, 3]);
    assertEquals([lateMs!.min, lateMs!.max], [0, 0]);
  });

  it("takes turns with the other parts of a load", async () => {
    const options = { ratePerSecond: 25, durationMs: 200 };
    const timesOf = async (index: number) => {
      const part = { run: 1, index, count: 4 };
      const { times } = await playLoad({ ...options, part });
      return times("echo").map(Math.round);
    };
    assertEquals(await timesOf(0), [0, 40, 80, 120, 160]);
    assertEquals(await timesOf(1), [10, 50, 90, 130, 170]);
    assertEquals(await timesOf(3), [30, 70, 110, 150, 190]);
  });

  it("sends no message before it is due", async () => {
    const { summary, times } = await playLoad({
      ...{ connections: 2, durationMs: 20, ratePerSecond: 300 },
    });
    assertEquals(times("echo").length, 6);
    times("echo").forEach((at, index) => {
      const lateMs = at - index * 1000 / 300;
      // The clock of the tests leaves out what is less than a nanosecond.
      assert(lateMs > -1e-9 && lateMs <= 1, `${index} at ${at}`);
    });
    assert(summary.lateMs!.min >= 0 && summary.lateMs!.max <= 1);
  });

  it("ends when nothing more is due in its time", async () => {
    const options = { ratePerSecond: 0.001 };
    const { summary, times, tookMs } = await playLoad(options);
    assertEquals([times("echo"), tookMs], [[0], 1]);
    assertEquals([summary.messages, summary.unsent], [1, 0]);
    assertEquals(summary.durationMs, 100);
  });

  it("finds one delay in each latency, and no queue", async () => {
    const { summary, clients } = await playLoad(
      { ratePerSecond: 100, durationMs: 5000 },
      taking(20),
    );
    assertEquals([summary.messages, summary.failed], [500, 0]);
    const { min, mean, p50, p99_9, max, stddev } = summary.latencyMs!;
    assertEquals([min, mean, p50, p99_9, max], Array(5).fill(20));
    assertEquals([stddev, summary.lateMs!.max], [0, 0]);
    assertEquals(clients.of("connect").length, 1);
    assertEquals([summary.unsent, summary.tooLate], [0, 0]);
    // The last one is due at 4990.
    assertEquals([summary.messagesInTime, summary.lastAfterMs], [498, 10]);
    assertEquals(summary.timeline.slice(0, 5).map((row) => row.messages), [
      ...[98, 100, 100, 100, 100],
    ]);
  });

  it("shows a stall of four seconds in forty messages", async () => {
    const { summary } = await playLoad(
      { ratePerSecond: 10, durationMs: 17_000 },
      async ({ method, at }) => {
        if (method !== "echo") return;
        const isStalled = at >= START + 5000 && at < START + 9000;
        await delay(isStalled ? START + 9000 - at : 1);
      },
    );
    assertEquals([summary.messages, summary.failed], [170, 0]);
    const slow = range(40).map((at) => 4000 - at * 100);
    const sum = slow.reduce((a, b) => a + b) + 130;
    assertAlmostEquals(summary.latencyMs!.mean, sum / 170, 1e-9);
    assertEquals([summary.latencyMs!.p50, summary.latencyMs!.max], [1, 4000]);
    // 100, 200 and so on: each tells of its part of the stall.
    const delayed = summary.histogram.filter(({ uptoMs }) => uptoMs >= 100);
    assertEquals(delayed.map(({ uptoMs, count }) => [uptoMs, count]), [
      ...[[100, 1], [200, 1], [500, 3], [1000, 5], [2000, 10], [5000, 20]],
    ]);
    assertEquals(summary.outages.longestMs, 0);
  });

  it("shows a server that is away for 12 of 17 seconds", async () => {
    const { summary, times } = await playLoad(
      { ratePerSecond: 10, durationMs: 17_000 },
      async ({ method, at }) => {
        if (at < START + 2500 || at >= START + 14_500) {
          if (method === "echo") await delay(1);
          return;
        }
        if (method === "connect") throw failure("refused");
        if (method === "echo") throw failure("reset");
      },
    );
    // 70.6 %.
    assertEquals([summary.messages, summary.failed], [50, 120]);
    assertEquals(summary.failures, { reset: 1, refused: 119 });
    assertEquals(summary.outages.longestMs, 12_001);
    assertEquals([summary.unsent, summary.tooLate], [0, 0]);
    const failed = summary.timeline.map((row) => row.failed);
    assertEquals(failed, [0, 0, 5, ...Array(11).fill(10), 5, 0, 0]);
    // No faster than each 100 ms.
    assertEquals(times("connect").length, 121);
  });

  it("keeps its rate beside a connection that hangs", async () => {
    for (const connections of [1, 4]) {
      const { summary, times } = await playLoad(
        { connections, ratePerSecond: 100, durationMs: 1000 },
        async ({ method, client, at }) => {
          if (method !== "echo") return;
          if (client > 1) return await delay(1);
          // It wakes up after the end.
          await delay(START + 1500 - at);
        },
      );
      const hung = 100 / connections;
      assertEquals(times("echo"), range(100).map((at) => at * 10));
      assertEquals([summary.messages, summary.durationMs], [100, 1000]);
      assertEquals(summary.messagesInTime, 100 - hung);
      assertEquals(summary.lastAfterMs, 500);
    }
  });

  it("counts a message that was lost after the end, too", async () => {
    const { summary, tookMs } = await playLoad(
      { ratePerSecond: 100, durationMs: 100 },
      async ({ method, nth }) => {
        if (method !== "echo") return;
        if (nth < 8) return await delay(1);
        await delay(500);
        throw failure("timeout");
      },
    );
    assertEquals([summary.messages, summary.failures], [7, { timeout: 3 }]);
    assertEquals([summary.durationMs, tookMs], [100, 590]);
    // From the sending of the eighth on nothing came back, until the sending ended.
    assertEquals(summary.outages.longestMs, 30);
  });

  it("ends an outage where others come back", async () => {
    const { summary } = await playLoad(
      { connections: 2, ratePerSecond: 100, durationMs: 1000 },
      async ({ method, client }) => {
        if (method !== "echo") return;
        if (client === 1) return await delay(1);
        await delay(50);
        throw failure("timeout");
      },
    );
    assert(summary.failed > 0);
    // From a message that is lost to the reply to the next one, of the other client.
    assertEquals(summary.outages.longestMs, 11);
  });

  it("tells how much was due and too much to be under way", async () => {
    // 8 MiB a message: two at once.
    const { summary, times } = await playLoad(
      { ratePerSecond: 100, message: 8 * 1024 * 1024 },
      taking(35),
    );
    assertEquals(times("echo"), [0, 10, 40, 50, 80, 90]);
    assertEquals([summary.messages, summary.unsent], [6, 4]);
    assertEquals([summary.failed, summary.tooLate], [0, 0]);
  });

  it("tells how much was due when the client stood still", async () => {
    for (const [standsMs, sent] of [[70, 10], [270, 5]] as const) {
      const { summary } = await playLoad({
        ratePerSecond: 100,
        // The clock goes on by a step of 1 ms, and once by more.
        onStart() {
          setTimeout(() => Atomics.wait(NOTHING, 0, 0, standsMs), 45);
        },
      });
      // What is due by the end leaves within a tenth of a second after it.
      assertEquals([summary.messages, summary.tooLate], [sent, 10 - sent]);
      assertEquals(summary.lateMs!.max > 0, sent === 10);
    }
  });

  it("counts a failed message as sent", async () => {
    const { summary } = await playLoad({ ratePerSecond: 50 }, ({ method }) => {
      if (method === "echo") throw failure("timeout");
    });
    // The second to fifth wait for another connection, with a pause.
    assertEquals([summary.failed, summary.unsent], [5, 0]);
  });

  it("makes a pause after connecting failed, which is the client's", async () => {
    const { summary, times } = await playLoad(
      { ratePerSecond: 50, durationMs: 400 },
      async ({ method, nth }) => {
        if (method === "connect" && nth > 1) throw failure("refused");
        if (method === "echo" && nth === 2) throw failure("reset");
        if (method === "echo") await delay(1);
      },
    );
    assertEquals(times("connect"), [0, 40, 140, 240, 340, 440]);
    // Those that wait for the same connection are lost with it.
    assertEquals([summary.messages, summary.failed], [1, 19]);
    assertEquals([summary.durationMs, summary.unsent], [400, 0]);
  });

  it("counts the wait for a connection", async () => {
    const { summary } = await playLoad(
      { ratePerSecond: 10, durationMs: 300 },
      async ({ method, nth }) => {
        if (method === "connect" && nth === 2) await delay(50);
        if (method === "echo" && nth === 1) throw failure("reset");
        if (method === "echo") await delay(5);
      },
    );
    // The pause was over.
    assertEquals([summary.messages, summary.latencyMs!.max], [2, 55]);
    assertEquals(summary.latencyMs!.min, 5);
  });

  it("tells what is under way, and since when", async () => {
    const found: unknown[] = [];
    await playLoad({
      ...{ ratePerSecond: 100, durationMs: 100 },
      onStart: (progress) => {
        setTimeout(() => found.push(progress.underWayNow()), 5);
        setTimeout(() => found.push(progress.underWayNow()), 55);
      },
    }, async ({ method, nth }) => {
      if (method === "echo") await delay(nth < 4 ? 1 : 100);
    });
    assertEquals(found, [
      { messages: 0, sinceAt: undefined },
      { messages: 3, sinceAt: START + 30 },
    ]);
  });
});

describe("load() at a rate, with a signal", () => {
  /** Loads until its signal is aborted, some time after the clock started. */
  async function playUntil(
    stopMs: number,
    ratePerSecond: number,
    answer?: Answer,
  ) {
    const stop = new AbortController();
    return await playLoad({
      ...{ connections: 2, ratePerSecond, durationMs: Infinity },
      signal: stop.signal,
      onStart: () => setTimeout(() => stop.abort(), stopMs),
    }, answer);
  }

  it("sends nothing more", async () => {
    for (const stopMs of [50, 99]) {
      const { summary, times, timers } = await playUntil(stopMs, 10);
      assertEquals([times("echo"), timers], [[0], 0]);
      assertEquals([summary.messages, summary.tooLate], [1, 0]);
    }
  });

  it("lasts until the stop, whatever comes after it", async () => {
    const { summary, tookMs } = await playUntil(55, 100, taking(20));
    assertEquals([summary.messages, summary.failed], [6, 0]);
    assertEquals([summary.messagesInTime, summary.lastAfterMs], [4, 15]);
    assertEquals([summary.durationMs, tookMs], [55, 70]);
  });

  it("loses what is still out when the grace is over", async () => {
    const { summary, tookMs, timers } = await playUntil(
      55,
      100,
      ({ method, nth }) => {
        if (method === "echo") return nth > 2 ? forever() : delay(1);
      },
    );
    assertEquals([summary.messages, summary.failures], [2, { unanswered: 4 }]);
    assertEquals(summary.firstErrors, {
      unanswered: "no answer when the run ended",
    });
    assertEquals([summary.durationMs, tookMs, timers], [55, 155, 0]);
  });
});

const NOTHING = new Int32Array(new SharedArrayBuffer(4));
