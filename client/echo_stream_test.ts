import { Buffer } from "node:buffer";
import {
  assert,
  assertEquals,
  assertLessOrEqual,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import { connect, MismatchError, ShortEchoError } from "../client.ts";
import { writeAll } from "../net/streams.ts";
import { serve } from "../server.ts";
import { patternOf, startPeer } from "../testing/peer.ts";
import fc from "../testing/properties.ts";
import {
  changing,
  clientOn,
  ECHOING,
  GivenSource,
  MemoryConn,
  readOnce,
  sourceOf,
  streamOf,
} from "../testing/socket.ts";
import { HELLO } from "../testing/visitor.ts";
import { connectStream } from "./connect.ts";

const WINDOW_BYTES = 16 * 1024 * 1024;

const BROKEN = new Deno.errors.ConnectionReset(
  "Connection reset by peer (os error 104)",
);

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

describe("StreamClient.echoBytes()", () => {
  it("verifies more than its window, and passes it on", async () => {
    await using server = serve({ port: 0 });
    using client = await connectStream(server.addr);
    const bytes = patternOf(WINDOW_BYTES + (4 << 20));
    const parts: Uint8Array[] = [];
    const result = await client.echoBytes(sourceOf(bytes), {
      write(p) {
        // Half at most: a writer may take less than it is given.
        const taken = p.slice(0, Math.ceil(p.length / 2));
        parts.push(taken);
        return Promise.resolve(taken.length);
      },
    });
    assertEquals(result.bytes, bytes.length);
    assertEquals(Buffer.compare(joined(parts), bytes), 0);
  });

  it("has 16 MiB under way at most, and goes on as they come back", async () => {
    const conn = new MemoryConn();
    using client = clientOn(conn, Infinity);
    const bytes = patternOf(2 * WINDOW_BYTES + 12_345);
    const result = client.echoBytes(sourceOf(bytes));
    let verified = 0;
    const settled = async (written: number) => {
      await conn.until("bytes written", () => conn.written >= written);
      for (let turn = 0; turn < 10; turn++) await nextTurn();
      assertEquals(conn.written, written);
    };
    await settled(WINDOW_BYTES);
    for (const comeBack of [1, 12, WINDOW_BYTES - 1, WINDOW_BYTES]) {
      conn.reply(bytes.subarray(verified, verified += comeBack));
      await settled(Math.min(verified + WINDOW_BYTES, bytes.length));
    }
    conn.reply(bytes.subarray(verified), null);
    assertEquals((await result).bytes, bytes.length);
    assertEquals(Buffer.compare(joined(conn.writes), bytes), 0);
    assertLessOrEqual(Math.max(...conn.reads), 256 * 1024);
    const longestWrite = Math.max(...conn.writes.map((bytes) => bytes.length));
    assertLessOrEqual(longestWrite, 256 * 1024);
  });

  it("ends its side when the source ends with a full window", async () => {
    for (const length of [WINDOW_BYTES - 1, WINDOW_BYTES]) {
      // As a server does that answers only at the end.
      const sent: Uint8Array[] = [];
      const conn = new MemoryConn({
        write: (bytes) => sent.push(bytes) && bytes.length,
        closeWrite: (conn) => conn.reply(...sent, null),
      });
      const result = clientOn(conn).echoBytes(sourceOf(patternOf(length)));
      assertEquals((await result).bytes, length);
    }
  });

  it("passes on what is verified alone, in whatever pieces", async () => {
    const bytes = fc.uint8Array({ maxLength: 60, size: "max" });
    const pieces = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 });
    await fc.assert(
      fc.asyncProperty(
        bytes,
        pieces,
        fc.option(fc.nat()),
        async (bytes, pieces, place) => {
          const at = place === null ? Infinity : place % (bytes.length + 1);
          let count = 0;
          const next = () => pieces[count++ % pieces.length]!;
          const conn = new MemoryConn({
            write(sent, conn) {
              const taken = sent.slice(0, next());
              const wrong = at - conn.written;
              if (wrong >= 0 && wrong < taken.length) taken[wrong]! ^= 1;
              conn.reply(taken);
              return taken.length;
            },
            closeWrite(conn) {
              if (at === bytes.length) conn.reply(Uint8Array.of(0));
              conn.reply(null);
            },
          });
          const parts: Uint8Array[] = [];
          const sink = {
            write(p: Uint8Array) {
              const taken = p.slice(0, next());
              parts.push(taken);
              return Promise.resolve(taken.length);
            },
          };
          const source = sourceOf(bytes, pieces[0]);
          const result = clientOn(conn).echoBytes(source, sink);
          if (at === Infinity) {
            assertEquals((await result).bytes, bytes.length);
            assertEquals(joined(parts), bytes);
          } else {
            const { offset, sent, received } = await assertRejects(
              () => result,
              MismatchError,
            );
            const byte = bytes[at];
            const wrong = byte === undefined ? 0 : byte ^ 1;
            assertEquals([offset, sent, received], [at, byte, wrong]);
            const passed = joined(parts);
            assertEquals(passed, bytes.subarray(0, passed.length));
            assertLessOrEqual(passed.length, at);
          }
          assertEquals(conn.closed, 1);
        },
      ),
    );
  });

  it("verifies nothing at all", async () => {
    await using server = serve({ port: 0 });
    using client = await connectStream(server.addr);
    const result = await client.echoBytes(sourceOf(new Uint8Array()));
    assertEquals(result, { bytes: 0, durationMs: 0 });
  });

  it("half-closes, for a server that answers only then", async () => {
    using peer = startPeer(async (conn) => {
      const parts: Uint8Array[] = [];
      for (let part; (part = await readOnce(conn)).length > 0;) {
        parts.push(part);
      }
      await writeAll(conn, joined(parts));
      conn.close();
    });
    using client = await connectStream({ port: peer.port });
    const { bytes } = await client.echoBytes(sourceOf(patternOf(1 << 20)));
    assertEquals(bytes, 1 << 20);
    await assertRejects(() => client.echo(HELLO), Error, "is closed");
  });

  it("names the offset of a mismatch beyond its window", async () => {
    const wrongAt = WINDOW_BYTES + 3;
    using peer = startPeer(changing((bytes, offset) => {
      const at = wrongAt - offset;
      if (at >= 0 && at < bytes.length) bytes[at]! ^= 1;
      return bytes;
    }));
    using client = await connectStream({ port: peer.port });
    const bytes = patternOf(WINDOW_BYTES + (1 << 20));
    const { offset, sent, received } = await assertRejects(
      () => client.echoBytes(sourceOf(bytes)),
      MismatchError,
    );
    const byte = bytes[wrongAt]!;
    assertEquals([offset, sent, received], [wrongAt, byte, byte ^ 1]);
  });

  it("finds that the stream is cut short after the half-close", async () => {
    for (const ending of [null, BROKEN]) {
      const conn = new MemoryConn();
      const client = clientOn(conn);
      const result = client.echoBytes(sourceOf(HELLO));
      await conn.until("the half-close", () => conn.hasEnded);
      conn.reply(HELLO.subarray(0, 4), ending);
      const error = await assertRejects(
        () => result,
        ShortEchoError,
        "4 of 5 B came back",
      );
      assertEquals([error.sent, error.received], [5, 4]);
      assertStrictEquals(error.cause, ending ?? undefined);
      assertEquals(conn.closed, 1);
    }
  });

  it("finds that the server ended first, though its source waits", async () => {
    const conn = new MemoryConn(ECHOING);
    const source = new GivenSource();
    const result = clientOn(conn).echoBytes(source);
    source.give(HELLO);
    await conn.until("the write", () => conn.written === 5);
    conn.reply(null);
    await assertRejects(
      () => result,
      ShortEchoError,
      "connection closed by server, all 5 B sent so far came back",
    );
    assertEquals(conn.closed, 1);
    source.end();
  });

  it("does not mind how the connection ends after the last byte", async () => {
    const ends = [[null], [BROKEN]];
    for (const end of ends) {
      const conn = new MemoryConn({
        write: ECHOING.write!,
        closeWrite(conn) {
          conn.reply(...end);
          throw BROKEN;
        },
      });
      const result = await clientOn(conn).echoBytes(sourceOf(HELLO));
      assertEquals(result.bytes, 5);
      assertEquals(conn.closed, 1);
    }
  });

  it("sends no more when it cannot write, and says why", async () => {
    const endings = [
      [BROKEN, "connection reset by peer"],
      // A broken pipe says only that the server ended its side before.
      [new Deno.errors.BrokenPipe("Broken pipe (os error 32)"), "by server"],
    ] as const;
    for (const [error, ending] of endings) {
      const conn = new MemoryConn({ write: () => Promise.reject(error) });
      let reads = 0;
      const source = {
        read(p: Uint8Array) {
          reads++;
          return Promise.resolve(p.length);
        },
      };
      const result = clientOn(conn).echoBytes(source);
      for (let turn = 0; turn < 10; turn++) await nextTurn();
      // What came back until then counts: only reading finds the end.
      conn.reply(null);
      await assertRejects(() => result, ShortEchoError, ending);
      assertEquals(reads, 1);
      assertEquals(conn.hasEnded, false);
    }
  });

  it("fails as its source or its sink fails", async () => {
    for (const why of [new Error("broken"), "broken", null]) {
      const fail = () => Promise.reject(why);
      const cases = [
        { source: { read: fail } },
        { source: sourceOf(HELLO), sink: { write: fail } },
      ];
      for (const { source, sink } of cases) {
        const conn = new MemoryConn(ECHOING);
        const client = clientOn(conn);
        const result = client.echoBytes(source, sink);
        assertStrictEquals(await result.catch((error) => error), why);
        assertEquals(conn.closed, 1);
        const again = await client.echo(HELLO).catch((error) => error);
        assertStrictEquals(again, why);
      }
    }
  });
});

