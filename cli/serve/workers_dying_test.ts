import { assertEquals } from "@std/assert";
import { deadline } from "@std/async/deadline";
import { describe, it } from "@std/testing/bdd";
import { type FakeClock, stopClock } from "../../testing/clock.ts";
import {
  Mortals,
  mortalScript,
  script,
  untilGone,
} from "../../testing/workers.ts";
import { serveInWorkers } from "./workers.ts";

/** A wait of a test that would not end if the code were broken, in milliseconds. */
const LONG_MS = 10_000;

/** Starts workers that the test lets die. */
function startMortals(
  mortals: Mortals,
  { count = 2, script = mortalScript(), once = false, maxConnections = 1 } = {},
) {
  return serveInWorkers({
    ...{ count, script, style: "none", out: mortals, tell: mortals.tell },
    serve: { hostname: "127.0.0.1", port: 0, once, maxConnections },
  });
}

/** Lets time pass, and checks when a thread is started: after it, not before. */
async function assertStartsAfter(
  ms: number,
  clock: FakeClock,
  mortals: Mortals,
): Promise<void> {
  const { started } = mortals;
  if (ms > 0) await clock.pass(ms - 1);
  assertEquals(mortals.started, started, "none is started before");
  await clock.pass(ms > 0 ? 1 : 0);
  assertEquals(mortals.started, started + 1, "one is started then");
}

const died = (worker: number, reason: string) =>
  ({ type: "worker_died", worker, reason }) as const;

