import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLessOrEqual,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { connect, MismatchError, ShortEchoError } from "../client.ts";
import { serve } from "../server.ts";
import { stopClock } from "../testing/clock.ts";
import { patternOf, startPeer } from "../testing/peer.ts";
import { replace } from "../testing/replace.ts";
import fc from "../testing/properties.ts";
import {
  changing,
  clientOn,
  ECHOING,
  MemoryConn,
  readOnce,
  REMOTE,
} from "../testing/socket.ts";
import { HELLO } from "../testing/visitor.ts";

const BROKEN = new Deno.errors.ConnectionReset(
  "Connection reset by peer (os error 104)",
);

describe("EchoClient.echo()", () => {
  it("verifies one message after another on one connection", async () => {
    await using server = serve({ port: 0 });
    using client = await connect(server.addr);
    assertEquals(client.remoteAddr, server.addr);
    for (let turn = 0; turn < 10; turn++) {
      const startedAt = performance.now();
      const { bytes, durationMs } = await client.echo(patternOf(1000, turn));
      assertEquals(bytes, 1000);
      assert(durationMs > 0);
      assertLessOrEqual(durationMs, performance.now() - startedAt);
    }
    await client.end();
    assertEquals(server.stats().accepted, 1);
    assertEquals(server.stats().bytes, 10_000);
  });

  it("sends while it reads, so that no size is too large", async () => {
    await using server = serve({ port: 0 });
    using client = await connect(server.addr);
    const message = patternOf(8 << 20);
    assertEquals((await client.echo(message)).bytes, message.length);
  });

  it("reads a large reply through a small buffer", async () => {
    const conn = new MemoryConn(ECHOING);
    using client = clientOn(conn);
    assertEquals((await client.echo(patternOf(1 << 20))).bytes, 1 << 20);
    assertLessOrEqual(Math.max(...conn.reads), 256 * 1024);
  });

  it("reads one reply after another into the same memory", async () => {
    const conn = new MemoryConn(ECHOING);
    using client = clientOn(conn);
    for (const size of [500, 500, 20, 500]) await client.echo(patternOf(size));
    assertEquals(conn.buffers.size, 1);
  });

  it("takes an empty message for echoed", async () => {
    await using server = serve({ port: 0 });
    using client = await connect(server.addr);
    assertEquals((await client.echo(new Uint8Array())).bytes, 0);
    assertEquals((await client.echo(HELLO)).bytes, 5);
    await client.end();
  });

  it("finds a wrong byte anywhere, in whatever pieces it comes", async () => {
    const bytes = fc.uint8Array({ minLength: 1, maxLength: 40, size: "max" });
    const pieces = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 });
    await fc.assert(
      fc.asyncProperty(
        bytes,
        pieces,
        fc.option(fc.nat()),
        async (message, pieces, place) => {
          const at = place === null ? undefined : place % message.length;
          const reply = message.slice();
          if (at !== undefined) reply[at]! ^= 0xff;
          let written = 0;
          const conn = new MemoryConn({
            write: (bytes) => Math.min(bytes.length, pieces[written++] ?? 40),
          });
          using client = clientOn(conn);
          for (let from = 0, piece = 0; from < reply.length; piece++) {
            const to = from + pieces[piece % pieces.length]!;
            conn.reply(reply.subarray(from, to));
            from = to;
          }
          const result = client.echo(message);
          if (at === undefined) {
            assertEquals((await result).bytes, message.length);
            assertEquals(
              new Uint8Array(conn.writes.flatMap((b) => [...b])),
              message,
            );
            assertEquals(conn.closed, 0);
          } else {
            const error = await assertRejects(() => result, MismatchError);
            const { offset, sent, received } = error;
            assertEquals(
              [offset, sent, received],
              [at, message[at], reply[at]!],
            );
            assertEquals(conn.closed, 1);
          }
        },
      ),
    );
  });

  it("names the server, the offset and both bytes of a mismatch", async () => {
    using peer = startPeer(changing((bytes, offset) => {
      const at = 70_000 - offset;
      if (at >= 0 && at < bytes.length) bytes[at]! ^= 0x20;
      return bytes;
    }));
    using client = await connect({ port: peer.port });
    const message = new Uint8Array(100_000).fill(0x41);
    await assertRejects(
      () => client.echo(message),
      MismatchError,
      `Wrong echo from 127.0.0.1:${peer.port}: ` +
        "byte at offset 70,000 differs, sent 0x41, received 0x61",
    );
  });

  it("finds more bytes than it sent, in the same read", async () => {
    const conn = new MemoryConn();
    using client = clientOn(conn);
    conn.reply(Uint8Array.of(...HELLO, 0x0a));
    const error = await assertRejects(
      () => client.echo(HELLO),
      MismatchError,
    );
    const { offset, sent, received, address } = error;
    assertEquals([offset, sent, received], [5, undefined, 0x0a]);
    assertEquals(address, REMOTE);
  });

  it("tells how much a server that reads only once sent back", async () => {
    using peer = startPeer(async (conn) => {
      await conn.write(await readOnce(conn, 1024));
      conn.close();
    });
    using client = await connect({ port: peer.port });
    const error = await assertRejects(
      () => client.echo(patternOf(3000)),
      ShortEchoError,
      "1,024 of 3,000 B came back",
    );
    assertEquals([error.sent, error.received], [3000, 1024]);
  });

  it("tells what broke the connection, and how much came before", async () => {
    // Whether or not writing fails too, reading tells.
    for (const write of [() => 5, () => Promise.reject(BROKEN)]) {
      const conn = new MemoryConn({ write });
      using client = clientOn(conn);
      conn.reply(HELLO.subarray(0, 3), BROKEN);
      const error = await assertRejects(
        () => client.echo(HELLO),
        ShortEchoError,
        "Short echo from 192.0.2.1:7: connection reset by peer, " +
          "3 of 5 B came back",
      );
      assertEquals(error.reason, "reset");
      assertStrictEquals(error.cause, BROKEN);
    }
  });

  it("takes bytes alone, and sends nothing else", async () => {
    const conn = new MemoryConn(ECHOING);
    using client = clientOn(conn);
    const { buffer } = HELLO.slice();
    // deno-lint-ignore no-explicit-any
    const others: any[] = [
      ...["hello", buffer, new DataView(buffer), new Uint16Array(2), [1, 2]],
      ...[undefined, null, 5],
    ];
    for (const other of others) {
      await assertRejects(
        () => client.echo(other),
        TypeError,
        "Cannot echo a message that is no Uint8Array",
      );
    }
    assertEquals(conn.writes, []);
    assertEquals((await client.echo(HELLO)).bytes, 5);
    assertEquals(conn.writes, [HELLO]);
  });
});

