import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { closedByDeath, NO_STATS, sumStats } from "./stats.ts";

describe("sumStats()", () => {
  it("adds up each number, and closes by reason", () => {
    const all = [
      { accepted: 5, open: 2, closed: { eof: 2, idle: 1 }, bytes: 10 },
      { accepted: 3, open: 1, closed: { eof: 1, reset: 1 }, bytes: 20 },
    ];
    assertEquals(sumStats(all), {
      ...{ accepted: 8, open: 3, bytes: 30 },
      closed: { eof: 3, idle: 1, reset: 1 },
    });
    assertEquals(sumStats([]), {
      ...{ accepted: 0, open: 0, closed: {}, bytes: 0 },
    });
    assertEquals(NO_STATS.closed, {});
  });
});

describe("closedByDeath()", () => {
  it("ends what was open with an error, and nothing else", () => {
    const closed = { eof: 2, error: 1 };
    assertEquals(closedByDeath({ accepted: 5, open: 2, closed, bytes: 7 }), {
      ...{ accepted: 5, open: 0, bytes: 7 },
      closed: { eof: 2, error: 3 },
    });
    assertEquals(closedByDeath(NO_STATS), NO_STATS);
  });
});
