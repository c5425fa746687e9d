import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertRejects,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import { SelfPipe } from "../net/self_pipe.ts";
import { type FakeClock, stopClock } from "../testing/clock.ts";
import { type Answer, failure, PlayedClients } from "../testing/probe.ts";
import { replace } from "../testing/replace.ts";
import {
  load,
  type LoadCounters,
  type LoadOptions,
  type LoadSummary,
} from "./load.ts";

const message = new TextEncoder().encode("a message of 32 bytes and a bit.");

/** Moves a clock on, step by step, until a load ends. */
async function untilEnd(
  clock: FakeClock,
  loading: Promise<LoadSummary>,
  stepMs = 1,
): Promise<LoadSummary> {
  let isOver = false;
  const end = () => isOver = true;
  loading.then(end, end);
  for (let step = 0; !isOver; step++) {
    if (step === 1000) throw new Error(`no end after ${step * stepMs} ms`);
    await clock.pass(stepMs);
    // A load waits for turns of the event loop, too.
    await nextTurn();
  }
  return await loading;
}

/** Lets the event loop look at its sockets when a test says so. */
function playPolls(untilPolled: () => Promise<void>): Disposable {
  return replace(SelfPipe.prototype, "untilPolled", untilPolled);
}

/** Loads for 100 ms with played clients, on a clock of the test's. */
async function play(
  options: Partial<LoadOptions>,
  answer: Answer = () => {},
  { startMs = 0, stepMs }: { startMs?: number; stepMs?: number } = {},
) {
  using clock = stopClock();
  using _ = playPolls(() => Promise.resolve());
  await clock.pass(startMs);
  const startedAt = performance.now();
  const clients = new PlayedClients(answer);
  const { connect } = clients;
  const loading = load({ connect, message, durationMs: 100, ...options });
  const summary = await untilEnd(clock, loading, stepMs);
  assertEquals(clock.timers, 0);
  const times = (method: Parameters<typeof clients.of>[0]) =>
    clients.of(method).map(({ at }) => at - startedAt);
  return { clients, summary, times };
}

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
    const { summary, clients } = await play(
      { connections: 2 },
      async ({ method, client }) => {
        if (method !== "echo") return;
        await delay(client * 10);
        return client * 10;
      },
    );
    const { latencyMs, ...rest } = summary;
    assertEquals(rest, {
      ...{ messages: 15, failed: 0, failures: {}, firstErrors: {}, unsent: 0 },
      ...{ bytes: 480, durationMs: 100 },
      histogram: [{ uptoMs: 10, count: 10 }, { uptoMs: 20, count: 5 }],
    });
    assertEquals([latencyMs!.min, latencyMs!.max], [10, 20]);
    assertEquals(clients.story.slice(-2), ["1 end", "2 end"]);
    assertEquals(clients.of("end").length, 2);
    assertEquals(clients.of("close").length, 0);
  });

  it("has one connection and goes on for ten seconds by default", async () => {
    const { clients, summary } = await play(
      { durationMs: undefined },
      taking(1000),
      { stepMs: 500 },
    );
    assertEquals([summary.messages, summary.durationMs], [10, 10_000]);
    assertEquals(clients.of("connect").length, 1);
  });

  it("connects sixteen clients at once after the first", async () => {
    let counters: Readonly<LoadCounters> | undefined;
    let startedAt = 0;
    const { clients, times, summary } = await play({
      ...{ connections: 50, retryMs: 500, durationMs: 10 },
      onStart(given) {
        counters = given;
        startedAt = performance.now();
        assertEquals({ ...given }, { startedAt, messages: 0, failed: 0 });
      },
    }, async ({ method }) => {
      await delay(method === "connect" ? 10 : 5);
    });
    const atOnce = new Map<number, number>();
    for (const at of times("connect")) {
      atOnce.set(at, (atOnce.get(at) ?? 0) + 1);
    }
    assertEquals([...atOnce], [[0, 1], [10, 16], [20, 16], [30, 16], [40, 1]]);
    const [first, ...others] = clients.of("connect");
    assertEquals(first!.retryMs, 500);
    assert(others.every(({ retryMs }) => retryMs === 0));
    // The clock starts when all are there.
    assertEquals(times("echo").slice(0, 50), Array(50).fill(50));
    assertEquals(new Set(clients.of("echo").map((c) => c.client)).size, 50);
    assertEquals([summary.messages, summary.durationMs], [100, 10]);
    assertEquals({ ...counters! }, { startedAt, messages: 100, failed: 0 });
  });

  it("fails as a whole when the first connection fails", async () => {
    const clients = new PlayedClients(() => {
      throw failure("refused", "nothing is there");
    });
    const { connect } = clients;
    await assertRejects(
      () => load({ connect, message, connections: 3 }),
      Error,
      "nothing is there",
    );
    assertEquals(clients.story, ["1 connect"]);
    assertEquals(clients.calls[0]!.retryMs, 0);
  });

  it("counts a connection that cannot be made, and goes on", async () => {
    const { clients, summary, times } = await play(
      { connections: 3, retryMs: 500 },
      async ({ method, nth }) => {
        if (method === "connect" && nth === 2) throw failure("refused");
        if (method === "echo") await delay(10);
      },
    );
    assertEquals(summary.failures, { refused: 1 });
    assertEquals([summary.messages, summary.failed], [30, 1]);
    assertEquals(times("connect"), [0, 0, 0, 0]);
    const retries = clients.of("connect").map(({ retryMs }) => retryMs);
    assertEquals(retries, [500, 0, 0, 0]);
  });

  it("counts failures by reason, with the words of the first", async () => {
    const { summary } = await play(
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
      ...{ mismatch: "one byte differs", reset: "it broke", error: "no idea" },
    });
    // Each failure took 10 ms and a pause of 100 ms: 60 ms are left.
    assertEquals([summary.messages, summary.failed], [6, 4]);
  });

  it("replaces a connection that failed after a pause", async () => {
    const { clients, times } = await play(
      { durationMs: 230, retryMs: 500 },
      async ({ method, nth }) => {
        if (method === "connect" && nth > 1) throw failure("refused");
        if (method !== "echo") return;
        await delay(10);
        if (nth === 2) throw failure("closed");
      },
    );
    assertEquals(clients.story, [
      ...["1 connect", "1 echo", "1 echo", "1 close"],
      ...["2 connect", "3 connect"],
    ]);
    assertEquals(times("connect"), [0, 120, 220]);
    const retries = clients.of("connect").map(({ retryMs }) => retryMs);
    assertEquals(retries, [500, 0, 0]);
  });

  it("sends over the connection that replaced another", async () => {
    const { clients, summary } = await play(
      { durationMs: 130 },
      failing({ 1: failure("closed") }),
    );
    assertEquals(clients.story, [
      ...["1 connect", "1 echo", "1 close"],
      ...["2 connect", "2 echo", "2 echo", "2 end"],
    ]);
    assertEquals([summary.messages, summary.failed], [2, 1]);
  });

  it("waits for the messages under way when the time is over", async () => {
    const { summary } = await play({ durationMs: 15 }, taking(10));
    assertEquals([summary.messages, summary.durationMs], [2, 20]);
    const { summary: failed } = await play(
      { durationMs: 15 },
      failing({ 2: failure("timeout") }),
    );
    assertEquals([failed.messages, failed.failed], [1, 1]);
    // Nothing replaces the connection any more.
    assertEquals(failed.durationMs, 20);
  });

  it("takes bytes after the last reply for a failure", async () => {
    const { summary } = await play(
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
    assertEquals(summary.firstErrors, { mismatch: "one byte too many" });
    // Taking leave is no part of the load.
    assertEquals(summary.durationMs, 10);
  });

  it("has no latencies to sum up when nothing came back", async () => {
    const { summary } = await play({}, failing({ 1: failure("timeout") }));
    assertEquals([summary.latencyMs, summary.histogram], [undefined, []]);
  });

  it("has a histogram of a dozen rows at most", async () => {
    for (const [shortest, rows] of [[0.2, 12], [0.1, 9]] as const) {
      const { summary } = await play({}, async ({ method, nth }) => {
        if (method !== "echo") return;
        await delay(10);
        return nth === 1 ? shortest : 1000;
      });
      const counts = summary.histogram.map(({ count }) => count);
      assertEquals(counts, [1, ...Array(rows - 2).fill(0), 9]);
    }
  });

  it("lets no connection starve where a turn is too short for all", async () => {
    using clock = stopClock();
    let polled = Promise.withResolvers<void>();
    using _ = playPolls(() => polled.promise);
    const waiting: (() => void)[] = [];
    const served = new Map<number, number>();
    const { connect } = new PlayedClients(({ method, client }) => {
      if (method !== "echo") return;
      return new Promise<void>((resolve) =>
        waiting.push(() => {
          served.set(client, (served.get(client) ?? 0) + 1);
          resolve();
        })
      );
    });
    const stop = new AbortController();
    const { signal } = stop;
    const loading = load({ connect, message, connections: 300, signal });
    // As Deno's event loop does it: 128 in a turn, those that came last first.
    for (let turn = 0; turn < 100; turn++) {
      for (const reply of waiting.splice(-128).reverse()) reply();
      await clock.pass(1);
      polled.resolve();
      polled = Promise.withResolvers();
      await nextTurn();
    }
    assertEquals(served.size, 300);
    assertGreaterOrEqual(Math.min(...served.values()), 15);
    stop.abort();
    for (const reply of waiting.splice(0)) reply();
    polled.resolve();
    const summary = await loading;
    assertEquals(clock.timers, 0);
    const all = [...served.values()].reduce((sum, count) => sum + count);
    assertEquals([summary.messages, summary.failed], [all, 0]);
  });

  it("has connections wait for each other every 2 ms at most", async () => {
    // Among 128, whose replies come each millisecond, five closings of two polls.
    for (const [connections, expected] of [[1, 0], [128, 10]] as const) {
      using clock = stopClock();
      let polls = 0;
      using _ = playPolls(() => {
        polls++;
        return Promise.resolve();
      });
      const { connect } = new PlayedClients(taking(1));
      const options = { connections, durationMs: 10 };
      await untilEnd(clock, load({ connect, message, ...options }));
      assertEquals(polls, expected);
    }
  });

  it("holds no reply back before many came", async () => {
    using clock = stopClock();
    const waiting: (() => void)[] = [];
    const { connect } = new PlayedClients(({ method }) => {
      if (method !== "echo") return;
      return new Promise<void>((resolve) => waiting.push(resolve));
    });
    const options = { connections: 128, durationMs: 10 };
    const loading = load({ connect, message, ...options });
    await clock.pass(5);
    assertEquals(waiting.length, 128);
    for (let reply = 0; reply < 63; reply++) waiting[reply]!();
    // Less than a turn of the event loop.
    for (let job = 0; job < 50; job++) await Promise.resolve();
    assertEquals(waiting.length, 128 + 63);
    await clock.pass(5);
    for (const reply of waiting) reply();
    assertEquals((await loading).messages, 128 + 63);
  });
});

