import { assert, assertEquals, assertGreaterOrEqual } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { patternOf } from "../testing/peer.ts";
import fc from "../testing/properties.ts";
import type { EchoResult } from "./types.ts";
import { Comparison } from "./comparison.ts";
import { MessageQueue } from "./message_queue.ts";

const KIB = 1024;

/** Makes a queue of messages of these lengths, the first one added at time 0. */
function queueOf(...lengths: number[]) {
  const comparison = new Comparison();
  const queue = new MessageQueue(comparison);
  const outcomes: unknown[] = [];
  const messages = lengths.map((length, at) => patternOf(length, at + 1));
  messages.forEach((message, at) => {
    const note = (outcome: unknown) => void (outcomes[at] = outcome);
    queue.add(message, at).then(note, note);
  });
  return { comparison, queue, messages, outcomes };
}

/** Writes all that is there to write, and returns the lengths of the writes. */
function writeAll(queue: MessageQueue): number[] {
  const lengths = [];
  for (let next; (next = queue.nextWrite());) {
    lengths.push(next.length);
    queue.addWritten();
  }
  return lengths;
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(pieces.flatMap((piece) => [...piece]));
}

/** Lets promises that are settled call what waits for them. */
const settled = () => Promise.resolve();

describe("MessageQueue", () => {
  it("writes up to 64 KiB of messages together, never a part of one", () => {
    const most = 64 * KIB;
    const cases: [lengths: number[], writes: number[]][] = [
      [[], []],
      [[5], [5]],
      [[1, 2, 3, 4], [10]],
      [[most - 1, 1, 1], [most, 1]],
      [[most - 1, 2, 1], [most - 1, 3]],
      [[most, 1], [most, 1]],
      [[1, most], [1, most]],
      [[1, 2, most + 1, 3, 4], [3, most + 1, 7]],
      [[5 * most, 5 * most], [5 * most, 5 * most]],
      [Array(100).fill(KIB), [most, 36 * KIB]],
      // What is empty makes no batch larger, and is written as nothing.
      [[0, 0, 5, 0], [5]],
      [[most, 0, 0], [most]],
      [[0], [0]],
    ];
    for (const [lengths, writes] of cases) {
      const { queue } = queueOf(...lengths);
      assertEquals(writeAll(queue), writes, `${lengths}`);
      assertEquals(queue.nextWrite(), undefined);
    }
  });

  it("writes the bytes of the messages in their order", () => {
    const { queue, messages } = queueOf(3, 0, 4, 64 * KIB, 7, 8);
    const writes = [];
    for (let next; (next = queue.nextWrite());) {
      writes.push(next.slice());
      queue.addWritten();
    }
    assertEquals(writes.map(({ length }) => length), [7, 64 * KIB, 15]);
    assertEquals(joined(writes), joined(messages));
  });

  it("does not copy a message that is written alone", () => {
    const { queue, messages } = queueOf(64 * KIB, 64 * KIB);
    for (const message of messages) {
      assert(queue.nextWrite() === message);
      queue.addWritten();
    }
  });

  it("leaves a message that comes during a write to the next write", () => {
    const { queue } = queueOf(5, 5);
    assertEquals(queue.nextWrite()?.length, 10);
    queue.add(patternOf(7), 0);
    queue.add(patternOf(8), 0);
    queue.addWritten();
    assertEquals(writeAll(queue), [15]);
  });

  it("settles each message when its last byte came and it is written", async () => {
    const { queue, messages, outcomes } = queueOf(2, 3);
    queue.nextWrite();
    assertEquals(queue.addWritten(), false);
    const [first, second] = messages as [Uint8Array, Uint8Array];
    assertEquals(queue.compare(first.subarray(0, 1), 10), undefined);
    await settled();
    assertEquals(outcomes, []);
    const rest = Uint8Array.of(first[1]!, second[0]!);
    assertEquals(queue.compare(rest, 20), undefined);
    await settled();
    assertEquals(outcomes, [{ bytes: 2, durationMs: 20 }]);
    assertEquals(queue.outstandingBytes, 2);
    assertEquals(queue.compare(second.subarray(1), 30), undefined);
    await settled();
    assertEquals(outcomes[1], { bytes: 3, durationMs: 29 });
    assert(queue.isEmpty);
  });

  it("keeps a message that came back until its write ended", async () => {
    const { queue, messages, outcomes } = queueOf(5);
    queue.nextWrite();
    assertEquals(queue.compare(messages[0]!, 0), undefined);
    await settled();
    assertEquals([outcomes.length, queue.isEmpty], [0, false]);
    assertEquals(queue.addWritten(), true);
    await settled();
    assertEquals((outcomes[0] as EchoResult).bytes, 5);
    assert(queue.isEmpty);
  });

  it("takes what comes back while it is written, of several messages too", async () => {
    for (const upTo of [6, 9, 12]) {
      const { queue, messages, outcomes } = queueOf(5, 0, 4, 3);
      queue.nextWrite();
      const all = joined(messages);
      assertEquals(queue.compare(all.subarray(0, upTo), 0), undefined);
      queue.addWritten();
      assertEquals(queue.compare(all.subarray(upTo), 0), undefined);
      await settled();
      const bytes = outcomes.map((outcome) => (outcome as EchoResult).bytes);
      assertEquals(bytes, [5, 0, 4, 3]);
      assert(queue.isEmpty);
    }
  });

  it("settles any messages in order, whatever comes back in whatever pieces", async () => {
    const lengths = fc.array(fc.integer({ min: 0, max: 30 }), {
      ...{ minLength: 1, maxLength: 20, size: "max" },
    });
    // How many bytes come back at once, or a step of the writing if that is 0.
    const steps = fc.array(fc.integer({ min: 0, max: 50 }), {
      ...{ maxLength: 60, size: "max" },
    });
    const check = async (lengths: number[], early: number, steps: number[]) => {
      const comparison = new Comparison();
      const queue = new MessageQueue(comparison);
      const order: number[] = [];
      const messages = lengths.map((length, at) => patternOf(length, at + 1));
      const add = (message: Uint8Array, at: number) => {
        queue.add(message, 0).then(() => order.push(at));
      };
      const all = joined(messages);
      let [added, begun, received] = [Math.min(early, messages.length), 0, 0];
      messages.slice(0, added).forEach(add);
      let isWriting = false;
      const writeOn = () => {
        if (isWriting) {
          queue.addWritten();
          isWriting = false;
        } else {
          const next = queue.nextWrite();
          isWriting = next !== undefined;
          begun += next?.length ?? 0;
        }
        if (added < messages.length) add(messages[added]!, added++);
      };
      const receive = (most: number) => {
        const to = Math.min(received + most, begun);
        assertEquals(queue.compare(all.slice(received, to), 0), undefined);
        received = to;
        if (queue.isEmpty) return;
        assertGreaterOrEqual(queue.outstandingBytes, begun - received);
      };
      for (const step of steps) step > 0 ? receive(step) : writeOn();
      while (added < messages.length) add(messages[added]!, added++);
      if (isWriting) queue.addWritten();
      for (let next; (next = queue.nextWrite());) {
        begun += next.length;
        queue.addWritten();
      }
      receive(all.length);
      await settled();
      assertEquals(order, messages.map((_, at) => at));
      assert(queue.isEmpty);
    };
    await fc.assert(fc.asyncProperty(lengths, fc.nat(20), steps, check));
  });

  it("finds a byte that nothing was sent for after the last message", () => {
    const { queue, messages } = queueOf(5, 3);
    writeAll(queue);
    const reply = Uint8Array.of(...joined(messages), 0x2a);
    const { offset, sent, received } = queue.compare(reply, 0)!;
    assertEquals([offset, sent, received], [3, undefined, 0x2a]);
  });

  it("takes no byte for one of a message that is not written yet", () => {
    const { queue, messages: [one, two] } = queueOf(5, 70 * KIB);
    queue.nextWrite();
    const reply = Uint8Array.of(...one!, ...two!.subarray(0, 3));
    const { offset, sent, received } = queue.compare(reply, 0)!;
    assertEquals([offset, sent, received], [5, undefined, two![0]]);
  });
});

