import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "../testing/properties.ts";
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatNumber,
  formatPercent,
  formatRate,
  formatTime,
  percentOf,
  roundMs,
} from "./format.ts";

describe("formatBytes()", () => {
  it("counts in units of 1,024", () => {
    assertEquals(
      [0, 5, 1023, 1024, 1536, 1258291, 2 ** 30].map(formatBytes),
      ["0 B", "5 B", "1023 B", "1 KiB", "1.5 KiB", "1.2 MiB", "1 GiB"],
    );
  });

  it("is exact below 1 KiB, to the whole byte", () => {
    for (let bytes = 0; bytes < 1024; bytes++) {
      assertEquals(formatBytes(bytes), `${bytes} B`);
    }
    assertEquals(
      [0.4, 0.5, 999.6, 1022.5, 1023.4].map(formatBytes),
      ["0 B", "1 B", "1000 B", "1023 B", "1023 B"],
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

describe("formatRate()", () => {
  it("keeps three digits, and whole numbers", () => {
    assertEquals(
      [0, 0.001, 0.5, 1.3333, 12.345, 99.94, 99.95].map(formatRate),
      ["0", "0.001", "0.5", "1.33", "12.3", "99.9", "100"],
    );
    assertEquals(
      [100.4, 999.5, 43_919.2, 10_000_000].map(formatRate),
      ["100", "1,000", "43,919", "10,000,000"],
    );
  });
});

describe("formatPercent()", () => {
  it("keeps two decimals, or a digit that is not 0", () => {
    const texts = [[0, 7], [1, 3], [1, 2], [1, 10_000], [1, 43_210]]
      .map(([part, whole]) => formatPercent(part!, whole!));
    assertEquals(texts, ["0%", "33.33%", "50%", "0.01%", "0.002%"]);
  });

  it("says 0% of nothing alone, and 100% of the whole alone", () => {
    assertEquals(formatPercent(0, 0), "0%");
    assertEquals(formatPercent(5, 5), "100%");
    assertEquals(formatPercent(999_999, 1_000_000), "99.99%");
    assertEquals(formatPercent(1 - 1e-9, 1), "99.99%");
  });
});

describe("percentOf()", () => {
  it("is 0 or 100 where nothing or all of it is meant", () => {
    const counts = fc.tuple(fc.nat(1e9), fc.integer({ min: 1, max: 1e9 }));
    fc.assert(fc.property(counts, ([a, b]) => {
      const [part, whole] = [Math.min(a, b), b];
      const percent = percentOf(part, whole);
      assertEquals(percent === 0, part === 0);
      assertEquals(percent === 100, part === whole);
      // Rounded, or one digit of a number below 0.01.
      const exact = part * 100 / whole;
      // No number is written with an exponent.
      assert(!`${percent}`.includes("e"), `${percent}`);
      if (exact < 1e-6) return;
      assertAlmostEquals(percent, exact, exact < 0.01 ? exact / 2 : 0.0101);
    }));
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
