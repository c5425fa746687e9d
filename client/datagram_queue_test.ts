import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { damaged, numbered, PlayedQueue } from "../testing/played_queue.ts";
import fc from "../testing/properties.ts";

const [A, B, C] = [numbered(1), numbered(2), numbered(3)] as const;

describe("DatagramQueue", () => {
  it("verifies replies in the order of sending", async () => {
    const played = new PlayedQueue();
    played.add(A, B, C);
    played.now = 5;
    assertEquals([A, B, C].map((it) => played.take(it.slice())), [
      ...[undefined, undefined, undefined],
    ]);
    assertEquals(await played.told(), ["verified", "verified", "verified"]);
    assertEquals(played.rtts, [5, 5, 5]);
    assertEquals(played.queue.longestMs, 5);
  });

  it("calls a reply reordered that comes after one to a later message", async () => {
    const played = new PlayedQueue();
    played.add(A, B, C);
    assertEquals(
      [C, A, B].map((it) => played.take(it)),
      [undefined, "reordered", "reordered"],
    );
    assertEquals(await played.told(), ["verified", "verified", "verified"]);
  });

  it("verifies any order, and counts as RFC 4737 does", async () => {
    const orders = fc.integer({ min: 1, max: 40 }).chain((count) =>
      fc.shuffledSubarray([...Array(count).keys()], {
        ...{ minLength: count, maxLength: count },
      })
    );
    await fc.assert(fc.asyncProperty(orders, async (order) => {
      const played = new PlayedQueue();
      played.add(...order.keys().map((number) => numbered(number)));
      let next = 0;
      for (const number of order) {
        const isReordered = number < next;
        next = Math.max(next, number + 1);
        assertEquals(
          played.take(numbered(number)),
          isReordered ? "reordered" : undefined,
        );
      }
      assert((await played.told()).every((fate) => fate === "verified"));
    }));
  });

  it("calls each reply duplicated that comes again", () => {
    const played = new PlayedQueue();
    played.add(A);
    played.take(A);
    assertEquals([played.take(A), played.take(A)], [
      ...["duplicated", "duplicated"],
    ]);
  });

  it("calls a reply late whose message was given up, once", async () => {
    const played = new PlayedQueue();
    played.now = 30;
    played.add(A, B);
    played.now = 40;
    played.giveUp();
    assertEquals(await played.told(), ["lost", "lost"]);
    assertEquals(played.errors.map(String), ["Error: 100 B", "Error: 100 B"]);
    played.now = 55;
    assertEquals(played.queue.take(A, 55), {
      ...{ kind: "late", reply: A.slice(0, 64), ageMs: 25 },
    });
    assertEquals(played.queue.longestMs, 25);
    assertEquals(played.take(A), "duplicated");
  });

  it("gives up what was sent until a moment, the oldest first", async () => {
    const played = new PlayedQueue();
    played.add(A);
    played.now = 1;
    played.add(B);
    played.now = 2;
    played.add(C);
    assertEquals(played.queue.waitingSince, 0);
    played.giveUp(1);
    assertEquals(played.queue.waitingSince, 2);
    assertEquals(await played.told(), ["lost", "lost", undefined]);
    played.take(C);
    assertEquals(played.queue.waitingSince, undefined);
  });

  it("gives one message up, but not when it is settled", async () => {
    const played = new PlayedQueue();
    played.add(A, B);
    played.take(A);
    const error = new Error("not sent");
    for (const giveUp of played.giveUps) giveUp(error);
    assertEquals(await played.told(), ["verified", "lost"]);
    assertStrictEquals(played.errors[1], error);
    assertEquals(played.take(A), "duplicated");
  });

  it("keeps what waits when others are settled, whatever their number", async () => {
    const played = new PlayedQueue();
    played.add(A);
    played.now = 1;
    for (let number = 10; number < 5000; number++) {
      played.add(numbered(number));
      assertEquals(played.take(numbered(number)), undefined);
      assertEquals(played.queue.waitingSince, 0);
    }
    played.add(B);
    assertEquals([played.take(B), played.take(A)], [undefined, "reordered"]);
    assertEquals(played.queue.waitingSince, undefined);
    assert((await played.told()).every((fate) => fate === "verified"));
  });

  it("gives up all when settling them cleans its list", async () => {
    const played = new PlayedQueue();
    for (let number = 0; number < 5000; number++) played.add(numbered(number));
    played.giveUp();
    assertEquals(played.queue.waitingSince, undefined);
    assert((await played.told()).every((fate) => fate === "lost"));
  });

  it("gives a reply to identical messages to the oldest at first", async () => {
    const played = new PlayedQueue();
    played.add(A);
    played.now = 1;
    played.add(A.slice());
    played.now = 3;
    assertEquals(played.take(A), undefined);
    assertEquals(await played.told(), ["verified", undefined]);
    assertEquals(played.queue.waitingSince, 1);
    assertEquals([played.take(A), played.take(A)], [undefined, "duplicated"]);
    await played.told();
    assertEquals(played.rtts, [3, 2]);
  });

  it("gives it to the youngest that it can be, when some are lost", async () => {
    // A reply takes longer than an interval, as long, or less.
    for (const [rttMs, intervalMs] of [[5, 20], [20, 20], [101, 20]] as const) {
      const sent = [...Array(300).keys()];
      const isLost = (at: number) => at % 7 === 3 || at > 100 && at < 110;
      const played = new PlayedQueue();
      const events = [
        ...sent.map((at) => ({ at: at * intervalMs, number: at, is: "sent" })),
        ...sent.filter((at) => !isLost(at))
          .map((at) => ({
            ...{ at: at * intervalMs + rttMs, number: at, is: "back" },
          })),
      ].sort((a, b) => a.at - b.at || a.number - b.number);
      for (const { at, number, is } of events) {
        played.now = at;
        played.giveUp(at - 1000);
        // Two bytes of a number come again after 16 messages.
        if (is === "sent") played.add(numbered(number % 16));
        else assertEquals(played.take(numbered(number % 16)), undefined);
      }
      played.giveUp();
      assertEquals(
        await played.told(),
        sent.map((at) => isLost(at) ? "lost" : "verified"),
      );
      const rtts = new Set(played.rtts.filter((it) => it !== undefined));
      assertEquals(rtts, new Set([rttMs]));
    }
  });

  it("gives none to one that is too young for it, after a stall", async () => {
    const played = new PlayedQueue();
    // A message each 20 ms, and 100 ms later its reply. Some come late, together.
    const replies = [...Array(60).keys()].map((at) => 100 + at * 20);
    for (const at of [20, 21, 22]) replies[at] = 100 + 22 * 20 + at / 10;
    for (let now = 0; now <= 1400; now += 0.1) {
      played.now = Math.round(now * 10) / 10;
      if (played.now % 20 === 0 && played.now < 1200) played.add(A.slice());
      while (replies[0]! <= played.now && replies.shift()) {
        assertEquals(played.take(A), undefined);
      }
    }
    assert((await played.told()).every((fate) => fate === "verified"));
    assertEquals(played.rtts.filter((rtt) => rtt! < 99), []);
    assertEquals(played.rtts.filter((rtt) => rtt! > 101).length, 3);
  });

  it("lets jitter make no round trip shorter and shorter", async () => {
    const order = fc.array(fc.integer({ min: 0, max: 400 }), {
      ...{ minLength: 300, maxLength: 300 },
    });
    await fc.assert(
      fc.asyncProperty(order, async (jitter) => {
        const played = new PlayedQueue();
        const events: [at: number, isReply: boolean][] = [];
        let last = 0;
        for (const [number, tenths] of jitter.entries()) {
          last = Math.max(last, 100 + number * 20 + tenths / 10);
          events.push([number * 20, false], [last, true]);
        }
        for (const [at, isReply] of events.sort(([a], [b]) => a - b)) {
          played.now = at;
          if (isReply) assertEquals(played.take(A), undefined);
          else played.add(A);
        }
        assert((await played.told()).every((fate) => fate === "verified"));
        // A twentieth of an interval below the shortest, at most.
        assertEquals(played.rtts.filter((rtt) => rtt! < 99), []);
      }),
      { numRuns: 10 },
    );
  });

  it("calls none of identical messages reordered, nor knows a late one's age", () => {
    const played = new PlayedQueue();
    played.add(A);
    played.now = 1;
    played.add(A);
    played.now = 2;
    played.add(A);
    for (let n = 0; n < 2; n++) assertEquals(played.take(A), undefined);
    played.giveUp();
    assertEquals(played.queue.take(A, 9), {
      ...{ kind: "late", reply: A.slice(0, 64) },
    });
  });

  it("counts a late reply among identical messages once", async () => {
    const played = new PlayedQueue();
    played.add(A);
    played.now = 1;
    played.giveUp();
    played.add(A);
    assertEquals([played.take(A), played.take(A), played.take(A)], [
      ...[undefined, "late", "duplicated"],
    ]);
    assertEquals(await played.told(), ["lost", "verified"]);
  });

  it("tells messages apart that begin alike", async () => {
    const played = new PlayedQueue();
    const others = [damaged(A, 99), damaged(A, 98)];
    played.add(A, ...others);
    assertEquals(
      [...others, A].map((it) => played.take(it)),
      [undefined, undefined, "reordered"],
    );
    assertEquals(await played.told(), ["verified", "verified", "verified"]);
  });
});

