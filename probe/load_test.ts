import { assert, assertEquals, assertGreaterOrEqual } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { type Answer, failure, mismatch, playLoad } from "../testing/probe.ts";
import { LOCAL, REMOTE } from "../testing/socket.ts";
import { UnansweredError } from "./failure.ts";
import { noIrregularities } from "./irregularities.ts";
import type { LoadOptions, LoadProgress } from "./load.ts";

/** Lets each round trip take some time, and say so. */
function taking(ms: number): Answer {
  return async ({ method }) => {
    if (method !== "echo") return;
    await delay(ms);
    return ms;
  };
}

/** Lets the round trips of some numbers fail after 10 ms, and take 10 ms else. */
function failing(errors: Record<number, Error>): Answer {
  return async ({ method, nth }) => {
    if (method !== "echo") return;
    await delay(10);
    const error = errors[nth];
    if (error) throw error;
    return 10;
  };
}

describe("load()", () => {
  it("counts what came back on all connections, and how fast", async () => {
    const { summary, clients, timers } = await playLoad(
      { connections: 2 },
      async ({ method, client }) => {
        if (method !== "echo") return;
        await delay(client * 10);
        return client * 10;
      },
    );
    const { latencyMs, timeline, processorShare, ...more } = summary;
    const { recorded, lateMs, ...rest } = more;
    // Its timers were in time.
    assertEquals(lateMs?.max, 0);
    assertEquals(rest, {
      ...{ sent: 15, connected: 2, open: 0, surplus: 0, jitterMs: undefined },
      ...{ messages: 15, failed: 0, failures: {}, firstErrors: {}, unsent: 0 },
      // The last two come at the very end.
      ...{ messagesInTime: 13, lastAfterMs: 0, tooLate: 0, error: undefined },
      ...{ underWay: 0, oldestMs: 0 },
      ...{ durationMs: 100 },
      outages: { count: 0, longestMs: 0, latest: [] },
      ...{
        busyShare: 1,
        irregular: noIrregularities(),
        failedEarly: 0,
        failedLate: 0,
      },
      ends: { local: { ...LOCAL, port: 50_001 }, remote: REMOTE },
      histogram: [{ uptoMs: 10, count: 10 }, { uptoMs: 20, count: 5 }],
      firstErrorsMs: {},
      runs: [{
        ...{ startMs: 0, durationMs: 100, connections: 2 },
        ...{ messagesInTime: 13, ratePerSecond: undefined },
      }],
    });
    const { latencies, rows } = recorded;
    assertEquals([latencies.count, rows.length], [15, 1]);
    assertEquals([latencyMs!.min, latencyMs!.max], [10, 20]);
    assertEquals(timeline.map(({ messages }) => messages), [13]);
    assertGreaterOrEqual(processorShare, 0);
    assertEquals(clients.story.slice(-2), ["1 end", "2 end"]);
    assertEquals([clients.of("end").length, timers], [2, 0]);
  });

  it("begins when it is told to, connected before", async () => {
    const { clients, summary, times } = await playLoad({
      ...{ connections: 2, durationMs: 20 },
      untilStart: () => delay(500),
    }, taking(10));
    assertEquals(clients.of("connect").length, 2);
    assertEquals(times("connect"), [0, 0]);
    assertEquals(times("echo").slice(0, 2), [500, 500]);
    assertEquals([summary.messages, summary.durationMs], [4, 20]);
  });

  it("ends when its first connection is impossible, as the first part", async () => {
    const refused = failure("refused");
    const refusing: Answer = ({ method, client }) => {
      if (method === "connect" && client === 1) throw refused;
      return delay(10);
    };
    const play = (index: number) =>
      playLoad({
        ...{ connections: 2, durationMs: 20 },
        part: { run: 1, index, count: 2 },
      }, refusing);
    const first = await play(0);
    assertEquals(first.summary.error, refused);
    assertEquals(first.clients.story, ["1 connect"]);
    const second = await play(1);
    assertEquals(second.summary.error, undefined);
    assertEquals(second.summary.failures, { refused: 1 });
    assert(second.summary.messages > 0);
  });

  it("has one connection and goes on for ten seconds by default", async () => {
    const { clients, summary } = await playLoad(
      { durationMs: undefined },
      taking(1000),
      500,
    );
    assertEquals([summary.messages, summary.durationMs], [10, 10_000]);
    assertEquals(clients.of("connect").length, 1);
    const rows = summary.timeline.slice(0, 10).map((row) => row.messages);
    assertEquals(rows, [0, ...Array(9).fill(1)]);
  });

  it("numbers connections so that no two parts of a load have the same", async () => {
    const run = 0x1a2b3c4d;
    const textsOf = async (index: number) => {
      const { clients } = await playLoad(
        {
          ...{ connections: 2, durationMs: 10, message: 64 },
          part: { run, index, count: 3 },
        },
        // Each connection is replaced once.
        failing({ 1: failure("reset"), 2: failure("reset") }),
      );
      return clients.of("echo").map(({ message }) =>
        new TextDecoder().decode(message).slice(0, 36)
      );
    };
    const texts = [await textsOf(0), await textsOf(1), await textsOf(2)];
    const all = new Set(texts.flat());
    assertEquals(all.size, 6);
    assertEquals(
      [...all].toSorted(),
      [1, 2, 3, 4, 5, 6].map((n) => `echo run 1a2b3c4d connection 000000${n}`),
    );
  });

  it("numbers the messages of each connection", async () => {
    const { clients } = await playLoad(
      { connections: 2, durationMs: 20, message: 64 },
      taking(10),
    );
    const texts = clients.of("echo").map(({ message }) =>
      new TextDecoder().decode(message).slice(29, 57)
    );
    assertEquals(texts, [
      ...["0000001 message 000000000001", "0000002 message 000000000001"],
      ...["0000001 message 000000000002", "0000002 message 000000000002"],
    ]);
  });

  it("connects sixteen clients at once after the first", async () => {
    let progress: LoadProgress | undefined;
    const opened: number[] = [];
    const { clients, times, summary } = await playLoad({
      ...{ connections: 50, retryMs: 500, durationMs: 10 },
      onOpening: (count) => opened.push(count),
      onStart(given) {
        progress = given;
        assertEquals(given.startedAt, performance.now());
        assertEquals([given.failed, given.summary().messages], [0, 0]);
      },
    }, async ({ method }) => {
      await delay(method === "connect" ? 10 : 5);
    });
    const atOnce = new Map<number, number>();
    for (const at of times("connect")) {
      atOnce.set(at, (atOnce.get(at) ?? 0) + 1);
    }
    assertEquals([...atOnce], [[0, 1], [10, 16], [20, 16], [30, 16], [40, 1]]);
    assertEquals(opened, Array.from({ length: 50 }, (_, at) => at + 1));
    const [first, ...others] = clients.of("connect");
    assertEquals(first!.retryMs, 500);
    assert(others.every(({ retryMs }) => retryMs === 0));
    // The clock starts when all are there.
    assertEquals(times("echo").slice(0, 50), Array(50).fill(50));
    assertEquals(new Set(clients.of("echo").map((c) => c.client)).size, 50);
    assertEquals([summary.messages, summary.durationMs], [100, 10]);
    assertEquals(progress!.startedAt, 1050);
  });

  it("ends with what made the first connection impossible", async () => {
    for (const ratePerSecond of [undefined, 100]) {
      const error = failure("refused", "Nothing is there");
      let hasStarted = false;
      const { clients, summary, timers } = await playLoad({
        ...{ connections: 3, ratePerSecond },
        onStart: () => hasStarted = true,
      }, () => {
        throw error;
      });
      assertEquals(summary.error, error);
      assertEquals([summary.failed, summary.failures], [1, { refused: 1 }]);
      assertEquals(summary.firstErrors, { refused: "Nothing is there" });
      assertEquals([summary.messages, summary.durationMs], [0, 0]);
      assertEquals([summary.ends, hasStarted, timers], [undefined, false, 0]);
      assertEquals(clients.story, ["1 connect"]);
      assertEquals(clients.calls[0]!.retryMs, 0);
    }
  });

  it("goes on when the server resets the first connection", async () => {
    const { summary } = await playLoad({}, async ({ method, nth }) => {
      if (method === "connect" && nth === 1) throw failure("reset");
      if (method === "echo") await delay(10);
    });
    assertEquals([summary.error, summary.failures], [undefined, { reset: 1 }]);
    assertEquals(summary.messages, 10);
  });

  it("counts a connection that cannot be made, and goes on", async () => {
    const { clients, summary, times } = await playLoad(
      { connections: 3, retryMs: 500, onOpening() {} },
      async ({ method, nth }) => {
        if (method === "connect" && nth === 2) throw failure("refused");
        if (method === "echo") await delay(10);
      },
    );
    assertEquals([summary.failures, summary.error], [
      { refused: 1 },
      undefined,
    ]);
    assertEquals([summary.messages, summary.failed], [30, 1]);
    assertEquals(times("connect"), [0, 0, 0, 0]);
    const retries = clients.of("connect").map(({ retryMs }) => retryMs);
    assertEquals(retries, [500, 0, 0, 0]);
  });

  it("goes on also when nothing watches it connect", async () => {
    const { summary } = await playLoad(
      { connections: 3 },
      ({ method, nth }) => {
        if (method === "connect" && nth === 2) throw failure("refused");
        return method === "echo" ? delay(10) : undefined;
      },
    );
    assertEquals([summary.error, summary.messages], [undefined, 30]);
  });

  it("counts failures by reason, with the words of the first", async () => {
    const { summary } = await playLoad(
      { durationMs: 500 },
      failing({
        1: failure("mismatch", "One byte differs"),
        2: failure("reset", "it broke"),
        4: failure("mismatch", "two bytes differ"),
        5: new Error("no idea"),
      }),
    );
    assertEquals(summary.failures, { mismatch: 2, reset: 1, error: 1 });
    assertEquals(summary.firstErrors, {
      ...{ mismatch: "One byte differs", reset: "it broke", error: "no idea" },
    });
    // Each failure took 10 ms and a pause of 100 ms: 60 ms are left.
    assertEquals([summary.messages, summary.failed], [6, 4]);
    // A wrong reply is a reply: the second was sent at 110, the fourth's came at 230.
    assertEquals(summary.outages.longestMs, 120);
  });

  it("names the message whose reply came again", async () => {
    const sent: Uint8Array[] = [];
    for (const ratePerSecond of [undefined, 100]) {
      sent.length = 0;
      const { summary } = await playLoad(
        { durationMs: 30, message: 64, ratePerSecond },
        async ({ method, message }) => {
          if (method !== "echo") return;
          sent.push(message!);
          await delay(5);
          if (sent.length === 2) throw mismatch(sent[1]!, sent[0]!);
        },
      );
      assertEquals(summary.firstErrors, {
        mismatch: "the reply to message 1 came again",
      });
    }
  });

  it("replaces a connection that failed after a pause", async () => {
    const { clients, times } = await playLoad(
      { durationMs: 230, retryMs: 500 },
      async ({ method, nth }) => {
        if (method === "connect" && nth > 1) throw failure("refused");
        if (method !== "echo") return;
        await delay(10);
        if (nth === 2) throw failure("closed");
      },
    );
    assertEquals(clients.story, [
      ...["1 connect", "1 echo", "1 echo", "2 connect", "3 connect"],
    ]);
    assertEquals(times("connect"), [0, 120, 220]);
    const retries = clients.of("connect").map(({ retryMs }) => retryMs);
    assertEquals(retries, [500, 0, 0]);
  });

  it("sends over the connection that replaced another", async () => {
    const { clients, summary } = await playLoad(
      { durationMs: 130 },
      failing({ 1: failure("closed") }),
    );
    assertEquals(clients.story, [
      ...["1 connect", "1 echo", "2 connect", "2 echo", "2 echo", "2 end"],
    ]);
    assertEquals([summary.messages, summary.failed], [2, 1]);
  });

  it("waits for the messages under way when the time is over", async () => {
    const { summary } = await playLoad({ durationMs: 15 }, taking(10));
    assertEquals([summary.messages, summary.messagesInTime], [2, 1]);
    assertEquals([summary.durationMs, summary.lastAfterMs], [15, 5]);
    const { summary: failed, tookMs } = await playLoad(
      { durationMs: 15 },
      failing({ 2: failure("timeout") }),
    );
    assertEquals([failed.messages, failed.failed], [1, 1]);
    // Nothing replaces the connection any more.
    assertEquals([failed.durationMs, failed.lastAfterMs], [15, 0]);
    assertEquals(tookMs, 20);
  });

  it("takes bytes after the last reply for a failure", async () => {
    const { summary } = await playLoad(
      { connections: 3, durationMs: 10 },
      async ({ method, client }) => {
        await delay(method === "connect" ? 0 : 10);
        if (method !== "end") return;
        if (client === 1) throw failure("mismatch", "One byte too many");
        if (client === 2) throw failure("reset");
      },
    );
    assertEquals([summary.messages, summary.failed], [3, 1]);
    assertEquals(summary.failures, { mismatch: 1 });
    assertEquals(summary.firstErrors, { mismatch: "One byte too many" });
    // Taking leave is no part of the load.
    assertEquals([summary.durationMs, summary.busyShare], [10, 1]);
  });
});

