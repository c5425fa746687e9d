import { assert, assertEquals, assertNotStrictEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { stopClock } from "../testing/clock.ts";
import { BufferPool } from "./buffer_pool.ts";

const SLAB_BYTES = 33 << 20;
const SIZE = 512 << 10;
const BUFFERS_OF_A_SLAB = SLAB_BYTES / SIZE;
/** What is kept of the first size, and of 8 KiB. */
const [KEPT_BYTES, KEPT_SMALL_BYTES] = [4 << 20, 1 << 20];
const KEPT_BUFFERS = KEPT_BYTES / SIZE;

/** Takes some buffers. */
function take(pool: BufferPool, count: number, size = SIZE) {
  return Array.from({ length: count }, () => pool.take(size));
}

describe("BufferPool", () => {
  it("gives buffers of the size, none of which is a part of another", () => {
    using _ = stopClock();
    const pool = new BufferPool();
    const buffers = [
      ...take(pool, 2 * BUFFERS_OF_A_SLAB + 1),
      ...take(pool, 3, 8192),
    ];
    for (const [at, buffer] of buffers.entries()) buffer.fill(at);
    for (const [at, buffer] of buffers.entries()) {
      assertEquals(buffer.length, at < buffers.length - 3 ? SIZE : 8192);
      assert(buffer.every((byte) => byte === at % 256), `buffer ${at}`);
    }
    const kept = KEPT_BYTES + KEPT_SMALL_BYTES;
    assertEquals(pool.bytes, 2 * SLAB_BYTES + kept);
  });

  it("gives buffers again that were given back", () => {
    using _ = stopClock();
    const pool = new BufferPool();
    const [first, second] = take(pool, 2);
    pool.give(first!);
    const third = pool.take(SIZE);
    assertEquals(third.byteOffset, first!.byteOffset);
    assertEquals(third.buffer, first!.buffer);
    assertNotStrictEquals(third.byteOffset, second!.byteOffset);
    assertEquals(pool.bytes, KEPT_BYTES);
    const rest = take(pool, KEPT_BUFFERS - 2 + BUFFERS_OF_A_SLAB);
    assertEquals(pool.bytes, KEPT_BYTES + SLAB_BYTES);
    for (const buffer of rest) pool.give(buffer);
    take(pool, KEPT_BUFFERS - 2 + BUFFERS_OF_A_SLAB);
    assertEquals(pool.bytes, KEPT_BYTES + SLAB_BYTES);
    take(pool, 1);
    assertEquals(pool.bytes, KEPT_BYTES + 2 * SLAB_BYTES);
  });

  it("frees memory 20 ms after its last buffer was given back", async () => {
    using clock = stopClock();
    const pool = new BufferPool();
    take(pool, KEPT_BUFFERS);
    const [first, second] = take(pool, 2);
    const both = KEPT_BYTES + SLAB_BYTES;
    pool.give(first!);
    await clock.pass(10_000);
    assertEquals([pool.bytes, clock.timers], [both, 0]);
    pool.give(second!);
    assertEquals([clock.timers, clock.unrefTimers], [1, 1]);
    await clock.pass(19);
    assertEquals([pool.bytes, second!.length], [both, SIZE]);
    await clock.pass(1);
    assertEquals([pool.bytes, clock.timers], [KEPT_BYTES, 0]);
    // Freed at once, and not when the garbage is collected.
    assertEquals(second!.buffer.byteLength, 0);
    assertEquals(pool.take(SIZE).length, SIZE);
  });

  it("keeps memory that is used again", async () => {
    using clock = stopClock();
    const pool = new BufferPool();
    take(pool, KEPT_BUFFERS);
    const both = KEPT_BYTES + SLAB_BYTES;
    pool.give(pool.take(SIZE));
    await clock.pass(10);
    const buffer = pool.take(SIZE);
    await clock.pass(10_000);
    assertEquals([pool.bytes, buffer.length], [both, SIZE]);
    pool.give(buffer);
    pool.give(pool.take(SIZE));
    assertEquals(clock.timers, 1);
    await clock.pass(20);
    assertEquals(pool.bytes, KEPT_BYTES);
  });

  it("keeps the memory of a few buffers of each size", () => {
    using clock = stopClock();
    const pool = new BufferPool();
    const buffers = [...take(pool, KEPT_BUFFERS), pool.take(8192)];
    for (const buffer of buffers) pool.give(buffer);
    const kept = KEPT_BYTES + KEPT_SMALL_BYTES;
    assertEquals([pool.bytes, clock.timers], [kept, 0]);
    assertEquals(take(pool, KEPT_BUFFERS).at(-1)!.length, SIZE);
    assertEquals(pool.bytes, kept);
  });

  it("frees memory of one size while that of another is used", async () => {
    using clock = stopClock();
    const pool = new BufferPool();
    take(pool, KEPT_BUFFERS);
    const kept = pool.take(8192);
    pool.give(pool.take(SIZE));
    await clock.pass(20);
    assertEquals(
      [pool.bytes, kept.length],
      [KEPT_BYTES + KEPT_SMALL_BYTES, 8192],
    );
  });

  it("takes buffers from the first memory that has one", async () => {
    using clock = stopClock();
    const pool = new BufferPool();
    take(pool, KEPT_BUFFERS);
    const first = take(pool, BUFFERS_OF_A_SLAB);
    const second = take(pool, BUFFERS_OF_A_SLAB);
    pool.give(second[0]!);
    pool.give(first[0]!);
    assertEquals(pool.take(SIZE).buffer, first[1]!.buffer);
    for (const buffer of second.slice(1)) pool.give(buffer);
    await clock.pass(20);
    assertEquals(
      [pool.bytes, first[1]!.length],
      [KEPT_BYTES + SLAB_BYTES, SIZE],
    );
  });

  it("waits for nothing when it is disposed of", () => {
    using clock = stopClock();
    const pool = new BufferPool();
    const late = pool.take(8192);
    pool.give(pool.take(SIZE));
    pool[Symbol.dispose]();
    assertEquals([pool.bytes, clock.timers], [KEPT_SMALL_BYTES, 0]);
    pool.give(late);
    assertEquals([pool.bytes, clock.timers], [0, 0]);
  });
});
