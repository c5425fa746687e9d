import { Buffer } from "node:buffer";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertThrows,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import fc from "./testing/properties.ts";
import { writeAll } from "./net.ts";
import { type CloseEvent, serve, type ServeEvent } from "./server.ts";
import { freePort, patternOf, readToEnd } from "./testing/peer.ts";

const HELLO = new TextEncoder().encode("hello");

function connectTo({ addr }: { addr: Deno.NetAddr }): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: addr.hostname, port: addr.port });
}

/** A queue that is closed with its listener resets who is in it already. */
function assertRefused(error: unknown): void {
  const { ConnectionRefused, ConnectionReset } = Deno.errors;
  assert(
    error instanceof ConnectionRefused || error instanceof ConnectionReset,
    `${error}`,
  );
}

async function readExactly(conn: Deno.Conn, length: number) {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const read = await conn.read(bytes.subarray(at));
    if (read === null) throw new Error(`ended after ${at} of ${length} B`);
    at += read;
  }
  return bytes;
}

/** Breaks a connection: closing it with bytes unread sends a reset. */
async function reset(conn: Deno.Conn): Promise<void> {
  // So much that the server is still writing when the end of the stream comes.
  await writeAll(conn, new Uint8Array(2 << 20));
  conn.close();
}

/** Connects until it is in vain, and returns why. */
async function refusal(server: { addr: Deno.NetAddr }): Promise<unknown> {
  try {
    // A server that shuts down still takes who came a moment before.
    for (let attempt = 0; attempt < 100; attempt++) {
      using conn = await connectTo(server);
      await conn.closeWrite();
      await conn.read(new Uint8Array(1));
      // It does so for as long as they come one upon the other.
      await delay(50);
    }
  } catch (error) {
    return error;
  }
}

async function roundTrip(conn: Deno.Conn): Promise<Uint8Array> {
  await writeAll(conn, HELLO);
  return await readExactly(conn, HELLO.length);
}

/** Collects events, and waits for one that fits. */
function recorder() {
  const events: ServeEvent[] = [];
  let grew = Promise.withResolvers<void>();
  return {
    events,
    onEvent(event: ServeEvent) {
      events.push(event);
      grew.resolve();
      grew = Promise.withResolvers();
    },
    async untilClosed(count = 1): Promise<CloseEvent[]> {
      while (true) {
        const closed = events.filter((event) => event.type === "close");
        if (closed.length >= count) return closed;
        await grew.promise;
      }
    },
  };
}

