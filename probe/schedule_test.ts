import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { stopClock } from "../testing/clock.ts";
import { ListenerCount } from "../testing/socket.ts";
import { block, untilNear } from "./schedule.ts";

const { signal: NEVER } = new AbortController();

describe("untilNear()", () => {
  it("ends as long before the moment as a timer may be late", async () => {
    using clock = stopClock();
    clock.passAtOnce(1000);
    let isOver = false;
    untilNear(1100, NEVER).then(() => isOver = true);
    await clock.pass(97);
    assertEquals(isOver, false);
    await clock.pass(1);
    assertEquals(isOver, true);
  });

  it("does not wait for a moment that is near or over", async () => {
    using clock = stopClock();
    clock.passAtOnce(1000);
    for (const moment of [1002, 1000, 900, -Infinity]) {
      await untilNear(moment, NEVER);
      assertEquals(clock.timers, 0);
    }
  });

  it("ends early when it is told to", async () => {
    using clock = stopClock();
    for (const moment of [1000, Infinity]) {
      const stop = new AbortController();
      const listeners = new ListenerCount(stop.signal);
      const waiting = untilNear(moment, stop.signal);
      await clock.pass(50);
      stop.abort();
      await waiting;
      assertEquals([clock.timers, listeners.now], [0, 0]);
    }
    await untilNear(Infinity, AbortSignal.abort());
  });
});

describe("block()", () => {
  it("sleeps for some time, in which no promise is settled", async () => {
    using clock = stopClock();
    let isSettled = false;
    const promise = Promise.resolve().then(() => isSettled = true);
    const startedAt = performance.now();
    block(1.5);
    assertEquals([performance.now() - startedAt, isSettled], [1.5, false]);
    await promise;
    assertEquals(clock.timers, 0);
  });
});
