import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { stopClock } from "../testing/clock.ts";
import { untilQueueIsEmpty } from "./queue.ts";

/** Waits for a queue, of which so much comes before each millisecond's look. */
async function wait(arrivals: (ms: number) => number, signal?: AbortSignal) {
  using clock = stopClock();
  let taken = 0;
  let isOver = false;
  const waiting = untilQueueIsEmpty(
    () => taken,
    signal ?? new AbortController().signal,
  ).then(() => isOver = true);
  let ms = 0;
  for (; !isOver && ms < 5000; ms++) {
    taken += arrivals(ms);
    await clock.pass(1);
  }
  await waiting;
  assertEquals(clock.timers, 0);
  return ms;
}

describe("untilQueueIsEmpty()", () => {
  it("waits until nothing came three times in a row", async () => {
    assertEquals(await wait(() => 0), 3);
    assertEquals(await wait((ms) => ms < 10 ? 1 : 0), 13);
    // What comes in between begins it anew.
    assertEquals(await wait((ms) => ms === 2 || ms === 5 ? 1 : 0), 9);
  });

  it("waits for a second at most", async () => {
    assertEquals(await wait(() => 1), 1000);
  });

  it("is over at once when it is aborted", async () => {
    const stop = new AbortController();
    const ms = await wait((ms) => {
      if (ms === 20) stop.abort();
      return 1;
    }, stop.signal);
    assertEquals(ms, 21);
    assertEquals(await wait(() => 1, AbortSignal.abort()), 1);
  });
});
