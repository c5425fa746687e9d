import { assert, assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import {
  type Answer,
  failure,
  mismatch,
  playPing,
  type ProbeCall,
} from "../testing/probe.ts";
import { UnansweredError } from "./failure.ts";
import type { PingOptions } from "./ping.ts";

/** Never answers. */
const forever = () => new Promise<void>(() => {});

/** Pings until a time. */
async function playUntil(
  stopMs: number,
  options: Partial<PingOptions> = {},
  answer?: Answer,
) {
  const stop = new AbortController();
  return await playPing({
    ...{ ...options, signal: stop.signal },
    onTally: () => setTimeout(() => stop.abort(), stopMs),
  }, answer);
}

describe("ping() with a signal", () => {
  it("goes on until it is aborted, without a count", async () => {
    const { counts, summary, sentAt } = await playUntil(29_950);
    assertEquals(counts, [300, 300, 0]);
    assertEquals([summary.durationMs, sentAt.at(-1)], [29_950, 29_900]);
  });

  it("sends nothing when it is aborted already", async () => {
    for (const intervalMs of [0, 100]) {
      const signal = AbortSignal.abort();
      const { clients, counts } = await playPing({ signal, intervalMs });
      assertEquals(clients.story, []);
      assertEquals(counts, [0, 0, 0]);
    }
  });

  it("does not wait for the next message", async () => {
    const options = { intervalMs: 1000 };
    const { clients, counts, summary } = await playUntil(250, options);
    assertEquals(clients.of("echo").length, 1);
    assertEquals(clients.story.at(-1), "1 end");
    assertEquals([counts, summary.durationMs], [[1, 1, 0], 250]);
  });

  it("loses what is still out when the grace is over", async () => {
    const { counts, events, story, summary, timers } = await playUntil(
      450,
      { message: 64 },
      ({ method, nth }) => {
        if (method === "echo" && nth > 2) return forever();
      },
    );
    assertEquals(story, [
      ...["connected", "reply", "reply"],
      ...["unanswered", "unanswered", "unanswered"],
    ]);
    const lost = events.filter((event) => event.type === "lost");
    // Sent at 200, 300 and 400, given up after 100 ms of grace.
    assertEquals(lost.map(({ seq, ageMs }) => [seq, ageMs]), [
      ...[[3, 350], [4, 250], [5, 150]],
    ]);
    assert(lost.every(({ error }) => error instanceof UnansweredError));
    assertEquals(lost[0]!.detail, "no answer when the run ended");
    assertEquals([counts, summary.underWay], [[5, 2, 3], 0]);
    assertEquals([summary.durationMs, timers], [550, 0]);
    // The sending ended a hundred after the last of them, at the latest.
    assertEquals(summary.outages.longestMs, 300);
  });

  it("waits for as long as the longest round trip took", async () => {
    for (const [longestMs, stopMs] of [[300, 700], [5000, 6000]] as const) {
      const { counts, summary } = await playUntil(
        stopMs - 50,
        { intervalMs: stopMs - 100 },
        async ({ method, nth }) => {
          if (method !== "echo") return;
          if (nth === 2) return await forever();
          await delay(longestMs);
          return longestMs;
        },
      );
      const graceMs = Math.min(longestMs, 1000);
      assertEquals(counts, [2, 1, 1]);
      assertEquals(summary.durationMs, stopMs - 50 + graceMs);
    }
  });

  it("counts what comes back in the grace", async () => {
    const { clients, counts, story, summary } = await playUntil(
      250,
      {},
      async ({ method, nth, signal }) => {
        if (method === "echo" && nth === 3) await delay(149, { signal });
      },
    );
    assertEquals(story, ["connected", "reply", "reply", "reply"]);
    assertEquals([counts, summary.durationMs], [[3, 3, 0], 349]);
    assertEquals(clients.story.at(-1), "1 end");
  });

  it("counts what went wrong in the grace as what it was", async () => {
    const { counts, story } = await playUntil(
      250,
      {},
      async ({ method, nth, signal }) => {
        if (method !== "echo" || nth < 3) return;
        await delay(120, { signal });
        throw failure("reset");
      },
    );
    assertEquals(story, ["connected", "reply", "reply", "reset"]);
    assertEquals(counts, [3, 2, 1]);
  });

  it("gives up each call that is under way, and nothing hangs", async () => {
    const connected = ["connected", "reply", "reply", "reply"];
    for (
      const [method, nth, sent, story] of [
        ["connect", 1, 1, ["unanswered"]],
        ["echo", 1, 1, ["connected", "unanswered"]],
        ["expectSilence", 2, 2, connected.slice(0, 3)],
        ["echo", 3, 3, [...connected.slice(0, 3), "unanswered"]],
        ["connect", 2, 5, [...connected, "reset", "unanswered"]],
      ] as [ProbeCall["method"], number, number, string[]][]
    ) {
      const stop = new AbortController();
      const played = await playPing({ signal: stop.signal }, (call) => {
        if (call.method === "echo" && call.nth === 4) throw failure("reset");
        if (call.method !== method || call.nth !== nth) return;
        stop.abort();
        return forever();
      });
      assertEquals(played.story, story, `${method} ${nth}`);
      assertEquals(played.counts[0], sent, `${method} ${nth}`);
      assertEquals(played.timers, 0);
    }
  });

  it("gives up what is under way with reconnect", async () => {
    const { counts, story } = await playUntil(
      250,
      { reconnect: true },
      ({ method, client }) => {
        if (client === 2 && method === "echo") return forever();
        if (client === 3 && method === "connect") return forever();
      },
    );
    assertEquals(story, ["reply", "unanswered", "unanswered"]);
    assertEquals(counts, [3, 1, 2]);
  });

  it("looks for a second reply to the last message", async () => {
    const sent: Uint8Array[] = [];
    const { counts, events, story, summary } = await playUntil(
      250,
      { message: 64 },
      ({ method, message }) => {
        if (message) sent.push(message);
        if (method !== "end") return;
        const last = sent.at(-1)!;
        throw mismatch(last, new Uint8Array([...last, ...last]));
      },
    );
    assertEquals(story, ["connected", "reply", "reply", "reply", "surplus"]);
    const [surplus] = events.filter((event) => event.type === "surplus");
    assertEquals(surplus!.detail, "the reply to message 3 came again");
    assertEquals([counts, summary.surplus], [[3, 3, 0], 1]);
  });

  it("does not wait for ever for the end of the last connection", async () => {
    const { counts, story, summary } = await playUntil(
      250,
      {},
      ({ method }) => method === "end" ? forever() : undefined,
    );
    assertEquals([counts, story.at(-1)], [[3, 3, 0], "reply"]);
    // Without the wait for the end.
    assertEquals([summary.surplus, summary.durationMs], [0, 250]);
  });

  it("ends its last outage when it gives up", async () => {
    const { summary } = await playUntil(250, {}, ({ method, nth }) => {
      if (method === "echo" && nth === 2) throw failure("timeout");
      if (method === "echo" && nth === 3) return forever();
    });
    const [outage] = summary.outages.latest;
    assertEquals([outage!.messages, summary.outages.longestMs], [2, 200]);
    assertEquals(outage!.reason, "timeout");
  });
});
