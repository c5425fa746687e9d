import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import { connect, MismatchError, ShortEchoError } from "../client.ts";
import type { NetworkError } from "../net/errors.ts";
import { serve } from "../server.ts";
import { type FakeClock, stopClock } from "../testing/clock.ts";
import { patternOf } from "../testing/peer.ts";
import fc from "../testing/properties.ts";
import {
  clientOn,
  ECHOING,
  ListenerCount,
  MemoryConn,
  streamOf,
} from "../testing/socket.ts";
import { HELLO } from "../testing/visitor.ts";
import type { EchoClient } from "./api.ts";

const BROKEN = new Deno.errors.ConnectionReset(
  "Connection reset by peer (os error 104)",
);
const UNDER_WAY = "Cannot send to 192.0.2.1:7: an exchange is under way";

function messagesOf(...lengths: number[]): Uint8Array[] {
  return lengths.map((length, at) => patternOf(length, at + 1));
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(pieces.flatMap((piece) => [...piece]));
}

/** Sends all messages at once, and returns the number of bytes or the error of each. */
function echoAll(client: EchoClient, messages: readonly Uint8Array[]) {
  const outcomes: unknown[] = [];
  const all = messages.map(async (message, at) => {
    const result = client.echo(message).then(({ bytes }) => bytes);
    outcomes[at] = await result.catch((error) => error);
  });
  return { outcomes, settled: Promise.all(all).then(() => outcomes) };
}

/** Sends all messages to a server that wrote nothing until it has read them all. */
async function startAll(...lengths: number[]) {
  const conn = new MemoryConn();
  const client = clientOn(conn);
  const messages = messagesOf(...lengths);
  const { outcomes, settled } = echoAll(client, messages);
  const replies = joined(messages);
  await conn.until("all bytes", () => conn.written === replies.length);
  await nextTurn();
  return { conn, client, messages, outcomes, settled, replies };
}

/** Where a mismatch is, and what is there. */
function placeOf(error: unknown) {
  assertInstanceOf(error, MismatchError);
  const { offset, sent, received } = error as MismatchError;
  return [offset, sent, received];
}

/** What the error of a connection that ended says. */
function progressOf(error: unknown) {
  assertInstanceOf(error, ShortEchoError);
  const { sent, received, reason } = error as ShortEchoError;
  return [sent, received, reason];
}

/** Checks that an error says that an earlier message got a wrong reply. */
function assertFollowsMismatch(error: unknown): void {
  const { name, message, operation, reason, detail } = error as NetworkError;
  const why = "another reply was wrong";
  assertEquals(
    { name, message, operation, reason, detail },
    {
      ...{ name: "Error", message: `Wrong echo from 192.0.2.1:7: ${why}` },
      ...{ operation: "echo", reason: "mismatch", detail: why },
    },
  );
}

