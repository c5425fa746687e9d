import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import { noting } from "../../testing/pipe.ts";
import { LEAST_REPLY_BYTES, QUEUE_BYTES, ReplyQueue } from "./reply_queue.ts";

function reply(length: number) {
  return { bytes: new Uint8Array(length) };
}

describe("ReplyQueue", () => {
  it("gives replies in the order in which they came", async () => {
    const queue = new ReplyQueue();
    const [first, second] = [reply(1), reply(2)];
    queue.push(first);
    queue.push(second);
    assertEquals(await queue.next() === first, true);
    assertEquals(await queue.next() === first, true, "it is not removed yet");
    queue.removeFirst();
    assertEquals(await queue.next() === second, true);
  });

  it("lets the writer wait for a reply, and for its end", async () => {
    const queue = new ReplyQueue();
    const waiting = queue.next();
    const noted = noting(waiting);
    await nextTurn();
    assertEquals(noted.isSettled, false);
    const first = reply(1);
    queue.push(first);
    assertEquals(await waiting === first, true);
    queue.removeFirst();
    const last = queue.next();
    queue.end();
    assertEquals(await last, undefined);
  });

  it("gives what it has before its end", async () => {
    const queue = new ReplyQueue();
    const first = reply(1);
    queue.push(first);
    queue.end();
    assertEquals(await queue.next() === first, true);
    queue.removeFirst();
    assertEquals(await queue.next(), undefined);
  });

  it("is full of so many bytes, and has room when they leave", async () => {
    const queue = new ReplyQueue();
    queue.push(reply(QUEUE_BYTES - 1000));
    queue.push(reply(999));
    assertEquals(queue.isFull, false);
    await queue.untilRoom();
    queue.push(reply(LEAST_REPLY_BYTES));
    assertEquals(queue.isFull, true);
    const room = noting(queue.untilRoom());
    await nextTurn();
    assertEquals(room.isSettled, false);
    queue.removeFirst();
    assertEquals(queue.isFull, false);
    await nextTurn();
    assertEquals(room.isSettled, true);
  });

  it("lets the reader wait on while too little leaves", async () => {
    const queue = new ReplyQueue();
    queue.push(reply(1000));
    queue.push(reply(QUEUE_BYTES));
    const room = noting(queue.untilRoom());
    queue.removeFirst();
    await nextTurn();
    assertEquals([queue.isFull, room.isSettled], [true, false]);
    queue.removeFirst();
    await nextTurn();
    assertEquals([queue.isFull, room.isSettled], [false, true]);
  });

  it("is full of few bytes in many replies", () => {
    const queue = new ReplyQueue();
    let count = 0;
    while (!queue.isFull && count < 1e6) {
      queue.push(reply(1));
      count++;
    }
    assertEquals(count, QUEUE_BYTES / LEAST_REPLY_BYTES);
  });

  it("ends every wait when it is closed, and forgets what it has", async () => {
    const empty = new ReplyQueue();
    const next = empty.next();
    assertEquals(empty.isClosed, false);
    empty.close();
    assertEquals([await next, empty.isClosed], [undefined, true]);

    const full = new ReplyQueue();
    full.push(reply(QUEUE_BYTES));
    const room = full.untilRoom();
    full.close();
    await room;
    assertEquals([full.isFull, await full.next()], [false, undefined]);
    // What the writer was about to remove is gone.
    full.removeFirst();
    full.push(reply(QUEUE_BYTES));
    assertEquals(full.isFull, false);
  });
});