describe("serveInWorkers(), when a worker dies,", () => {
  it("tells which one and why, and replaces it", async () => {
    using clock = stopClock();
    using mortals = new Mortals();
    const server = await startMortals(mortals);
    await mortals.kill(2);
    assertEquals(mortals.deaths, [died(2, "boom")]);
    await assertStartsAfter(0, clock, mortals);
    await mortals.untilServing(2);
    server.shutdown();
    // What the dead one counted is lost.
    assertEquals(await server.finished, {
      ...{ accepted: 2, open: 0, bytes: 20 },
      closed: {},
    });
    assertEquals([mortals.started, clock.timers], [3, 0]);
    await untilGone(server.addr);
  });

  it("replaces one that threw what nothing catches", async () => {
    using mortals = new Mortals();
    const server = await startMortals(mortals, {
      count: 1,
      script: mortalScript(
        `if (type === "count open") throw new Error("thrown")`,
      ),
    });
    // What died has no connections.
    assertEquals(await server.countOpen(), 0);
    await mortals.untilDead(1);
    const [death] = mortals.deaths;
    assertEquals([death?.worker, death?.reason.includes("thrown")], [1, true]);
    await mortals.kill(1);
    server.stop();
    assertEquals((await server.finished).bytes, 0);
    await untilGone(server.addr);
  });

  it("replaces at most one worker a second", async () => {
    using clock = stopClock();
    using mortals = new Mortals();
    const server = await startMortals(mortals, { count: 3 });
    await mortals.kill(1, 3);
    await assertStartsAfter(0, clock, mortals);
    await mortals.kill(2);
    await assertStartsAfter(1000, clock, mortals);
    await assertStartsAfter(1000, clock, mortals);
    await Promise.all([1, 2, 3].map((index) => mortals.untilServing(index)));
    // A second after the last one there is nothing to wait for.
    await clock.pass(1000);
    await mortals.kill(1);
    await assertStartsAfter(0, clock, mortals);
    await mortals.untilServing(1);
    server.shutdown();
    assertEquals((await server.finished).accepted, 3);
    assertEquals([mortals.started, clock.timers], [7, 0]);
  });

  it("tries again a second later when the next one cannot listen", async () => {
    using clock = stopClock();
    using mortals = new Mortals();
    const server = await startMortals(mortals, {
      count: 1,
      // Played workers have no connections: the first counter counts the workers.
      script: mortalScript(
        `if (type === "count open") tell({ type: "open", count: options.port });`,
        `const born = Atomics.add(counts, 0, 1);
        if (born === 1 || born === 2) return die("no port " + born)`,
      ),
    });
    await mortals.kill(1);
    await assertStartsAfter(0, clock, mortals);
    await mortals.untilDead(2);
    await assertStartsAfter(1000, clock, mortals);
    await mortals.untilDead(3);
    await assertStartsAfter(1000, clock, mortals);
    await mortals.untilServing(1);
    assertEquals(
      mortals.deaths,
      ["boom", "no port 1", "no port 2"].map((reason) => died(1, reason)),
    );
    // It was told the port, which the first one took.
    assertEquals(await server.countOpen(), server.addr.port);
    server.shutdown();
    assertEquals((await server.finished).accepted, 1);
    assertEquals([mortals.started, clock.timers], [4, 0]);
  });

  for (const how of ["shutdown", "stop"] as const) {
    it(`replaces none after ${how}(), and finishes`, async () => {
      using clock = stopClock();
      using mortals = new Mortals();
      const server = await startMortals(mortals, { count: 3 });
      await mortals.kill(1, 2);
      await assertStartsAfter(0, clock, mortals);
      const [first] = mortals.deaths;
      await mortals.untilServing(first!.worker);
      // The other one waits for its turn.
      server[how]();
      const stats = await deadline(server.finished, LONG_MS);
      assertEquals(stats, {
        ...{ accepted: 2, open: 0, bytes: 20 },
        closed: {},
      });
      assertEquals([mortals.started, clock.timers], [4, 0]);
      await clock.pass(10_000);
      assertEquals(mortals.started, 4);
      await untilGone(server.addr);
    });

    it(`replaces none that dies of ${how}()`, async () => {
      using clock = stopClock();
      using mortals = new Mortals();
      const server = await startMortals(mortals, {
        script: script(
          `if (type === "${how}") index === 2 ? die("of it") : finish(1, 0, 10);`,
        ),
      });
      server[how]();
      const stats = await deadline(server.finished, LONG_MS);
      assertEquals(stats, {
        ...{ accepted: 1, open: 0, bytes: 10 },
        closed: {},
      });
      assertEquals(mortals.deaths, [died(2, "of it")]);
      await clock.pass(10_000);
      assertEquals([mortals.started, clock.timers], [2, 0]);
      await untilGone(server.addr);
    });
  }

  it("replaces none once another one has the only client", async () => {
    using clock = stopClock();
    using mortals = new Mortals();
    const server = await startMortals(mortals, {
      once: true,
      script: mortalScript(
        `if (type === "count open") {
          tell({ type: "open", count: 0 });
          if (index === 1) {
            tell({ type: "taken" });
            finish(1, 0, 10);
          }
        }`,
      ),
    });
    await mortals.kill(2);
    await server.countOpen();
    const stats = await deadline(server.finished, LONG_MS);
    assertEquals(stats, {
      ...{ accepted: 1, open: 0, bytes: 10 },
      closed: {},
    });
    await clock.pass(10_000);
    assertEquals([mortals.started, clock.timers], [2, 0]);
  });

  it("counts no connections of it", async () => {
    using clock = stopClock();
    using mortals = new Mortals();
    const server = await startMortals(mortals, {
      count: 3,
      script: mortalScript(
        `if (type === "count open") tell({ type: "open", count: index });`,
      ),
    });
    assertEquals(await server.countOpen(), 6);
    await mortals.kill(2);
    assertEquals(await deadline(server.countOpen(), LONG_MS), 4);
    await assertStartsAfter(0, clock, mortals);
    await mortals.untilServing(2);
    assertEquals(await server.countOpen(), 6);
    server.stop();
    await server.finished;
  });

  it("frees its share of the counters, and no other", async () => {
    using _clock = stopClock();
    using mortals = new Mortals();
    const server = await startMortals(mortals, {
      count: 3,
      maxConnections: 9,
      script: mortalScript(
        `if (type === "count open") {
          const digits = index === 1 ? [...counts].join("") : 0;
          tell({ type: "open", count: Number(digits) });
        }`,
        `Atomics.add(counts, 0, index); Atomics.add(counts, index, index)`,
      ),
    });
    assertEquals(await server.countOpen(), 6123);
    await mortals.kill(3);
    assertEquals(await server.countOpen(), 3120);
    await mortals.kill(2);
    assertEquals(await server.countOpen(), 1100);
    server.stop();
    await server.finished;
  });
});
