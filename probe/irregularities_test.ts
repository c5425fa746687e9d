import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "../testing/properties.ts";
import {
  type LossRun,
  LossRuns,
  noIrregularities,
  sumOfRuns,
} from "./irregularities.ts";

function runsOf(...numbers: number[]): LossRun[] {
  const runs = new LossRuns();
  for (const number of numbers) runs.add(number);
  return sumOfRuns(runs.list());
}

/** Counts runs of numbers, one number after the other. */
function countNaively(numbers: readonly number[]): LossRun[] {
  const counts: LossRun[] = [];
  let length = 0;
  for (let number = 0; number <= Math.max(0, ...numbers) + 1; number++) {
    if (numbers.includes(number)) length++;
    else if (length > 0) {
      const known = counts.find((it) => it.length === length);
      if (known) known.count++;
      else counts.push({ length, count: 1 });
      length = 0;
    }
  }
  return counts.sort((one, other) => one.length - other.length);
}

describe("LossRuns", () => {
  it("has none where nothing was lost", () => {
    assertEquals(runsOf(), []);
  });

  it("counts runs by their length", () => {
    assertEquals(runsOf(1, 3, 4, 7, 9, 10, 12, 13, 14), [
      { length: 1, count: 2 },
      { length: 2, count: 2 },
      { length: 3, count: 1 },
    ]);
  });

  it("joins what was found in another order", () => {
    assertEquals(runsOf(1, 3, 2), [{ length: 3, count: 1 }]);
    assertEquals(runsOf(3, 2, 1), [{ length: 3, count: 1 }]);
    assertEquals(runsOf(2, 1, 3), [{ length: 3, count: 1 }]);
    assertEquals(runsOf(5, 1, 9), [{ length: 1, count: 3 }]);
  });

  it("counts as one would by hand, in any order", () => {
    const lost = fc.uniqueArray(fc.nat(100), { maxLength: 100 });
    fc.assert(fc.property(lost, (numbers) => {
      assertEquals(runsOf(...numbers), countNaively(numbers));
    }));
  });

  it("can be summed up again and again while it goes on", () => {
    const runs = new LossRuns();
    runs.add(1);
    assertEquals(sumOfRuns(runs.list()), [{ length: 1, count: 1 }]);
    runs.add(2);
    assertEquals(sumOfRuns(runs.list()), [{ length: 2, count: 1 }]);
    assertEquals(sumOfRuns(runs.list()), [{ length: 2, count: 1 }]);
  });

  it("joins no runs of several", () => {
    const [one, other] = [new LossRuns(), new LossRuns()];
    one.add(1);
    other.add(2);
    other.add(3);
    other.add(5);
    assertEquals(sumOfRuns([...one.list(), ...other.list()]), [
      { length: 1, count: 2 },
      { length: 2, count: 1 },
    ]);
  });

  it("counts a hundred thousand runs, of which few can grow", () => {
    const runs = new LossRuns();
    const count = 100_000;
    for (let number = 0; number < count; number++) runs.add(3 * number);
    assertEquals(sumOfRuns(runs.list()), [{ length: 1, count }]);
    // The latest can, the first cannot.
    runs.add(3 * (count - 1) - 1);
    runs.add(3 * (count - 400) + 1);
    runs.add(1);
    assertEquals(sumOfRuns(runs.list()), [
      { length: 1, count: count - 2 + 1 },
      { length: 2, count: 2 },
    ]);
  });

  it("lets a thousand runs grow, and then the later half", () => {
    const runs = new LossRuns();
    for (let number = 0; number < 1000; number++) runs.add(3 * number);
    runs.add(1);
    assertEquals(sumOfRuns(runs.list()), [
      { length: 1, count: 999 },
      { length: 2, count: 1 },
    ]);
    runs.add(3000);
    runs.add(4);
    runs.add(3 * 500 + 1);
    assertEquals(sumOfRuns(runs.list()), [
      { length: 1, count: 1000 },
      { length: 2, count: 2 },
    ]);
  });
});

describe("noIrregularities()", () => {
  it("begins at zero, for each anew", () => {
    const counts = noIrregularities();
    counts.late++;
    assertEquals(noIrregularities(), {
      ...{ duplicated: 0, reordered: 0, late: 0, corrupt: 0, stray: 0 },
    });
  });
});
