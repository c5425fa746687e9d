import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "../testing/properties.ts";
import { Outages } from "./outages.ts";

describe("Outages", () => {
  it("has none where nothing was lost", () => {
    const outages = new Outages();
    outages.addReply(100);
    const none = { count: 0, longestMs: 0, latest: [] };
    assertEquals(outages.summary(1000), none);
  });

  it("lasts from the first lost message until a reply comes", () => {
    const outages = new Outages();
    outages.addLost(100, "refused");
    outages.addLost(200, "timeout");
    outages.addReply(350);
    // A later reply does not make it longer.
    outages.addReply(900);
    assertEquals(outages.summary(1000), {
      ...{ count: 1, longestMs: 250 },
      latest: [
        { startedAt: 100, endedAt: 350, messages: 2, reason: "refused" },
      ],
    });
  });

  it("lasts until now or the end of the sending, if no reply came", () => {
    const outages = new Outages();
    outages.addLost(100, "timeout");
    for (const now of [400, 700]) {
      assertEquals(outages.summary(now), {
        ...{ count: 1, longestMs: now - 100 },
        latest: [
          { startedAt: 100, endedAt: now, messages: 1, reason: "timeout" },
        ],
      });
    }
    assertEquals(outages.summary(50).longestMs, 0);
  });

  it("lies between the replies that came before a loss was found", () => {
    const outages = new Outages();
    for (const at of [90, 450, 470, 5000]) outages.addReply(at);
    // All were sent before 450, and found lost one after another, long after it.
    for (const at of [200, 100, 449]) outages.addLost(at, "timeout");
    assertEquals(outages.summary(9000), {
      ...{ count: 1, longestMs: 350 },
      latest: [
        { startedAt: 100, endedAt: 450, messages: 3, reason: "timeout" },
      ],
    });
  });

  it("is two where a reply came between", () => {
    const outages = new Outages();
    outages.addReply(100);
    outages.addLost(100, "timeout");
    outages.addReply(200);
    // A closed loop sends the next message at the moment of a reply.
    outages.addLost(200, "timeout");
    outages.addReply(500);
    const { count, longestMs, latest } = outages.summary(9000);
    assertEquals([count, longestMs], [2, 300]);
    assertEquals(
      latest.map(({ startedAt, endedAt }) => [startedAt, endedAt]),
      [[100, 200], [200, 500]],
    );
  });

  it("is none where others came back all the time", () => {
    const outages = new Outages();
    for (let at = 0; at <= 100; at++) outages.addReply(at);
    outages.addLost(50, "timeout");
    assertEquals(outages.summary(9000).count, 0);
  });

  it("is none for a cut that was found by the message after it, alone", () => {
    const outages = new Outages();
    outages.addReply(0);
    outages.addLost(1000, "closed", true);
    outages.addReply(1002);
    assertEquals(outages.summary(9000).count, 0);
    // The server is away after the cut: that is when it began.
    outages.addLost(2000, "closed", true);
    outages.addLost(3000, "refused");
    outages.addReply(4000);
    const { count, latest } = outages.summary(9000);
    assertEquals([count, latest], [1, [
      { startedAt: 2000, endedAt: 4000, messages: 2, reason: "closed" },
    ]]);
  });

  it("keeps the latest twenty, and counts all", () => {
    const outages = new Outages();
    for (let at = 0; at < 30; at++) {
      outages.addReply(at * 100);
      outages.addLost(at * 100, "reset");
      outages.addReply(at * 100 + (at === 0 ? 90 : 10));
    }
    const { count, longestMs, latest } = outages.summary(9000);
    assertEquals([count, longestMs], [30, 90]);
    const starts = latest.map(({ startedAt }) => startedAt);
    assertEquals(
      starts,
      Array.from({ length: 20 }, (_, at) => 1000 + at * 100),
    );
  });

  it("does not change what it summed up", () => {
    const outages = new Outages();
    outages.addLost(100, "reset");
    const { latest } = outages.summary(200);
    outages.addLost(150, "reset");
    outages.addReply(300);
    assertEquals(latest, [
      { startedAt: 100, endedAt: 200, messages: 1, reason: "reset" },
    ]);
  });

  it("finds what the replies and losses say, in whatever order", () => {
    const moments = fc.uniqueArray(fc.integer({ min: 0, max: 200 }), {
      minLength: 1,
      maxLength: 60,
    });
    fc.assert(fc.property(moments, moments, (replies, losses) => {
      const times = replies.map((at) => at * 10).toSorted((a, b) => a - b);
      const outages = new Outages();
      for (const at of times) outages.addReply(at);
      for (const at of losses) outages.addLost(at * 10, "timeout");
      const ends = losses.map((at) =>
        times.find((time) => time > at * 10) ?? 5000
      );
      const { count, longestMs } = outages.summary(5000);
      assertEquals(count, new Set(ends).size);
      const longest = losses.map((at, index) => ends[index]! - at * 10);
      assertEquals(longestMs, Math.max(...longest));
    }));
  });
});
