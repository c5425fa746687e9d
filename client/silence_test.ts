import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import { connect, MismatchError, ShortEchoError } from "../client.ts";
import { serve } from "../server.ts";
import { stopClock } from "../testing/clock.ts";
import { patternOf, startPeer } from "../testing/peer.ts";
import {
  clientOn,
  ECHOING,
  ListenerCount,
  MemoryConn,
  readOnce,
} from "../testing/socket.ts";
import { HELLO } from "../testing/visitor.ts";

const BROKEN = new Deno.errors.ConnectionReset(
  "Connection reset by peer (os error 104)",
);

/** Starts a server that echoes once, then does something when it is told to. */
function startAnswering(second: (conn: Deno.TcpConn) => unknown) {
  const go = Promise.withResolvers<void>();
  const done = Promise.withResolvers<void>();
  const peer = startPeer(async (conn) => {
    await conn.write(await readOnce(conn));
    await go.promise;
    await second(conn);
    done.resolve();
  });
  return {
    port: peer.port,
    async answerAgain() {
      go.resolve();
      await done.promise;
      // While it connects, the runtime looks at all its sockets.
      const { port } = peer;
      using _ = await Deno.connect({ hostname: "127.0.0.1", port });
    },
    [Symbol.dispose]: () => peer[Symbol.dispose](),
  };
}

describe("EchoClient.expectSilence()", () => {
  it("lets a silent connection go on, whatever is sent next", async () => {
    await using server = serve({ port: 0 });
    using client = await connect(server.addr);
    await client.expectSilence();
    for (const size of [5, 100_000, 1, 2000]) {
      assertEquals((await client.echo(patternOf(size))).bytes, size);
      await client.expectSilence();
      await client.expectSilence();
    }
    await client.end();
  });

  it("finds a second reply that is there", async () => {
    for (let turn = 0; turn < 20; turn++) {
      using peer = startAnswering((conn) => conn.write(HELLO));
      using client = await connect({ port: peer.port });
      await client.echo(HELLO);
      await peer.answerAgain();
      const { offset, sent, received } = await assertRejects(
        () => client.expectSilence(),
        MismatchError,
      );
      assertEquals([offset, sent, received], [5, undefined, HELLO[0]]);
      const again = await assertRejects(() => client.echo(HELLO));
      assertEquals((again as MismatchError).offset, 5);
    }
  });

  it("finds that the server ended the connection", async () => {
    using peer = startAnswering((conn) => conn.close());
    using client = await connect({ port: peer.port });
    await client.echo(HELLO);
    await peer.answerAgain();
    await assertRejects(
      () => client.expectSilence(),
      ShortEchoError,
      "connection closed by server, all 5 B sent so far came back",
    );
  });

  it("finds what was never asked for", async () => {
    const conn = new MemoryConn();
    const client = clientOn(conn);
    conn.reply(HELLO);
    const { offset } = await assertRejects(
      () => client.expectSilence(),
      MismatchError,
    );
    assertEquals([offset, conn.closed], [0, 1]);
  });

  it("tells what broke the connection", async () => {
    const conn = new MemoryConn();
    const client = clientOn(conn);
    conn.reply(BROKEN);
    const error = await assertRejects(
      () => client.expectSilence(),
      ShortEchoError,
    );
    assertStrictEquals(error.cause, BROKEN);
    assertEquals(conn.closed, 1);
  });

  it("looks for two turns of the event loop, no longer", async () => {
    for (const turns of [0, 1, 2]) {
      const conn = new MemoryConn();
      using client = clientOn(conn);
      const silence = client.expectSilence().then(() => true, () => false);
      for (let turn = 0; turn < turns; turn++) await nextTurn();
      conn.reply(HELLO);
      assertEquals(await silence, turns === 2);
    }
  });

  it("leaves the next exchange what comes later", async () => {
    using clock = stopClock();
    for (const size of [5, 1000, 0]) {
      const conn = new MemoryConn();
      using client = clientOn(conn, 500);
      await client.expectSilence();
      // The clock does not run for what nothing waits for.
      await clock.pass(10_000);
      const message = patternOf(size);
      const result = client.echo(message);
      if (size > 0) conn.reply(message);
      assertEquals((await result).bytes, size);
      assertEquals(clock.timers <= 1, true);

      await client.expectSilence();
      const next = assertRejects(() => client.echo(HELLO), MismatchError);
      conn.reply(Uint8Array.of(~HELLO[0]!));
      await next;
    }
    assertEquals(clock.timers, 0);
  });
});

describe("EchoClient.end()", () => {
  it("ends the connection on both sides", async () => {
    const conn = new MemoryConn(ECHOING);
    const { signal } = new AbortController();
    const listeners = new ListenerCount(signal);
    const client = clientOn(conn, 5000, signal);
    await client.echo(HELLO);
    await client.end();
    assertEquals([conn.hasEnded, conn.closed, listeners.now], [true, 1, 0]);
    await assertRejects(
      () => client.echo(HELLO),
      Error,
      "Cannot send to 192.0.2.1:7: the client is closed",
    );
  });

  it("waits for the server to end its side, for a second at most", async () => {
    for (
      const [timeoutMs, ms] of [[60_000, 1000], [Infinity, 1000], [300, 300]]
    ) {
      using clock = stopClock();
      const conn = new MemoryConn();
      const ending = clientOn(conn, timeoutMs).end();
      await clock.pass(ms! - 1);
      assertEquals([conn.hasEnded, conn.closed], [true, 0]);
      await clock.pass(50);
      assertEquals(conn.closed, 1);
      await ending;
      assertEquals(clock.timers, 0);
    }
  });

  it("finds a second reply, also late", async () => {
    using clock = stopClock();
    const conn = new MemoryConn({ write: ECHOING.write! });
    const client = clientOn(conn);
    await client.echo(HELLO);
    await client.expectSilence();
    const ending = client.end();
    await clock.pass(900);
    conn.reply(HELLO, null);
    const error = await assertRejects(() => ending, MismatchError);
    const { offset, sent, received } = error;
    assertEquals([offset, sent, received], [5, undefined, HELLO[0]]);
    assertEquals([conn.closed, clock.timers], [1, 0]);
  });

  it("finds a second reply that comes at the half-close", async () => {
    using peer = startPeer(async (conn) => {
      const bytes = await readOnce(conn);
      await conn.write(bytes);
      await readOnce(conn);
      await conn.write(bytes);
    });
    using client = await connect({ port: peer.port });
    await client.echo(HELLO);
    await assertRejects(
      () => client.end(),
      MismatchError,
      `more came back than was sent: "hello"`,
    );
  });

  it("does not mind how the connection ends", async () => {
    const conn = new MemoryConn({
      closeWrite() {
        throw BROKEN;
      },
    });
    conn.reply(BROKEN);
    await clientOn(conn).end();
    assertEquals(conn.closed, 1);
  });
});
