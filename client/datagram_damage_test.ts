import {
  assertEquals,
  assertInstanceOf,
  assertStrictEquals,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { NetworkError } from "../net/errors.ts";
import { patternOf } from "../testing/peer.ts";
import { damaged, numbered, PlayedQueue } from "../testing/played_queue.ts";
import { REMOTE } from "../testing/socket.ts";
import { MismatchError } from "./errors.ts";

const [A, B, C] = [numbered(1), numbered(2), numbered(3)] as const;

describe("DatagramQueue and a damaged reply", () => {
  it("calls it wrong wherever the damage is", async () => {
    for (const length of [1, 63, 64, 65, 100]) {
      for (const at of [0, length >> 1, length - 1]) {
        const played = new PlayedQueue();
        const message = patternOf(length);
        played.add(message);
        assertEquals(played.take(damaged(message, at)), undefined);
        assertEquals(await played.told(), ["wrong"]);
        const error = played.errors[0] as MismatchError;
        assertInstanceOf(error, MismatchError);
        assertEquals([error.offset, error.sent, error.received], [
          ...[at, message[at], message[at]! ^ 1],
        ]);
        assertEquals(error.address, REMOTE);
      }
    }
  });

  it("calls one wrong that is longer or shorter", async () => {
    for (const reply of [patternOf(101), patternOf(200), patternOf(65_507)]) {
      const played = new PlayedQueue();
      played.add(patternOf(100));
      played.take(reply);
      assertEquals(await played.told(), ["wrong"]);
      const error = played.errors[0] as MismatchError;
      assertEquals([error.offset, error.sent], [100, undefined]);
    }
    for (const length of [0, 1, 64, 99]) {
      const played = new PlayedQueue();
      played.add(patternOf(100));
      played.take(patternOf(length));
      assertEquals(await played.told(), ["wrong"]);
      const error = played.errors[0] as NetworkError;
      assertEquals(
        error.message,
        `Wrong echo: the reply has ${length} of 100 B`,
      );
      assertStrictEquals(error.address, REMOTE);
    }
  });

  it("takes it for the reply to the most similar message", async () => {
    for (const at of [0, 3, 40, 63, 64, 99]) {
      const played = new PlayedQueue();
      played.add(A, B, C);
      assertEquals(played.take(damaged(B, at)), undefined);
      assertEquals(await played.told(), [undefined, "wrong", undefined]);
      assertEquals([played.take(A), played.take(C)], [undefined, undefined]);
    }
  });

  it("minds the length more than the bytes", async () => {
    const played = new PlayedQueue();
    const short = numbered(1, 90);
    played.add(A, short);
    played.take(patternOf(90));
    assertEquals(await played.told(), [undefined, "wrong"]);
  });

  it("takes it for the oldest where several are as similar", async () => {
    const played = new PlayedQueue();
    played.add(A, B, C);
    played.take(new Uint8Array());
    assertEquals(await played.told(), ["wrong", undefined, undefined]);
  });

  it("takes it for one that waits where a settled one is the same", async () => {
    const played = new PlayedQueue();
    played.add(A);
    played.take(A);
    played.add(A);
    assertEquals(played.take(damaged(A, 0)), undefined);
    assertEquals(await played.told(), ["verified", "wrong"]);
  });

  it("spoils no message that waits if it is a settled one's", async () => {
    for (const length of [5, 64, 100]) {
      const played = new PlayedQueue();
      const [settled, waiting] = [numbered(1, length), numbered(2, length)];
      played.add(settled);
      played.take(settled);
      played.add(waiting);
      assertEquals(played.take(damaged(settled, 4)), "corrupt");
      assertEquals(played.take(waiting), undefined);
      assertEquals(await played.told(), ["verified", "verified"]);
    }
  });

  it("spoils no message that waits if it is a lost one's", async () => {
    const played = new PlayedQueue();
    played.add(A);
    played.now = 1;
    played.giveUp();
    played.add(B);
    assertEquals(played.take(damaged(A, 10)), "corrupt");
    assertEquals([played.take(A), played.take(B)], ["late", undefined]);
    assertEquals(await played.told(), ["lost", "verified"]);
  });

  it("is corrupt where nothing waits, and keeps no more than it must", () => {
    const played = new PlayedQueue();
    const reply = patternOf(1000);
    const irregularity = played.queue.take(reply, 0);
    assertEquals(irregularity, { kind: "corrupt", reply: patternOf(64) });
    reply.fill(0);
    assertEquals(irregularity?.reply, patternOf(64));
  });

  it("makes the next good reply to its message a second one", async () => {
    const played = new PlayedQueue();
    played.add(A);
    played.take(damaged(A, 0));
    assertEquals(played.take(A), "duplicated");
    assertEquals(await played.told(), ["wrong"]);
  });

  it("is compared with a thousand waiting messages", async () => {
    const played = new PlayedQueue();
    for (let number = 0; number < 1100; number++) played.add(numbered(number));
    played.take(damaged(numbered(999), 50));
    assertEquals((await played.told())[999], "wrong");
    // One that is further back is taken for another one's.
    played.take(damaged(numbered(1099), 50));
    assertEquals((await played.told())[1099], undefined);
    assertEquals(played.fates.filter((fate) => fate).length, 2);
  });
});
