import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import {
  isOpen,
  PAUSE_MS,
  play,
  type PlayedBarrier,
  read,
} from "../testing/barrier.ts";
import { stopClock } from "../testing/clock.ts";
import { noting } from "../testing/pipe.ts";
import { FairnessBarrier } from "./fairness.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** A read that brings so much closes a barrier that may close. */
const ENOUGH = 252 * KIB;

/** Closes a barrier by one read, which it holds. */
function close(barrier: FairnessBarrier) {
  const reads = read(barrier, 1, ENOUGH);
  assertEquals(reads.held, 1);
  return reads;
}

/** Closes a barrier by reads, and has it open again. */
async function round(
  { barrier, poll }: PlayedBarrier,
  ...reads: number[]
): Promise<void> {
  for (const bytes of reads) assertEquals(barrier.addRead(bytes), true);
  await poll.poll();
  assertEquals(await isOpen(barrier), true);
}

describe("FairnessBarrier.addRead()", () => {
  it("closes with the read that makes the work 256 KiB", () => {
    // Each read counts for 4 KiB besides its bytes.
    const { barrier: small, poll } = play();
    assertEquals(read(small, 63).held, 0);
    assertEquals([read(small, 1).held, poll.asked], [1, 1]);
    const { barrier: large } = play();
    assertEquals(read(large, 1, ENOUGH).held, 1);
    const { barrier: mixed } = play();
    assertEquals(read(mixed, 1, ENOUGH - 1).held, 0);
    assertEquals(read(mixed, 1).held, 1);
  });

  it("closes among two connections, not for a single one", () => {
    const { among, barrier, poll } = play(1);
    assertEquals(read(barrier, 1000, MIB).held, 0);
    assertEquals(poll.asked, 0);
    among.open = 2;
    assertEquals(read(barrier, 1000, MIB).held, 1000);
  });

  it("closes again when the pause since its opening is over", async () => {
    using clock = stopClock();
    const { barrier, poll } = play();
    for (let closing = 1; closing <= 3; closing++) {
      const reads = close(barrier);
      await clock.pass(PAUSE_MS / 2);
      await poll.poll();
      assertEquals([reads.waiting, poll.asked], [0, closing]);
      await clock.pass(PAUSE_MS - 1);
      assertEquals(read(barrier, 1000, MIB).held, 0);
      await clock.pass(1);
    }
  });

  it("pauses for as long as it was closed, if that is longer", async () => {
    using clock = stopClock();
    const { barrier, poll } = play();
    close(barrier);
    await clock.pass(5 * PAUSE_MS);
    await poll.poll();
    await clock.pass(5 * PAUSE_MS - 1);
    assertEquals(read(barrier, 1000, MIB).held, 0);
    await clock.pass(1);
    close(barrier);
  });

  it("looks at the clock only after another 256 KiB of work", async () => {
    using clock = stopClock();
    const { barrier, poll } = play();
    close(barrier);
    await poll.poll();
    assertEquals(read(barrier, 1, ENOUGH).held, 0);
    await clock.pass(PAUSE_MS);
    assertEquals(read(barrier, 1, ENOUGH - 1).held, 0);
    assertEquals(read(barrier, 1).held, 1);
    await poll.poll();
    // The work while it was closed does not count.
    await clock.pass(PAUSE_MS);
    assertEquals(read(barrier, 63).held, 0);
    assertEquals(read(barrier, 1).held, 1);
  });
});

describe("FairnessBarrier.pass()", () => {
  it("waits for nothing while the barrier is open", async () => {
    const { barrier, poll } = play();
    await barrier.pass();
    read(barrier, 63);
    await barrier.pass();
    assertEquals(poll.asked, 0);
  });

  it("waits, among few connections, for one poll", async () => {
    const { barrier, poll } = play(63);
    const reads = close(barrier);
    await nextTurn();
    assertEquals(reads.waiting, 1);
    const others = read(barrier, 61);
    assertEquals([others.held, others.waiting], [61, 61]);
    await poll.poll();
    assertEquals([reads.waiting, others.waiting, poll.asked], [0, 0, 1]);
    assertEquals(await isOpen(barrier), true);
  });

  it("waits, among many connections, for two polls", async () => {
    for (const open of [64, 65, 1000]) {
      const { barrier, poll } = play(open);
      const reads = close(barrier);
      await poll.poll();
      assertEquals(reads.waiting, 1);
      const others = read(barrier, 62);
      await poll.poll();
      assertEquals([reads.waiting, others.waiting, poll.asked], [0, 0, 2]);
    }
  });

  it("waits for two more polls after a full turn", async () => {
    const { barrier, poll } = play(1000);
    const reads = close(barrier);
    // With the read that closed it, these are 64.
    read(barrier, 63);
    await poll.poll();
    await poll.poll();
    assertEquals(reads.waiting, 1);
    read(barrier, 64);
    await poll.poll();
    await poll.poll();
    assertEquals(reads.waiting, 1);
    read(barrier, 63);
    await poll.poll();
    assertEquals([reads.waiting, poll.asked], [0, 5]);
  });

  it("ends with the next poll when all connections had a read", async () => {
    const { barrier, poll } = play(100);
    const reads = close(barrier);
    read(barrier, 98);
    await poll.poll();
    assertEquals(reads.waiting, 1);
    read(barrier, 1);
    await poll.poll();
    assertEquals([reads.waiting, poll.asked], [0, 2]);
  });

  it("ends when all that are still open had a read", async () => {
    const { among, barrier, poll } = play(1000);
    const reads = close(barrier);
    read(barrier, 127);
    among.open = 128;
    await poll.poll();
    assertEquals([reads.waiting, poll.asked], [0, 1]);
  });

  it("counts reads anew with each closing", async () => {
    using _ = stopClock();
    const { barrier, poll } = play(100, 0);
    for (let closing = 1; closing <= 3; closing++) {
      const reads = close(barrier);
      read(barrier, 49);
      await poll.poll();
      assertEquals(reads.waiting, 1);
      await poll.poll();
      assertEquals([reads.waiting, poll.asked], [0, 2 * closing]);
    }
  });

  it("works with the runtime's own polls", async () => {
    using _ = stopClock();
    const barrier = new FairnessBarrier({ countOpen: () => 100, pauseMs: 0 });
    for (let closing = 0; closing < 3; closing++) {
      const reads = close(barrier);
      await barrier.pass();
      assertEquals(reads.waiting, 0);
    }
    await barrier.stop();
  });
});

