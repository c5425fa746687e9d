import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "../testing/properties.ts";
import { EchoBuffer } from "./echo_buffer.ts";

const KIB = 1024;

/** All sizes of a buffer, in bytes. */
const SIZES = [512, 2 * KIB, 8 * KIB, 32 * KIB, 128 * KIB, 512 * KIB];

/** Makes a buffer of one of {@linkcode SIZES}, just grown. */
function grownTo(size: number): EchoBuffer {
  const buffer = new EchoBuffer();
  while (buffer.bytes.length < size) buffer.fit(buffer.bytes.length);
  assertEquals(buffer.bytes.length, size);
  return buffer;
}

/** Tells a buffer of some reads of the same length; returns its size after each. */
function fit(buffer: EchoBuffer, length: number, reads: number): number[] {
  return Array.from({ length: reads }, () => {
    buffer.fit(length);
    return buffer.bytes.length;
  });
}

describe("EchoBuffer", () => {
  it("grows fourfold with each read that fills it, from 512 B to 512 KiB", () => {
    const buffer = new EchoBuffer();
    const sizes = [buffer.bytes.length];
    for (let turn = 0; turn < 7; turn++) {
      buffer.fit(buffer.bytes.length);
      sizes.push(buffer.bytes.length);
    }
    assertEquals(sizes, [...SIZES, 512 * KIB, 512 * KIB]);
  });

  it("does not grow with reads that leave room", () => {
    for (const size of SIZES) {
      const buffer = grownTo(size);
      const { bytes } = buffer;
      fit(buffer, size - 1, 100);
      assertStrictEquals(buffer.bytes, bytes);
    }
  });

  it("shrinks to a quarter with the 32nd small read in a row", () => {
    for (const [at, size] of SIZES.entries()) {
      if (at === 0) continue;
      const buffer = grownTo(size);
      const smaller = SIZES[at - 1]!;
      assertEquals(fit(buffer, smaller - 1, 31), Array(31).fill(size));
      assertEquals(fit(buffer, smaller - 1, 1), [smaller]);
    }
  });

  it("counts small reads anew for each size", () => {
    const buffer = grownTo(32 * KIB);
    assertEquals(fit(buffer, 1, 100), [
      ...Array(31).fill(32 * KIB),
      ...Array(32).fill(8 * KIB),
      ...Array(32).fill(2 * KIB),
      ...Array(5).fill(512),
    ]);
  });

  it("begins to count anew after a read that a quarter would not have held", () => {
    const buffer = grownTo(8 * KIB);
    for (let turn = 0; turn < 10; turn++) {
      fit(buffer, 1, 31);
      assertEquals(fit(buffer, 2 * KIB, 1), [8 * KIB]);
    }
  });

  it("never becomes smaller than 512 B", () => {
    const buffer = new EchoBuffer();
    const { bytes } = buffer;
    fit(buffer, 1, 1000);
    assertStrictEquals(buffer.bytes, bytes);
    assertEquals(fit(buffer, 512, 1), [2 * KIB]);
  });

  it("never flaps, whatever is read", () => {
    // A read, as a part of the buffer that it goes to.
    const part = fc.constantFrom(0.001, 0.2499, 0.25, 0.5, 1);
    const reads = fc.record({ part, count: fc.integer({ min: 1, max: 40 }) });
    fc.assert(
      fc.property(
        fc.array(reads, { maxLength: 30, size: "max" }),
        (sequence) => {
          const buffer = new EchoBuffer();
          let readsOfSize = 0;
          let sinceLarge = 0;
          for (const { part, count } of sequence) {
            for (let turn = 0; turn < count; turn++) {
              const size = buffer.bytes.length;
              const length = Math.max(1, Math.floor(size * part));
              sinceLarge = length < size / 4 ? sinceLarge + 1 : 0;
              readsOfSize++;
              buffer.fit(length);
              const next = buffer.bytes.length;
              if (next === size) continue;
              assert(SIZES.includes(next));
              if (next > size) {
                assertEquals([next, length], [size * 4, size]);
              } else {
                assertEquals(next, size / 4);
                assert(readsOfSize >= 32, `shrank after ${readsOfSize} reads`);
                assert(sinceLarge >= 32, `shrank ${sinceLarge} reads later`);
              }
              readsOfSize = 0;
              sinceLarge = 0;
            }
          }
        },
      ),
    );
  });
});
