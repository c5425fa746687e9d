import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { connect } from "../client.ts";
import { isNetworkError } from "../net/errors.ts";
import { serve, type ServeEvent, type ServeOptions } from "../server.ts";
import { Watched } from "../testing/waiting.ts";
import { selfSigned } from "./self_signed.ts";

const tls = await selfSigned();

const HELLO = new TextEncoder().encode("hello");

/** Connects until the server listens no more. */
async function untilRefused(port: number): Promise<void> {
  for (let attempt = 0; attempt < 1000; attempt++) {
    try {
      (await Deno.connect({ port })).close();
    } catch (error) {
      if (error instanceof Deno.errors.ConnectionRefused) return;
    }
    // Without a pause the server would always have another client to accept.
    await delay(10);
  }
  throw new Error("The server still listens");
}

/** A server with TLS, and what it told so far. */
function start(options: ServeOptions = {}) {
  const watched = new Watched();
  const events: ServeEvent[] = [];
  const server = serve({
    ...{ port: 0, ...tls, drainTimeoutMs: 60_000, ...options },
    onEvent(event) {
      events.push(event);
      watched.changed();
    },
  });
  /** Waits until there were so many events of a type, and returns them. */
  const until = async <T extends ServeEvent["type"]>(type: T, count = 1) => {
    const find = () => {
      const found = events.filter((event) => event.type === type);
      return found.length >= count ? found : null;
    };
    const found = await watched.until(
      find,
      () => `${count} × ${type} among ${JSON.stringify(events)}`,
    );
    return found as Extract<ServeEvent, { type: T }>[];
  };
  const options_ = { port: server.addr.port, caCerts: [tls.cert] };
  return { server, events, until, target: options_ };
}

/** A client that sends without end, and does not read before it is told to. */
class StuckClient implements AsyncDisposable {
  readonly #conn: Deno.TlsConn;
  readonly #sending: Promise<void>;

  private constructor(conn: Deno.TlsConn) {
    this.#conn = conn;
    this.#sending = this.#send().catch(() => {});
  }

  static async connect(port: number): Promise<StuckClient> {
    const to = { hostname: "127.0.0.1", port, caCerts: [tls.cert] };
    return new StuckClient(await Deno.connectTls(to));
  }

