import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertNotStrictEquals,
  assertStrictEquals,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { ShortEchoError } from "../client.ts";
import { failure, mismatch } from "../testing/probe.ts";
import fc from "../testing/properties.ts";
import { REMOTE } from "../testing/socket.ts";
import { Messages } from "./messages.ts";

/** All sizes with a layout of their own, and some with random bytes behind it. */
const SIZES = [
  ...Array.from({ length: 70 }, (_, at) => at + 1),
  ...[1000, 65_600, 65_601, 200_000],
];

function textOf(message: Uint8Array): string {
  return new TextDecoder().decode(message.subarray(0, 64));
}

/** Replaces a byte by another. */
function damaged(message: Uint8Array, at: number, by: string): Uint8Array {
  return message.with(at, by.charCodeAt(0));
}

describe("Messages", () => {
  it("are as long as they are asked to be", () => {
    for (const size of SIZES) {
      const messages = new Messages(size);
      assertEquals(messages.bytes, size);
      assertEquals(messages.forNextConnection().take(1).length, size);
    }
  });

  it("begin with a line that a person can read", () => {
    for (const size of SIZES.filter((size) => size >= 64)) {
      const messages = new Messages(size);
      messages.forNextConnection();
      assertMatch(
        textOf(messages.forNextConnection().take(345)),
        /^echo run [\da-f]{8} connection 0000002 message 000000000345 [\da-f]{5}\n$/,
      );
    }
  });

  it("have the end of that line if they are shorter", () => {
    const line = /^ {7}echo run [\da-f]{8} connection 0000001 message 0{9}345$/;
    for (const size of SIZES.filter((size) => size < 64)) {
      const message = new Messages(size).forNextConnection().take(345);
      // What is cut off has no say.
      const cut =
        "       echo run 01234567 connection 0000001 message 000000000345"
          .slice(0, 64 - size);
      assertMatch(cut + textOf(message), line);
    }
  });

  it("are random behind the line, and the same each time", () => {
    const messages = new Messages(200_000);
    const first = messages.forNextConnection().take(1).slice(64);
    const second = messages.forNextConnection().take(2).slice(64);
    assertEquals(first, second);
    // A random part of this size lacks some byte once in 10^24 runs.
    for (const at of [0, 65_536, 131_072, first.length - 16_384]) {
      assertEquals(new Set(first.subarray(at, at + 16_384)).size, 256);
    }
    assertNotEquals(new Messages(200_000).forNextConnection().take(1), first);
  });

  it("tell runs apart", () => {
    const runs = Array.from(
      { length: 10 },
      () => textOf(new Messages(64).forNextConnection().take(1)).slice(9, 17),
    );
    assertEquals(new Set(runs).size, 10);
  });

  it("are numbered right in a buffer that had another number", () => {
    const numbers = fc.uniqueArray(fc.integer({ min: 1, max: 10 ** 12 - 2 }), {
      minLength: 2,
    }).map((all) => all.sort((a, b) => a - b));
    fc.assert(
      fc.property(fc.constantFrom(...SIZES), numbers, (size, numbers) => {
        const messages = new Messages(Math.min(size, 100)).forNextConnection();
        for (const number of numbers) {
          const message = messages.take(number);
          const digits = `${number}`.padStart(12, "0");
          const text = textOf(message).slice(0, size < 64 ? size : 57);
          assertEquals(text.slice(-12), digits.slice(-size));
          // With a wrong checksum it would be no reply.
          if (size >= 64) {
            const error = mismatch(messages.take(number + 1), message);
            assertEquals(
              messages.explain(error, number + 1),
              `the reply to message ${number} came again`,
            );
          }
          messages.giveBack(message);
        }
      }),
    );
  });

  it("use a buffer again when it is given back, not before", () => {
    for (const size of SIZES) {
      const messages = new Messages(size).forNextConnection();
      const first = messages.take(1);
      const second = messages.take(2);
      const before = second.slice();
      assertNotStrictEquals(first.buffer, second.buffer);
      messages.giveBack(first);
      assertStrictEquals(messages.take(3), first);
      assertNotStrictEquals(messages.take(4), first);
      assertEquals(second, before);
    }
  });

  it("share no buffer among connections", () => {
    const messages = new Messages(64);
    const [one, two] = [
      messages.forNextConnection(),
      messages.forNextConnection(),
    ];
    const message = one.take(1);
    one.giveBack(message);
    assertNotStrictEquals(two.take(1), message);
    assertMatch(textOf(one.take(2)), /connection 0000001/);
    assertMatch(textOf(two.take(2)), /connection 0000002/);
  });

  it("are the given bytes as they are", () => {
    const given = new TextEncoder().encode("hello");
    const messages = new Messages(given);
    assertEquals(messages.bytes, 5);
    for (let connection = 0; connection < 2; connection++) {
      const own = messages.forNextConnection();
      for (const number of [1, 2, 345]) {
        const message = own.take(number);
        assertStrictEquals(message, given);
        own.giveBack(message);
      }
      const error = mismatch(given, new TextEncoder().encode("hullo"));
      assertEquals(own.explain(error, 2), undefined);
    }
    assertEquals(given, new TextEncoder().encode("hello"));
  });
});

