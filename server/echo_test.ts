import { Buffer } from "node:buffer";
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import { writeAll } from "../net/streams.ts";
import { serve } from "../server.ts";
import { watchSweeps } from "../testing/barrier.ts";
import { stopClock } from "../testing/clock.ts";
import { recorder } from "../testing/events.ts";
import { patternOf } from "../testing/peer.ts";
import { watchPipes } from "../testing/pipe.ts";
import fc from "../testing/properties.ts";
import {
  connectTo,
  HELLO,
  readExactly,
  readToEnd,
  reset,
  roundTrip,
  startFlood,
} from "../testing/visitor.ts";

/** What a client does. */
interface Talk {
  /** How long each write is, in bytes. */
  writes: number[];
  /** After which writes the event loop turns. */
  pauses: boolean[];
  halfCloses: boolean;
  readsLate: boolean;
  seed: number;
}

describe("an echo", () => {
  it("has every byte in order, however it is cut", async () => {
    await using server = serve({ port: 0 });
    using conn = await connectTo(server);
    const bytes = patternOf(300_000);
    const sending = (async () => {
      for (let at = 0, size = 1; at < bytes.length; at += size, size *= 3) {
        await writeAll(conn, bytes.subarray(at, at + size));
      }
    })();
    assertEquals(await readExactly(conn, bytes.length), bytes);
    await sending;
  });

  it("has what was sent, whatever is sent and however", async () => {
    await using server = serve({ port: 0 });
    const client = fc.record({
      // Sizes around those of the server's buffers, and of the kernel's.
      writes: fc.array(
        fc.oneof(
          fc.integer({ min: 1, max: 2050 }),
          fc.constantFrom(511, 512, 513, 8192, 65_536, 262_144, 1_000_000),
        ),
        { maxLength: 12, size: "max" },
      ),
      pauses: fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }),
      halfCloses: fc.boolean(),
      readsLate: fc.boolean(),
      seed: fc.nat(),
    });
    const talk = async (
      { writes, pauses, halfCloses, readsLate, seed }: Talk,
    ) => {
      using conn = await connectTo(server);
      const length = writes.reduce((a, b) => a + b, 0);
      const bytes = patternOf(length, seed);
      const send = async () => {
        let at = 0;
        for (const [turn, size] of writes.entries()) {
          await writeAll(conn, bytes.subarray(at, at += size));
          if (pauses[turn]) await delay(0);
        }
        if (halfCloses) await conn.closeWrite();
      };
      const sending = send();
      if (readsLate) await delay(1);
      const echoed = halfCloses
        ? await readToEnd(conn)
        : await readExactly(conn, length);
      await sending;
      assertEquals(echoed.length, bytes.length);
      assertEquals(Buffer.compare(echoed, bytes), 0);
    };
    await fc.assert(
      fc.asyncProperty(
        fc.array(client, { minLength: 1, maxLength: 8 }),
        async (clients) => {
          await Promise.all(clients.map(talk));
        },
      ),
      { numRuns: 30 },
    );
  });

  it("is whole while the buffer grows and shrinks", async () => {
    await using server = serve({ port: 0 });
    using conn = await connectTo(server);
    for (const [size, turns] of [[1e6, 3], [10, 200], [1e6, 3]] as const) {
      for (let turn = 0; turn < turns; turn++) {
        const bytes = patternOf(size, turn);
        const sending = writeAll(conn, bytes);
        const echoed = await readExactly(conn, size);
        await sending;
        assertEquals(Buffer.compare(echoed, bytes), 0);
      }
    }
  });

  it("goes to the client whose bytes they are", async () => {
    await using server = serve({ port: 0 });
    const talk = async (_: unknown, seed: number) => {
      using conn = await connectTo(server);
      for (let turn = 0; turn < 5; turn++) {
        const bytes = patternOf(1000, seed * 10 + turn);
        await writeAll(conn, bytes);
        assertEquals(await readExactly(conn, bytes.length), bytes);
      }
    };
    await Promise.all(Array.from({ length: 100 }, talk));
    assertEquals(server.stats().accepted, 100);
    assertEquals(server.stats().bytes, 100 * 5 * 1000);
  });

  it("reaches a client that half-closed", async () => {
    await using server = serve({ port: 0 });
    using conn = await connectTo(server);
    const bytes = patternOf(100_000);
    await writeAll(conn, bytes);
    await conn.closeWrite();
    assertEquals(await readToEnd(conn), bytes);
  });

  it("does not wait until the client acknowledged the part before", async () => {
    await using server = serve({ port: 0 });
    let fastestMs = Infinity;
    for (let turn = 0; turn < 10; turn++) {
      using conn = await connectTo(server);
      // After some of these the client's kernel delays acknowledgements by 40 ms.
      for (let message = 0; message < 20; message++) await roundTrip(conn);
      const startedAt = performance.now();
      // More than the server's first buffer: the reply has two parts.
      await writeAll(conn, new Uint8Array(600));
      await readExactly(conn, 600);
      fastestMs = Math.min(fastestMs, performance.now() - startedAt);
    }
    assert(fastestMs < 30, `the fastest took ${fastestMs} ms`);
  });
});

