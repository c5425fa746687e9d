import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { deadline } from "@std/async/deadline";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import { connect, MismatchError, ShortEchoError } from "../client.ts";
import { stopClock } from "../testing/clock.ts";
import { patternOf, startPeer } from "../testing/peer.ts";
import {
  clientOn,
  ListenerCount,
  MemoryConn,
  readOnce,
  streamOf,
} from "../testing/socket.ts";
import { HELLO, readToEnd } from "../testing/visitor.ts";
import type { EchoClient } from "./api.ts";

const BROKEN = new Deno.errors.ConnectionReset(
  "Connection reset by peer (os error 104)",
);

/** All that a client can be asked for. */
const CALLS: [string, (client: EchoClient) => Promise<unknown>][] = [
  ["echo()", (client) => client.echo(HELLO)],
  ["echoStream()", (client) => client.echoStream(streamOf(HELLO))],
  ["expectSilence()", (client) => client.expectSilence()],
  ["end()", (client) => client.end()],
];

describe("EchoClient", () => {
  it("closes the connection after a failure, and tells it again", async () => {
    const [hel, hellO] = [HELLO.slice(0, 3), HELLO.slice()];
    hellO[4]! ^= 0x20;
    const replies = [
      ...[[hellO], [Uint8Array.of(...HELLO, 1)], [hel, null], [hel, BROKEN]],
    ];
    for (const [, call] of CALLS.slice(0, 2)) {
      for (const reply of replies) {
        const conn = new MemoryConn();
        const { signal } = new AbortController();
        const listeners = new ListenerCount(signal);
        const client = clientOn(conn, 5000, signal);
        conn.reply(...reply);
        const error = await assertRejects(() => call(client));
        assertEquals([conn.closed, listeners.now], [1, 0]);

        client.close();
        assertEquals(conn.closed, 1);
        const { written } = conn;
        for (const [, call] of CALLS) {
          assertStrictEquals(await call(client).catch((e) => e), error);
        }
        assertEquals(conn.written, written);
      }
    }
  });

  it("lets the server see that it closed the connection", async () => {
    const ended = Promise.withResolvers<void>();
    using peer = startPeer(async (conn) => {
      const bytes = await readOnce(conn);
      bytes[0]! ^= 1;
      await conn.write(bytes);
      await readToEnd(conn);
      ended.resolve();
    });
    const client = await connect({ port: peer.port });
    await assertRejects(() => client.echo(HELLO), MismatchError);
    await deadline(ended.promise, 10_000);
  });

  it("tells how much came back before the connection broke", async () => {
    using peer = startPeer(async (conn) => {
      await conn.write(await readOnce(conn, 1000));
      // With this much unread, closing breaks the connection.
      await readOnce(conn, 1);
      conn.close();
    });
    using client = await connect({ port: peer.port });
    const error = await assertRejects(
      () => client.echo(patternOf(8 << 20)),
      ShortEchoError,
    );
    assertEquals([error.sent, error.received], [8 << 20, 1000]);
  });

  it("says that the server reset it, if a write finds that out last", async () => {
    for (const [, call] of CALLS.slice(0, 2)) {
      const written = Promise.withResolvers<number>();
      const conn = new MemoryConn({ write: () => written.promise });
      const result = assertRejects(
        () => call(clientOn(conn)),
        ShortEchoError,
        "connection reset by peer, 0 of",
      );
      while (!conn.isReading) await nextTurn();
      await nextTurn();
      conn.reply(null);
      written.reject(BROKEN);
      await result;
    }
  });

  it("does one exchange at a time, but for messages", async () => {
    for (const [name, first] of CALLS) {
      const conn = new MemoryConn();
      using client = clientOn(conn);
      const result = first(client);
      await nextTurn();
      const { written } = conn;
      for (const [other, call] of CALLS) {
        if (name === "echo()" && other === name) continue;
        await assertRejects(
          () => call(client),
          Error,
          "Cannot send to 192.0.2.1:7: an exchange is under way",
        );
      }
      assertEquals(conn.written, written);
      if (written > 0) conn.reply(HELLO);
      if (conn.hasEnded) conn.reply(null);
      await result;
    }
  });

  it("ends what is under way when it is closed", async () => {
    for (const [name, call] of CALLS) {
      using clock = stopClock();
      const conn = new MemoryConn();
      const client = clientOn(conn);
      const result = call(client).then(() => "done", (error) => error.message);
      client.close();
      client.close();
      // Nothing is missing for end(), however the connection ends.
      const why = name === "end()"
        ? "done"
        : "Cannot send to 192.0.2.1:7: the client is closed";
      assertEquals(await result, why);
      assertEquals([conn.closed, clock.timers], [1, 0], name);
    }
  });

  it("ends what is under way when its signal is aborted", async () => {
    for (const [name, call] of CALLS.slice(0, 3)) {
      for (const reason of [new Error("enough"), "enough", null]) {
        const conn = new MemoryConn();
        const stop = new AbortController();
        const listeners = new ListenerCount(stop.signal);
        const client = clientOn(conn, 5000, stop.signal);
        const result = call(client).catch((error) => error);
        stop.abort(reason);
        assertStrictEquals(await result, reason, name);
        assertEquals([conn.closed, listeners.now], [1, 0]);
        const again = await client.echo(HELLO).catch((error) => error);
        assertStrictEquals(again, reason);
      }
    }
  });

  it("ends a write that does not end, too", async () => {
    const conn = new MemoryConn({ write: () => new Promise(() => {}) });
    const client = clientOn(conn);
    conn.reply(HELLO);
    const result = client.echo(HELLO);
    await nextTurn();
    client.close();
    await assertRejects(() => result, Error, "the client is closed");
  });

  it("is closed from the start if its signal is aborted by then", async () => {
    const conn = new MemoryConn();
    const reason = new Error("enough");
    const client = clientOn(conn, 5000, AbortSignal.abort(reason));
    assertEquals(conn.closed, 1);
    const error = await client.echo(HELLO).catch((error) => error);
    assertStrictEquals(error, reason);
  });

  it("is closed by using it up", async () => {
    const conn = new MemoryConn();
    const client = clientOn(conn);
    {
      using _ = client;
    }
    assertEquals(conn.closed, 1);
    await assertRejects(() => client.echo(HELLO), Error, "is closed");
    assertEquals(conn.writes, []);
  });
});