describe("ConnectionMessages.explain()", () => {
  it("names the message whose reply came again, at any size", () => {
    const numbers = fc.tuple(
      fc.integer({ min: 1, max: 10 ** 6 }),
      fc.integer({ min: 1, max: 2000 }),
    );
    fc.assert(
      fc.property(fc.constantFrom(...SIZES), numbers, (size, [old, later]) => {
        // A message has no more digits than bytes.
        const number = old + 1 + later % (10 ** Math.min(size, 4) - 1);
        const messages = new Messages(Math.min(size, 100)).forNextConnection();
        const reply = messages.take(old);
        const error = mismatch(messages.take(number), reply);
        assertEquals(
          messages.explain(error, number),
          `the reply to message ${old} came again`,
        );
      }),
    );
  });

  it("names the later message whose reply came too early", () => {
    // With fewer digits a later number looks like an earlier one.
    for (const size of SIZES.filter((size) => size >= 12)) {
      const messages = new Messages(size).forNextConnection();
      const error = mismatch(messages.take(12), messages.take(13));
      assertEquals(
        messages.explain(error, 12),
        "the reply to message 13 came in place of that to 12",
      );
    }
  });

  it("takes a short reply for none of a message that never was", () => {
    const messages = new Messages(1).forNextConnection();
    const error = mismatch(messages.take(3), messages.take(7));
    assertEquals(messages.explain(error, 3), undefined);
    assertEquals(
      messages.explain(mismatch(messages.take(13), messages.take(7)), 13),
      "the reply to message 7 came again",
    );
  });

  it("names the connection whose reply came", () => {
    const messages = new Messages(64);
    const [one, two] = [
      messages.forNextConnection(),
      messages.forNextConnection(),
    ];
    for (const number of [11, 12, 13]) {
      assertEquals(
        two.explain(mismatch(two.take(12), one.take(number)), 12),
        `the reply to message ${number} of connection 1 came`,
      );
    }
  });

  it("tells that a reply is another run's", () => {
    for (const size of [57, 60, 63, 64, 100]) {
      const own = new Messages(size).forNextConnection();
      const other = new Messages(size).forNextConnection();
      const error = mismatch(own.take(1), other.take(1));
      assertEquals(
        own.explain(error, 1),
        "the reply to another run's message came",
      );
    }
  });

  it("tells of a second copy of the last reply", () => {
    for (const size of SIZES) {
      const messages = new Messages(size).forNextConnection();
      const message = messages.take(12);
      const twice = new Uint8Array([...message, ...message]);
      assertEquals(
        messages.explain(mismatch(message, twice), 12),
        "the reply to message 12 came again",
      );
    }
  });

  it("takes no damaged digit for another message", () => {
    for (const size of [64, 100]) {
      const messages = new Messages(size).forNextConnection();
      const message = messages.take(12);
      let changes = 0;
      // The numbers, and the checksum behind them.
      for (const at of [...range(29, 36), ...range(45, 57), ...range(58, 63)]) {
        for (const digit of "0123456789") {
          if (textOf(message)[at] === digit) continue;
          changes++;
          const reply = damaged(message, at, digit);
          const why = messages.explain(mismatch(message, reply), 12);
          assertEquals(why, undefined, `${digit} at ${at}`);
        }
      }
      assert(changes > 200);
    }
  });

  it("takes no damaged digit for another run", () => {
    const messages = new Messages(64).forNextConnection();
    const message = messages.take(12);
    for (let at = 9; at < 17; at++) {
      const reply = damaged(
        message,
        at,
        textOf(message)[at] === "0" ? "1" : "0",
      );
      const why = messages.explain(mismatch(message, reply), 12);
      assertEquals(why, undefined, `at ${at}`);
    }
  });

  it("has no words for what is no message", () => {
    const messages = new Messages(64).forNextConnection();
    const message = messages.take(12);
    const old = messages.take(11);
    for (
      const reply of [
        // Only the beginning of an earlier reply.
        old.subarray(0, 63),
        damaged(message, 0, "E"),
        damaged(message, 63, "x"),
        new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n".repeat(3)),
      ]
    ) {
      const error = mismatch(message, reply);
      assertEquals(messages.explain(error, 12), undefined, textOf(reply));
    }
    // The error of a byte deep inside does not hold the beginning.
    const long = new Messages(1000).forNextConnection();
    const sent = long.take(2);
    const error = mismatch(sent, sent.with(500, sent[500]! ^ 1));
    assertEquals(long.explain(error, 2), undefined);
  });

  it("has no words for any other error", () => {
    const messages = new Messages(64).forNextConnection();
    for (
      const error of [
        failure("timeout"),
        failure("mismatch"),
        new ShortEchoError(REMOTE, { sent: 64, received: 3 }),
        "no error at all",
        undefined,
      ]
    ) {
      assertEquals(messages.explain(error, 12), undefined);
    }
  });
});

