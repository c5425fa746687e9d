import { Buffer } from "node:buffer";
import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertRejects,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import {
  connect,
  MismatchError,
  type Reader,
  ShortEchoError,
} from "../client.ts";
import { writeAll } from "../net/streams.ts";
import { serve } from "../server.ts";
import { freePort, patternOf, startPeer } from "../testing/peer.ts";

const HELLO = new TextEncoder().encode("hello");

/** Reads once, as the twenty-line servers do. */
async function readOnce(conn: Deno.Conn, most: number): Promise<Uint8Array> {
  const buffer = new Uint8Array(most);
  return buffer.subarray(0, await conn.read(buffer) ?? 0);
}

/** Echoes, after `change` had its way with what arrived. */
function changing(
  change: (bytes: Uint8Array, offset: number) => Uint8Array,
): (conn: Deno.Conn) => Promise<void> {
  return async (conn) => {
    let offset = 0;
    while (true) {
      const bytes = await readOnce(conn, 65536);
      if (bytes.length === 0) return conn.close();
      await writeAll(conn, change(bytes.slice(), offset));
      offset += bytes.length;
    }
  };
}

function sourceOf(bytes: Uint8Array): Reader {
  let at = 0;
  return {
    read(p) {
      const piece = bytes.subarray(at, at + p.length);
      p.set(piece);
      at += piece.length;
      return Promise.resolve(piece.length || null);
    },
  };
}

describe("connect()", () => {
  it("says that the connection was refused, and where", async () => {
    const port = freePort();
    await assertRejects(
      () => connect({ port }),
      Deno.errors.ConnectionRefused,
      `Cannot connect to 127.0.0.1:${port}: connection refused`,
    );
  });

  it("says that a name does not resolve", async () => {
    await assertRejects(
      () => connect({ hostname: "nosuch.invalid" }),
      Error,
      "Cannot connect to nosuch.invalid:12345: the name does not resolve",
    );
  });

  it("gives up after the timeout", async () => {
    // A full queue drops what asks to be let in: no answer at all.
    using listener = Deno.listen({
      hostname: "127.0.0.1",
      port: 0,
      tcpBacklog: 1,
    });
    const { port } = listener.addr;
    const waiting: Deno.Conn[] = [];
    try {
      for (let queued = 0; queued < 2; queued++) {
        waiting.push(await Deno.connect({ port }));
      }
      await assertRejects(
        () => connect({ port, timeoutMs: 50 }),
        Deno.errors.TimedOut,
        `Cannot connect to 127.0.0.1:${port}: timed out after 0.05 s`,
      );
    } finally {
      for (const conn of waiting) conn.close();
    }
  });

  it("keeps trying until a server is there", async () => {
    const port = freePort();
    const connecting = connect({ port, retryMs: 10_000 });
    // The first attempt failed before anything else could happen.
    await assertRejects(() => Deno.connect({ port }));
    await using _ = serve({ port });
    using client = await connecting;
    assertEquals((await client.echo(HELLO)).bytes, 5);
  });

  it("tries until the time is over, then says why it failed last", async () => {
    const startedAt = performance.now();
    await assertRejects(
      () => connect({ port: freePort(), retryMs: 60 }),
      Deno.errors.ConnectionRefused,
    );
    assertGreaterOrEqual(performance.now() - startedAt, 60);
  });

  it("does not try again when that cannot help", async () => {
    await assertRejects(
      () => connect({ hostname: "a b", retryMs: 2 ** 31 - 1 }),
      URIError,
    );
  });

  it("gives up when its signal is aborted", async () => {
    const port = freePort();
    const stop = new AbortController();
    const connecting = connect({ port, retryMs: 60_000, signal: stop.signal });
    stop.abort(new Error("enough"));
    await assertRejects(() => connecting, Error, "enough");
    const { signal } = stop;
    await assertRejects(() => connect({ port, signal }), Error, "enough");
  });
});

