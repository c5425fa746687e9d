import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { getEventListeners } from "node:events";
import { stopClock } from "../testing/clock.ts";
import { sleep, startTimer } from "./time.ts";

/** The greatest time of the runtime's own timers, in milliseconds. */
const RUNTIME_LIMIT_MS = 2 ** 31 - 1;

describe("sleep()", () => {
  it("waits as long as it is told to, however long", async () => {
    using clock = stopClock();
    for (const ms of [0, 20, RUNTIME_LIMIT_MS, RUNTIME_LIMIT_MS + 1, 1e12]) {
      let isOver = false;
      sleep(ms).then(() => isOver = true);
      if (ms > 0) await clock.pass(ms - 1);
      assertEquals(isOver, false, `before ${ms} ms`);
      await clock.pass(1);
      assertEquals(isOver, true, `after ${ms} ms`);
    }
  });

  it("ends early, without an error, when its signal is aborted", async () => {
    using clock = stopClock();
    for (const ms of [20, 1e12, Infinity]) {
      const stop = new AbortController();
      const sleeping = sleep(ms, stop.signal);
      stop.abort();
      await sleeping;
      await sleep(ms, stop.signal);
      assertEquals(clock.timers, 0);
    }
  });

  it("leaves its signal alone when it is over", async () => {
    using clock = stopClock();
    const stop = new AbortController();
    const { signal } = stop;
    const sleeps = [sleep(20, signal), sleep(40, signal)];
    assertEquals(getEventListeners(signal, "abort").length, 2);
    await clock.pass(20);
    assertEquals(getEventListeners(signal, "abort").length, 1);
    stop.abort();
    await Promise.all(sleeps);
    assertEquals(getEventListeners(signal, "abort").length, 0);
  });
});

describe("startTimer()", () => {
  it("calls once, when the time is over", async () => {
    using clock = stopClock();
    for (const ms of [20, RUNTIME_LIMIT_MS + 1, 1e12]) {
      let calls = 0;
      startTimer(ms, () => calls++);
      await clock.pass(ms - 1);
      assertEquals(calls, 0, `before ${ms} ms`);
      await clock.pass(1);
      assertEquals(calls, 1, `after ${ms} ms`);
      await clock.pass(10 * ms);
      assertEquals(calls, 1, `long after ${ms} ms`);
    }
  });

  it("never calls with Infinity", async () => {
    using clock = stopClock();
    let calls = 0;
    const timer = startTimer(Infinity, () => calls++);
    assertEquals(clock.timers, 0);
    await clock.pass(1e12);
    assertEquals(calls, 0);
    timer[Symbol.dispose]();
  });

  it("lets the process end before, unless that should wait", () => {
    using clock = stopClock();
    using _persistent = startTimer(20, () => {});
    using _also = startTimer(20, () => {}, { persistent: true });
    assertEquals([clock.timers, clock.unrefTimers], [2, 0]);
    using _not = startTimer(20, () => {}, { persistent: false });
    assertEquals([clock.timers, clock.unrefTimers], [3, 1]);
  });

  it("never calls after it was cancelled", async () => {
    using clock = stopClock();
    for (const ms of [20, 1e12]) {
      let calls = 0;
      const timer = startTimer(ms, () => calls++);
      await clock.pass(ms - 1);
      timer[Symbol.dispose]();
      timer[Symbol.dispose]();
      assertEquals(clock.timers, 0);
      await clock.pass(ms);
      assertEquals(calls, 0);
    }
  });
});
