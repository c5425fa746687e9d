import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import { type FakeClock, stopClock } from "../testing/clock.ts";
import { FairnessBarrier } from "./fairness.ts";

/** The pause before a barrier closes, in milliseconds. */
const PAUSE_MS = 100;

/** Makes a closed barrier among some connections. */
async function closedBarrier(
  clock: FakeClock,
  connections: number | (() => number),
): Promise<FairnessBarrier> {
  const countOpen = typeof connections === "number"
    ? () => connections
    : connections;
  const barrier = new FairnessBarrier(countOpen, PAUSE_MS);
  barrier.schedule();
  await clock.pass(PAUSE_MS);
  assertEquals(barrier.isClosed, true);
  return barrier;
}

/** Has some reads finish in this turn; returns those that passed the barrier. */
function read(barrier: FairnessBarrier, count: number): Set<number> {
  const passed = new Set<number>();
  for (let at = 0; at < count; at++) {
    barrier.pass().then(() => passed.add(at));
  }
  return passed;
}

describe("FairnessBarrier", () => {
  it("closes when the pause after schedule() is over", async () => {
    using clock = stopClock();
    const barrier = new FairnessBarrier(() => 129, PAUSE_MS);
    await clock.pass(PAUSE_MS);
    assertEquals(barrier.isClosed, false);
    barrier.schedule();
    await clock.pass(PAUSE_MS - 1);
    assertEquals(barrier.isClosed, false);
    await clock.pass(1);
    assertEquals(barrier.isClosed, true);
    barrier.stop();
  });

  it("stays open among as many connections as a turn has reads", () => {
    using clock = stopClock();
    const barrier = new FairnessBarrier(() => 128, PAUSE_MS);
    barrier.schedule();
    assertEquals(clock.timers, 0);
  });

  it("closes once, however often it is scheduled", async () => {
    using clock = stopClock();
    const barrier = new FairnessBarrier(() => 1000, PAUSE_MS);
    barrier.schedule();
    await clock.pass(PAUSE_MS - 1);
    barrier.schedule();
    assertEquals(clock.timers, 1);
    assertEquals(clock.unrefTimers, 1, "the process need not wait for it");
    await clock.pass(1);
    assertEquals(barrier.isClosed, true);
    barrier.schedule();
    assertEquals(clock.timers, 0);
    barrier.stop();
  });

  it("holds all back while turns are full of reads", async () => {
    using clock = stopClock();
    const barrier = await closedBarrier(clock, 1000);
    const first = read(barrier, 128);
    await nextTurn();
    assertEquals([first.size, barrier.isClosed], [0, true]);

    const second = read(barrier, 127);
    assertEquals(first.size, 0);
    await nextTurn();
    assertEquals([first.size, second.size], [128, 127]);
    assertEquals(barrier.isClosed, false);
    barrier.stop();
  });

  it("opens at the end of a turn with a single read", async () => {
    using clock = stopClock();
    const barrier = await closedBarrier(clock, 1000);
    const passed = read(barrier, 1);
    await nextTurn();
    assertEquals([passed.size, barrier.isClosed], [1, false]);
    barrier.stop();
  });

  it("opens when every connection had its read", async () => {
    using clock = stopClock();
    const barrier = await closedBarrier(clock, 256);
    const first = read(barrier, 128);
    await nextTurn();
    assertEquals(first.size, 0);

    const second = read(barrier, 128);
    await nextTurn();
    assertEquals([first.size, second.size], [128, 128]);
    barrier.stop();
  });

  it("opens when every connection that is left had its read", async () => {
    using clock = stopClock();
    let connections = 1000;
    const barrier = await closedBarrier(clock, () => connections);
    connections = 128;
    const passed = read(barrier, 128);
    await nextTurn();
    assertEquals(passed.size, 128);
    assertEquals(clock.timers, 0, "it is not needed any more");
  });

  it("opens when no read follows a full turn for 2 to 4 ms", async () => {
    using clock = stopClock();
    const barrier = await closedBarrier(clock, 1000);
    const passed = read(barrier, 128);
    await nextTurn();
    await clock.pass(2);
    assertEquals(passed.size, 0);
    // The reads of another full turn begin the wait anew.
    read(barrier, 128);
    await nextTurn();
    await clock.pass(2);
    assertEquals(passed.size, 0);
    await clock.pass(2);
    assertEquals(passed.size, 128);
    barrier.stop();
  });

  it("does not open in the midst of a turn", async () => {
    using clock = stopClock();
    const barrier = await closedBarrier(clock, 1000);
    const passed = read(barrier, 128);
    await nextTurn();
    read(barrier, 1);
    clock.passAtOnce(100);
    assertEquals(barrier.isClosed, true);
    read(barrier, 127);
    await nextTurn();
    assertEquals([barrier.isClosed, passed.size], [true, 0]);
    barrier.stop();
  });

  it("closes again after a pause, and begins to count anew", async () => {
    using clock = stopClock();
    const barrier = await closedBarrier(clock, 200);
    for (let closing = 0; closing < 3; closing++) {
      const early = read(barrier, 127);
      await nextTurn();
      assertEquals([early.size, barrier.isClosed], [127, false]);
      assertEquals(clock.timers, 1, "of the pause alone");
      await clock.pass(PAUSE_MS - 1);
      assertEquals(barrier.isClosed, false);
      await clock.pass(1);

      const held = read(barrier, 128);
      await nextTurn();
      assertEquals([held.size, barrier.isClosed], [0, true]);
      await clock.pass(4);
      assertEquals([held.size, barrier.isClosed], [128, false]);
      await clock.pass(PAUSE_MS);
      assertEquals(barrier.isClosed, true);
    }
    barrier.stop();
  });

  it("lets all pass, for good, when it is stopped", async () => {
    using clock = stopClock();
    const barrier = await closedBarrier(clock, 1000);
    const held = read(barrier, 128);
    await nextTurn();
    barrier.stop();
    await nextTurn();
    assertEquals([held.size, barrier.isClosed, clock.timers], [128, false, 0]);
    barrier.schedule();
    assertEquals(clock.timers, 0);
  });

  it("never closes when it is stopped before", () => {
    using clock = stopClock();
    const barrier = new FairnessBarrier(() => 1000, PAUSE_MS);
    barrier.schedule();
    barrier.stop();
    assertEquals(clock.timers, 0);
  });

  it("is not scheduled again by a turn that ends after it was stopped", async () => {
    using clock = stopClock();
    const barrier = await closedBarrier(clock, 1000);
    const held = read(barrier, 1);
    barrier.stop();
    await nextTurn();
    assertEquals([held.size, barrier.isClosed, clock.timers], [1, false, 0]);
  });
});