describe("EchoClient.echo() of several messages", () => {
  it("writes them in order, those that waited in one write", async () => {
    const { conn, client, settled, replies } = await startAll(5, 7, 0, 3, 9);
    using _ = client;
    assertEquals(conn.writes.map(({ length }) => length), [5, 19]);
    assertEquals(joined(conn.writes), replies);
    conn.reply(replies);
    assertEquals(await settled, [5, 7, 0, 3, 9]);
    assertEquals(conn.closed, 0);
    conn.reply(HELLO);
    assertEquals((await client.echo(HELLO)).bytes, 5);
  });

  it("settles each when it came back, not when the last did", async () => {
    const { conn, client, outcomes, settled, replies } = await startAll(2, 2);
    using _ = client;
    conn.reply(replies.subarray(0, 3));
    await nextTurn();
    assertEquals(outcomes, [2]);
    const later = client.echo(HELLO);
    conn.reply(replies.subarray(3), HELLO);
    assertEquals(await settled, [2, 2]);
    assertEquals((await later).bytes, 5);
  });

  it("measures each from its own call on", async () => {
    using clock = stopClock();
    const conn = new MemoryConn();
    using client = clientOn(conn);
    const first = client.echo(HELLO);
    await clock.pass(100);
    const second = client.echo(HELLO);
    await clock.pass(200);
    conn.reply(HELLO, HELLO);
    assertEquals(await first, { bytes: 5, durationMs: 300 });
    assertEquals(await second, { bytes: 5, durationMs: 200 });
  });

  it("takes any replies to what is written so far, in any pieces", async () => {
    const lengths = fc.array(fc.nat(30), {
      ...{ minLength: 1, maxLength: 12, size: "max" },
    });
    const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 });
    await fc.assert(
      fc.asyncProperty(lengths, sizes, sizes, fc.boolean(), async (
        lengths,
        written,
        pieces,
        isEarly,
      ) => {
        let [writes, reads] = [0, 0];
        const conn = new MemoryConn({
          async write(bytes, conn) {
            const most = written[writes++ % written.length]!;
            const taken = bytes.subarray(0, most);
            for (let from = 0; from < taken.length;) {
              const to = from + pieces[reads++ % pieces.length]!;
              conn.reply(taken.subarray(from, to));
              from = to;
            }
            // The client may read the reply before its write ends.
            if (isEarly) await nextTurn();
            return taken.length;
          },
        });
        using client = clientOn(conn);
        const messages = messagesOf(...lengths);
        assertEquals(await echoAll(client, messages).settled, lengths);
        assertEquals(joined(conn.writes), joined(messages));
        assertEquals(conn.closed, 0);
      }),
    );
  });

  it("finds a wrong byte of any of them, in whatever pieces it comes", async () => {
    const lengths = fc.array(fc.nat(30), {
      ...{ minLength: 1, maxLength: 12, size: "max" },
    }).filter((lengths) => lengths.some((length) => length > 0));
    const piece = fc.integer({ min: 1, max: 100 });
    const check = async (lengths: number[], place: number, piece: number) => {
      const { conn, client, messages, settled, replies } = await startAll(
        ...lengths,
      );
      let at = place % replies.length;
      replies[at]! ^= 0xff;
      for (let from = 0; from < replies.length; from += piece) {
        conn.reply(replies.subarray(from, from + piece));
      }
      const outcomes = await settled;
      const index = messages.findIndex(({ length }) =>
        at < length || (at -= length, false)
      );
      assertEquals(outcomes.slice(0, index), lengths.slice(0, index));
      const byte = messages[index]![at]!;
      assertEquals(placeOf(outcomes[index]), [at, byte, byte ^ 0xff]);
      outcomes.slice(index + 1).forEach(assertFollowsMismatch);
      assertEquals(conn.closed, 1);
      const again = await client.echo(HELLO).catch((error) => error);
      assertStrictEquals(again, outcomes[index]);
    };
    await fc.assert(fc.asyncProperty(lengths, fc.nat(), piece, check));
  });

  it("finds more bytes than were sent, after the last", async () => {
    const { conn, settled, replies } = await startAll(5, 3);
    conn.reply(Uint8Array.of(...replies, 0x2a));
    const [first, second] = await settled;
    assertEquals(first, 5);
    assertEquals(placeOf(second), [3, undefined, 0x2a]);
    assertEquals(conn.closed, 1);
  });

  it("finds more bytes than were sent while the next is not written", async () => {
    const conn = new MemoryConn({ write: () => new Promise(() => {}) });
    const { settled } = echoAll(clientOn(conn), [HELLO, HELLO, patternOf(9)]);
    conn.reply(Uint8Array.of(...HELLO, HELLO[0]!));
    const [first, ...others] = await settled;
    assertEquals(placeOf(first), [5, undefined, HELLO[0]]);
    others.forEach(assertFollowsMismatch);
    assertEquals(conn.closed, 1);
  });

  it("tells each how much of it came before the connection ended", async () => {
    const cases = [[null, "closed"], [BROKEN, "reset"]] as const;
    for (const [end, reason] of cases) {
      const { conn, settled, replies } = await startAll(5, 7, 0, 9);
      conn.reply(replies.subarray(0, 8), end);
      const [first, ...others] = await settled;
      assertEquals(first, 5);
      const fields = others.map(progressOf);
      assertEquals(fields, [[7, 3, reason], [0, 0, reason], [9, 0, reason]]);
      assertEquals(conn.closed, 1);
    }
  });

  it("tells each of a reset that a write found out", async () => {
    const conn = new MemoryConn({ write: () => Promise.reject(BROKEN) });
    const { settled } = echoAll(clientOn(conn), messagesOf(5, 7));
    await nextTurn();
    conn.reply(null);
    const fields = (await settled).map(progressOf);
    assertEquals(fields, [[5, 0, "reset"], [7, 0, "reset"]]);
  });

  it("rejects all that are under way when it is closed or aborted", async () => {
    for (const reason of [undefined, new Error("enough"), "enough", null]) {
      using clock = stopClock();
      const conn = new MemoryConn();
      const stop = new AbortController();
      const listeners = new ListenerCount(stop.signal);
      const client = clientOn(conn, 500, stop.signal);
      const messages = messagesOf(5, 7, 9);
      const { settled } = echoAll(client, messages);
      conn.reply(messages[0]!);
      await nextTurn();
      if (reason === undefined) client.close();
      else stop.abort(reason);
      const [first, second, third] = await settled;
      assertEquals(first, 5);
      assertStrictEquals(second, third);
      if (reason !== undefined) assertStrictEquals(second, reason);
      else {assertEquals(
          (second as Error).message.slice(-16),
          "client is closed",
        );}
      assertEquals([conn.closed, listeners.now, clock.timers], [1, 0, 0]);
    }
  });

  it("lets 10,000 come back, or fail", async () => {
    const message = patternOf(3000);
    const messages = Array<Uint8Array>(10_000).fill(message);
    await using server = serve({ port: 0 });
    using client = await connect(server.addr);
    const { settled } = echoAll(client, messages);
    assertEquals(new Set(await settled), new Set([3000]));
    await client.end();
    assertEquals(server.stats().bytes, 30_000_000);

    const conn = new MemoryConn();
    const failing = echoAll(clientOn(conn), messages);
    conn.reply(null);
    const errors = await failing.settled;
    assert(errors.every((error) => error instanceof ShortEchoError));
    assertEquals([errors.length, conn.closed], [10_000, 1]);
  });
});

