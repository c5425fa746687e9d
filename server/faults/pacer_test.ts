import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { stopClock } from "../../testing/clock.ts";
import { Pacer } from "./pacer.ts";

describe("Pacer", () => {
  it("lets bytes leave when the last of them is due", () => {
    using _clock = stopClock();
    const now = performance.now();
    const pacer = new Pacer(1000);
    assertEquals(pacer.dueAt(10, now) - now, 10);
    assertEquals(pacer.dueAt(5, now) - now, 15);
    assertEquals(new Pacer(500).dueAt(10, now) - now, 20);
  });

  it("takes small steps, and one byte at least", () => {
    assertEquals(
      [1, 100, 1000, 1050, 102_400, Infinity].map((rate) =>
        new Pacer(rate).stepBytes
      ),
      [1, 1, 10, 10, 1024, Infinity],
    );
  });

  it("does not wait for what was idle before", () => {
    using clock = stopClock();
    const pacer = new Pacer(1000);
    pacer.dueAt(10, performance.now());
    clock.passAtOnce(5000);
    const now = performance.now();
    // Neither are bytes of the idle time to be had now.
    assertEquals(pacer.dueAt(10, now) - now, 10);
    assertEquals(pacer.dueAt(10, now) - now, 20);
  });

  it("catches up with a timer that was late", () => {
    using clock = stopClock();
    const pacer = new Pacer(1000);
    const start = performance.now();
    pacer.dueAt(10, start);
    clock.passAtOnce(50);
    assertEquals(pacer.dueAt(10, start) - start, 20);
  });

  it("catches up with a tenth of a second at most", () => {
    using clock = stopClock();
    const pacer = new Pacer(1000);
    const start = performance.now();
    pacer.dueAt(10, start);
    clock.passAtOnce(5000);
    // The reply was ready all the time: the client did not read.
    assertEquals(pacer.dueAt(10, start) - start, 4910);
  });

  it("waits until the reply is ready", () => {
    using _clock = stopClock();
    const now = performance.now();
    assertEquals(new Pacer(1000).dueAt(10, now + 70) - now, 80);
  });
});