describe("MessageQueue.giveUpOldest()", () => {
  it("rejects one message, and goes on comparing its reply", async () => {
    const { queue, messages, outcomes } = queueOf(5, 3, 2);
    writeAll(queue);
    assertEquals([queue.awaitedSince, queue.awaitedProgress], [0, {
      sent: 5,
      received: 0,
    }]);
    assertEquals(queue.isAwaited, true);
    queue.giveUpOldest("late");
    assertEquals([queue.awaitedSince, queue.awaitedProgress], [1, {
      sent: 3,
      received: 0,
    }]);
    assertEquals(queue.isAwaited, true);
    assertEquals(queue.outstandingBytes, 10);
    assertEquals(queue.compare(messages[0]!.subarray(0, 4), 100), undefined);
    assertEquals(queue.awaitedProgress.received, 0);
    const rest = joined(messages).subarray(4, 9);
    assertEquals(queue.compare(rest, 100), undefined);
    assertEquals(queue.outstandingBytes, 1);
    await settled();
    assertEquals(outcomes, ["late", { bytes: 3, durationMs: 99 }]);
  });

  it("finds a late reply that is wrong", () => {
    const { queue, messages } = queueOf(5, 3);
    writeAll(queue);
    queue.giveUpOldest("late");
    const reply = messages[0]!.slice();
    reply[2]! ^= 1;
    const { offset, sent } = queue.compare(reply, 0)!;
    assertEquals([offset, sent], [2, messages[0]![2]]);
  });

  it("rejects every message once, and no more than there are", async () => {
    const { queue, messages, outcomes } = queueOf(5, 0, 3);
    writeAll(queue);
    for (const error of ["a", "b", "c"]) queue.giveUpOldest(error);
    assertEquals(queue.isAwaited, false);
    assertEquals(queue.awaitedSince, undefined);
    queue.giveUpOldest("d");
    assertEquals(queue.compare(joined(messages), 0), undefined);
    await settled();
    assertEquals(outcomes, ["a", "b", "c"]);
    assert(queue.isEmpty);
    // A later message is one that is waited for again.
    queue.add(patternOf(2), 7);
    assertEquals(queue.awaitedSince, 7);
  });
});

describe("MessageQueue.giveUpAll()", () => {
  it("rejects the oldest with the error, each other with one of its own", async () => {
    const { queue, outcomes } = queueOf(5, 3, 0, 7);
    queue.nextWrite();
    queue.giveUpOldest("late");
    queue.giveUpAll("broken", ({ length }) => length);
    await settled();
    assertEquals(outcomes, ["late", 3, 0, 7]);
    assertEquals([queue.isEmpty, queue.isAwaited], [true, false]);
    assertEquals(queue.nextWrite(), undefined);
  });

  it("does nothing to an empty queue", () => {
    const { queue } = queueOf();
    queue.giveUpAll("broken", () => {
      throw new Error("there is no other");
    });
    assert(queue.isEmpty);
  });
});
