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
        `if (type === "count all") throw new Error("thrown")`,
      ),
    });
    // What died has no connections.
    assertEquals((await server.stats()).open, 0);
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
        "",
        `const born = Atomics.add(total, 0, 1);
        if (born > 0 && options.port === 0) return die("another port");
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
        `if (type === "count all" && index === 1) {
          tell({ type: "taken" });
          finish(1, 0, 10);
        }`,
      ),
    });
    await mortals.kill(2);
    const counted = server.stats();
    const stats = await deadline(server.finished, LONG_MS);
    assertEquals(stats, {
      ...{ accepted: 1, open: 0, bytes: 10 },
      closed: {},
    });
    await clock.pass(10_000);
    await counted;
    assertEquals([mortals.started, clock.timers], [2, 0]);
  });

  it("frees its share of the counters, and no other", async () => {
    using clock = stopClock();
    using mortals = new Mortals();
    const server = await startMortals(mortals, {
      count: 3,
      maxConnections: 9,
      script: mortalScript(
        "",
        `Atomics.add(total, 0, index); Atomics.add(own, 0, index)`,
      ),
    });
    assertEquals(server.countOpen(), 6);
    await mortals.kill(2);
    assertEquals(server.countOpen(), 4);
    await assertStartsAfter(0, clock, mortals);
    await mortals.untilServing(2);
    assertEquals(server.countOpen(), 6);
    await mortals.kill(3);
    assertEquals(server.countOpen(), 3);
    server.stop();
    await server.finished;
  });

  it("has what it counted in the totals, as in the metrics", async () => {
    using _clock = stopClock();
    using mortals = new Mortals();
    const stats = `{ accepted: 5, open: 2, closed: { eof: 3 }, bytes: 7 }`;
    const server = await startMortals(mortals, {
      script: script(
        `if (type === "log written") {
          const error = { name: "Error", message: "boom" };
          tell({ type: "failed", error, stats: ${stats} });
        }
        if (type === "stop") finish(1, 0, 10);`,
        `listen(); log(String(index))`,
      ),
    });
    await mortals.kill(2);
    server.stop();
    const totals = await server.finished;
    assertEquals(totals, {
      ...{ accepted: 6, open: 0, bytes: 17 },
      closed: { eof: 3, error: 2 },
    });
    assertEquals(await server.stats(), totals);
  });
});