describe("EchoClient.echo() with a timeout", () => {
  it("gives up on a reply that is not whole in time", async () => {
    using clock = stopClock();
    const conn = new MemoryConn();
    using client = clientOn(conn, 500);
    const result = client.echo(HELLO).catch((error) => error);
    for (const byte of HELLO.subarray(0, 2)) {
      await clock.pass(200);
      conn.reply(Uint8Array.of(byte));
    }
    await clock.pass(99);
    assertEquals(conn.closed, 0);
    await clock.pass(1);
    assertEquals(conn.closed, 1);
    const error = await result;
    assertInstanceOf(error, Deno.errors.TimedOut);
    assertEquals(
      error.message,
      "No reply from 192.0.2.1:7 within 0.5 s: 2 of 5 B came back",
    );
    assertEquals(clock.timers, 0);
  });

  it("takes a reply that came while this process was stopped", async () => {
    using clock = stopClock();
    const conn = new MemoryConn();
    using client = clientOn(conn, 500);
    const result = client.echo(HELLO);
    clock.holdUp(10_000);
    conn.reply(HELLO);
    assertEquals(await result, { bytes: 5, durationMs: 10_000 });
  });

  it("takes no late reply that comes before the timer fires", async () => {
    using _clock = stopClock();
    const conn = new MemoryConn();
    using client = clientOn(conn, 500);
    const result = client.echo(HELLO);
    const lateAt = performance.now() + 502;
    using _ = replace(performance, "now", () => lateAt);
    conn.reply(HELLO);
    await assertRejects(() => result, Deno.errors.TimedOut);
  });

  it("stays open after an empty message, which waits for nothing", async () => {
    using clock = stopClock();
    const conn = new MemoryConn(ECHOING);
    using client = clientOn(conn, 500);
    assertEquals((await client.echo(new Uint8Array())).bytes, 0);
    await clock.pass(10_000);
    assertEquals([client.isOpen, conn.closed], [true, 0]);
    assertEquals((await client.echo(HELLO)).bytes, 5);
  });

  it("gives up in time after a pause of any length, too", async () => {
    using clock = stopClock();
    const conn = new MemoryConn();
    using client = clientOn(conn, 500);
    for (const pauseMs of [0, 300, 10_000]) {
      conn.reply(HELLO);
      await client.echo(HELLO);
      await clock.pass(pauseMs);
    }
    const result = assertRejects(
      () => client.echo(HELLO),
      Deno.errors.TimedOut,
    );
    await clock.pass(499);
    assertEquals(conn.closed, 0);
    await clock.pass(50);
    await result;
  });

  it("never gives up without a timeout", async () => {
    using clock = stopClock();
    for (const timeoutMs of [1e12, Infinity]) {
      const conn = new MemoryConn();
      using client = clientOn(conn, timeoutMs);
      const result = client.echo(HELLO);
      await clock.pass(2 ** 32);
      conn.reply(HELLO);
      assertEquals((await result).bytes, 5);
    }
  });

  it("gives up on a server that neither reads nor answers", async () => {
    using peer = startPeer(() => Promise.resolve());
    using client = await connect({ port: peer.port, timeoutMs: 100 });
    await assertRejects(
      () => client.echo(new Uint8Array(64 << 20)),
      Deno.errors.TimedOut,
      "0 of 67,108,864 B came back",
    );
  });

  it("gives up on a server that answers and does not read", async () => {
    using clock = stopClock();
    const conn = new MemoryConn({ write: () => new Promise(() => {}) });
    using client = clientOn(conn, 500);
    conn.reply(HELLO);
    const result = assertRejects(
      () => client.echo(HELLO),
      Deno.errors.TimedOut,
      "all 5 B sent so far came back",
    );
    await clock.pass(499);
    assertEquals(conn.closed, 0);
    await clock.pass(50);
    assertEquals(conn.closed, 1);
    await result;
    assertEquals(clock.timers, 0);
  });

  it("waits for a server that answers before it reads", async () => {
    using clock = stopClock();
    const read = Promise.withResolvers<number>();
    const conn = new MemoryConn({ write: () => read.promise });
    using client = clientOn(conn, 500);
    conn.reply(HELLO);
    const result = client.echo(HELLO);
    await clock.pass(499);
    await assertRejects(() => client.end(), Error, "is under way");
    read.resolve(5);
    assertEquals((await result).bytes, 5);
    // The deadline of that wait is over with it.
    await clock.pass(10_000);
    assertEquals(conn.closed, 0);
    conn.reply(HELLO);
    await client.echo(HELLO);
  });
});
