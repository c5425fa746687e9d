import { assertEquals, assertGreaterOrEqual, assertLess } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { stopClock } from "../testing/clock.ts";
import { Deadline } from "./deadline.ts";

/** A deadline on a clock that stands still, and when it expired. */
function stopped() {
  const clock = stopClock();
  const startedAt = performance.now();
  const expired: number[] = [];
  const deadline = new Deadline(() => {
    expired.push(performance.now() - startedAt);
  });
  return {
    clock,
    deadline,
    expired,
    [Symbol.dispose]() {
      deadline.stop();
      const { timers } = clock;
      clock[Symbol.dispose]();
      assertEquals(timers, 0, "stop() leaves no timer");
    },
  };
}

/** Counts the timers that were set meanwhile: Deno numbers them in their order. */
function timerCounter(): () => number {
  const nextId = () => {
    const timer = setTimeout(() => {});
    clearTimeout(timer);
    return Number(timer);
  };
  const before = nextId();
  return () => nextId() - before - 1;
}

describe("Deadline", () => {
  it("expires once, when the time is over", async () => {
    using at = stopped();
    at.deadline.start(30);
    await at.clock.pass(29);
    assertEquals(at.expired, []);
    await at.clock.pass(1000);
    assertEquals(at.expired, [30]);
    assertEquals(at.clock.timers, 0);
  });

  it("expires before the timer fires if what comes is late", () => {
    using at = stopped();
    at.deadline.start(30);
    const startedAt = performance.now();
    for (const ms of [0, 29.9, 30]) at.deadline.check(startedAt + ms);
    assertEquals(at.expired.length, 0);
    at.deadline.check(startedAt + 30.1);
    at.deadline.check(startedAt + 30.2);
    at.clock.passAtOnce(1000);
    assertEquals(at.expired.length, 1);
  });

  it("expires when there is no time at all", async () => {
    using at = stopped();
    at.deadline.start(0);
    await at.clock.pass(100);
    assertEquals(at.expired.length, 1);
  });

  it("does not expire once it is cleared", async () => {
    using at = stopped();
    at.deadline.start(30);
    await at.clock.pass(29);
    at.deadline.clear();
    await at.clock.pass(1000);
    assertEquals(at.expired, []);
    assertEquals(at.clock.timers, 0);
  });

  it("does not expire once it is stopped", async () => {
    using at = stopped();
    at.deadline.start(30);
    at.deadline.stop();
    assertEquals(at.clock.timers, 0);
    await at.clock.pass(1000);
    assertEquals(at.expired, []);
  });

  it("sets no timer any more once it is stopped", () => {
    // One that had no timer yet, and one that had.
    for (const before of [Infinity, 30]) {
      using at = stopped();
      at.deadline.start(before);
      at.deadline.stop();
      at.deadline.start(10);
      assertEquals(at.clock.timers, 0);
    }
  });

  it("leaves a wait that has begun as it is", async () => {
    for (const ms of [1, 500, Infinity]) {
      using at = stopped();
      at.deadline.start(50);
      at.deadline.start(ms);
      await at.clock.pass(49);
      assertEquals(at.expired, []);
      await at.clock.pass(50);
      assertEquals(at.expired.length, 1);
    }
  });

  it("lets a longer wait that follows have all its time", async () => {
    using at = stopped();
    at.deadline.start(30);
    at.deadline.clear();
    await at.clock.pass(10);
    at.deadline.start(200);
    await at.clock.pass(199);
    assertEquals(at.expired, []);
    await at.clock.pass(100);
    assertEquals(at.expired.length, 1);
  });

  it("ends a shorter wait that follows in time", async () => {
    using at = stopped();
    at.deadline.start(1_000_000);
    at.deadline.clear();
    at.deadline.start(30);
    assertEquals(at.clock.timers, 1);
    await at.clock.pass(100);
    assertEquals(at.expired.length, 1);
    assertGreaterOrEqual(at.expired[0]!, 30);
    assertEquals(at.clock.timers, 0);
  });

  it("watches again after a pause without a wait", async () => {
    using at = stopped();
    at.deadline.start(30);
    at.deadline.clear();
    await at.clock.pass(1000);
    at.deadline.start(30);
    await at.clock.pass(100);
    assertEquals(at.expired.length, 1);
    assertGreaterOrEqual(at.expired[0]!, 1030);
  });

  it("never expires if the time is Infinity", async () => {
    using at = stopped();
    at.deadline.start(Infinity);
    assertEquals(at.clock.timers, 0);
    await at.clock.pass(1_000_000);
    assertEquals(at.expired, []);
  });

  it("waits longer than the runtime's timers can", async () => {
    const month = 30 * 24 * 60 * 60 * 1000;
    using at = stopped();
    at.deadline.start(month);
    await at.clock.pass(month - 1);
    assertEquals(at.expired, []);
    await at.clock.pass(100);
    assertEquals(at.expired.length, 1);
  });

  it("does not wake the runtime in vain when the time is large", async () => {
    const deadline = new Deadline(() => {});
    const count = timerCounter();
    // The runtime's timers fire after a millisecond when the time is too large.
    deadline.start(1e12);
    await new Promise((resolve) => setTimeout(resolve, 30));
    deadline.stop();
    assertEquals(count(), 2);
  });

  it("sets one timer for one wait after another", () => {
    const deadline = new Deadline(() => {});
    const count = timerCounter();
    for (let wait = 0; wait < 100; wait++) {
      deadline.start(10_000);
      deadline.clear();
    }
    deadline.stop();
    assertEquals(count(), 1);
  });

  it("sets a timer once per wait at most, however short the waits", async () => {
    using at = stopped();
    for (let wait = 0; wait < 10; wait++) {
      at.deadline.start(30);
      await at.clock.pass(20);
      at.deadline.clear();
      assertEquals(at.clock.timers, 1);
    }
    assertEquals(at.expired, []);
  });
});

describe("Deadline of a process that was stopped for long", () => {
  it("lets what came meanwhile be found", () => {
    using at = stopped();
    at.deadline.start(10);
    at.clock.holdUp(1000);
    at.deadline.check(performance.now());
    at.deadline.clear();
    at.clock.passAtOnce(1000);
    assertEquals(at.expired, []);
  });

  it("finds it before the timer fires, too", () => {
    using at = stopped();
    at.deadline.start(10);
    at.deadline.check(performance.now() + 1000);
    assertEquals(at.expired, []);
  });

  it("expires soon if nothing is found", () => {
    using at = stopped();
    at.deadline.start(10);
    at.clock.holdUp(1000);
    assertEquals(at.expired, []);
    at.clock.passAtOnce(10);
    assertEquals(at.expired.length, 1);
    assertEquals(at.clock.timers, 0);
  });

  it("goes on watching after it found something", async () => {
    using at = stopped();
    at.deadline.start(10);
    at.clock.holdUp(1000);
    at.deadline.clear();
    at.deadline.start(200);
    assertEquals(at.clock.timers, 1);
    await at.clock.pass(199);
    assertEquals(at.expired, []);
    await at.clock.pass(100);
    assertEquals(at.expired.length, 1);
    assertLess(at.expired[0]!, 1300);
    assertEquals(at.clock.timers, 0);
    at.deadline.start(10);
    await at.clock.pass(100);
    assertEquals(at.expired.length, 2);
  });
});
