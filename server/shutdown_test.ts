import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import { writeAll } from "../net/streams.ts";
import { type EchoServer, serve, type ServeOptions } from "../server.ts";
import { stopClock } from "../testing/clock.ts";
import { recorder } from "../testing/events.ts";
import { freePort, patternOf } from "../testing/peer.ts";
import {
  connectTo,
  HELLO,
  readExactly,
  readToEnd,
  roundTrip,
  startFlood,
  untilRefused,
} from "../testing/visitor.ts";

/** Long enough for a server to take all clients of the queue, in milliseconds. */
const QUEUE_MS = 3;

/** Starts a server with one client, which had its first reply. */
async function serveOne(options: ServeOptions = {}) {
  const { onEvent, untilClosed } = recorder();
  const server = serve({ port: 0, ...options, onEvent });
  const conn = await connectTo(server);
  await roundTrip(conn);
  return {
    server,
    conn,
    /** Checks that the connection goes on. */
    async assertOpen() {
      assertEquals(await roundTrip(conn), HELLO);
      assertEquals(server.stats().open, 1);
    },
    /** Waits until the server has closed the connection and is finished. */
    async untilShutDown() {
      assertEquals(await readToEnd(conn), new Uint8Array());
      await server.finished;
      const [closed] = await untilClosed(server);
      assertEquals(closed?.reason, "shutdown");
    },
  };
}

