import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "../testing/properties.ts";
import { Comparison } from "./comparison.ts";
import type { Difference } from "./types.ts";

/** One step of an exchange: so many bytes are sent, or come back. */
interface Step {
  readonly isSend: boolean;
  readonly most: number;
}

/** Bytes that were sent, how large the window was, and when they came back. */
interface Stream {
  readonly bytes: Uint8Array;
  readonly windowBytes: number;
  readonly steps: readonly Step[];
}

const bytes = fc.uint8Array({ minLength: 1, maxLength: 100, size: "max" });
const steps = fc.array(
  fc.record({ isSend: fc.boolean(), most: fc.integer({ min: 1, max: 40 }) }),
  { maxLength: 60, size: "max" },
);
const stream = fc.record({
  bytes,
  windowBytes: fc.integer({ min: 1, max: 60 }),
  steps,
});

/** Changes one byte, whose place is a fraction of the length. */
function corrupted(bytes: Uint8Array, at: number, xor: number): Uint8Array {
  const changed = bytes.slice();
  changed[at]! ^= xor;
  return changed;
}

/** Sends a stream step by step, gets `replies` back, and stops at a difference. */
function run(
  comparison: Comparison,
  { bytes, windowBytes, steps }: Stream,
  replies = bytes,
): Difference | undefined {
  comparison.expectStream(windowBytes);
  const send = (most: number) => {
    const { sent } = comparison;
    const underWay = sent - comparison.verified;
    const room = comparison.room(most);
    assertEquals(room.length === 0, underWay === windowBytes);
    assertLessOrEqual(underWay + room.length, windowBytes);
    assertLessOrEqual(room.length, most);
    // Whoever has the room may write all of it, and say that it was less.
    room.fill(~bytes[sent]!);
    const piece = bytes.subarray(sent, sent + room.length);
    room.set(piece);
    comparison.addSent(piece.length);
    assertEquals(comparison.sent, sent + piece.length);
  };
  const receive = (most: number) => {
    const { sent, verified } = comparison;
    const end = Math.min(verified + most, sent);
    const difference = comparison.compare(replies.subarray(verified, end));
    if (!difference) assertEquals(comparison.verified, end);
    return difference;
  };
  for (const { isSend, most } of steps) {
    if (isSend) send(most);
    else {
      const difference = receive(most);
      if (difference) return difference;
    }
  }
  while (comparison.verified < bytes.length) {
    send(windowBytes);
    const difference = receive(windowBytes);
    if (difference) return difference;
  }
  return undefined;
}

/** Where a difference is, and what is there. */
function placeOf(difference: Difference | undefined) {
  if (!difference) return undefined;
  const { offset, sent, received } = difference;
  return { offset, sent, received };
}

