import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { confidenceOf, spreadOf } from "./spread.ts";

describe("spreadOf()", () => {
  it("finds the quartiles, between two values where none is there", () => {
    const five = spreadOf([30, 10, 20, 0, 90]);
    assertEquals(five, { low: 10, median: 20, high: 30 });
    assertEquals(spreadOf([4, 1]), { low: 1.75, median: 2.5, high: 3.25 });
    assertEquals(spreadOf([7]), { low: 7, median: 7, high: 7 });
  });
});

describe("confidenceOf()", () => {
  it("has the median between two of the values", () => {
    const values = Array.from({ length: 36 }, (_, i) => 36 - i);
    // With 36 values the chance that fewer than 12 are below the median is 1 in 70.
    assertEquals(confidenceOf(values), [12, 25]);
    assertEquals(confidenceOf([6, 2, 3, 4, 5, 1]), [-Infinity, Infinity]);
    assertEquals(confidenceOf([7, 6, 2, 3, 4, 5, 1, 8, 9]), [1, 9]);
    assertEquals(confidenceOf([1]), [-Infinity, Infinity]);
  });
});
