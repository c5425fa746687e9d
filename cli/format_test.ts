import { assertEquals, assertLessOrEqual } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "../testing/properties.ts";
import { encode } from "./command.ts";
import {
  escapeText,
  formatBytes,
  formatCount,
  formatDuration,
  formatNumber,
  formatTime,
  roundMs,
} from "./format.ts";

describe("formatBytes()", () => {
  it("counts in units of 1,024", () => {
    assertEquals(
      [0, 5, 1023, 1024, 1536, 1258291, 2 ** 30].map(formatBytes),
      ["0 B", "5 B", "1020 B", "1 KiB", "1.5 KiB", "1.2 MiB", "1 GiB"],
    );
  });
});

describe("formatTime()", () => {
  it("reads like the command line", () => {
    assertEquals(
      [0, 250, 5000, 64_000, 3_600_000, 1500].map(formatTime),
      ["0s", "250ms", "5s", "1m 4s", "1h", "1s 500ms"],
    );
  });
});

describe("formatDuration()", () => {
  it("keeps two or three digits", () => {
    assertEquals(
      [0.004, 0.312, 0.994, 0.995, 1.24, 9.94, 9.95, 112.4].map(formatDuration),
      [
        ...["0.00 ms", "0.31 ms", "0.99 ms", "1.0 ms", "1.2 ms", "9.9 ms"],
        ...["10 ms", "112 ms"],
      ],
    );
    assertEquals(
      [999.4, 999.5, 9020, 59_994, 59_995, 64_200, 7_200_000].map(
        formatDuration,
      ),
      ["999 ms", "1.00 s", "9.02 s", "59.99 s", "1m", "1m 4s", "2h"],
    );
  });
});

describe("roundMs()", () => {
  it("rounds to the microsecond", () => {
    assertEquals([0, 1.23449, 1.2345, 999].map(roundMs), [
      0,
      1.234,
      1.235,
      999,
    ]);
  });
});

describe("formatNumber()", () => {
  it("sets the thousands apart", () => {
    const texts = [0, 999, 2000, 1_234_567].map(formatNumber);
    assertEquals(texts, ["0", "999", "2,000", "1,234,567"]);
  });
});

describe("formatCount()", () => {
  it("knows the plural", () => {
    assertEquals(
      [0, 1, 2000].map((count) => formatCount(count, "connection")),
      ["0 connections", "1 connection", "2,000 connections"],
    );
  });
});

describe("escapeText()", () => {
  it("leaves what a terminal can show", () => {
    assertEquals(escapeText("héllo, 世界 😀 /"), "héllo, 世界 😀 /");
  });

  it("escapes a backslash, so that it is not taken for an escape", () => {
    assertEquals(escapeText("a\\nb\n"), "a\\\\nb\\n");
  });

  it("escapes controls and invisible characters", () => {
    assertEquals(
      escapeText("\0\t\r\n\x1b\x7f\x80\u2028\u202e\ufeff"),
      "\\x00\\t\\r\\n\\x1b\\x7f\\u{80}\\u{2028}\\u{202e}\\u{feff}",
    );
  });

  it("escapes bytes that are not UTF-8, and those alone", () => {
    const bytes = [0x68, 0xff, 0xe2, 0x82, 0xac, 0xc0, 0x80, 0xe2, 0x82];
    assertEquals(
      escapeText(new Uint8Array(bytes)),
      "h\\xff€\\xc0\\x80\\xe2\\x82",
    );
    // Surrogates, what is beyond Unicode, and a character that says "invalid".
    const others = [0xed, 0xa0, 0x80, 0xf5, 0xef, 0xbf, 0xbd];
    assertEquals(
      escapeText(new Uint8Array(others)),
      "\\xed\\xa0\\x80\\xf5\ufffd",
    );
  });

  it("ends in an ellipsis where it is cut, and never within an escape", () => {
    assertEquals(escapeText("x".repeat(8), 8), "xxxxxxxx");
    assertEquals(escapeText("x".repeat(9), 8), "xxxxxxx…");
    assertEquals(escapeText("xxxxx\x1bxx", 8), "xxxxx…");
    assertEquals(escapeText("😀".repeat(9), 8), "😀".repeat(7) + "…");
    assertEquals(escapeText("x".repeat(65)), "x".repeat(63) + "…");
  });

  const text = fc.string({ unit: "binary", maxLength: 40, size: "max" });

  it("never lets a control character or an override through", () => {
    const bytes = fc.uint8Array({ maxLength: 100, size: "max" });
    const limit = fc.integer({ min: 1, max: 100 });
    fc.assert(fc.property(fc.oneof(text, bytes), limit, (input, limit) => {
      const shown = escapeText(input, limit);
      assertEquals(shown.match(/[\p{C}\p{Zl}\p{Zp}]/u), null);
      assertLessOrEqual([...shown].length, limit);
    }));
  });

  it("shows text and its bytes alike", () => {
    fc.assert(fc.property(text, (text) => {
      assertEquals(escapeText(encode(text)), escapeText(text));
    }));
    // Characters of two, three and four bytes, the first and last of each.
    const ends = "\x80\u07ff\u0800\uffff\u{10000}\u{10ffff}\ufeffa";
    assertEquals(escapeText(encode(ends)), escapeText(ends));
  });
});
