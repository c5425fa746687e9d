import { assert, assertEquals, assertGreaterOrEqual } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import { stopClock } from "../testing/clock.ts";
import {
  type Answer,
  passUntil,
  PlayedClients,
  playPolls,
  stopProbeClock,
} from "../testing/probe.ts";
import { load } from "./load.ts";

const message = 32;

/** Lets each round trip take some time, and say so. */
function taking(ms: number): Answer {
  return async ({ method }) => {
    if (method !== "echo") return;
    await delay(ms);
    return ms;
  };
}

describe("load() over many connections", () => {
  it("lets no connection starve where a turn is too short for all", async () => {
    using clock = stopClock();
    let polled = Promise.withResolvers<void>();
    using _ = playPolls(() => polled.promise);
    const waiting: (() => void)[] = [];
    const served = new Map<number, number>();
    const { connect } = new PlayedClients(({ method, client }) => {
      if (method !== "echo") return;
      return new Promise<void>((resolve) =>
        waiting.push(() => {
          served.set(client, (served.get(client) ?? 0) + 1);
          resolve();
        })
      );
    });
    const stop = new AbortController();
    const { signal } = stop;
    const loading = load({ connect, message, connections: 300, signal });
    // As Deno's event loop does it: 128 in a turn, those that came last first.
    for (let turn = 0; turn < 100; turn++) {
      for (const reply of waiting.splice(-128).reverse()) reply();
      await clock.pass(1);
      polled.resolve();
      polled = Promise.withResolvers();
      await nextTurn();
    }
    assertEquals(served.size, 300);
    assertGreaterOrEqual(Math.min(...served.values()), 15);
    stop.abort();
    for (const reply of waiting.splice(0)) reply();
    polled.resolve();
    const summary = await loading;
    assertEquals(clock.timers, 0);
    const all = [...served.values()].reduce((sum, count) => sum + count);
    assertEquals([summary.messages, summary.failed], [all, 0]);
  });

  it("has connections wait for each other every 2 ms at most", async () => {
    // Among 128, whose replies come each millisecond, five closings of two polls, or
    // of three if the first finds many replies.
    for (
      const [connections, least, most] of [[1, 0, 0], [128, 10, 15]] as const
    ) {
      using clock = stopProbeClock();
      let polls = 0;
      using _ = playPolls(() => {
        polls++;
        return Promise.resolve();
      });
      const { connect } = new PlayedClients(taking(1));
      const options = { connections, durationMs: 10 };
      await passUntil(clock, load({ connect, message, ...options }));
      assert(least <= polls && polls <= most, `${polls} polls`);
    }
  });

  it("holds no reply back before many came", async () => {
    using clock = stopProbeClock();
    const waiting: (() => void)[] = [];
    const { connect } = new PlayedClients(({ method }) => {
      if (method !== "echo") return;
      return new Promise<void>((resolve) => waiting.push(resolve));
    });
    const options = { connections: 128, durationMs: 10 };
    const loading = load({ connect, message, ...options });
    await clock.pass(5);
    assertEquals(waiting.length, 128);
    for (let reply = 0; reply < 63; reply++) waiting[reply]!();
    // Less than a turn of the event loop.
    for (let job = 0; job < 50; job++) await Promise.resolve();
    assertEquals(waiting.length, 128 + 63);
    await clock.pass(5);
    for (const reply of waiting) reply();
    assertEquals((await loading).messages, 128 + 63);
  });
});