describe("EchoClient's asyncDispose", () => {
  it("checks that nothing more comes", async () => {
    for (const surplus of [[], [Uint8Array.of(0x2a)]]) {
      const conn = new MemoryConn();
      const scope = async () => {
        await using client = clientOn(conn);
        conn.reply(HELLO);
        await client.echo(HELLO);
        conn.reply(...surplus, null);
      };
      if (surplus.length === 0) await scope();
      else await assertRejects(scope, MismatchError, "more came back");
      assertEquals([conn.hasEnded, conn.closed], [true, 1]);
    }
  });

  it("just closes what is closed, has failed, or is under way", async () => {
    const conn = new MemoryConn();
    const why = new Error("in the scope");
    for (
      const use of [
        (client: EchoClient) => client.close(),
        (client: EchoClient) => client.echo(HELLO),
        (client: EchoClient) => client.echoStream(streamOf(HELLO)),
      ]
    ) {
      const conn = new MemoryConn();
      let used: unknown;
      const scope = async () => {
        await using client = clientOn(conn);
        used = use(client);
        throw why;
      };
      assertStrictEquals(await scope().catch((error) => error), why);
      assertEquals(conn.closed, 1);
      if (used) {
        await assertRejects(() => used as Promise<unknown>, Error, "is closed");
      }
    }
    const failed = async () => {
      await using client = clientOn(conn);
      conn.reply(null);
      await client.echo(HELLO);
    };
    await assertRejects(failed, ShortEchoError);
    assertEquals(conn.closed, 1);
  });
});
