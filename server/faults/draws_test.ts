import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Draws } from "./draws.ts";

/** Draws numbers at many places. */
function drawn(draws: Draws, count: number, step = 1): number[] {
  return Array.from({ length: count }, (_, at) => draws.draw("cut", at * step));
}

describe("Draws", () => {
  it("are the same in each version: a seed that was noted down still holds", () => {
    const draws = new Draws(7, 1);
    const numbers = [
      draws.draw("latency"),
      draws.draw("corrupt", 64),
      draws.draw("reorder", 2 ** 40),
      new Draws(4_294_967_295, 2 ** 33).draw("cut", 1),
      new Draws(0, 0).draw("latency", 0),
    ];
    assertEquals(numbers.map((it) => it * 2 ** 32), GOLDEN);
  });

  it("do not depend on what was drawn before", () => {
    const [one, other] = [new Draws(1, 2), new Draws(1, 2)];
    const numbers = drawn(one, 10);
    drawn(other, 7, 3);
    other.draw("stall");
    assertEquals(drawn(other, 10), numbers);
  });

  it("differ by seed, by whose they are, by purpose and by place", () => {
    const number = new Draws(1, 2).draw("cut", 3);
    const others = [
      new Draws(2, 2).draw("cut", 3),
      new Draws(1, 3).draw("cut", 3),
      new Draws(2, 1).draw("cut", 3),
      new Draws(1, 2 + 2 ** 32).draw("cut", 3),
      new Draws(1, 2).draw("stall", 3),
      new Draws(1, 2).draw("cut", 4),
      new Draws(1, 2).draw("cut", 3 + 2 ** 32),
    ];
    for (const other of others) assertNotEquals(other, number);
    assertEquals(new Set(others).size, others.length);
  });

  it("are spread evenly, for any step from place to place", () => {
    for (const step of [1, 64, 1000, 65_536]) {
      const tenths = new Array(10).fill(0);
      for (const number of drawn(new Draws(9, step), 10_000, step)) {
        tenths[Math.floor(number * 10)]++;
      }
      // Five standard deviations of a binomial distribution.
      for (const count of tenths) {
        assert(Math.abs(count - 1000) < 150, `${tenths}`);
      }
    }
  });

  it("are spread evenly among seeds and connections that follow each other", () => {
    let below = 0;
    for (let seed = 0; seed < 100; seed++) {
      for (let by = 1; by <= 100; by++) {
        if (new Draws(seed, by).draw("stall") < 0.5) below++;
      }
    }
    assert(Math.abs(below - 5000) < 250, `${below}`);
  });

  it("make things happen as often as they should", () => {
    const draws = new Draws(3, 3);
    const count = (percent: number) => {
      let happened = 0;
      for (let at = 0; at < 100_000; at++) {
        if (draws.happens("stall", percent, at)) happened++;
      }
      return happened;
    };
    assertEquals([count(0), count(100)], [0, 100_000]);
    assert(Math.abs(count(50) - 50_000) < 800);
    assert(Math.abs(count(1) - 1000) < 160);
    assert(Math.abs(count(0.1) - 100) < 50);
  });
});

/** Numbers of {@linkcode Draws}, as whole ones below 2^32. */
const GOLDEN = [3958497717, 1181258193, 3271375561, 1958456033, 3136461558];