describe("EchoClient.echoStream()", () => {
  it("verifies a web stream, and passes it on to another", async () => {
    await using server = serve({ port: 0 });
    await using client = await connect(server.addr);
    const bytes = patternOf(WINDOW_BYTES + (4 << 20));
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += 3_000_000) {
      chunks.push(new Uint8Array(), bytes.subarray(at, at + 3_000_000));
    }
    const parts: Uint8Array[] = [];
    let isClosed = false;
    const sink = new WritableStream<Uint8Array>({
      // It may keep what it is given.
      write: (part) => void parts.push(part),
      close: () => void (isClosed = true),
    });
    const result = await client.echoStream(ReadableStream.from(chunks), sink);
    assertEquals(result.bytes, bytes.length);
    assertEquals(Buffer.compare(joined(parts), bytes), 0);
    assert(isClosed);
  });

  it("cancels its source and aborts its sink if it fails", async () => {
    const conn = new MemoryConn();
    const cancelled = Promise.withResolvers<unknown>();
    const aborted = Promise.withResolvers<unknown>();
    const source = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(HELLO),
      cancel: cancelled.resolve,
    });
    const sink = new WritableStream<Uint8Array>({ abort: aborted.resolve });
    const result = clientOn(conn).echoStream(source, sink);
    await conn.until("the write", () => conn.written === 5);
    conn.reply(Uint8Array.of(1));
    const error = await assertRejects(() => result, MismatchError);
    assertStrictEquals(await cancelled.promise, error);
    assertStrictEquals(await aborted.promise, error);
    assertEquals([source.locked, sink.locked], [false, false]);
  });

  it("fails as its source or its sink fails", async () => {
    const why = new Error("broken");
    const failing = new ReadableStream<Uint8Array>({
      start: (controller) => controller.error(why),
    });
    const full = new WritableStream<Uint8Array>({
      write: () => Promise.reject(why),
    });
    const text = ReadableStream.from(["text"]) as ReadableStream<never>;
    for (
      const [source, sink, expected] of [
        [failing, undefined, why],
        [streamOf(HELLO), full, why],
        [text, undefined, "TypeError: Cannot send a chunk that is no"],
      ] as const
    ) {
      const conn = new MemoryConn(ECHOING);
      const result = clientOn(conn).echoStream(source, sink);
      const error = await assertRejects(() => result);
      if (expected === why) assertStrictEquals(error, why);
      else assertStringIncludes(`${error}`, `${expected}`);
      assertEquals(conn.closed, 1);
    }
  });
});