describe("a connection", () => {
  it("does not stop others when its client sends and never reads", async () => {
    await using server = serve({ port: 0 });
    await using greedy = await startFlood(server);
    using conn = await connectTo(server);
    for (let turn = 0; turn < 100; turn++) {
      assertEquals(await roundTrip(conn), HELLO);
    }
    await greedy.untilStuck();
    assertEquals(await roundTrip(conn), HELLO);
    // The server stopped reading: no more than the kernel's buffers was taken.
    assert(greedy.sent < 64 << 20, `the server took ${greedy.sent} B`);
  });

  // That none of them waits for ever, not that none waits long: these clients
  // are in the same event loop, which is as unfair to them.
  it("has its turn among more than a turn of the event loop serves", async () => {
    await using server = serve({ port: 0 });
    const visit = async () => {
      using conn = await connectTo(server);
      for (let count = 0; count < 50; count++) {
        assertEquals(await roundTrip(conn), HELLO);
      }
    };
    await Promise.all(Array.from({ length: 300 }, visit));
  });

  it("waits for others, now and then, unless it is the only one", async () => {
    using clock = stopClock();
    await using server = serve({ port: 0, drainTimeoutMs: 0 });
    using first = await connectTo(server);
    const visit = async () => {
      for (let count = 0; count < 100; count++) await roundTrip(first);
    };
    {
      using watched = watchPipes();
      await visit();
      assertEquals(watched.listens, 0, "the server polled for a single one");
    }
    using second = await connectTo(server);
    await roundTrip(second);
    let polls = 0;
    using watched = watchPipes({
      near(near) {
        const { write } = near;
        near.write = (bytes) => {
          polls++;
          return write.call(near, bytes);
        };
      },
    });
    // Each closing of the barrier is one poll, as the connections are few.
    await visit();
    assertEquals([watched.listens, polls], [1, 1]);
    await clock.pass(7);
    await visit();
    assertEquals(polls, 1);
    await clock.pass(1);
    await visit();
    assertEquals([watched.listens, polls], [1, 2]);
  });

  it("that its client resets ends alone", async () => {
    const { onEvent, untilClosed } = recorder();
    await using server = serve({ port: 0, onEvent });
    using conn = await connectTo(server);
    await reset(await connectTo(server));
    const [closed] = await untilClosed(server);
    assertEquals(closed?.reason, "reset");
    assertInstanceOf(closed?.error, Deno.errors.ConnectionReset);
    assertEquals(await roundTrip(conn), HELLO);
    assertEquals(server.stats().open, 1);
  });

  it("that its client leaves at any stage ends alone", async () => {
    const { onEvent, untilClosed } = recorder();
    await using server = serve({ port: 0, onEvent });
    const stages: ((conn: Deno.TcpConn) => unknown)[] = [
      () => {},
      (conn) => conn.write(HELLO),
      (conn) => writeAll(conn, new Uint8Array(2 << 20)),
      async (conn) => {
        await writeAll(conn, new Uint8Array(1 << 20));
        await conn.read(new Uint8Array(1));
      },
      async (conn) => {
        await writeAll(conn, HELLO);
        await conn.closeWrite();
      },
      async (conn) => {
        await writeAll(conn, new Uint8Array(1 << 20));
        await conn.closeWrite();
        await conn.read(new Uint8Array(1));
      },
    ];
    for (const stage of stages) {
      using conn = await connectTo(server);
      await stage(conn);
    }
    const closed = await untilClosed(server, stages.length);
    for (const { reason } of closed) {
      assert(reason === "eof" || reason === "reset", reason);
    }
    using conn = await connectTo(server);
    assertEquals(await roundTrip(conn), HELLO);
    assertEquals(server.stats().open, 1);
  });

  it("that is idle is closed, and only that", async () => {
    const { onEvent, untilClosed } = recorder();
    using clock = stopClock();
    using sweeps = watchSweeps();
    await using server = serve({
      port: 0,
      idleTimeoutMs: 400,
      drainTimeoutMs: 0,
      onEvent,
    });
    using busy = await connectTo(server);
    using silent = await connectTo(server);
    // Once the kernel's buffers are full, this one moves no byte either.
    await using stuck = await startFlood(server);
    await stuck.untilStuck();
    while (server.stats().open < 3) await nextTurn();
    for (let sweep = 0; sweep < 5; sweep++) {
      assertEquals(server.stats().open, 3);
      assertEquals(await roundTrip(busy), HELLO);
      await clock.pass(100);
      await sweeps.untilSwept();
    }
    const closed = await untilClosed(server, 2);
    assertEquals(closed.map(({ reason }) => reason), ["idle", "idle"]);
    assertEquals(
      new Set(closed.map(({ remote }) => remote)),
      new Set([silent.localAddr, stuck.conn.localAddr] as Deno.NetAddr[]),
    );
    assertEquals(await silent.read(new Uint8Array(1)), null);
    assertEquals(await roundTrip(busy), HELLO);
    assertEquals(server.stats().open, 1);
  });

  it("whose bytes arrived before it was found idle is not closed", async () => {
    using clock = stopClock();
    using sweeps = watchSweeps();
    await using server = serve({
      port: 0,
      idleTimeoutMs: 400,
      drainTimeoutMs: 0,
    });
    using conn = await connectTo(server);
    for (let turn = 0; turn < 3; turn++) {
      await roundTrip(conn);
      for (let sweep = 0; sweep < 4; sweep++) {
        await clock.pass(100);
        await sweeps.untilSwept();
      }
      // The fifth sweep begins before the server can read this.
      const writing = conn.write(HELLO);
      clock.passAtOnce(100);
      await writing;
      assertEquals(await readExactly(conn, HELLO.length), HELLO);
      await sweeps.untilSwept();
    }
    assertEquals(server.stats().open, 1);
  });
});
