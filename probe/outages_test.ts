import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Outages } from "./outages.ts";

describe("Outages", () => {
  it("has none where nothing was lost", () => {
    const outages = new Outages();
    outages.addVerified(100);
    const none = { count: 0, longestMs: 0, latest: [] };
    assertEquals(outages.summary(1000), none);
  });

  it("lasts from the first lost message until a reply comes", () => {
    const outages = new Outages();
    outages.addLost(100, "refused");
    outages.addLost(200, "timeout");
    outages.addVerified(350);
    // A later reply does not make it longer.
    outages.addVerified(900);
    assertEquals(outages.summary(1000), {
      ...{ count: 1, longestMs: 250 },
      latest: [
        { startedAt: 100, endedAt: 350, messages: 2, reason: "refused" },
      ],
    });
  });

  it("lasts until now, if no reply came", () => {
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
  });

  it("tells the longest, whichever it was", () => {
    for (const lengths of [[300, 100, 200], [100, 300, 200], [100, 200, 300]]) {
      const outages = new Outages();
      lengths.forEach((ms, at) => {
        outages.addLost(at * 1000, "closed");
        outages.addVerified(at * 1000 + ms);
      });
      const { count, longestMs, latest } = outages.summary(9000);
      assertEquals([count, longestMs, latest.length], [3, 300, 3]);
      outages.addLost(5000, "closed");
      assertEquals(outages.summary(5200).longestMs, 300);
      assertEquals(outages.summary(5400).longestMs, 400);
    }
  });

  it("ends with the first reply after a message found lost later", () => {
    const outages = new Outages();
    outages.addVerified(150);
    // Sent at 100, given up at 5100. Others came back from 150 on.
    outages.addLost(100, "timeout", 150);
    outages.addVerified(5200);
    const { count, longestMs, latest } = outages.summary(9000);
    assertEquals([count, longestMs, latest[0]!.endedAt], [1, 50, 150]);
  });

  it("is one for messages that were lost together", () => {
    const outages = new Outages();
    // All were sent during a stall and given up one after another.
    outages.addVerified(450);
    outages.addLost(100, "timeout", 450);
    outages.addLost(200, "timeout", 450);
    outages.addLost(440, "timeout", 470);
    assertEquals(outages.summary(9000), {
      ...{ count: 1, longestMs: 370 },
      latest: [
        { startedAt: 100, endedAt: 470, messages: 3, reason: "timeout" },
      ],
    });
    // A reply that ended the outage already does not make it shorter.
    outages.addLost(300, "timeout", 450);
    assertEquals(outages.summary(9000).latest[0]!.endedAt, 470);
    assertEquals(outages.summary(9000).longestMs, 370);
    outages.addLost(600, "timeout", 620);
    assertEquals(outages.summary(9000).count, 2);
  });

  it("goes on, whatever came after a message of it", () => {
    const outages = new Outages();
    outages.addLost(100, "refused");
    outages.addLost(50, "timeout", 60);
    assertEquals(outages.summary(500).latest.at(-1)!.endedAt, 500);
  });

  it("is apart from one that is found later and lies before", () => {
    const outages = new Outages();
    outages.addLost(10_000, "refused");
    outages.addLost(6000, "timeout", 9000);
    outages.addVerified(10_200);
    const { count, longestMs, latest } = outages.summary(20_000);
    assertEquals([count, longestMs], [2, 3000]);
    assertEquals(
      latest.map(({ startedAt, endedAt, messages }) => [
        startedAt,
        endedAt,
        messages,
      ]),
      [[6000, 9000, 1], [10_000, 10_200, 1]],
    );
  });

  it("begins with the message that was sent first", () => {
    const outages = new Outages();
    // The first message times out when the second was refused already.
    outages.addLost(200, "refused");
    outages.addLost(100, "timeout");
    outages.addVerified(500);
    const { count, longestMs } = outages.summary(9000);
    assertEquals([count, longestMs], [1, 400]);
  });

  it("keeps the latest twenty, and counts all", () => {
    const outages = new Outages();
    for (let at = 0; at < 30; at++) {
      outages.addLost(at * 100, "reset");
      outages.addVerified(at * 100 + (at === 0 ? 90 : 10));
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
    outages.addVerified(300);
    assertEquals(latest, [
      { startedAt: 100, endedAt: 200, messages: 1, reason: "reset" },
    ]);
  });
});