describe("FairnessBarrier.readBytes", () => {
  it("shrinks when a closing brings more than 12 MiB, and grows again", async () => {
    using _ = stopClock();
    const played = play(2, 0);
    const { barrier } = played;
    assertEquals(barrier.readBytes, 512 * KIB);
    const steps = [
      ...[[24, 256], [24, 128], [12, 128], [6, 256], [3, 512], [1, 512]],
      ...[[1e6, 16], [1e6, 16], [6, 32], [8, 48], [0.25, 512]],
    ] as const;
    for (const [mib, kib] of steps) {
      await round(played, mib * MIB);
      assertEquals(barrier.readBytes, kib * KIB, `after ${mib} MiB`);
    }
  });

  it("is the most again for a connection that is left alone", async () => {
    using clock = stopClock();
    const played = play(2, 0);
    const { among, barrier } = played;
    await round(played, 100 * MIB);
    among.open = 1;
    await clock.pass(1000);
    assertEquals(read(barrier, 1, MIB), { held: 0, waiting: 0 });
    assertEquals(barrier.readBytes, 512 * KIB);
  });

  it("is a whole number", async () => {
    const played = play();
    await round(played, 13 * MIB);
    assertEquals(played.barrier.readBytes, Math.floor(512 * KIB * 12 / 13));
  });

  it("counts what all reads of a closing brought, and nothing else", async () => {
    using _ = stopClock();
    const played = play(50, 0);
    const { barrier } = played;
    await round(played, 4 * MIB, 4 * MIB);
    assertEquals(barrier.readBytes, 512 * KIB);
    assertEquals(read(barrier, 1, ENOUGH - 1).held, 0);
    await round(played, 8 * MIB, 8 * MIB, 8 * MIB);
    assertEquals(barrier.readBytes, 256 * KIB);
  });
});

describe("FairnessBarrier.untilAllRead()", () => {
  it("closes at once, and settles at the opening", async () => {
    using clock = stopClock();
    const played = play(1);
    const { barrier, poll } = played;
    for (let closing = 1; closing <= 3; closing++) {
      const done = noting(barrier.untilAllRead());
      await nextTurn();
      assertEquals([done.isSettled, read(barrier, 0).held], [false, 0]);
      assertEquals([await isOpen(barrier), poll.asked], [false, closing]);
      await poll.poll();
      assertEquals([done.isSettled, await isOpen(barrier)], [true, true]);
    }
    // No closing follows but after a pause.
    played.among.open = 2;
    await clock.pass(PAUSE_MS - 1);
    assertEquals(read(barrier, 1, ENOUGH).held, 0);
  });

  it("waits for a closing of its own while one is under way", async () => {
    const { barrier, poll } = play();
    const reads = close(barrier);
    const first = noting(barrier.untilAllRead());
    const second = noting(barrier.untilAllRead());
    await poll.poll();
    assertEquals([reads.waiting, poll.asked], [0, 2]);
    assertEquals([first.isSettled, second.isSettled], [false, false]);
    await poll.poll();
    assertEquals([first.isSettled, second.isSettled], [true, true]);
    assertEquals(poll.asked, 2, "one closing is enough for both");
  });

  it("waits for nothing without a connection", async () => {
    const { barrier, poll } = play(0);
    await barrier.untilAllRead();
    assertEquals(poll.asked, 0);
  });

  it("does not wait after stop()", async () => {
    const { barrier, poll } = play();
    await barrier.stop();
    await barrier.untilAllRead();
    assertEquals(poll.asked, 0);
  });
});

describe("FairnessBarrier.stop()", () => {
  it("lets all pass, then settles", async () => {
    const { barrier, poll } = play(1000);
    const events: string[] = [];
    close(barrier);
    barrier.pass().then(() => events.push("passed"));
    barrier.untilAllRead().then(() => events.push("all read"));
    await barrier.stop();
    events.push("stopped");
    await nextTurn();
    assertEquals(events[0], "passed");
    assertEquals(events.toSorted(), ["all read", "passed", "stopped"]);
    assertEquals(poll.isClosed, true);
  });

  it("keeps it open for good", async () => {
    const { barrier, poll } = play(2, 0);
    await barrier.stop();
    assertEquals(read(barrier, 1000, MIB).held, 0);
    assertEquals([await isOpen(barrier), poll.asked], [true, 0]);
  });

  it("settles only when it is open", async () => {
    const { barrier, poll } = play(1000);
    close(barrier);
    poll.close = () => Promise.resolve();
    const stopped = noting(barrier.stop());
    await nextTurn();
    assertEquals(stopped.isSettled, false);
    await poll.poll();
    await poll.poll();
    assertEquals(stopped.isSettled, true);
  });
});
