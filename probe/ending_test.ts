import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { stopClock } from "../testing/clock.ts";
import { ListenerCount } from "../testing/socket.ts";
import { Ending } from "./ending.ts";
import { UnansweredError } from "./failure.ts";

/** Waits for something on a clock that stands still, until a test stops it. */
function startWaiting(longestMs = 0) {
  const clock = stopClock();
  const stop = new AbortController();
  const listeners = new ListenerCount(stop.signal);
  const rtt = { longestMs };
  const ending = new Ending(stop.signal, () => rtt.longestMs);
  const { giveUp } = ending;
  const pending = Promise.withResolvers<void>();
  // What is under way settles soon after it is given up.
  giveUp.addEventListener("abort", () => pending.resolve());
  const waiting = ending.wait(pending.promise);
  return {
    ...{ clock, stop, listeners, rtt, ending, giveUp, pending, waiting },
    [Symbol.dispose]: () => clock[Symbol.dispose](),
  };
}

describe("Ending", () => {
  it("waits for ever without a stop", async () => {
    using it = startWaiting();
    await it.clock.pass(10 ** 9);
    assertEquals([it.giveUp.aborted, it.clock.timers], [false, 0]);
    it.pending.resolve();
    await it.waiting;
    assertEquals([it.giveUp.aborted, it.listeners.now], [false, 0]);
  });

  it("waits for the longest round trip, 100 ms to a second", async () => {
    for (
      const [longestMs, graceMs] of [
        ...[[0, 100], [99, 100], [101, 101], [500, 500]],
        ...[[999, 999], [1001, 1000], [60_000, 1000]],
      ] as const
    ) {
      using it = startWaiting(longestMs);
      await it.clock.pass(5000);
      it.stop.abort();
      await it.clock.pass(graceMs - 1);
      assertEquals(it.giveUp.aborted, false, `${longestMs}`);
      await it.clock.pass(1);
      assertEquals(it.giveUp.aborted, true, `${longestMs}`);
      assert(it.giveUp.reason instanceof UnansweredError);
      await it.waiting;
    }
  });

  it("takes the longest round trip that was known at the stop", async () => {
    using it = startWaiting(200);
    it.rtt.longestMs = 300;
    it.stop.abort();
    it.rtt.longestMs = 400;
    await it.clock.pass(299);
    assertEquals(it.giveUp.aborted, false);
    await it.clock.pass(1);
    assertEquals(it.giveUp.aborted, true);
    await it.waiting;
  });

  it("gives up nothing that is settled in that time", async () => {
    using it = startWaiting();
    it.stop.abort();
    await it.clock.pass(99);
    it.pending.resolve();
    await it.waiting;
    assertEquals([it.clock.timers, it.listeners.now], [0, 0]);
    await it.clock.pass(1000);
    assertEquals(it.giveUp.aborted, false);
  });

  it("gives what begins after a stop its time, too", async () => {
    using it = startWaiting();
    it.stop.abort();
    it.pending.resolve();
    await it.waiting;
    await it.clock.pass(1000);
    const late = Promise.withResolvers<void>();
    it.giveUp.addEventListener("abort", () => late.resolve());
    const waiting = it.ending.wait(late.promise);
    await it.clock.pass(99);
    assertEquals(it.giveUp.aborted, false);
    await it.clock.pass(1);
    await waiting;
    assertEquals([it.giveUp.aborted, it.clock.timers], [true, 0]);
  });

  it("throws what went wrong, and leaves nothing behind", async () => {
    for (const isStopped of [false, true]) {
      using it = startWaiting();
      if (isStopped) it.stop.abort();
      it.pending.reject(new Error("no room"));
      await assertRejects(() => it.waiting, Error, "no room");
      assertEquals([it.clock.timers, it.listeners.now], [0, 0]);
    }
  });
});