describe("Comparison", () => {
  it("verifies any message in any pieces", () => {
    fc.assert(fc.property(bytes, steps, (message, steps) => {
      const comparison = new Comparison();
      comparison.expectMessage(message);
      for (const { most } of [...steps, { most: message.length }]) {
        const { verified } = comparison;
        assertEquals(comparison.isComplete, verified === message.length);
        const piece = message.subarray(verified, verified + most);
        assertEquals(comparison.compare(piece.slice()), undefined);
        assertEquals(comparison.verified, verified + piece.length);
      }
      assert(comparison.isComplete);
      assertEquals(comparison.sent, message.length);
    }));
  });

  it("verifies any stream through any window, one after another", () => {
    const streams = fc.array(stream, { minLength: 1, maxLength: 3 });
    fc.assert(fc.property(streams, (streams) => {
      const comparison = new Comparison();
      for (const stream of streams) {
        assertEquals(run(comparison, stream), undefined);
        assert(comparison.isComplete);
        assertEquals(comparison.sent, stream.bytes.length);
      }
    }));
  });

  it("finds one wrong byte of a stream, wherever it is", () => {
    const xor = fc.integer({ min: 1, max: 255 });
    fc.assert(
      fc.property(stream, fc.nat(), xor, (stream, place, xor) => {
        const at = place % stream.bytes.length;
        const comparison = new Comparison();
        const replies = corrupted(stream.bytes, at, xor);
        assertEquals(placeOf(run(comparison, stream, replies)), {
          offset: at,
          sent: stream.bytes[at],
          received: replies[at]!,
        });
        assertEquals(comparison.verified, at);
        assert(!comparison.isComplete);
      }),
      { numRuns: 500 },
    );
  });

  it("finds one wrong byte of a message at either end of each piece", () => {
    const message = Uint8Array.from({ length: 12 }, (_, at) => at);
    for (let piece = 1; piece <= message.length; piece++) {
      for (let at = 0; at < message.length; at++) {
        const comparison = new Comparison();
        comparison.expectMessage(message);
        const reply = corrupted(message, at, 0x80);
        let difference: Difference | undefined;
        for (let from = 0; from < reply.length && !difference; from += piece) {
          difference = comparison.compare(reply.subarray(from, from + piece));
        }
        const place = { offset: at, sent: at, received: at ^ 0x80 };
        assertEquals(placeOf(difference), place);
        assertEquals(comparison.verified, at);
      }
    }
  });

  it("finds a byte that nothing was sent for, also within a reply", () => {
    fc.assert(fc.property(stream, fc.integer({ min: 1, max: 9 }), (
      stream,
      surplus,
    ) => {
      const comparison = new Comparison();
      run(comparison, stream);
      const extra = Uint8Array.from({ length: surplus }, (_, at) => 7 + at);
      const offset = stream.bytes.length;
      const difference = { offset, sent: undefined, received: 7 };
      assertEquals(placeOf(comparison.compare(extra)), difference);
      assertEquals(comparison.verified, offset);

      comparison.expectMessage(stream.bytes);
      const reply = Uint8Array.of(...stream.bytes, ...extra);
      assertEquals(placeOf(comparison.compare(reply)), difference);
    }));
  });

  it("expects nothing before an exchange, nor for one of nothing", () => {
    const comparison = new Comparison();
    const difference = { offset: 0, sent: undefined, received: 0x2a };
    assert(comparison.isComplete);
    assertEquals(comparison.compare(new Uint8Array()), undefined);
    assertEquals(
      placeOf(comparison.compare(Uint8Array.of(0x2a, 1))),
      difference,
    );

    comparison.expectMessage(new Uint8Array());
    assert(comparison.isComplete);
    assertEquals(placeOf(comparison.compare(Uint8Array.of(0x2a))), difference);

    comparison.expectStream(4);
    assert(comparison.isComplete);
    assertEquals(placeOf(comparison.compare(Uint8Array.of(0x2a))), difference);
  });

  it("does not compare with what is in the room but not sent", () => {
    const comparison = new Comparison();
    comparison.expectStream(8);
    comparison.room(8).fill(1);
    comparison.addSent(3);
    assertEquals(
      placeOf(comparison.compare(new Uint8Array(4).fill(1))),
      { offset: 3, sent: undefined, received: 1 },
    );
  });

  it("gives all the room that is free up to the window's end", () => {
    const comparison = new Comparison();
    comparison.expectStream(10);
    assertEquals(comparison.room(4).length, 4);
    assertEquals(comparison.room(100).length, 10);
    comparison.addSent(7);
    assertEquals(comparison.room(100).length, 3);
    comparison.addSent(3);
    assertEquals(comparison.room(100).length, 0);

    assertEquals(comparison.compare(new Uint8Array(4)), undefined);
    assertEquals(comparison.room(100).length, 4);
    assertEquals(comparison.room(1).length, 1);
    comparison.addSent(4);
    assertEquals(comparison.room(1).length, 0);
  });

  it("keeps how a wrong reply begins, and what was expected", () => {
    const message = Uint8Array.from({ length: 200 }, (_, at) => at);
    for (
      const [at, begins] of [[0, 64], [63, 64], [64, 0], [199, 0]] as const
    ) {
      const comparison = new Comparison();
      comparison.expectMessage(message);
      const reply = corrupted(message, at, 0x80);
      // In two pieces: what was verified before belongs to the reply, too.
      comparison.compare(reply.subarray(0, at));
      const difference = comparison.compare(reply.subarray(at));
      assertEquals(difference!.reply, reply.slice(0, begins));
      assertEquals(difference!.expected, message.slice(0, 64));
    }
    const comparison = new Comparison();
    comparison.expectMessage(message.subarray(0, 3));
    const surplus = comparison.compare(message.subarray(0, 100));
    assertEquals(surplus!.reply, message.slice(3, 67));
    assertEquals(surplus!.expected, message.slice(0, 3));
  });
});