describe("load() with a signal", () => {
  /** Loads until its signal is aborted, some time after the clock started. */
  async function playUntil(
    stopMs: number,
    options: Partial<LoadOptions> = {},
    answer?: Answer,
  ) {
    const stop = new AbortController();
    return await playLoad({
      ...{ ...options, durationMs: Infinity, signal: stop.signal },
      onStart: () => setTimeout(() => stop.abort(), stopMs),
    }, answer);
  }

  it("counts what comes back in the grace", async () => {
    const { clients, summary, tookMs, timers } = await playUntil(
      25,
      { connections: 2 },
      taking(10),
    );
    assertEquals([summary.messages, summary.failed], [6, 0]);
    assertEquals([summary.messagesInTime, summary.lastAfterMs], [4, 5]);
    assertEquals([summary.durationMs, tookMs, timers], [25, 30, 0]);
    assertEquals(clients.story.slice(-2), ["1 end", "2 end"]);
  });

  it("loses what is still out when the grace is over", async () => {
    const { clients, summary, tookMs, timers } = await playUntil(
      350,
      { connections: 3 },
      async ({ method, client, nth }) => {
        if (method !== "echo") return;
        // The longest round trip takes 150 ms.
        await (nth > 6 && client < 3 ? new Promise(() => {}) : delay(150));
        return 150;
      },
    );
    assertEquals([summary.messages, summary.failures], [7, { unanswered: 2 }]);
    assertEquals(summary.firstErrors, {
      unanswered: "no answer when the run ended",
    });
    assertEquals([summary.durationMs, tookMs, timers], [350, 500, 0]);
    assertEquals(clients.story.slice(-1), ["3 end"]);
  });

  it("opens no more connections", async () => {
    const stop = new AbortController();
    const { signal } = stop;
    let hasStarted = false;
    const { clients, summary, timers } = await playLoad({
      ...{ connections: 50, signal, onOpening() {} },
      onStart: () => hasStarted = true,
    }, async ({ nth, method }) => {
      if (method !== "connect") return;
      if (nth === 17) setTimeout(() => stop.abort(), 5);
      await delay(10);
    });
    assert(!hasStarted);
    // Those that are being opened are there before the grace is over.
    assertEquals(clients.of("connect").length, 17);
    assertEquals([clients.of("echo").length, clients.of("end").length], [
      0,
      17,
    ]);
    assertEquals([summary.messages, summary.failed, timers], [0, 0, 0]);
    assertEquals([summary.durationMs, summary.timeline], [0, []]);
    assertEquals(summary.busyShare, undefined);
  });

  it("gives the first connection up", async () => {
    const stop = new AbortController();
    const { summary, tookMs } = await playLoad(
      { signal: stop.signal, retryMs: 60_000 },
      () => {
        setTimeout(() => stop.abort(), 50);
        return new Promise(() => {});
      },
    );
    assertEquals(summary.failures, { unanswered: 1 });
    assert(summary.error instanceof UnansweredError);
    assertEquals(tookMs, 150);
  });

  it("does not wait for the replacement of a connection", async () => {
    const answer: Answer = async ({ method, nth }) => {
      if (method === "echo") throw failure("closed");
      if (method === "connect" && nth === 2) await new Promise(() => {});
    };
    for (
      const [stopMs, connects, failed] of [[50, 1, 0], [150, 2, 1]] as const
    ) {
      const { clients, summary, tookMs } = await playUntil(stopMs, {}, answer);
      assertEquals([summary.durationMs, tookMs], [
        stopMs,
        stopMs + failed * 100,
      ]);
      assertEquals(clients.of("connect").length, connects);
      assertEquals(summary.failures.closed, 1);
      assertEquals(summary.failures.unanswered ?? 0, failed);
    }
  });

  it("looks for bytes after the last reply", async () => {
    const { summary } = await playUntil(25, {}, async ({ method }) => {
      if (method === "echo") await delay(10);
      if (method === "end") throw failure("mismatch", "too many");
    });
    assertEquals([summary.messages, summary.failures], [3, { mismatch: 1 }]);
  });
});
