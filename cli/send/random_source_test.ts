import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { RandomSource } from "./random_source.ts";

async function drain(source: RandomSource, piece: number): Promise<Uint8Array> {
  const all: number[] = [];
  const p = new Uint8Array(piece);
  for (let length; (length = await source.read(p)) !== null;) {
    all.push(...p.subarray(0, length));
  }
  return Uint8Array.from(all);
}

describe("RandomSource", () => {
  it("yields as many bytes as it was asked for, in any pieces", async () => {
    for (const bytes of [1, 7, 65_536, 65_537, 200_000]) {
      for (const piece of [999, 65_536, 100_000]) {
        const drained = await drain(new RandomSource(bytes), piece);
        assertEquals(drained.length, bytes);
      }
    }
  });

  it("never yields the same block twice", async () => {
    const bytes = await drain(new RandomSource(65_536 * 4), 4096);
    const heads = new Set<string>();
    for (let at = 0; at < bytes.length; at += 65_536) {
      heads.add(`${bytes.subarray(at, at + 4)}`);
    }
    assertEquals(heads.size, 4);
  });

  it("yields others each time", async () => {
    const [first, second] = [
      await drain(new RandomSource(8), 8),
      await drain(new RandomSource(8), 8),
    ];
    assert(first.some((byte, index) => byte !== second[index]));
  });
});
