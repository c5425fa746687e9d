import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  escapeText,
  formatBytes,
  formatCount,
  formatDuration,
  formatTime,
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
      [0.004, 0.312, 0.996, 1.24, 9.96, 112.4, 999.6, 9020, 59_996, 64_200]
        .map(formatDuration),
      [
        "0.00 ms",
        "0.31 ms",
        "1.0 ms",
        "1.2 ms",
        "10 ms",
        "112 ms",
        "1.00 s",
        "9.02 s",
        "1m",
        "1m 4s",
      ],
    );
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
    assertEquals(escapeText("héllo, 世界 😀 \\"), "héllo, 世界 😀 \\");
  });

  it("escapes controls and invisible characters", () => {
    assertEquals(
      escapeText("\0\t\r\n\x1b\x7f\x85\u2028\u202e\ufeff"),
      "\\x00\\t\\r\\n\\x1b\\x7f\\u{85}\\u{2028}\\u{202e}\\u{feff}",
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
  });
});