describe("load() at a rate", () => {
  it("sends at equal distances, round the connections", async () => {
    const { clients, summary, times } = await play(
      { connections: 4, ratePerSecond: 100 },
      taking(3),
    );
    assertEquals(times("echo"), [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
    assertEquals(
      clients.of("echo").map(({ client }) => client),
      [1, 2, 3, 4, 1, 2, 3, 4, 1, 2],
    );
    assertEquals([summary.messages, summary.unsent], [10, 0]);
    assertEquals(summary.durationMs, 100);
    assertEquals([summary.latencyMs!.min, summary.latencyMs!.max], [3, 3]);
  });

  it("sends no message before it is due", async () => {
    const { summary, times } = await play({
      ...{ connections: 2, durationMs: 20, ratePerSecond: 300 },
    });
    // Every 3.3 ms, on a clock that moves by whole milliseconds.
    assertEquals(times("echo"), [0, 4, 7, 10, 14, 17]);
    assertEquals(summary.latencyMs!.max, 0.666667);
  });

  it("ends in time, also when the next message is due much later", async () => {
    const { summary, times } = await play({ ratePerSecond: 0.001 });
    assertEquals(times("echo"), [0]);
    assertEquals([summary.messages, summary.unsent], [1, 0]);
    assertEquals(summary.durationMs, 100);
  });

  it("shows a stall in every message that it delayed", async () => {
    const { summary, times } = await play(
      { ratePerSecond: 100 },
      async ({ method, nth }) => {
        if (method === "echo" && nth === 3) await delay(45);
      },
    );
    // What is overdue goes out at once, and then all is on time again.
    assertEquals(times("echo"), [0, 10, 20, 65, 65, 65, 65, 70, 80, 90]);
    const late = [45, 35, 25, 15, 5];
    const { max, mean, p50 } = summary.latencyMs!;
    const total = late.reduce((sum, ms) => sum + ms);
    assertEquals([max, Math.round(mean * 10)], [45, total]);
    assert(p50 < 1);
    assertEquals([summary.messages, summary.unsent], [10, 0]);
    const { summary: long } = await play(
      { ratePerSecond: 100 },
      async ({ method, nth }) => {
        if (method === "echo" && nth === 1) await delay(85);
      },
    );
    // 85, 75, ... 5 and 0 ms.
    assertEquals(Math.round(long.latencyMs!.p50), 35);
  });

  it("tells how much was due and could not be sent", async () => {
    const stalled = await play({ ratePerSecond: 25 }, taking(150));
    // Due at 0, 40 and 80 ms.
    const { messages, unsent, durationMs } = stalled.summary;
    assertEquals([messages, unsent, durationMs], [1, 2, 150]);
    // 28.3 + 100 - 28.3 is more than 100, by a rounding error.
    const odd = { startMs: 28.3 };
    const { summary } = await play({ ratePerSecond: 100 }, taking(150), odd);
    assertEquals([summary.messages, summary.unsent], [1, 9]);
    const slow = await play({ connections: 2, ratePerSecond: 100 }, taking(40));
    assertEquals([slow.summary.messages, slow.summary.unsent], [6, 4]);
  });

  it("counts a failed message as sent", async () => {
    const { summary } = await play({ ratePerSecond: 50 }, ({ method }) => {
      if (method === "echo") throw failure("timeout");
    });
    assertEquals([summary.failed, summary.unsent], [1, 4]);
    const { summary: refused } = await play(
      { ratePerSecond: 10, durationMs: 150 },
      ({ method, nth }) => {
        if (method === "echo" || nth > 1) throw failure("refused");
      },
    );
    assertEquals([refused.failed, refused.unsent], [2, 0]);
  });

  it("leaves the processor alone until a message is due", async () => {
    using clock = stopClock();
    const { connect } = new PlayedClients();
    const loading = load({
      ...{ connect, message, ratePerSecond: 1, durationMs: 100 },
    });
    await clock.pass(50);
    assertEquals(clock.timers, 1);
    await untilEnd(clock, loading);
  });
});

describe("load() with a signal", () => {
  /** Loads until its signal is aborted, some time after the clock started. */
  async function playUntil(
    abortMs: number,
    options: Partial<LoadOptions>,
    answerUntil: (signal: AbortSignal) => Answer = () => () => {},
  ) {
    const stop = new AbortController();
    const { signal } = stop;
    return await play({
      ...{ ...options, durationMs: Infinity, signal },
      onStart: () => setTimeout(() => stop.abort(), abortMs),
    }, answerUntil(signal));
  }

  it("does not count what the abort cut off", async () => {
    const { clients, summary } = await playUntil(
      25,
      { connections: 2 },
      (signal) => async ({ method }) => {
        if (method === "echo") await delay(10, { signal });
      },
    );
    assertEquals([summary.messages, summary.failed], [4, 0]);
    assertEquals(summary.durationMs, 25);
    assertEquals(clients.story.slice(-2), ["1 close", "2 close"]);
  });

  it("opens no more connections", async () => {
    const stop = new AbortController();
    const { signal } = stop;
    let hasStarted = false;
    const { clients, summary } = await play({
      ...{ connections: 50, signal },
      onStart: () => hasStarted = true,
    }, async ({ nth, method }) => {
      if (method !== "connect") return;
      if (nth === 17) setTimeout(() => stop.abort(), 5);
      await delay(10, { signal });
    });
    assert(hasStarted);
    assertEquals(clients.of("connect").length, 17);
    assertEquals(clients.of("echo").length, 0);
    assertEquals([summary.messages, summary.failed], [0, 0]);
    assertEquals(clients.story.slice(17), ["1 end"]);
  });

  it("does not wait for the replacement of a connection", async () => {
    const answerUntil = (signal: AbortSignal): Answer => async (call) => {
      if (call.method === "echo") throw failure("closed");
      if (call.method === "connect" && call.nth === 2) {
        await delay(100, { signal });
      }
    };
    for (const [abortMs, connects] of [[50, 1], [150, 2]] as const) {
      const { clients, summary } = await playUntil(abortMs, {}, answerUntil);
      assertEquals(summary.durationMs, abortMs);
      assertEquals(clients.of("connect").length, connects);
      assertEquals(summary.failures, { closed: 1 });
    }
  });

  it("sends nothing more when messages are due later", async () => {
    // The last two milliseconds of a wait are no timer's.
    for (const abortMs of [50, 99]) {
      const options = { connections: 3, ratePerSecond: 10 };
      const { clients, summary } = await playUntil(abortMs, options);
      assertEquals(summary.durationMs, abortMs);
      assertEquals(clients.of("echo").length, 1);
      assertEquals([summary.messages, summary.unsent], [1, 0]);
    }
  });

  it("counts what was due until then", async () => {
    const { summary } = await playUntil(
      25,
      { connections: 2, ratePerSecond: 100 },
      (signal) => async ({ method, client }) => {
        if (method === "echo" && client === 1) await delay(1000, { signal });
      },
    );
    // The message of 20 ms waited for the one of 0 ms, which the abort cut off.
    assertEquals([summary.messages, summary.unsent], [1, 1]);
    assertEquals(summary.failed, 0);
    // The message of the very moment of the abort was sent.
    const stop = new AbortController();
    const punctual = await play(
      { ratePerSecond: 100, signal: stop.signal },
      ({ method, nth }) => {
        if (method === "echo" && nth === 2) stop.abort();
      },
    );
    assertEquals(punctual.times("echo"), [0, 10]);
    assertEquals(punctual.summary.unsent, 0);
  });
});