/** All that waits for the end of every message. */
const OTHERS: [string, (client: EchoClient) => Promise<unknown>][] = [
  ["echoStream()", (client) => client.echoStream(streamOf(HELLO))],
  ["expectSilence()", (client) => client.expectSilence()],
  ["end()", (client) => client.end()],
];

/** Sends a message whose write ends after its reply came. */
async function echoBeforeWritten() {
  const written = Promise.withResolvers<number>();
  const conn: MemoryConn = new MemoryConn({
    ...ECHOING,
    write: (bytes, conn) =>
      conn.writes.length === 0 ? written.promise : ECHOING.write!(bytes, conn),
  });
  const client = clientOn(conn);
  conn.reply(HELLO);
  const result = client.echo(HELLO);
  await nextTurn();
  written.resolve(5);
  assertEquals((await result).bytes, 5);
  return { conn, client };
}

describe("EchoClient with several messages under way", () => {
  for (const [name, call] of OTHERS) {
    it(`refuses ${name} until the last came back`, async () => {
      const conn = new MemoryConn();
      using client = clientOn(conn);
      const { settled } = echoAll(client, [HELLO, HELLO]);
      await assertRejects(() => call(client), Error, UNDER_WAY);
      conn.reply(HELLO);
      await nextTurn();
      await assertRejects(() => call(client), Error, UNDER_WAY);
      assertEquals(conn.hasEnded, false);
      conn.reply(HELLO);
      assertEquals(await settled, [5, 5]);
      const result = call(client);
      await nextTurn();
      if (name === "echoStream()") conn.reply(HELLO);
      if (conn.hasEnded) conn.reply(null);
      await result;
    });

    it(`does ${name} after a write that ended after its reply came`, async () => {
      const { conn, client } = await echoBeforeWritten();
      assert(conn.isReading);
      await call(client);
      if (name !== "expectSilence()") return assertEquals(conn.closed, 1);
      assertEquals(await echoAll(client, [HELLO, HELLO]).settled, [5, 5]);
      await client.end();
    });

    if (name === "echoStream()") continue;
    it(`finds a surplus by ${name} after such a write`, async () => {
      const { conn, client } = await echoBeforeWritten();
      // The read is over, and the client has not looked at it yet.
      conn.reply(Uint8Array.of(0x2a));
      const result = call(client).catch((error) => error);
      assertEquals(placeOf(await result), [5, undefined, 0x2a]);
      assertEquals(conn.closed, 1);
    });
  }
});

/** Sends 5, 7 and 9 bytes, one 200 ms after another, each with 500 ms of time. */
async function startTimed(clock: FakeClock) {
  const conn = new MemoryConn();
  const client = clientOn(conn, 500);
  const messages = messagesOf(5, 7, 9);
  const [a, b, c] = messages as [Uint8Array, Uint8Array, Uint8Array];
  const outcomes: unknown[] = [];
  for (const [at, message] of messages.entries()) {
    const note = (outcome: unknown) => void (outcomes[at] = outcome);
    client.echo(message).then(({ bytes }) => note(bytes), note);
    if (at < 2) await clock.pass(200);
  }
  return { conn, client, outcomes, a, b, c };
}