describe("EchoClient.echo()", () => {
  it("verifies one message after another on one connection", async () => {
    await using server = serve({ port: 0 });
    using client = await connect(server.addr);
    assertEquals(client.remoteAddr, server.addr);
    for (let turn = 0; turn < 10; turn++) {
      const { bytes, durationMs } = await client.echo(patternOf(1000, turn));
      assertEquals(bytes, 1000);
      assert(durationMs > 0);
    }
    await client.end();
    assertEquals(server.stats.accepted, 1);
    assertEquals(server.stats.bytes, 10_000);
  });

  it("sends while it reads, so that no size is too large", async () => {
    await using server = serve({ port: 0 });
    using client = await connect(server.addr);
    const message = patternOf(8 << 20);
    assertEquals((await client.echo(message)).bytes, message.length);
  });

  it("takes an empty message for echoed", async () => {
    await using server = serve({ port: 0 });
    using client = await connect(server.addr);
    assertEquals((await client.echo(new Uint8Array())).bytes, 0);
    await client.end();
  });

  it("waits for each byte anew, so that a slow echo passes", async () => {
    using peer = startPeer(async (conn) => {
      for (const byte of await readOnce(conn, 100)) {
        await delay(100);
        await conn.write(Uint8Array.of(byte));
      }
    });
    using client = await connect({ port: peer.port, timeoutMs: 300 });
    const { durationMs } = await client.echo(HELLO);
    assertGreaterOrEqual(durationMs, 495);
  });

  it("names the offset and both bytes of a mismatch", async () => {
    using peer = startPeer(changing((bytes, offset) => {
      const at = 70_000 - offset;
      if (at >= 0 && at < bytes.length) bytes[at]! ^= 0x20;
      return bytes;
    }));
    using client = await connect({ port: peer.port });
    const message = new Uint8Array(100_000).fill(0x41);
    const error = await assertRejects(() => client.echo(message));
    assertInstanceOf(error, MismatchError);
    const { offset, sent, received } = error as MismatchError;
    assertEquals([offset, sent, received], [70_000, 0x41, 0x61]);
    assertEquals(
      (error as Error).message,
      `Wrong echo from 127.0.0.1:${peer.port}: ` +
        "byte at offset 70,000 differs, sent 0x41, received 0x61",
    );
  });

  it("tells how much a server that reads only once sent back", async () => {
    using peer = startPeer(async (conn) => {
      await writeAll(conn, await readOnce(conn, 1024));
      conn.close();
    });
    using client = await connect({ port: peer.port });
    const error = await assertRejects(() => client.echo(patternOf(3000)));
    assertInstanceOf(error, ShortEchoError);
    const { sent, received } = error as ShortEchoError;
    assertEquals([sent, received], [3000, 1024]);
    assert(/1,024 of 3,000 B came back$/.test((error as Error).message));
  });

  it("tells how much came back before the connection broke", async () => {
    using peer = startPeer(async (conn) => {
      await writeAll(conn, await readOnce(conn, 1000));
      // With this much unread, closing breaks the connection.
      await conn.read(new Uint8Array(1));
      conn.close();
    });
    using client = await connect({ port: peer.port });
    const error = await assertRejects(() => client.echo(patternOf(8 << 20)));
    assertInstanceOf(error, ShortEchoError);
    assertEquals((error as ShortEchoError).received, 1000);
  });

  it("gives up on a server that never answers", async () => {
    using peer = startPeer((conn) => readOnce(conn, 2));
    using client = await connect({ port: peer.port, timeoutMs: 500 });
    await assertRejects(
      () => client.echo(HELLO),
      Deno.errors.TimedOut,
      `No reply from 127.0.0.1:${peer.port} within 0.5 s: ` +
        "0 of 5 B came back",
    );
    // A late reply must not be taken for the next message's.
    await assertRejects(() => client.echo(HELLO), Deno.errors.TimedOut);
  });

  it("gives up on a server that neither reads nor answers", async () => {
    using peer = startPeer(() => Promise.resolve());
    using client = await connect({ port: peer.port, timeoutMs: 500 });
    await assertRejects(
      () => client.echo(new Uint8Array(64 << 20)),
      Deno.errors.TimedOut,
    );
  });

  it("gives up on a server that answers without reading", async () => {
    const message = new Uint8Array(64 << 20);
    using peer = startPeer((conn) => writeAll(conn, message));
    using client = await connect({ port: peer.port, timeoutMs: 500 });
    await assertRejects(() => client.echo(message), Deno.errors.TimedOut);
  });

  it("refuses more bytes than it sent", async () => {
    using peer = startPeer(
      changing((bytes) => new Uint8Array([...bytes, 0x0a])),
    );
    using client = await connect({ port: peer.port });
    const error = await assertRejects(() => client.echo(HELLO));
    assertInstanceOf(error, MismatchError);
    const { offset, sent, received } = error as MismatchError;
    assertEquals([offset, sent, received], [5, undefined, 0x0a]);
  });

  it("does one exchange at a time", async () => {
    await using server = serve({ port: 0 });
    using client = await connect(server.addr);
    const first = client.echo(HELLO);
    await assertRejects(
      () => client.echo(HELLO),
      Error,
      "an exchange is under way",
    );
    assertEquals((await first).bytes, 5);
  });

  it("ends when the client is closed or its signal aborted", async () => {
    using peer = startPeer(() => Promise.resolve());
    const stop = new AbortController();
    const { signal } = stop;
    using closed = await connect({ port: peer.port });
    using aborted = await connect({ port: peer.port, signal });
    const echoes = [closed.echo(HELLO), aborted.echo(HELLO)];
    closed.close();
    stop.abort(new Error("enough"));
    await assertRejects(() => echoes[0]!, Error, "the client is closed");
    await assertRejects(() => echoes[1]!, Error, "enough");

    // A reason may be anything, even nothing.
    const other = new AbortController();
    const nothing = await connect({ port: peer.port, signal: other.signal });
    const echo = nothing.echo(HELLO);
    other.abort(null);
    assertEquals(await echo.catch((reason) => reason), null);
  });
});

