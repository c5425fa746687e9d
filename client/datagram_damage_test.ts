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

  it("fails the message where the head is right, the oldest of a time", async () => {
    const played = new PlayedQueue();
    played.add(A, B, C, B.slice());
    assertEquals(played.take(damaged(B, 99)), undefined);
    assertEquals(await played.told(), [
      ...[undefined, "wrong", undefined, undefined],
    ]);
    assertEquals([A, B, C].map((it) => played.take(it)), [
      ...[undefined, undefined, undefined],
    ]);
  });

  it("spoils no message that waits where several were sent", async () => {
    for (const at of [0, 3, 40, 63]) {
      const played = new PlayedQueue();
      played.add(A, B, C);
      assertEquals(played.take(damaged(B, at)), "corrupt");
      assertEquals(played.take(new Uint8Array()), "corrupt");
      played.now = 1;
      played.take(A);
      played.giveUp();
      assertEquals(await played.told(), ["verified", "lost", "lost"]);
    }
  });

  it("is the reply to one of those that are the same", async () => {
    const played = new PlayedQueue();
    played.add(A);
    played.take(A);
    played.add(A);
    assertEquals(played.take(damaged(A, 0)), undefined);
    assertEquals(await played.told(), ["verified", "wrong"]);
    assertEquals(played.take(damaged(A, 0)), "corrupt");
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
});
