import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { connect, type ConnectOptions } from "../client.ts";
import { isNetworkError, type NetworkError } from "../net/errors.ts";
import { serve } from "../server.ts";
import { selfSigned } from "../server/self_signed.ts";

/** Connects to a server with TLS, which must fail, and returns why. */
async function failure(
  port: number,
  trust: ConnectOptions,
  timeoutMs = 60_000,
): Promise<NetworkError> {
  const error = await assertRejects(() =>
    connect({ port, tls: true, timeoutMs, ...trust })
  );
  assert(isNetworkError(error), `${error}`);
  assertEquals(error.operation, "connect");
  assertEquals(error.address, {
    ...{ transport: "tls", hostname: "127.0.0.1", port },
  });
  return error;
}

describe("connect() with TLS", () => {
  for (const serverName of ["127.0.0.1", "localhost", "::1", "[::1]"]) {
    it(`verifies the name ${serverName}, apart from the address`, async () => {
      const tls = await selfSigned({ names: [serverName] });
      await using server = serve({ port: 0, ...tls });
      const { port } = server.addr;
      const caCerts = [tls.cert];
      using client = await connect({ port, caCerts, serverName });
      assertEquals(client.remoteAddr, {
        ...{ transport: "tls", hostname: "127.0.0.1", port },
      });
      assert(client.connectMs > 0 && client.handshakeMs! > 0);
      const message = crypto.getRandomValues(new Uint8Array(50_000));
      assertEquals((await client.echo(message)).bytes, 50_000);
      await client.end();
    });
  }

  it("speaks TLS if it is given a certificate or a name", async () => {
    const { cert } = await selfSigned();
    await using server = serve({ port: 0 });
    const { port } = server.addr;
    for (const trust of [{ caCerts: [cert] }, { serverName: "localhost" }]) {
      const error = await failure(port, { ...trust, tls: undefined });
      assertEquals(error.reason, "tls_not_spoken");
      using plain = await connect({ ...trust, port, tls: false });
      assertEquals(plain.handshakeMs, undefined);
    }
  });

  it("has no handshake to tell of without TLS", async () => {
    await using server = serve({ port: 0 });
    using client = await connect({ port: server.addr.port });
    assertEquals(client.handshakeMs, undefined);
  });

  it("tells a certificate that is not trusted", async () => {
    const [tls, other] = [await selfSigned(), await selfSigned()];
    await using server = serve({ port: 0, ...tls });
    for (const caCerts of [[], [other.cert]]) {
      const error = await failure(server.addr.port, { caCerts });
      assertEquals(error.reason, "tls_untrusted");
      assertMatch(
        error.message,
        /^Cannot connect to 127\.0\.0\.1:\d+\/tls: the certificate is not trusted/,
      );
    }
  });

  it("tells a certificate for other names", async () => {
    const names = ["a.example.", "127.0.0.2", "fe80::1%eth0", "::1"];
    const tls = await selfSigned({ names });
    await using server = serve({ port: 0, ...tls });
    const error = await failure(server.addr.port, { caCerts: [tls.cert] });
    assertEquals(error.reason, "tls_wrong_name");
    assertEquals(
      error.detail,
      "the certificate is not for the name 127.0.0.1, but for " +
        "a.example, 127.0.0.2, fe80::1, ::1",
    );
  });

  it("tells one that expired, and one that is not valid yet", async () => {
    const day = 24 * 3_600_000;
    const expired = await selfSigned({ days: -1 });
    await using old = serve({ port: 0, ...expired });
    const error = await failure(old.addr.port, { caCerts: [expired.cert] });
    assertEquals(error.reason, "tls_expired");
    assertMatch(error.detail, /^the certificate expired on 20\d\d-.*Z$/);

    const now = new Date(Date.now() + 2 * day);
    const future = await selfSigned({ now });
    await using early = serve({ port: 0, ...future });
    const other = await failure(early.addr.port, { caCerts: [future.cert] });
    assertEquals(other.reason, "tls_not_yet_valid");
    assertMatch(other.detail, /^the certificate is not valid yet but from 20/);
  });

  it("tells a server that sends back its ClientHello", async () => {
    await using server = serve({ port: 0 });
    const error = await failure(server.addr.port, {});
    assertEquals(error.reason, "tls_not_spoken");
    assertEquals(error.detail, "what came is no TLS");
  });

  it("tells a server that answers in plain text", async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const answered = listener.accept().then(async (conn) => {
      await conn.write(new TextEncoder().encode("SSH-2.0-OpenSSH_9.2\r\n"));
      return conn;
    });
    const error = await failure(listener.addr.port, {});
    assertEquals(error.reason, "tls_not_spoken");
    (await answered).close();
  });

  it("tells a server that leaves in the handshake", async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const left = listener.accept().then(async (conn) => {
      await conn.read(new Uint8Array(4096));
      conn.close();
    });
    const error = await failure(listener.addr.port, {});
    assertEquals(error.reason, "reset");
    await left;
  });

  it("gives a silent server up after the timeout", async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const accepted = listener.accept();
    const error = await failure(listener.addr.port, {}, 50);
    assertEquals(error.reason, "timeout");
    assertEquals(error.detail, "the TLS handshake timed out after 0.05 s");
    (await accepted).close();
  });

  it("gives up when it is told to", async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const stop = new AbortController();
    const { signal } = stop;
    const { port } = listener.addr;
    const connecting = connect({ port, tls: true, signal, timeoutMs: 60_000 });
    const conn = await listener.accept();
    // The client is in its handshake.
    await conn.read(new Uint8Array(4096));
    const why = new Error("enough");
    stop.abort(why);
    assertEquals(await connecting.catch((error) => error), why);
    conn.close();
  });

  it("tries again for a server that starts late, not for a bad one", async () => {
    const tls = await selfSigned();
    await using server = serve({ port: 0, ...tls });
    const { port } = server.addr;
    const error = await assertRejects(() =>
      connect({ port, retryMs: Infinity, tls: true })
    );
    assert(isNetworkError(error));
    assertEquals(error.reason, "tls_untrusted");
  });
});
