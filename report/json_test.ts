import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { toJson } from "./json.ts";

describe("toJson()", () => {
  it("names fields in snake case, and leaves out what is undefined", () => {
    assertEquals(
      toJson({ seq: 1, messagesInTime: 2, gone: undefined, ends: null }),
      { seq: 1, messages_in_time: 2, ends: null },
    );
  });

  it("rounds times to the microsecond, also those within, and nothing else", () => {
    const times = { min: 0.12345, p99_9: 1.23456 };
    assertEquals(
      toJson({
        rttMs: 0.12345,
        lateMs: times,
        share: 0.12345,
        all: [{ aMs: 1 }],
      }),
      {
        ...{ rtt_ms: 0.123, late_ms: { min: 0.123, p99_9: 1.235 } },
        ...{ share: 0.12345, all: [{ a_ms: 1 }] },
      },
    );
  });
});
