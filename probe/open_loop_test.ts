import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import { passUntil, playPolls, stopProbeClock } from "../testing/probe.ts";
import {
  MOST_UNDER_WAY,
  OpenLoop,
  type OpenLoopOptions,
  type Sent,
} from "./open_loop.ts";

/** When the clock of these tests begins, as `performance.now()`. */
const START = 1000;

/** Makes a loop of 5 bytes every 10 ms, whose messages are settled at once. */
function play(options: Partial<OpenLoopOptions> = {}) {
  const sent: Sent[] = [];
  const late: number[] = [];
  const unsentAt: number[] = [];
  const loop = new OpenLoop({
    ...{ startedAt: START, intervalMs: 10, first: 1, last: Infinity },
    ...{ endsAt: Infinity, messageBytes: 5 },
    stop: new AbortController().signal,
    ...options,
    onUnsent: () => unsentAt.push(performance.now() - START),
    send(one, lateMs) {
      sent.push(one);
      late.push(lateMs);
      return options.send?.(one, lateMs) ?? Promise.resolve();
    },
  });
  return {
    ...{ loop, sent, late, unsentAt },
    get numbers() {
      return sent.map(({ number }) => number);
    },
    get times() {
      return sent.map(({ sentAt }) => sentAt - START);
    },
  };
}

/** Never settles. */
const forever = () => new Promise<void>(() => {});

describe("OpenLoop", () => {
  it("sends each message when it is due, whatever is under way", async () => {
    using clock = stopProbeClock();
    const it = play({ first: 3, last: 7, send: forever });
    assertEquals(await passUntil(clock, it.loop.run()), 0);
    assertEquals(it.numbers, [3, 4, 5, 6, 7]);
    assertEquals(it.times, [0, 10, 20, 30, 40]);
    assertEquals(it.late, [0, 0, 0, 0, 0]);
    assertEquals([...it.loop.underWay], it.sent);
    assertEquals(clock.timers, 0);
  });

  it("sends no message before it is due, and tells how late it is", async () => {
    for (const send of [() => Promise.resolve(), () => delay(3), forever]) {
      using clock = stopProbeClock();
      const it = play({ intervalMs: 2.7, last: 20, send });
      await passUntil(clock, it.loop.run());
      assertEquals(it.numbers.length, 20);
      it.times.forEach((at, index) => {
        assertAlmostEquals(it.late[index]!, at - index * 2.7, 1e-6);
        assert(it.late[index]! >= 0 && it.late[index]! <= 1, `${at}`);
      });
    }
  });

  it("looks for no replies while the event loop may sleep", async () => {
    for (const send of [() => Promise.resolve(), () => delay(3), forever]) {
      using clock = stopProbeClock();
      const polledAt: number[] = [];
      using _ = playPolls(async () => {
        polledAt.push((performance.now() - START) % 10);
        await nextTurn();
      });
      await passUntil(clock, play({ last: 20, send }).loop.run());
      // Shortly before each message but the first, if nothing is under way.
      assert(polledAt.length >= 19 || send === forever, `${polledAt.length}`);
      assert(polledAt.every((ms) => ms >= 9.5), `${polledAt}`);
    }
  });

  it("begins when it is told to", async () => {
    using clock = stopProbeClock();
    const it = play({ startedAt: START + 35, last: 2 });
    await passUntil(clock, it.loop.run());
    assertEquals(it.times, [35, 45]);
  });

  it("catches up at once, and is on time again", async () => {
    using clock = stopProbeClock();
    const it = play({ last: 7 });
    const running = it.loop.run();
    await clock.pass(5);
    // The process stands still for 30 ms.
    clock.passAtOnce(30);
    await nextTurn();
    await passUntil(clock, running);
    assertEquals(it.times, [0, 35, 35, 35, 40, 50, 60]);
    assertEquals(it.late, [0, 25, 15, 5, 0, 0, 0]);
  });

  it("looks for replies while it catches up", async () => {
    using _clock = stopProbeClock();
    const sentBefore: number[] = [];
    let count = 0;
    using _ = playPolls(() => {
      sentBefore.push(count);
      count = 0;
      return Promise.resolve();
    });
    const it = play({
      ...{ startedAt: START - 10_000, last: 1001 },
      send: () => Promise.resolve(void count++),
    });
    await it.loop.run();
    assertEquals(it.sent.length, 1001);
    assertEquals(sentBefore.length >= 30, true);
    assert(Math.max(...sentBefore) <= 32);
  });

  it("sends nothing at its end or after it", async () => {
    for (const [endsInMs, times] of [[30, [0, 10, 20]], [0, []]] as const) {
      using clock = stopProbeClock();
      const it = play({ endsAt: START + endsInMs });
      assertEquals(await passUntil(clock, it.loop.run()), 0);
      assertEquals(it.times, [...times]);
    }
  });

  it("does not wait for its end", async () => {
    using clock = stopProbeClock();
    const it = play({ endsAt: START + 9, intervalMs: 10 });
    await it.loop.run();
    assertEquals([it.times, clock.timers], [[0], 0]);
  });

  it("tells how many messages were due and did not leave", async () => {
    using clock = stopProbeClock();
    const it = play({ endsAt: START + 100 });
    const running = it.loop.run();
    await passUntil(clock, delay(45));
    // The process stands still, for longer than messages are sent.
    clock.passAtOnce(1000);
    assertEquals(await running, 5);
    assertEquals(it.times, [0, 10, 20, 30, 40]);
    const last = play({ endsAt: START + 100, last: 7 });
    assertEquals(await last.loop.run(), 7);
  });

  // Number 98 of 970 a second is due at 99.99999999999999 ms.
  it("counts no message that a rounding error makes due", async () => {
    for (const [rate, seconds] of [[970, 0.1], [49, 2], [107, 10]] as const) {
      using clock = stopProbeClock();
      const endsAt = START + seconds * 1000;
      const it = play({ intervalMs: 1000 / rate, endsAt });
      const tooLate = await passUntil(clock, it.loop.run());
      assertEquals([it.sent.length, tooLate], [rate * seconds, 0], `${rate}`);
    }
  });

  it("sends nothing more when it is told to stop", async () => {
    // While it sleeps, while it polls, and in the moment of a message.
    for (const [stopMs, count] of [[15, 2], [19, 2], [20, 2]] as const) {
      using clock = stopProbeClock();
      const stop = new AbortController();
      const it = play({ stop: stop.signal });
      const running = it.loop.run();
      await passUntil(clock, delay(10));
      clock.passAtOnce(START + stopMs - performance.now());
      stop.abort();
      const tooLate = await running;
      assertEquals(it.times.length, count);
      assertEquals([tooLate, clock.timers], [0, 0]);
    }
  });

  it("stops also while it catches up", async () => {
    using _ = stopProbeClock();
    const stop = new AbortController();
    const it = play({
      ...{ startedAt: START - 10_000, stop: stop.signal },
      send: ({ number }) => {
        if (number === 300) stop.abort();
        return Promise.resolve();
      },
    });
    // All but the ten that were due in the last tenth of a second.
    assertEquals(await it.loop.run(), 691);
    assertEquals(it.numbers.at(-1), 300);
  });
});

