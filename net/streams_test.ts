import { assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { patternOf } from "../testing/peer.ts";
import fc from "../testing/properties.ts";
import { writeAll, type Writer } from "./streams.ts";

/** More writes than any test here takes: what goes on after them never ends. */
const MOST_WRITES = 10_000;

/** A destination that takes a few bytes with each write, in turn. */
function taking(sizes: number[]): Writer & { taken: number[]; writes: number } {
  const destination = {
    taken: [] as number[],
    writes: 0,
    write(p: Uint8Array): Promise<number> {
      if (destination.writes > MOST_WRITES) throw new Error("still writing");
      const size = sizes[destination.writes++ % sizes.length]!;
      const piece = p.subarray(0, size);
      destination.taken.push(...piece);
      return Promise.resolve(piece.length);
    },
  };
  return destination;
}

describe("writeAll()", () => {
  it("writes all bytes, in order, however few a write takes", async () => {
    await fc.assert(fc.asyncProperty(
      fc.nat(1000),
      fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1 }),
      async (length, sizes) => {
        const bytes = patternOf(length);
        const destination = taking(sizes);
        await writeAll(destination, bytes);
        assertEquals(destination.taken, [...bytes]);
      },
    ));
  });

  it("writes once when one write takes all, and never when there is nothing", async () => {
    const destination = taking([100]);
    await writeAll(destination, new Uint8Array());
    assertEquals(destination.writes, 0);
    await writeAll(destination, patternOf(100));
    assertEquals(destination.writes, 1);
  });

  it("throws what a write throws", async () => {
    const broken = { write: () => Promise.reject(new Error("no")) };
    await assertRejects(() => writeAll(broken, patternOf(1)), Error, "no");
  });
});