describe("EchoClient.expectSilence()", () => {
  it("lets a silent connection go on, whatever is sent next", async () => {
    await using server = serve({ port: 0 });
    using client = await connect(server.addr);
    for (const size of [5, 100_000, 1, 2000]) {
      assertEquals((await client.echo(patternOf(size))).bytes, size);
      await client.expectSilence();
    }
    await client.end();
  });

  it("finds a second reply", async () => {
    const answered = Promise.withResolvers<void>();
    using peer = startPeer(async (conn) => {
      const bytes = await readOnce(conn, 100);
      await writeAll(conn, bytes);
      await writeAll(conn, bytes);
      answered.resolve();
    });
    using client = await connect({ port: peer.port });
    const error = await client.echo(HELLO).then(async () => {
      await answered.promise;
      // The second reply is on its way.
      for (let turn = 0; turn < 1000; turn++) await client.expectSilence();
    }).catch((error) => error);
    assertInstanceOf(error, MismatchError);
    assertEquals((error as MismatchError).offset, 5);
  });

  it("finds that the server ended the connection", async () => {
    using peer = startPeer(async (conn) => {
      await writeAll(conn, await readOnce(conn, 100));
      conn.close();
    });
    using client = await connect({ port: peer.port });
    await client.echo(HELLO);
    const error = await assertRejects(async () => {
      for (let turn = 0; turn < 1000; turn++) await client.expectSilence();
    });
    assertInstanceOf(error, ShortEchoError);
  });
});

describe("EchoClient.end()", () => {
  it("finds a second reply", async () => {
    using peer = startPeer(async (conn) => {
      const bytes = await readOnce(conn, 100);
      await writeAll(conn, bytes);
      await readOnce(conn, 1);
      await writeAll(conn, bytes);
    });
    using client = await connect({ port: peer.port });
    await client.echo(HELLO);
    const error = await assertRejects(() => client.end());
    assertInstanceOf(error, MismatchError);
    assertEquals((error as MismatchError).offset, 5);
    assertEquals((error as MismatchError).sent, undefined);
  });

  it("does not wait for ever for a server that keeps its side open", async () => {
    using peer = startPeer(async (conn) => {
      await writeAll(conn, await readOnce(conn, 100));
    });
    using client = await connect({ port: peer.port, timeoutMs: 500 });
    await client.echo(HELLO);
    await client.end();
  });
});