  async #send(): Promise<never> {
    const bytes = new Uint8Array(1 << 20);
    while (true) await this.#conn.write(bytes);
  }

  /** Reads until the server closes the connection. */
  async readAll(): Promise<void> {
    const bytes = new Uint8Array(1 << 16);
    try {
      while (await this.#conn.read(bytes) !== null);
    } catch {
      // The server did not read all.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#conn.close();
    await this.#sending;
  }
}

describe("serve() with TLS", () => {
  it("tells of a connection after the handshake, and echoes", async () => {
    const { server, events, until, target } = start();
    await using _ = server;
    using client = await connect(target);
    assertEquals((await client.echo(HELLO)).bytes, 5);
    await client.end();
    const [closed] = await until("close");
    assertEquals(closed!.reason, "eof");
    assertEquals(events.map(({ type }) => type), ["open", "data", "close"]);
    const [open] = await until("open");
    assert(open!.handshakeMs! > 0);
    assert(client.handshakeMs! > 0);
    assertEquals(server.stats().failedHandshakes, 0);
  });

  it("sends the rest to a client that half-closed", async () => {
    const { server, target } = start();
    await using _ = server;
    using client = await connect(target);
    const bytes = crypto.getRandomValues(new Uint8Array(60_000));
    const source = ReadableStream.from(Array(50).fill(bytes));
    const result = await client.echoStream(source);
    assertEquals(result.bytes, 50 * bytes.length);
  });

  for (
    const [what, bytes, reason] of [
      ["speaks plain text", "GET / HTTP/1.1\r\n\r\n", "tls_not_spoken"],
      ["sends junk", "\xff\x00\xfe junk junk junk junk", "tls_not_spoken"],
      ["stops in the midst", "\x16\x03\x01\x00\xc8\x01\x00", "reset"],
      ["leaves at once", "", "reset"],
    ] as const
  ) {
    it(`tells why a handshake failed: the client ${what}`, async () => {
      const { server, events, until, target } = start({ maxConnections: 1 });
      await using _ = server;
      using conn = await Deno.connect({ port: server.addr.port });
      await conn.write(Uint8Array.from(bytes, (c) => c.charCodeAt(0)));
      await conn.closeWrite();
      const [failed] = await until("handshake_failed");
      assertEquals(failed!.reason, reason);
      assertEquals(failed!.remote.port, conn.localAddr.port);
      assertEquals(server.stats().failedHandshakes, 1);
      // Its slot is free.
      using client = await connect(target);
      assertEquals((await client.echo(HELLO)).bytes, 5);
      assertEquals(events.filter(({ type }) => type === "open").length, 1);
    });
  }

  it("counts a silent client after the timeout, until it leaves", async () => {
    const { server, until, target } = start({
      maxConnections: 1,
      handshakeTimeoutMs: 20,
    });
    await using _ = server;
    const silent = await Deno.connect({ port: server.addr.port });
    const [failed] = await until("handshake_failed");
    assertEquals(failed!.reason, "timeout");
    assertEquals(failed!.detail, "not done within 0.02 s");
    assertEquals(server.stats().open, 1);
    silent.close();
    using client = await connect(target);
    await client.echo(HELLO);
    assertEquals(server.stats().failedHandshakes, 1);
  });

  it("with once is finished when its silent client's time is over", async () => {
    const { server, until } = start({ once: true, handshakeTimeoutMs: 20 });
    using _silent = await Deno.connect({ port: server.addr.port });
    await server.finished;
    const failures = await until("handshake_failed");
    assertEquals(failures.map(({ reason }) => reason), ["timeout"]);
  });

  it("counts a client that was cut until it reads what is left", async () => {
    const { server, until, target } = start({
      ...{ maxConnections: 1, idleTimeoutMs: 40 },
    });
    await using _ = server;
    await using stuck = await StuckClient.connect(target.port);
    const [closed] = await until("close");
    assertEquals(closed!.reason, "idle");
    assertEquals(server.stats().open, 1);
    await stuck.readAll();
    using client = await connect(target);
    await client.echo(HELLO);
    assertEquals(server.stats().accepted, 2);
  });

  it("does not wait at a shutdown for a client that was cut", async () => {
    const { server, until, target } = start({ idleTimeoutMs: 40 });
    await using stuck = await StuckClient.connect(target.port);
    await until("close");
    await server.shutdown();
    assertEquals(server.stats().open, 0);
    await stuck.readAll();
  });

  it("serves a good client beside 200 silent ones", async () => {
    const { server, events, target } = start({ handshakeTimeoutMs: Infinity });
    const silent = await Promise.all(
      Array.from({ length: 200 }, () => Deno.connect({ port: target.port })),
    );
    using client = await connect(target);
    assertEquals((await client.echo(HELLO)).bytes, 5);
    assertEquals(server.stats().open, 201);
    await server.shutdown({ timeoutMs: 0 });
    const reasons = events.map((event) => "reason" in event && event.reason);
    assertEquals(reasons.filter((it) => it === "shutdown").length, 201);
    for (const conn of silent) conn.close();
  });

  it("lets a handshake finish that is under way at a shutdown", async () => {
    const { server, until, target } = start();
    const conn = await Deno.connect({ port: target.port });
    const { port } = conn.localAddr;
    // The server has it, and waits for its handshake.
    using witness = await connect(target);
    await witness.end();
    await until("close");
    const finished = server.shutdown();
    let isFinished = false;
    finished.then(() => isFinished = true);
    await untilRefused(target.port);
    assertEquals(isFinished, false);
    const secure = await Deno.startTls(conn, {
      ...{ hostname: "127.0.0.1", caCerts: [tls.cert] },
    });
    await secure.write(HELLO);
    assertEquals(await secure.read(new Uint8Array(9)), 5);
    secure.close();
    await finished;
    const opened = await until("open", 2);
    assert(opened.some(({ remote }) => remote.port === port));
  });

  it("ends an idle connection, one at most at a time, once", async () => {
    const { server, until, target } = start({ once: true, idleTimeoutMs: 40 });
    using client = await connect(target);
    await client.echo(HELLO);
    const [closed] = await until("close");
    assertEquals(closed!.reason, "idle");
    await server.finished;
  });

  it("with once is finished after a handshake that failed", async () => {
    const { server, until } = start({ once: true });
    const conn = await Deno.connect({ port: server.addr.port });
    await conn.write(HELLO);
    await until("handshake_failed");
    await server.finished;
    assertEquals(server.stats().accepted, 1);
    conn.close();
  });

  it("holds further clients back at the limit", async () => {
    const { server, until, target } = start({ maxConnections: 1 });
    await using _ = server;
    const first = await connect(target);
    await first.echo(HELLO);
    const waiting = connect(target);
    await until("full");
    assertEquals(server.stats().accepted, 1);
    await first.end();
    using second = await waiting;
    await second.echo(HELLO);
    assertEquals(server.stats().accepted, 2);
  });

  it("says that a key is not the certificate's", async () => {
    const { key } = await selfSigned();
    const error = await assertRejects(async () => {
      await using _ = serve({ port: 0, cert: tls.cert, key });
    });
    assert(isNetworkError(error));
    assertEquals(error.reason, "tls");
    assertMatch(error.message, /^Cannot listen on .*\/tls: the private key is/);
  });
});

describe("selfSigned()", () => {
  it("refuses what is neither a name nor an address", async () => {
    for (const name of ["999.1.2.3", "1.2.3", "a..b", "", "a b"]) {
      await assertRejects(
        () => selfSigned({ names: [name] }),
        TypeError,
        `Neither a DNS name nor an address: ${name}`,
      );
    }
  });
});
