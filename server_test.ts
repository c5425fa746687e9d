import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertThrows,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
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
    for (let attempt = 0; attempt < 10_000; attempt++) {
      using conn = await connectTo(server);
      await conn.closeWrite();
      await conn.read(new Uint8Array(1));
    }
  } catch (error) {
    return error;
  }
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

  it("goes on accepting after accept failed, and says so once", async () => {
    const { events, onEvent } = recorder();
    const server = withFailingAccept(3, () => serve({ port: 0, onEvent }));
    await using _ = server;
    using conn = await connectTo(server);
    await writeAll(conn, HELLO);
    assertEquals(await readExactly(conn, HELLO.length), HELLO);
    const errors = events.filter((event) => event.type === "error");
    assertEquals(errors.map(({ error }) => error.message), [
      `Cannot accept a connection on 127.0.0.1:${server.addr.port}: ` +
      "too many open files",
    ]);
  });
});

/** Lets the listener made meanwhile fail its first accepts as the system does. */
function withFailingAccept<T>(failures: number, make: () => T): T {
  const { listen } = Deno;
  Deno.listen = ((options: Deno.TcpListenOptions) => {
    const listener = listen(options);
    const accept = listener.accept.bind(listener);
    listener.accept = () =>
      failures-- > 0
        ? Promise.reject(new Error("Too many open files (os error 24)"))
        : accept();
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

  it("may be called twice, and frees the port", async () => {
    const port = freePort();
    const server = serve({ port });
    await Promise.all([server.shutdown(), server.shutdown()]);
    await serve({ port }).shutdown();
  });
});