describe("EchoServer.shutdown()", () => {
  it("lets an open connection finish, and takes no new one", async () => {
    const { server, conn, assertOpen } = await serveOne();
    const finished = server.shutdown();
    await untilRefused(server);
    await assertOpen();
    await conn.closeWrite();
    assertEquals(await readToEnd(conn), new Uint8Array());
    await finished;
    assertEquals(server.stats().open, 0);
  });

  it("waits for every connection, though others ended before", async () => {
    const server = serve({ port: 0 });
    for (let turn = 0; turn < 2; turn++) {
      using conn = await connectTo(server);
      await roundTrip(conn);
    }
    while (server.stats().open > 0) await nextTurn();
    const conns = [await connectTo(server), await connectTo(server)];
    for (const conn of conns) await roundTrip(conn);
    let isFinished = false;
    const finished = server.shutdown().then(() => isFinished = true);
    await untilRefused(server);
    for (const conn of conns) {
      assertEquals(await roundTrip(conn), HELLO);
      assertEquals(isFinished, false);
      await conn.closeWrite();
      await readToEnd(conn);
    }
    await finished;
    assertEquals(server.stats().open, 0);
  });

  it("takes clients that are in the queue, and echoes what they sent", async () => {
    const server = serve({ port: 0 });
    const clients = await Promise.all(
      Array.from({ length: 100 }, async (_, seed) => {
        const conn = await connectTo(server);
        const bytes = patternOf(20_000, seed);
        await writeAll(conn, bytes);
        return { conn, bytes };
      }),
    );
    const finished = server.shutdown();
    await Promise.all(clients.map(async ({ conn, bytes }) => {
      assertEquals(await readExactly(conn, bytes.length), bytes);
      conn.close();
    }));
    await finished;
    const { accepted, open, bytes } = server.stats();
    assertEquals([accepted, open, bytes], [100, 0, 2_000_000]);
  });

  it("ends a server without connections as soon as the queue is empty", async () => {
    using clock = stopClock();
    for (const drainTimeoutMs of [0, 5000, Infinity]) {
      const server = serve({ port: 0, drainTimeoutMs });
      const finished = server.shutdown();
      await clock.pass(QUEUE_MS);
      await finished;
      assertEquals(clock.timers, 0);
    }
  });

  it("closes what is open when the drain timeout is over, 5 s by default", async () => {
    using clock = stopClock();
    for (const drainTimeoutMs of [undefined, 200]) {
      const { server, assertOpen, untilShutDown } = await serveOne({
        drainTimeoutMs,
      });
      server.shutdown();
      await clock.pass((drainTimeoutMs ?? 5000) - 1);
      await assertOpen();
      await clock.pass(1);
      await untilShutDown();
      assertEquals(clock.timers, 0);
    }
  });

  it("closes a connection whose client does not read", async () => {
    const { onEvent, untilClosed } = recorder();
    const server = serve({ port: 0, drainTimeoutMs: 20, onEvent });
    await using stuck = await startFlood(server);
    await stuck.untilStuck();
    await server.shutdown();
    const closed = await untilClosed(server);
    assertEquals(closed.map(({ reason }) => reason), ["shutdown"]);
  });

  it("closes at once without a drain timeout", async () => {
    using clock = stopClock();
    for (const option of [{ drainTimeoutMs: 0 }, {}]) {
      const { server, untilShutDown } = await serveOne(option);
      server.shutdown("drainTimeoutMs" in option ? {} : { timeoutMs: 0 });
      assertEquals(server.stats().open, 0);
      await untilShutDown();
      assertEquals(clock.timers, 0);
    }
  });

  it("waits for connections for ever with Infinity", async () => {
    using clock = stopClock();
    const { server, conn, assertOpen } = await serveOne({
      drainTimeoutMs: Infinity,
    });
    const finished = server.shutdown();
    await clock.pass(1e12);
    await assertOpen();
    conn.close();
    await finished;
  });

  it("prefers its own timeout to the server's", async () => {
    using clock = stopClock();
    const { server, assertOpen, untilShutDown } = await serveOne({
      drainTimeoutMs: 100,
    });
    server.shutdown({ timeoutMs: 1e10 });
    await clock.pass(1e10 - 1);
    await assertOpen();
    await clock.pass(1);
    await untilShutDown();
  });

  it("shortens the time that an earlier call gave", async () => {
    using clock = stopClock();
    const { server, assertOpen, untilShutDown } = await serveOne();
    server.shutdown({ timeoutMs: Infinity });
    await clock.pass(100);
    server.shutdown({ timeoutMs: 10_000 });
    await clock.pass(100);
    server.shutdown({ timeoutMs: 500 });
    await clock.pass(499);
    await assertOpen();
    await clock.pass(1);
    await untilShutDown();
    assertEquals(clock.timers, 0);
  });

  it("does not lengthen the time that an earlier call gave", async () => {
    using clock = stopClock();
    const { server, assertOpen, untilShutDown } = await serveOne();
    server.shutdown({ timeoutMs: 500 });
    await clock.pass(100);
    server.shutdown({ timeoutMs: Infinity });
    server.shutdown({ timeoutMs: 1000 });
    await clock.pass(399);
    await assertOpen();
    await clock.pass(1);
    await untilShutDown();
    assertEquals(clock.timers, 0);
  });

  it("listens no longer than connections may go on", async () => {
    using clock = stopClock();
    const server = serve({ port: 0 });
    const finished = server.shutdown({ timeoutMs: QUEUE_MS - 1 });
    await clock.pass(QUEUE_MS - 1);
    await finished;
    assertEquals(clock.timers, 0);
  });

  it("may be interrupted by an abort", async () => {
    using clock = stopClock();
    for (const waitMs of [0, 1, 100]) {
      const stop = new AbortController();
      const { server, untilShutDown } = await serveOne({ signal: stop.signal });
      server.shutdown();
      await clock.pass(waitMs);
      stop.abort();
      await untilShutDown();
      assertEquals(clock.timers, 0);
    }
  });

  it("limits the time of the one client of a server that serves once", async () => {
    using clock = stopClock();
    const { server, assertOpen, untilShutDown } = await serveOne({
      once: true,
    });
    await untilPortFree(server);
    server.shutdown({ timeoutMs: 500 });
    await clock.pass(499);
    await assertOpen();
    await clock.pass(1);
    await untilShutDown();
    assertEquals(clock.timers, 0);
  });

  it("leaves nothing behind of a server that serves once", async () => {
    for (const drainTimeoutMs of [0, 5000, Infinity]) {
      await using server = serve({ port: 0, once: true, drainTimeoutMs });
      using conn = await connectTo(server);
      await roundTrip(conn);
    }
  });

  it("may be called again, at any time", async () => {
    using clock = stopClock();
    const server = serve({ port: 0 });
    const calls = [server.shutdown(), server.shutdown()];
    await clock.pass(1);
    calls.push(server.shutdown());
    await clock.pass(QUEUE_MS - 1);
    await Promise.all(calls);
    await server.shutdown();
    await server.shutdown({ timeoutMs: 0 });
    await server.shutdown({ timeoutMs: 100 });
    assertEquals(clock.timers, 0);
  });

  it("frees the port", async () => {
    const port = freePort();
    for (let turn = 0; turn < 3; turn++) {
      await using server = serve({ port });
      assertEquals(server.addr.port, port);
    }
  });

  it("refuses what is no time, and the server goes on", async () => {
    await using server = serve({ port: 0 });
    for (const timeoutMs of [NaN, -1, "5" as never]) {
      assertThrows(
        () => server.shutdown({ timeoutMs }),
        RangeError,
        `timeoutMs must be a time in milliseconds, 0 or more, or Infinity: ${timeoutMs}`,
      );
    }
    using conn = await connectTo(server);
    assertEquals(await roundTrip(conn), HELLO);
  });
});

/** Waits until a server listens no more, though it has a connection. */
async function untilPortFree(server: EchoServer): Promise<void> {
  while (true) {
    try {
      Deno.listen({ hostname: server.addr.hostname, port: server.addr.port })
        .close();
      return;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
      await nextTurn();
    }
  }
}