describe("EchoClient.echoStream()", () => {
  it("verifies more than its window, and passes it on", async () => {
    await using server = serve({ port: 0 });
    using client = await connect(server.addr);
    const bytes = patternOf(20 << 20);
    const parts: Uint8Array[] = [];
    const result = await client.echoStream(sourceOf(bytes), {
      write(p) {
        // Half at most: a writer may take less than it is given.
        const taken = p.slice(0, Math.ceil(p.length / 2));
        parts.push(taken);
        return Promise.resolve(taken.length);
      },
    });
    assertEquals(result.bytes, bytes.length);
    const echoed = new Uint8Array(
      await new Blob(parts as BlobPart[]).arrayBuffer(),
    );
    assertEquals(Buffer.compare(echoed, bytes), 0);
  });

  it("verifies nothing at all", async () => {
    await using server = serve({ port: 0 });
    using client = await connect(server.addr);
    const result = await client.echoStream(sourceOf(new Uint8Array()));
    assertEquals(result.bytes, 0);
  });

  it("waits for a source as long as it takes", async () => {
    await using server = serve({ port: 0 });
    using client = await connect({ ...server.addr, timeoutMs: 300 });
    const source = sourceOf(HELLO);
    let first = true;
    const { bytes } = await client.echoStream({
      async read(p) {
        await delay(first ? 600 : 0);
        first = false;
        return source.read(p.subarray(0, 1));
      },
    });
    assertEquals(bytes, 5);
  });

  it("waits for a sink as long as it takes", async () => {
    await using server = serve({ port: 0 });
    using client = await connect({ ...server.addr, timeoutMs: 300 });
    let first = true;
    const { bytes } = await client.echoStream(sourceOf(patternOf(1 << 20)), {
      async write(p) {
        if (p.length > 1) return p.length - 1;
        await delay(first ? 600 : 0);
        first = false;
        return 1;
      },
    });
    assertEquals(bytes, 1 << 20);
  });

  it("half-closes, for a server that answers only then", async () => {
    using peer = startPeer(async (conn) => {
      const parts: Uint8Array[] = [];
      for (let part; (part = await readOnce(conn, 65536)).length > 0;) {
        parts.push(part.slice());
      }
      for (const part of parts) await writeAll(conn, part);
      conn.close();
    });
    using client = await connect({ port: peer.port });
    const { bytes } = await client.echoStream(sourceOf(patternOf(1 << 20)));
    assertEquals(bytes, 1 << 20);
  });

  it("names the offset of a mismatch beyond its window", async () => {
    const wrongAt = (17 << 20) + 3;
    using peer = startPeer(changing((bytes, offset) => {
      const at = wrongAt - offset;
      if (at >= 0 && at < bytes.length) bytes[at]! ^= 1;
      return bytes;
    }));
    using client = await connect({ port: peer.port });
    const bytes = patternOf(20 << 20);
    const error = await assertRejects(() => client.echoStream(sourceOf(bytes)));
    assertInstanceOf(error, MismatchError);
    const { offset, sent, received } = error as MismatchError;
    assertEquals(
      [offset, sent, received],
      [wrongAt, bytes[wrongAt]!, bytes[wrongAt]! ^ 1],
    );
  });

  it("finds bytes after the last one", async () => {
    using peer = startPeer(async (conn) => {
      for (let part; (part = await readOnce(conn, 65536)).length > 0;) {
        await writeAll(conn, part);
      }
      await writeAll(conn, HELLO);
      conn.close();
    });
    using client = await connect({ port: peer.port });
    const error = await assertRejects(() =>
      client.echoStream(sourceOf(patternOf(1000)))
    );
    assertInstanceOf(error, MismatchError);
    assertEquals((error as MismatchError).offset, 1000);
  });

  it("tells that the server ended first, though its source waits", async () => {
    using peer = startPeer(async (conn) => {
      await writeAll(conn, await readOnce(conn, 100));
      conn.close();
    });
    using client = await connect({ port: peer.port });
    const first = sourceOf(HELLO);
    await assertRejects(
      () =>
        client.echoStream({
          read: async (p) => await first.read(p) ?? await new Promise(() => {}),
        }),
      ShortEchoError,
      "connection closed by server, all 5 B sent so far came back",
    );
  });

  it("gives up on a server that stops in the middle", async () => {
    using peer = startPeer(async (conn) => {
      await writeAll(conn, await readOnce(conn, 1000));
    });
    using client = await connect({ port: peer.port, timeoutMs: 500 });
    await assertRejects(
      () => client.echoStream(sourceOf(patternOf(20 << 20))),
      Deno.errors.TimedOut,
      "1,000 of ",
    );
  });

  it("fails as its source or its sink fails", async () => {
    await using server = serve({ port: 0 });
    const fail = () => Promise.reject(new Error("broken"));
    using first = await connect(server.addr);
    await assertRejects(
      () => first.echoStream({ read: fail }),
      Error,
      "broken",
    );
    using second = await connect(server.addr);
    await assertRejects(
      () => second.echoStream(sourceOf(HELLO), { write: fail }),
      Error,
      "broken",
    );
  });
});