function range(first: number, end: number): number[] {
  return Array.from({ length: end - first }, (_, at) => first + at);
}

describe("ConnectionMessages.numberOf()", () => {
  it("knows the number of a reply by its beginning", () => {
    for (const size of [64, 65, 1500]) {
      const messages = new Messages(size).forNextConnection();
      for (const number of [1, 12, 999_999_999_999]) {
        const reply = messages.take(number).slice(0, 64);
        assertEquals(messages.numberOf(reply), number);
      }
    }
  });

  it("knows no damaged one's", () => {
    const messages = new Messages(64).forNextConnection();
    const reply = messages.take(12).slice();
    for (let at = 0; at < 64; at++) {
      const damaged = reply.slice();
      damaged[at]! ^= 2;
      assertEquals(messages.numberOf(damaged), undefined);
    }
  });

  it("knows no other run's, nor another connection's", () => {
    const run = new Messages(64);
    const [one, other] = [run.forNextConnection(), run.forNextConnection()];
    assertEquals(one.numberOf(other.take(1)), undefined);
    const otherRun = new Messages(64).forNextConnection();
    assertEquals(one.numberOf(otherRun.take(1)), undefined);
  });

  it("knows the latest of those with the same digits", () => {
    for (const size of [63, 57, 12, 5, 1]) {
      const messages = new Messages(size).forNextConnection();
      const reply = messages.take(3).slice();
      assertEquals(messages.numberOf(reply), 3);
      messages.take(15);
      assertEquals(messages.numberOf(reply), size === 1 ? 13 : 3);
    }
  });

  it("knows none of a message that was not sent, or the user's own", () => {
    const given = new Messages(new TextEncoder().encode("hello"));
    const own = given.forNextConnection();
    assertEquals(own.numberOf(own.take(1)), undefined);
    for (const size of [64, 63, 5, 1]) {
      const messages = new Messages(size).forNextConnection();
      const later = messages.take(7).slice();
      messages.take(2);
      assertEquals(messages.numberOf(later), undefined);
    }
    const messages = new Messages(64).forNextConnection();
    assertEquals(messages.numberOf(new Uint8Array()), undefined);
  });
});
