import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { stopClock } from "../../testing/clock.ts";
import { Mortals, mortalScript, script } from "../../testing/workers.ts";
import { serveInWorkers, type WorkersOptions } from "./workers.ts";

const OPTIONS: WorkersOptions = {
  count: 2,
  serve: { hostname: "127.0.0.1", port: 0 },
  style: "none",
  out: { write: () => Promise.resolve(0) },
  tell: () => {},
};

/** Answers that it counted so much, times the number of the worker. */
const COUNTING = `globalThis.asked ??= 0;
if (type === "count all") {
  asked++;
  const closed = { eof: 10 * index };
  const stats = { accepted: 11 * index, open: index, closed, bytes: 7 * index };
  tell({ type: "stats", stats });
}`;

describe("serveInWorkers(), asked for what all counted,", () => {
  it("adds up what its workers say", async () => {
    const server = await serveInWorkers({
      ...OPTIONS,
      script: script(COUNTING + `if (type === "stop") finish(asked);`),
    });
    const expected = {
      ...{ accepted: 33, open: 3, closed: { eof: 30 }, bytes: 21 },
    };
    assertEquals(await server.stats(), expected);
    // Whoever asks meanwhile gets the same answer.
    const many = [server.stats(), server.stats(), server.stats()];
    assertEquals(await Promise.all(many), [expected, expected, expected]);
    server.stop();
    // So each worker was asked once more.
    assertEquals((await server.finished).accepted, 4);
  });

  it("goes on with what a finished worker counted", async () => {
    const server = await serveInWorkers({
      ...OPTIONS,
      script: script(
        `if (type === "stop") finish(5, 0, 3);`,
      ),
    });
    server.stop();
    await server.finished;
    assertEquals(await server.stats(), {
      ...{ accepted: 10, open: 0, closed: {}, bytes: 6 },
    });
  });

  it("keeps what a dead one told, with its connections closed", async () => {
    using clock = stopClock();
    using mortals = new Mortals();
    const server = await serveInWorkers({
      ...{ ...OPTIONS, out: mortals, tell: mortals.tell },
      script: mortalScript(COUNTING),
    });
    const before = { accepted: 33, open: 3, closed: { eof: 30 }, bytes: 21 };
    assertEquals(await server.stats(), before);
    await mortals.kill(2);
    const closed = { eof: 30, error: 2 };
    const died = { accepted: 33, open: 1, closed, bytes: 21 };
    assertEquals(await server.stats(), died);
    // The one that replaces it counts from nothing.
    await clock.pass(0);
    await mortals.untilServing(2);
    assertEquals(await server.stats(), {
      ...{ accepted: 55, open: 3, bytes: 35 },
      closed: { eof: 50, error: 2 },
    });
    await mortals.kill(2);
    assertEquals((await server.stats()).accepted, 55);
    server.stop();
    await server.finished;
    assertEquals((await server.stats()).closed.error, 4);
  });

  it("takes what a worker said last if it does not answer for a second", async () => {
    const server = await serveInWorkers({
      ...OPTIONS,
      script: script(
        `if (type === "count all" && !(index === 1 && globalThis.wasAsked)) {
          globalThis.wasAsked = true;
          const stats = { accepted: 4, open: 1, closed: {}, bytes: 5 };
          tell({ type: "stats", stats });
        }
        if (type === "stop") finish(0);`,
      ),
    });
    const counted = { accepted: 8, open: 2, closed: {}, bytes: 10 };
    assertEquals(await server.stats(), counted);
    using clock = stopClock();
    const late = server.stats();
    await clock.pass(1000);
    assertEquals([await late, clock.timers], [counted, 0]);
    server.stop();
    await server.finished;
  });
});
