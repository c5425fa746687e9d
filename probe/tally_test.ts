import { assertEquals, assertNotEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { type FakeClock, stopClock } from "../testing/clock.ts";
import { replace } from "../testing/replace.ts";
import { failure, PlayedClients } from "../testing/probe.ts";
import { UnansweredError } from "./failure.ts";
import { Tally } from "./tally.ts";

/** Starts the tally of a load of one second at 1000 ms. */
function start(clock: FakeClock, options = {}) {
  clock.passAtOnce(1000);
  const tally = new Tally({
    connections: 2,
    ...options,
  });
  tally.start(1000);
  return tally;
}

describe("Tally", () => {
  it("tells what came in time from what came after", () => {
    using clock = stopClock();
    const tally = start(clock);
    for (const ms of [500, 499, 1, 50, 100]) {
      clock.passAtOnce(ms);
      tally.addVerified(0, ms);
    }
    tally.end(0);
    clock.passAtOnce(5000);
    const summary = tally.summary();
    assertEquals([summary.messages, summary.messagesInTime], [5, 2]);
    assertEquals([summary.lastAfterMs, summary.durationMs], [150, 1000]);
    assertEquals(summary.latencyMs!.mean, 230);
    assertEquals(tally.longestMs, 500);
  });

  it("lasts until a stop, and not longer than asked", () => {
    for (const [stopMs, durationMs] of [[300, 300], [1200, 1000]] as const) {
      using clock = stopClock();
      const tally = start(clock);
      clock.passAtOnce(stopMs);
      tally.stop();
      clock.passAtOnce(10);
      tally.addVerified(0, 50);
      tally.end(0);
      const summary = tally.summary();
      assertEquals(summary.durationMs, durationMs);
      assertEquals(summary.messagesInTime, 0);
      assertEquals(summary.lastAfterMs, stopMs + 10 - durationMs);
    }
  });

  it("lasts just as long as asked, whatever the clock says", () => {
    const startedAt = 77.7;
    // What a clock makes of two seconds.
    assertNotEquals(startedAt + 2000 - startedAt, 2000);
    using _ = replace(performance, "now", () => startedAt);
    const tally = new Tally({ connections: 1 });
    tally.start(2000);
    tally.end(0);
    assertEquals(tally.summary().durationMs, 2000);
  });

  it("sums up at any time", () => {
    using clock = stopClock();
    const tally = start(clock);
    clock.passAtOnce(250);
    tally.addVerified(0, 100);
    assertEquals(tally.summary().durationMs, 250);
    assertEquals(tally.summary().busyShare, undefined);
    clock.passAtOnce(5000);
    assertEquals(tally.summary().durationMs, 1000);
  });

  it("counts failures by reason, with the words of the first", () => {
    using clock = stopClock();
    const tally = start(clock);
    tally.addFailed(failure("timeout", "It took too long"), 1000);
    tally.addFailed(failure("timeout", "again"), 1000);
    tally.addFailed(failure("mismatch", "a byte"), 1000, "message 3 again");
    tally.addFailed(new UnansweredError(), 1000);
    const { failed, failures, firstErrors } = tally.summary();
    assertEquals([failed, tally.failed], [4, 4]);
    assertEquals(failures, { timeout: 2, mismatch: 1, unanswered: 1 });
    assertEquals(firstErrors, {
      ...{ timeout: "It took too long", mismatch: "message 3 again" },
      unanswered: "no answer when the run ended",
    });
  });

  it("tells how much of the time connections were busy", () => {
    using clock = stopClock();
    const tally = start(clock);
    clock.passAtOnce(1000);
    for (const ms of [300, 200, 100]) tally.addVerified(0, ms);
    tally.end(250);
    // 600 of twice 1000 ms.
    assertEquals(tally.summary().busyShare, 0.3);
    assertEquals(tally.summary().processorShare, 0.25);
    const open = new Tally({
      ...{ connections: 2, ratePerSecond: 10 },
    });
    assertEquals(open.summary().busyShare, undefined);
  });

  it("leaves out how long they were busy after the end", () => {
    using clock = stopClock();
    const tally = start(clock);
    clock.passAtOnce(1300);
    // One of them began 100 ms before the end, the other at the end.
    tally.addVerified(0, 400);
    tally.addVerified(1, 300);
    tally.end(0);
    assertEquals(tally.summary().busyShare, 0.05);
  });

  it("tells what is under way on each connection", () => {
    using clock = stopClock();
    const tally = start(clock, { connections: 3 });
    const none = { messages: 0, sinceAt: undefined };
    assertEquals(tally.underWayNow(), none);
    tally.begin(0, 1200);
    tally.begin(1, 1100);
    tally.begin(2, 1300);
    assertEquals(tally.underWayNow(), { messages: 3, sinceAt: 1100 });
    tally.addVerified(1, 5);
    assertEquals(tally.underWayNow(), { messages: 2, sinceAt: 1200 });
    tally.settle(0);
    assertEquals(tally.underWayNow(), { messages: 1, sinceAt: 1300 });
    tally.settle(2);
    assertEquals(tally.underWayNow(), none);
  });

  it("tells what is under way of messages that are due", () => {
    using clock = stopClock();
    const tally = start(clock, { ratePerSecond: 10 });
    const sent = [1010, 1020].map((sentAt, at) => ({
      ...{ number: at + 1, sentAt },
    }));
    tally.underWay = new Set(sent);
    assertEquals(tally.underWayNow(), { messages: 2, sinceAt: 1010 });
    tally.underWay = new Set();
    assertEquals(tally.underWayNow(), { messages: 0, sinceAt: undefined });
  });

  it("has an outage where nothing came back, until the sending ends", () => {
    using clock = stopClock();
    const tally = start(clock);
    const longest = () => tally.summary().outages.longestMs;
    clock.passAtOnce(100);
    tally.addVerified(0, 100);
    clock.passAtOnce(100);
    tally.addVerified(0, 100);
    // It was sent at 1,050, and 50 ms later came a reply.
    tally.addFailed(failure("timeout"), 1050);
    assertEquals(longest(), 50);
    clock.passAtOnce(300);
    tally.addFailed(failure("timeout"), 1300);
    assertEquals(longest(), 200);
    clock.passAtOnce(100_000);
    assertEquals(longest(), 700);
  });

  it("has no outage where wrong bytes came back", () => {
    using clock = stopClock();
    const tally = start(clock);
    clock.passAtOnce(100);
    tally.addFailed(failure("mismatch"), 1000);
    clock.passAtOnce(100);
    tally.addVerified(0, 1);
    assertEquals(tally.summary().outages.longestMs, 0);
  });

  it("says which failures were before the start, and in no row", () => {
    using clock = stopClock();
    const tally = new Tally({ connections: 2 });
    tally.addFailed(failure("refused"), performance.now());
    tally.start(1000);
    clock.passAtOnce(100);
    tally.addFailed(failure("reset"), 1000);
    const { failed, failedEarly, timeline } = tally.summary();
    assertEquals([failed, failedEarly], [2, 1]);
    assertEquals(timeline.map((row) => row.failed), [1]);
  });

  it("has a row for each second, and the latest that is over", () => {
    using clock = stopClock();
    const tally = start(clock);
    tally.start(1500);
    clock.passAtOnce(500);
    tally.addVerified(0, 7);
    assertEquals(tally.lastSecond().durationMs, 500);
    clock.passAtOnce(700);
    tally.addFailed(failure("reset"), 1600);
    const { durationMs, messages } = tally.lastSecond();
    assertEquals([durationMs, messages], [1000, 1]);
    // What comes after the end is in no row, and makes none longer.
    clock.passAtOnce(2000);
    tally.addVerified(0, 7);
    tally.addFailed(failure("timeout"), 1700);
    tally.end(0);
    clock.passAtOnce(2000);
    tally.addFailed(failure("mismatch"), 1700);
    const { timeline, failed, failedLate } = tally.summary();
    const rows = timeline.map((row) => [row.messages, row.failed]);
    assertEquals(rows, [[1, 0], [0, 1]]);
    assertEquals(timeline.map((row) => row.durationMs), [1000, 500]);
    assertEquals([failed, failedLate], [3, 2]);
  });

  it("has rows for all of its time, also after the last reply", () => {
    using clock = stopClock();
    const tally = start(clock);
    clock.passAtOnce(800);
    tally.addVerified(0, 7);
    tally.end(0);
    const { timeline } = tally.summary();
    assertEquals(timeline.map((row) => row.durationMs), [1000]);
  });

  it("counts what did not leave, and how late the others did", async () => {
    using clock = stopClock();
    const tally = start(clock);
    tally.addUnsent();
    tally.addUnsent();
    tally.addTooLate(3);
    tally.addLate(2);
    tally.addLate(4);
    const { unsent, tooLate, lateMs } = tally.summary();
    assertEquals([unsent, tooLate, lateMs!.mean], [2, 3, 3]);
    const { connect } = new PlayedClients();
    const { signal } = new AbortController();
    for (let client = 0; client < 2; client++) {
      const options = { retryMs: 0, signal, onIrregular() {} };
      tally.addConnected(await connect(options));
    }
    // The first connection's.
    assertEquals(tally.summary().ends!.local.port, 50_001);
  });

  it("has a histogram of a dozen rows at most", () => {
    for (const [shortest, rows] of [[0.2, 12], [0.1, 9]] as const) {
      using clock = stopClock();
      const tally = start(clock);
      tally.addVerified(0, shortest);
      for (let more = 0; more < 9; more++) tally.addVerified(0, 1000);
      const counts = tally.summary().histogram.map(({ count }) => count);
      assertEquals(counts, [1, ...Array(rows - 2).fill(0), 9]);
    }
    using clock = stopClock();
    const { latencyMs, histogram } = start(clock).summary();
    assertEquals([latencyMs, histogram], [undefined, []]);
  });
});
