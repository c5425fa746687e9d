import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { checkCount, checkPort, checkTime } from "./options.ts";

/** What a program that is not type-checked may pass instead of a number. */
const NO_NUMBERS = ["5", "", null, undefined, true, [5]] as unknown as number[];

describe("checkTime()", () => {
  it("returns a time", () => {
    for (const ms of [0, 0.5, 5000, 1e12, Infinity]) {
      assertEquals(checkTime("drainTimeoutMs", ms), ms);
    }
  });

  it("refuses what is no time", () => {
    for (const ms of [-1, -0.5, -Infinity, NaN, ...NO_NUMBERS]) {
      assertThrows(
        () => checkTime("drainTimeoutMs", ms),
        RangeError,
        "drainTimeoutMs must be a time in milliseconds, 0 or more, " +
          `or Infinity: ${ms}`,
      );
    }
  });
});

describe("checkCount()", () => {
  it("takes a count", () => {
    for (const count of [1, 2, 1e9, Infinity]) {
      checkCount("maxConnections", count);
    }
  });

  it("refuses what is no count", () => {
    for (const count of [0, -1, 1.5, NaN, -Infinity, ...NO_NUMBERS]) {
      assertThrows(
        () => checkCount("maxConnections", count),
        RangeError,
        "maxConnections must be a whole number, 1 or more, " +
          `or Infinity: ${count}`,
      );
    }
  });
});

describe("checkPort()", () => {
  it("takes a port", () => {
    for (const port of [0, 1, 12345, 65_535]) checkPort(port);
  });

  it("refuses what is no port", () => {
    for (const port of [-1, 65_536, 1.5, NaN, Infinity, ...NO_NUMBERS]) {
      assertThrows(
        () => checkPort(port),
        RangeError,
        `port must be a whole number from 0 to 65535: ${port}`,
      );
    }
  });
});
