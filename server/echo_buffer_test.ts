import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "../testing/properties.ts";
import { BufferPool } from "./buffer_pool.ts";
import {
  EchoBuffer,
  LARGE_BYTES,
  MOST_LARGE,
  WAITING_BYTES,
} from "./echo_buffer.ts";

const KIB = 1024;

/** Returns the size of a buffer. */
function sizeOf(buffer: EchoBuffer): number {
  return buffer.room(Infinity).length;
}

/**
 * Tells a buffer of reads, and returns its size after each.
 *
 * @param lengths How many bytes each brings; `Infinity` fills the buffer.
 */
function read(buffer: EchoBuffer, lengths: number[]): number[] {
  return lengths.map((length) => {
    buffer.fit(Math.min(length, sizeOf(buffer)));
    return sizeOf(buffer);
  });
}

/** A buffer with a pool of its own. */
class TestBuffer extends EchoBuffer {
  readonly #pool: BufferPool;

  constructor(pool = new BufferPool()) {
    super(pool);
    this.#pool = pool;
  }

  override [Symbol.dispose](): void {
    super[Symbol.dispose]();
    this.#pool[Symbol.dispose]();
  }
}

/** Makes a buffer in which a connection waits for messages of some length. */
function bufferFor(message: number): TestBuffer {
  const buffer = new TestBuffer();
  // Its reads fill what they go to, but for the last.
  const reads = message < 9 * KIB
    ? [512, message - 512]
    : [512, 8 * KIB, message - 512 - 8 * KIB];
  read(buffer, reads);
  return buffer;
}

describe("EchoBuffer", () => {
  it("has 512 B, and more and more as reads fill it", () => {
    using buffer = new TestBuffer();
    assertEquals(sizeOf(buffer), 512);
    assertEquals(read(buffer, [511, Infinity, Infinity]), [
      ...[512, 8 * KIB, LARGE_BYTES],
    ]);
    assertEquals(read(buffer, [Infinity, Infinity]), [
      LARGE_BYTES,
      LARGE_BYTES,
    ]);
  });

  it("has 128 KiB at most beside many large ones", () => {
    using pool = new BufferPool();
    using buffers = new DisposableStack();
    const stream = () => {
      const buffer = buffers.use(new EchoBuffer(pool));
      read(buffer, [Infinity, Infinity]);
      return buffer;
    };
    const large = Array.from({ length: MOST_LARGE }, stream);
    assertEquals(new Set(large.map(sizeOf)), new Set([LARGE_BYTES]));
    const further = stream();
    assertEquals(sizeOf(further), 128 * KIB);
    assertEquals(read(further, [Infinity]), [128 * KIB]);
    // One that has a large buffer keeps it, until its stream is over.
    assertEquals(read(large[0]!, [Infinity, 1]), [LARGE_BYTES, 8 * KIB]);
    assertEquals(read(further, [Infinity]), [LARGE_BYTES]);
  });

  it("then has the size that holds a message whole, with room for more", () => {
    for (const [at, size] of WAITING_BYTES.entries()) {
      const above = WAITING_BYTES[at + 1] ?? 8 * KIB;
      for (
        const [message, fitting] of [[size - 1, size], [size, above]] as const
      ) {
        if (message <= 512) continue;
        using buffer = bufferFor(message);
        assertEquals(sizeOf(buffer), fitting, `for ${message} B`);
        assertEquals(read(buffer, Array(100).fill(message))[99], fitting);
      }
    }
  });

  it("is small again after more data than any message has", () => {
    using buffer = new TestBuffer();
    const reads = [Infinity, Infinity, Infinity, Infinity, 1000];
    assertEquals(read(buffer, reads), [
      8 * KIB,
      ...Array(3).fill(LARGE_BYTES),
      8 * KIB,
    ]);
  });

  it("takes reads that fill it and the one after for one message", () => {
    using buffer = bufferFor(20_000);
    assertEquals(read(buffer, [Infinity, 5000]), [LARGE_BYTES, 128 * KIB]);
  });

  it("is limited by what a read may bring, and counts that as filled", () => {
    using buffer = bufferFor(100_000);
    const room = buffer.room(20_000);
    assertEquals([room.length, sizeOf(buffer)], [20_000, 128 * KIB]);
    assertEquals(buffer.room(20_000).byteOffset, room.byteOffset);
    buffer.fit(20_000);
    assertEquals(sizeOf(buffer), LARGE_BYTES);
  });

  it("shows what was read", () => {
    using buffer = new TestBuffer();
    buffer.room(512).set([1, 2, 3, 4]);
    assertEquals([...buffer.filled(0, 4)], [1, 2, 3, 4]);
    assertEquals([...buffer.filled(1, 3)], [2, 3]);
  });

  it("shrinks with the 32nd small read in a row", () => {
    using buffer = bufferFor(100_000);
    assertEquals(read(buffer, Array(32).fill(100)), [
      ...Array(31).fill(128 * KIB),
      512,
    ]);
  });

  it("begins to count anew after a read that a smaller one would not have held", () => {
    using buffer = bufferFor(20_000);
    for (let turn = 0; turn < 10; turn++) {
      assertEquals(read(buffer, Array(31).fill(1))[30], 32 * KIB);
      assertEquals(read(buffer, [8 * KIB]), [32 * KIB]);
    }
  });

  it("has a size of its own, and all that it was told of, whatever is read", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(0.001, 0.1, 0.5, 1), { maxLength: 200 }),
        (parts) => {
          using buffer = new TestBuffer();
          for (const part of parts) {
            const size = sizeOf(buffer);
            buffer.fit(Math.max(1, Math.floor(size * part)));
            const next = sizeOf(buffer);
            assert([...WAITING_BYTES, LARGE_BYTES].includes(next));
            if (part === 1) assert(next >= 8 * KIB);
            else assert(next < LARGE_BYTES);
          }
        },
      ),
    );
  });

  it("gives back the memory that it does not use", () => {
    const given: number[] = [];
    const pool = new BufferPool();
    const { give } = pool;
    pool.give = (buffer) => {
      given.push(buffer.length);
      give.call(pool, buffer);
    };
    const buffer = new EchoBuffer(pool);
    const sizes = [512, 8 * KIB, LARGE_BYTES];
    assertEquals(read(buffer, Array(3).fill(Infinity)).at(-1), LARGE_BYTES);
    read(buffer, [500_000, 1]);
    assertEquals(given, sizes);
    buffer[Symbol.dispose]();
    assertEquals(given, [...sizes, 8 * KIB]);
    pool[Symbol.dispose]();
    assertEquals(pool.bytes, 0);
  });

  it("gives nothing back that it goes on using, when there is no memory", () => {
    const pool = new BufferPool();
    using buffer = new TestBuffer(pool);
    const given: Uint8Array[] = [];
    const { take, give } = pool;
    pool.give = (it) => void given.push(it);
    pool.take = () => {
      throw new RangeError("Array buffer allocation failed");
    };
    assertThrows(() => read(buffer, [Infinity]), RangeError);
    assertEquals([given.length, sizeOf(buffer)], [0, 512]);
    Object.assign(pool, { take, give });
  });
});
