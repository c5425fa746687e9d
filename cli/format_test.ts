import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
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
      ["0 B", "5 B", "1023 B", "1 KiB", "1.5 KiB", "1.2 MiB", "1 GiB"],
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