function noReply(progress: string) {
  const server = "192.0.2.1:7";
  const why = `No reply from ${server} within 0.5 s: ${progress} came back`;
  return [Deno.errors.TimedOut, why];
}

function timeoutOf(error: unknown) {
  const { constructor, message } = error as Error;
  return [constructor, message];
}

describe("EchoClient.echo() of several messages with a timeout", () => {
  it("gives up each in its own time, then closes", async () => {
    using clock = stopClock();
    const { conn, client, outcomes } = await startTimed(clock);
    for (const [at, bytes] of [5, 7, 9].entries()) {
      await clock.pass(at === 0 ? 99 : 199);
      assertEquals([outcomes.length, conn.closed], [at, 0]);
      await clock.pass(1);
      assertEquals(timeoutOf(outcomes[at]), noReply(`0 of ${bytes} B`));
    }
    assertEquals([conn.closed, clock.timers], [1, 0]);
    const again = await client.echo(HELLO).catch((error) => error);
    assertStrictEquals(again, outcomes[0]);
  });

  it("takes no more after one, drops its late reply, settles the others", async () => {
    using clock = stopClock();
    const { conn, client, outcomes, a, b, c } = await startTimed(clock);
    await clock.pass(150);
    const { written } = conn;
    for (
      const [, call] of [["", () => client.echo(HELLO)], ...OTHERS] as const
    ) {
      const refusal = await call(client).catch((error) => error);
      assertStrictEquals(refusal, outcomes[0]);
    }
    assertEquals([conn.written, conn.hasEnded], [written, false]);
    conn.reply(a, b);
    await clock.pass(0);
    assertEquals(outcomes.slice(1), [7]);
    assertEquals(conn.closed, 0);
    conn.reply(c);
    await clock.pass(0);
    assertEquals(outcomes.slice(1), [7, 9]);
    assertEquals([conn.closed, clock.timers], [1, 0]);
  });

  it("gives none the time of a late reply to another", async () => {
    using clock = stopClock();
    const { conn, client, outcomes, a } = await startTimed(clock);
    await clock.pass(150);
    conn.reply(a.subarray(0, 2));
    await clock.pass(149);
    assertEquals(outcomes.length, 1);
    await clock.pass(50);
    assertEquals(timeoutOf(outcomes[1]), noReply("0 of 7 B"));
    client.close();
  });

  it("gives a reply that began no more time while others wait", async () => {
    using clock = stopClock();
    const { conn, client, outcomes, a } = await startTimed(clock);
    conn.reply(a.subarray(0, 2));
    await clock.pass(499);
    assertEquals(timeoutOf(outcomes[0]), noReply("2 of 5 B"));
    client.close();
  });

  it("gives up at once all whose time is over", async () => {
    using clock = stopClock();
    const conn = new MemoryConn();
    const { outcomes } = echoAll(clientOn(conn, 500), messagesOf(5, 7, 9));
    await clock.pass(505);
    const told = ["0 of 5 B", "0 of 7 B", "0 of 9 B"].map(noReply);
    assertEquals(outcomes.map(timeoutOf), told);
    assertEquals([conn.closed, clock.timers], [1, 0]);
  });

  it("finds that a late reply is wrong", async () => {
    using clock = stopClock();
    const { conn, outcomes, a } = await startTimed(clock);
    await clock.pass(150);
    conn.reply(a.subarray(0, 3), Uint8Array.of(~a[3]!));
    await clock.pass(0);
    assertEquals(timeoutOf(outcomes[0]), noReply("0 of 5 B"));
    outcomes.slice(1).forEach(assertFollowsMismatch);
    assertEquals([conn.closed, clock.timers], [1, 0]);
  });

  it("tells the others how much of each came before the connection ended", async () => {
    using clock = stopClock();
    const { conn, outcomes, a } = await startTimed(clock);
    await clock.pass(150);
    conn.reply(a.subarray(0, 3), null);
    await clock.pass(0);
    const fields = outcomes.slice(1).map(progressOf);
    assertEquals(fields, [[7, 0, "closed"], [9, 0, "closed"]]);
  });
});
