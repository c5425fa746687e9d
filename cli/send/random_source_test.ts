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

  it("repeats a block, whose first four bytes count up", async () => {
    for (const piece of [4096, 65_536, 100_000]) {
      const bytes = await drain(new RandomSource(65_536 * 4), piece);
      const view = new DataView(bytes.buffer);
      for (let at = 65_536; at < bytes.length; at += 65_536) {
        const [before, head] = [
          view.getUint32(at - 65_536),
          view.getUint32(at),
        ];
        assertEquals(head, (before + 1) >>> 0);
        assertEquals(
          bytes.subarray(at + 4, at + 65_536),
          bytes.subarray(4, 65_536),
        );
      }
    }
  });

  it("yields others each time", async () => {
    const [first, second] = [
      await drain(new RandomSource(8), 8),
      await drain(new RandomSource(8), 8),
    ];
    assert(first.some((byte, index) => byte !== second[index]));
  });
});