describe("serve()", () => {
  it("echoes every byte in order, however it is cut", async () => {
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

  it("serves many clients at once, each its own bytes", async () => {
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
    assertEquals(server.stats.accepted, 100);
    assertEquals(server.stats.bytes, 100 * 5 * 1000);
  });

  // That none of them waits for ever, not that none waits long: these clients
  // are in the same event loop, which is as unfair to them.
  it("serves more busy clients than fit in a turn of the event loop", async () => {
    await using server = serve({ port: 0 });
    const visit = async () => {
      using conn = await connectTo(server);
      for (let count = 0; count < 50; count++) {
        await conn.write(HELLO);
        assertEquals(await readExactly(conn, HELLO.length), HELLO);
      }
    };
    await Promise.all(Array.from({ length: 300 }, visit));
  });

  it("finishes the reply of a client that half-closed", async () => {
    await using server = serve({ port: 0 });
    using conn = await connectTo(server);
    const bytes = patternOf(100_000);
    await writeAll(conn, bytes);
    await conn.closeWrite();
    assertEquals(await readToEnd(conn), bytes);
  });

  it("answers others while a client sends and never reads", async () => {
    await using server = serve({ port: 0, drainTimeoutMs: 0 });
    using greedy = await connectTo(server);
    let sent = 0;
    const flood = (async () => {
      const chunk = new Uint8Array(1 << 20);
      while (true) sent += await greedy.write(chunk);
    })();
    flood.catch(() => {});
    using conn = await connectTo(server);
    for (let turn = 0; turn < 100; turn++) {
      await writeAll(conn, HELLO);
      assertEquals(await readExactly(conn, HELLO.length), HELLO);
    }
    // The server stopped reading: no more than the kernel's buffers was taken.
    assert(sent < 64 << 20, `the server took ${sent} B`);
  });

  it("goes on when a client resets its connection", async () => {
    const { onEvent, untilClosed } = recorder();
    await using server = serve({ port: 0, onEvent });
    using conn = await connectTo(server);
    await reset(await connectTo(server));
    const [closed] = await untilClosed();
    assertEquals(closed?.reason, "reset");
    assertInstanceOf(closed?.error, Deno.errors.ConnectionReset);
    await writeAll(conn, HELLO);
    assertEquals(await readExactly(conn, HELLO.length), HELLO);
  });

  it("listens on IPv6", async () => {
    await using server = serve({ hostname: "::1", port: 0 });
    using conn = await connectTo(server);
    await writeAll(conn, HELLO);
    assertEquals(await readExactly(conn, HELLO.length), HELLO);
  });

  it("says which address is in use", async () => {
    await using server = serve({ port: 0 });
    const { port } = server.addr;
    assertThrows(
      () => serve({ port }),
      Deno.errors.AddrInUse,
      `Cannot listen on 127.0.0.1:${port}: address already in use`,
    );
  });

  it("says that a name does not resolve", () => {
    assertThrows(
      () => serve({ hostname: "nosuch.invalid", port: 0 }),
      Error,
      "Cannot listen on nosuch.invalid:0: the name does not resolve",
    );
  });

  it("calls onListen before it returns", async () => {
    let port = 0;
    await using server = serve({
      port: 0,
      onListen: (addr) => port = addr.port,
    });
    assertEquals(port, server.addr.port);
  });

  it("throws what onListen throws, and listens no more", async () => {
    let port = 0;
    assertThrows(
      () =>
        serve({
          port: 0,
          onListen(addr) {
            port = addr.port;
            throw new Error("no");
          },
        }),
      Error,
      "no",
    );
    await using server = serve({ port });
    assertEquals(server.addr.port, port);
  });

  it("tells what happens on a connection, in order", async () => {
    const { events, onEvent, untilClosed } = recorder();
    await using server = serve({ port: 0, onEvent });
    using conn = await connectTo(server);
    for (let turn = 0; turn < 3; turn++) {
      await writeAll(conn, HELLO);
      await readExactly(conn, HELLO.length);
    }
    await conn.closeWrite();
    const [closed] = await untilClosed();
    const remote = conn.localAddr;
    assert(closed!.durationMs > 0);
    assertEquals(events as unknown[], [
      { type: "open", remote },
      { type: "data", remote, preview: HELLO, bytes: 5 },
      {
        type: "close",
        remote,
        bytes: 15,
        durationMs: closed!.durationMs,
        reason: "eof",
      },
    ]);
  });

  it("with once serves one client and refuses the next", async () => {
    const server = serve({ port: 0, once: true });
    {
      using conn = await connectTo(server);
      await writeAll(conn, HELLO);
      await readExactly(conn, HELLO.length);
      assertRefused(await refusal(server));
      assertEquals(server.stats.open, 1);
    }
    await server.finished;
    assertEquals(server.stats, { accepted: 1, open: 0, bytes: 5 });
  });

  it("closes everything at once when its signal is aborted", async () => {
    const { onEvent, untilClosed } = recorder();
    const stop = new AbortController();
    const server = serve({ port: 0, signal: stop.signal, onEvent });
    using conn = await connectTo(server);
    await writeAll(conn, HELLO);
    await readExactly(conn, HELLO.length);
    stop.abort();
    assertEquals(await conn.read(new Uint8Array(1)), null);
    await server.finished;
    assertEquals((await untilClosed())[0]?.reason, "shutdown");
  });

  it("does not begin when its signal is aborted already", async () => {
    const server = serve({ port: 0, signal: AbortSignal.abort() });
    await server.finished;
    assertRefused(await refusal(server));
  });

  it("goes on after accept failed, and tells each kind once", async () => {
    const { events, onEvent } = recorder();
    const failures = [
      "Too many open files (os error 24)",
      "Too many open files (os error 24)",
      "Too many open files in system (os error 23)",
      "Software caused connection abort (os error 103)",
      "Too many open files (os error 24)",
    ];
    await using server = withFailingAccept(
      failures,
      () => serve({ port: 0, onEvent }),
    );
    using conn = await connectTo(server);
    assertEquals(await roundTrip(conn), HELLO);
    const errors = events.filter((event) => event.type === "error");
    const where = `127.0.0.1:${server.addr.port}`;
    assertEquals(errors.map(({ error }) => error.message), [
      `Cannot accept a connection on ${where}: too many open files`,
      `Cannot accept a connection on ${where}: too many open files in system`,
      `Cannot accept a connection on ${where}: software caused connection abort`,
    ]);
  });

  it("is not held up by clients that left before their turn", async () => {
    const failures = Array(50).fill(
      "Transport endpoint is not connected (os error 107)",
    );
    await using server = withFailingAccept(
      failures,
      () => serve({ port: 0 }),
      "ENOTCONN",
    );
    using conn = await connectTo(server);
    const startedAt = performance.now();
    assertEquals(await roundTrip(conn), HELLO);
    // With a pause after each it would take more than twenty seconds.
    assert(performance.now() - startedAt < 10_000);
  });

  it("shuts down while accept fails", async () => {
    const failures = Array(1000).fill("Too many open files (os error 24)");
    await withFailingAccept(failures, () => serve({ port: 0 })).shutdown();
  });

  it("goes on when clients reset at any stage", async () => {
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
    const closed = await untilClosed(stages.length);
    for (const { reason } of closed) {
      assert(reason === "eof" || reason === "reset", reason);
    }
    using conn = await connectTo(server);
    assertEquals(await roundTrip(conn), HELLO);
    assertEquals(server.stats.open, 1);
  });

  it("sends back what was sent, whatever is sent and however", async () => {
    await using server = serve({ port: 0 });
    const client = fc.record({
      // Sizes around those of the server's buffers, and of the kernel's.
      writes: fc.array(
        fc.oneof(
          fc.integer({ min: 1, max: 2050 }),
          fc.constantFrom(511, 512, 513, 8192, 65_536, 262_144, 1_000_000),
        ),
        { maxLength: 12 },
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

  it("keeps a stream whole while its buffer grows and shrinks", async () => {
    await using server = serve({ port: 0 });
    using conn = await connectTo(server);
    for (const size of [1_000_000, 10, 1_000_000]) {
      for (let turn = 0; turn < 200; turn++) {
        if (turn === 3 && size > 10) break;
        const bytes = patternOf(size, turn);
        const sending = writeAll(conn, bytes);
        const echoed = await readExactly(conn, size);
        await sending;
        assertEquals(Buffer.compare(echoed, bytes), 0);
      }
    }
  });

  it("closes connections that are idle, and only those", async () => {
    const { onEvent, untilClosed } = recorder();
    await using server = serve({ port: 0, idleTimeoutMs: 300, onEvent });
    using busy = await connectTo(server);
    using silent = await connectTo(server);
    // Once the kernel's buffers are full, this one moves no byte either.
    using stuck = await connectTo(server);
    const flood = async () => {
      while (true) await stuck.write(new Uint8Array(1 << 20));
    };
    flood().catch(() => {});
    let closed: CloseEvent[] = [];
    const closing = untilClosed(2).then((events) => closed = events);
    while (closed.length < 2) {
      assertEquals(await roundTrip(busy), HELLO);
      await delay(1);
    }
    await closing;
    assertEquals(closed.map(({ reason }) => reason), ["idle", "idle"]);
    assertEquals(
      new Set(closed.map(({ remote }) => remote.port)),
      new Set([silent, stuck].map(({ localAddr }) => {
        return (localAddr as Deno.NetAddr).port;
      })),
    );
    assertEquals(await silent.read(new Uint8Array(1)), null);
    assertEquals(server.stats.open, 1);
  });

  it("serves 2,000 clients through a limit of 10 at once", async () => {
    let open = 0;
    let mostOpen = 0;
    await using server = serve({
      port: 0,
      maxConnections: 10,
      onEvent({ type }) {
        if (type === "open") mostOpen = Math.max(mostOpen, ++open);
        if (type === "close") open--;
      },
    });
    const visit = async () => {
      for (let turn = 0; turn < 20; turn++) {
        using conn = await connectTo(server);
        assertEquals(await roundTrip(conn), HELLO);
      }
    };
    await Promise.all(Array.from({ length: 100 }, visit));
    assertEquals(server.stats.accepted, 2000);
    assertEquals(server.stats.bytes, 2000 * HELLO.length);
    assertEquals(mostOpen, 10);
  });
});

interface Talk {
  writes: number[];
  pauses: boolean[];
  halfCloses: boolean;
  readsLate: boolean;
  seed: number;
}

/** Lets the listener made meanwhile fail its first accepts as the system does. */
function withFailingAccept<T>(
  failures: string[],
  make: () => T,
  code?: string,
): T {
  const { listen } = Deno;
  Deno.listen = ((options: Deno.TcpListenOptions) => {
    const listener = listen(options);
    const accept = listener.accept.bind(listener);
    listener.accept = () => {
      const failure = failures.shift();
      return failure
        ? Promise.reject(Object.assign(new Error(failure), { code }))
        : accept();
    };
    return listener;
  }) as typeof Deno.listen;
  try {
    return make();
  } finally {
    Deno.listen = listen;
  }
}

describe("EchoServer.shutdown()", () => {
  it("lets an open connection finish, and takes no new one", async () => {
    const server = serve({ port: 0 });
    using conn = await connectTo(server);
    await writeAll(conn, HELLO);
    await readExactly(conn, HELLO.length);
    const finished = server.shutdown();

    assertRefused(await refusal(server));

    await writeAll(conn, HELLO);
    assertEquals(await readExactly(conn, HELLO.length), HELLO);
    await conn.closeWrite();
    await finished;
    assertEquals(server.stats.bytes, 10);
  });

  it("closes what is open when the drain timeout is over", async () => {
    const { onEvent, untilClosed } = recorder();
    const server = serve({ port: 0, drainTimeoutMs: 20, onEvent });
    using idle = await connectTo(server);
    using stuck = await connectTo(server);
    const flood = (async () => {
      const chunk = new Uint8Array(1 << 20);
      while (true) await stuck.write(chunk);
    })();
    flood.catch(() => {});
    await writeAll(idle, HELLO);
    await readExactly(idle, HELLO.length);
    await server.shutdown();
    assertEquals(await idle.read(new Uint8Array(1)), null);
    const closed = await untilClosed(2);
    assertEquals(closed.map(({ reason }) => reason), ["shutdown", "shutdown"]);
  });

  it("finishes what was wholly sent before", async () => {
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
    assertEquals(server.stats, { accepted: 100, open: 0, bytes: 2_000_000 });
  });

  it("may be called twice, and frees the port", async () => {
    const port = freePort();
    const server = serve({ port });
    await Promise.all([server.shutdown(), server.shutdown()]);
    await serve({ port }).shutdown();
  });
});