describe("DatagramQueue remembers", () => {
  /** Sends so many messages, and verifies them. */
  function pass(played: PlayedQueue, count: number, first = 1000): void {
    for (let number = first; number < first + count; number++) {
      played.add(numbered(number));
      played.take(numbered(number));
    }
  }

  it("10,000 messages, and forgets 20,000", () => {
    const played = new PlayedQueue();
    played.add(A);
    played.take(A);
    pass(played, 10_000);
    assertEquals(played.take(A), "duplicated");
    pass(played, 10_000, 20_000);
    assertEquals(played.take(A), "corrupt");
  });

  it("a few messages for ever, and more for five seconds", () => {
    const played = new PlayedQueue();
    pass(played, 1);
    played.now = 1e6;
    // So many are few.
    for (let first = 2000; first < 10_000; first += 1000) {
      played.now += 1e6;
      pass(played, 1, first);
      assertEquals(played.take(numbered(1000)), "duplicated");
    }
    pass(played, 191, 10_000);
    played.now += 1e6;
    pass(played, 1000, 3000);
    assertEquals(played.take(numbered(1000)), "duplicated");
    played.now += 4999;
    pass(played, 1, 5000);
    assertEquals(played.take(numbered(1000)), "duplicated");
    played.now += 1;
    pass(played, 1, 5001);
    assertEquals(played.take(numbered(1000)), "corrupt");
    assertEquals(played.take(numbered(3999)), "duplicated");
  });

  it("a message from the time on that it was given up", async () => {
    const played = new PlayedQueue();
    played.add(A);
    played.now = 1;
    // All but a few of both halves.
    pass(played, 19_990);
    played.giveUp(0);
    assertEquals((await played.told())[0], "lost");
    pass(played, 100, 50_000);
    assertEquals(played.take(A), "late");
  });

  it("what waits, whatever comes after it", async () => {
    const played = new PlayedQueue();
    played.add(A);
    pass(played, 50_000);
    assertEquals(played.take(A), "reordered");
    assertEquals((await played.told())[0], "verified");
  });

  it("20,000 messages that wait", async () => {
    const played = new PlayedQueue();
    for (let number = 0; number < 40_000; number++) {
      played.add(numbered(number));
    }
    for (let number = 0; number < 40_000; number++) {
      assertEquals(played.take(numbered(number)), undefined);
    }
    assert((await played.told()).every((fate) => fate === "verified"));
  });
});