describe("OpenLoop.untilSettled()", () => {
  it("waits for each message that is under way", async () => {
    using clock = stopProbeClock();
    const it = play({ last: 3, send: ({ number }) => delay(100 / number) });
    await it.loop.untilSettled();
    await passUntil(clock, it.loop.run());
    assertEquals(it.loop.underWay.size, 3);
    await passUntil(clock, delay(50));
    assertEquals([...it.loop.underWay], [it.sent[0]]);
    let isSettled = false;
    const settling = it.loop.untilSettled().then(() => isSettled = true);
    await nextTurn();
    assertEquals(isSettled, false);
    await passUntil(clock, settling);
    assertEquals(it.loop.underWay.size, 0);
  });
});

describe("OpenLoop with much under way", () => {
  it("sends no more than ten thousand messages at once", async () => {
    using clock = stopProbeClock();
    // No time passes meanwhile.
    using _ = playPolls(async () => void await nextTurn());
    const settle: (() => void)[] = [];
    const most = MOST_UNDER_WAY.messages;
    const it = play({
      ...{ intervalMs: 1 / 1024, last: most + 30 },
      startedAt: START - 10_010 / 1024,
      send: () => new Promise<void>((resolve) => settle.push(resolve)),
    });
    const running = it.loop.run();
    while (it.unsentAt.length < 11) await nextTurn();
    assertEquals([it.loop.underWay.size, it.unsentAt.length], [most, 11]);
    for (const resolve of settle.splice(0, 5)) resolve();
    await passUntil(clock, running);
    // The numbers of those that did not leave are no other message's.
    assertEquals(
      it.numbers.slice(most),
      [12, 13, 14, 15, 16].map((at) => most + at),
    );
    assertEquals(it.unsentAt.length, 25);
  });

  it("sends no more than 16 MiB at once", async () => {
    const MiB = 1024 * 1024;
    for (
      const [messageBytes, most] of [
        ...[[MiB, 16], [MiB + 1, 15], [5 * MiB, 3], [16 * MiB, 1]],
        // A message that is too large for that goes alone.
        [100 * MiB, 1],
      ] as const
    ) {
      using clock = stopProbeClock();
      const send = forever;
      const it = play({ messageBytes: messageBytes!, last: 20, send });
      await passUntil(clock, it.loop.run());
      assertEquals([it.sent.length, it.unsentAt.length], [most, 20 - most!]);
      assertEquals(it.unsentAt[0], most! * 10);
    }
  });
});

describe("OpenLoop with idle time", () => {
  /** Runs a loop, and returns when its idle times ended. */
  async function idleTimes(
    options: Partial<OpenLoopOptions>,
    idleMs = 0,
  ): Promise<{ idle: number[]; times: number[] }> {
    using clock = stopProbeClock();
    const idle: number[] = [];
    const it = play({
      ...options,
      async onIdle() {
        idle.push(performance.now() - START);
        if (idleMs > 0) await delay(idleMs);
      },
    });
    await passUntil(clock, it.loop.run());
    return { idle, times: it.times };
  }

  it("uses it shortly before a message is due", async () => {
    const send = () => delay(5);
    const { idle, times } = await idleTimes({ last: 4, send });
    assertEquals(idle, [8, 18, 28]);
    assertEquals(times, [0, 10, 20, 30]);
  });

  it("waits for the end of what it does with it", async () => {
    const { idle, times } = await idleTimes({ last: 3 }, 3);
    assertEquals(idle, [8, 18]);
    assertEquals(times, [0, 11, 21]);
  });

  it("has none while something is under way", async () => {
    const { idle, times } = await idleTimes({ last: 4, send: forever });
    assertEquals([idle, times], [[], [0, 10, 20, 30]]);
  });

  it("has none between messages that follow each other closely", async () => {
    const { idle } = await idleTimes({ last: 100, intervalMs: 0.25 });
    assertEquals(idle, []);
  });
});
