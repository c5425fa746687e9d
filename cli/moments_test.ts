import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { UsageError } from "./flags.ts";
import { parseMoment, whenIs } from "./moments.ts";

describe("parseMoment()", () => {
  it("takes a time of day", () => {
    for (
      const [text, ms] of [
        ["00:00", 0],
        ["0:00:01", 1000],
        ["14:05", 50_700_000],
        ["14:05:06.75", 50_706_750],
        ["14:05:06,75", 50_706_750],
        ["23:59:59.999", 86_399_999],
      ] as const
    ) {
      assertEquals(parseMoment(text), { kind: "time of day", ms, text });
    }
  });

  it("takes an instant", () => {
    const text = "2026-11-24T14:05:00Z";
    const ms = Date.UTC(2026, 10, 24, 14, 5);
    assertEquals(parseMoment(text), { kind: "instant", ms, text });
    for (
      const [text, expected] of [
        ["2026-11-24T14:05:00.5Z", ms + 500],
        ["2026-11-24T15:05:00+01:00", ms],
        ["2026-11-24T14:05Z", ms],
        // What `date -Ins` and `date +%FT%T%z` print.
        ["2026-11-24T15:05:00,500499999+01:00", ms + 500],
        ["2026-11-24T14:05:00.123456789Z", ms + 123],
        ["2026-11-24T15:05:00+0100", ms],
        ["2026-11-24T09:05:00-0500", ms],
        // Without a zone it is one here.
        ["2026-11-24T14:05:00", new Date(2026, 10, 24, 14, 5).getTime()],
      ] as const
    ) {
      assertEquals(parseMoment(text).ms, expected, text);
    }
  });

  it("refuses anything else", () => {
    for (
      const text of [
        ...["", "now", "14", "24:00", "12:60", "12:00:60", "12:00:00.1234"],
        ...["-1:00", "2026-11-24", "2026-13-24T14:05:00Z", "14:05Z"],
        ...[
          "2026-11-24T14:05:00+1",
          "2026-11-24T14:05:00,",
          "2026-11-24 14:05",
          "14:05:00 ",
        ],
      ]
    ) {
      assertThrows(
        () => parseMoment(text),
        UsageError,
        "expected a time of day such as 14:05:00, or an instant such as",
        text,
      );
    }
  });
});

describe("whenIs()", () => {
  const at = (day: number, ...time: number[]) =>
    new Date(2026, 10, day, ...time as [number]);

  it("is today, past or not", () => {
    for (const now of [at(24, 2, 6), at(24, 14, 4), at(24, 14, 6, 5)]) {
      assertEquals(whenIs(parseMoment("14:05:30"), now), at(24, 14, 5, 30));
    }
    assertEquals(
      whenIs(parseMoment("00:00:00.25"), at(24, 12)),
      at(24, 0, 0, 0, 250),
    );
    assertEquals(whenIs(parseMoment("23:59"), at(24, 0, 1)), at(24, 23, 59));
  });

  it("is tomorrow when it is past for more than half a day", () => {
    assertEquals(whenIs(parseMoment("00:01"), at(24, 23, 59)), at(25, 0, 1));
    assertEquals(whenIs(parseMoment("00:01"), at(24, 12, 2)), at(25, 0, 1));
    assertEquals(whenIs(parseMoment("00:01"), at(24, 12, 1)), at(24, 0, 1));
    assertEquals(
      whenIs(parseMoment("00:01"), new Date(2026, 11, 31, 23, 59)),
      new Date(2027, 0, 1, 0, 1),
    );
  });

  it("is an instant, whenever that is", () => {
    const moment = parseMoment("2026-11-24T14:05:00Z");
    assertEquals(whenIs(moment, at(1, 1)), new Date(moment.ms));
  });
});
