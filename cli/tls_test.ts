import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { connect } from "../client.ts";
import { serve } from "../server.ts";
import { selfSigned } from "../server/self_signed.ts";
import { outcome, run, type RunOptions } from "../testing/terminal.ts";

const NOW = new Date();

const PAIR = await selfSigned();

const OTHER = await selfSigned();

/** An RSA key of 1,024 bits with its certificate: for a test of lengths alone. */
const SHORT = {
  cert: `-----BEGIN CERTIFICATE-----
MIIB9jCCAV+gAwIBAgIUEtI7WKInQiZd8O7eRFgUd6dv7WYwDQYJKoZIhvcNAQEL
BQAwDDEKMAgGA1UEAwwBYTAgFw0yNjEyMDExNTMyMzdaGA8yMTI2MTEwNzE1MzIz
N1owDDEKMAgGA1UEAwwBYTCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkCgYEAzcQo
0nqJaPitrnRmMaZ87xY6SUhhRHOiZKauC7puF+U72ABamLIFCUQLzZhqNQjxsWRv
p9P937nwfEMkjbifG8kvyJC7p2aQYFOqrJr/+g29XJr7WBegvlDYT9U3KFF2UeI9
sL4IZEZ81dFFCs/zXCn3ICzYijwI9cPymPO+plECAwEAAaNTMFEwHQYDVR0OBBYE
FPgpI2sJWsVyQwHvA+3kZZ+Z4kvHMB8GA1UdIwQYMBaAFPgpI2sJWsVyQwHvA+3k
ZZ+Z4kvHMA8GA1UdEwEB/wQFMAMBAf8wDQYJKoZIhvcNAQELBQADgYEAJFv7ihpH
w2NZEA36vFnK5s7zh3NcN3+bgpUIc87ZHEI2QepmqjJ2DBBXnNDxNbwv0HjQqO6c
42Fuqo/w3bbLgSFvG6u4ITt2aEK2d3Ke0Yc5G/MCdLRy705MiJylNPwT11bwMNWO
oUD8ivnJP0iaDDwd03Uw5p1+KAVOf5Ob0uc=
-----END CERTIFICATE-----
`,
  key: `-----BEGIN PRIVATE KEY-----
MIICdgIBADANBgkqhkiG9w0BAQEFAASCAmAwggJcAgEAAoGBAM3EKNJ6iWj4ra50
ZjGmfO8WOklIYURzomSmrgu6bhflO9gAWpiyBQlEC82YajUI8bFkb6fT/d+58HxD
JI24nxvJL8iQu6dmkGBTqqya//oNvVya+1gXoL5Q2E/VNyhRdlHiPbC+CGRGfNXR
RQrP81wp9yAs2Io8CPXD8pjzvqZRAgMBAAECgYBytkDr1lR0qO5qq4mtdFuCDqo/
4JIZTz3hTusIrs5hk/Jg4RGgvt3/5GeQHsBXAL19X7i/n3eRGl/vZp8iQyKvouGg
0ji9xiqXQ4AeQlOa800WDla85J+fDOlfqmLaCsJ2GhJ/T0i49d+1HH8s2kd8AvSs
an54lj2dXueIQfsQgQJBAOvYR1jygOMcOKu19HagExZiSsSeRYqPY4rYd1L9EKon
SYCPVHoD8n9r19E0hDsE6DCOFPklRZ9q7dGz/p6ytWUCQQDfWdVFu3klKvdLaiQH
jLVsASYpO/pP4YO3pYKbbwheEfvLK8zdxiqZNZMhnG2D6qc/MXE6A6DYGoCZeeoH
5IR9AkEA3cJ8u+cyR9qGcvbhShWUPQzpTt2fd/0B1VFbSb5IyCWu2GJtRVmm0Cdg
RAeEelZP2TAQCoEAaTjLK856kVBqfQJANPze+Bgt+X9kA+Q+f/wF3oW3Q/kSvXjH
Av6lKbMBzS9/CQhvJf4phQeMzGCMKsu0ue1E63qI4jwHXmHp/81bEQJAR31vNN0/
CYKMCDbLCxY5JbcjSmHLEZGIoMQmENlac3wk7z7HRbR8CcAjbgArjNvZXynFPsU4
Mqcr+anpwsipQA==
-----END PRIVATE KEY-----
`,
};

/** The files that a test's flags may name. */
const FILES = {
  "cert.pem": PAIR.cert,
  "key.pem": PAIR.key,
  "other.key": OTHER.key,
  "reversed.pem": OTHER.cert + PAIR.cert,
  "short.pem": SHORT.cert,
  "short.key": SHORT.key,
  "expired.pem": (await selfSigned({ days: -2 })).cert,
  "future.pem": (await selfSigned({ now: new Date("2100-01-01") })).cert,
  "junk.pem": "junk",
  "damaged.pem":
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
  "request.pem":
    "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
  "locked.key":
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
};

const OPTIONS: RunOptions = { files: FILES, now: () => NOW };

/** Starts `echo serve` on a free port, and tells the port. */
async function startServe(...args: string[]) {
  const session = run(["serve", "-p0", ...args], OPTIONS);
  const [, port] = await session.untilStdout(
    /listening on 127\.0\.0\.1:(\d+), over TLS\.\.\.\n/,
  );
  return { session, port: Number(port) };
}

function runOn(command: string, port: number, ...args: string[]) {
  return outcome(run([command, `-p${port}`, ...args], OPTIONS));
}

function send(port: number, ...args: string[]) {
  return runOn("send", port, ...args);
}

describe("echo serve --tls", () => {
  it("prints a certificate that a client can trust, and its names", async () => {
    const { session, port } = await startServe("--tls", "--tls-name", "a.b");
    const [, names, sha256] = await session.untilStdout(
      /Certificate for (.*), valid until .*Z, SHA-256 ([0-9A-F:]{95})\n/,
    );
    assertEquals(names, "127.0.0.1, a.b, localhost, ::1");
    assertMatch(
      session.stderr,
      /^-----BEGIN CERTIFICATE-----\n[^-]+-----END CERTIFICATE-----\n$/,
    );
    const der = Uint8Array.from(
      atob(session.stderr.replace(/-----.*-----|\n/g, "")),
      (char) => char.charCodeAt(0),
    );
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", der));
    const hex = [...digest].map((byte) => byte.toString(16).padStart(2, "0"));
    assertEquals(sha256, hex.join(":").toUpperCase());
    for (const name of ["127.0.0.1", "localhost", "::1", "a.b"]) {
      const caCerts = [session.stderr];
      using client = await connect({ port, caCerts, serverName: name });
      await client.echo(new Uint8Array([1]));
      await client.end();
    }
    await session.untilStdout(/established with [\d.:]+, TLS handshake in /);
    session.interrupt();
    assertEquals(await session.status, 0);
  });

  it("serves with the files that flags name, and reads no more", async () => {
    const files = ["--tls-cert", "cert.pem", "--tls-key", "key.pem"];
    const { session, port } = await startServe(...files);
    assertEquals(session.mayRead, false);
    assertEquals(session.stderr, "");
    const { status, stdout } = await send(
      ...[port, "--tls", "--tls-ca", "cert.pem", "hi"] as const,
    );
    assertEquals([status, stdout], [0, "hi\n"]);
    session.interrupt();
    assertEquals(await session.status, 0);
  });

  it("logs a handshake that failed, in a line and in the sum", async () => {
    const { session, port } = await startServe("--tls");
    using conn = await Deno.connect({ port });
    await conn.write(new TextEncoder().encode("hello"));
    await session.untilStdout(
      /TLS handshake failed with 127\.0\.0\.1:\d+: what came is no TLS, after /,
    );
    session.interrupt();
    assertEquals(await session.status, 0);
    assertMatch(session.stdout, /, 1 TLS handshake failed\n$/);
  });

  it("logs JSON", async () => {
    const session = run(["serve", "-p0", "--tls", "--json"], OPTIONS);
    const [, address] = await session.untilStdout(/"address":"([\d.:]+)"/);
    await session.untilStdout(/"event":"certificate"/);
    const port = Number(address!.split(":")[1]);
    using client = await connect({ port, caCerts: [session.stderr] });
    await client.echo(new TextEncoder().encode("hello"));
    await client.end();
    using conn = await Deno.connect({ port });
    await conn.write(new TextEncoder().encode("hello"));
    await session.untilStdout(/"handshake_failed"/);
    await session.untilStdout(/"close"/);
    session.interrupt();
    await session.status;
    const events = session.stdout.trimEnd().split("\n")
      .map((line) => JSON.parse(line));
    const of = (type: string) => events.find(({ event }) => event === type);
    assertEquals(of("listening").transports, ["tls"]);
    assertEquals(of("certificate").names, ["127.0.0.1", "localhost", "::1"]);
    assert(of("open").handshake_ms > 0);
    assertEquals(of("handshake_failed").reason, "tls_not_spoken");
    assertEquals(of("stopped").failed_handshakes, 1);
  });

  const CERT = ["--tls-cert", "cert.pem"];
  for (
    const [args, why] of [
      [
        ["--tls-cert", "no.pem", "--tls-key", "key.pem"],
        "--tls-cert no.pem: no such file",
      ],
      [
        ["--tls-cert", "junk.pem", "--tls-key", "key.pem"],
        "--tls-cert junk.pem: it holds no PEM",
      ],
      [
        ["--tls-cert", "key.pem", "--tls-key", "key.pem"],
        "--tls-cert key.pem: it holds a private key, no certificate",
      ],
      [
        ["--tls-cert", "locked.key", "--tls-key", "key.pem"],
        "--tls-cert locked.key: it holds a private key, no certificate",
      ],
      [
        ["--tls-cert", "request.pem", "--tls-key", "key.pem"],
        "--tls-cert request.pem: it holds CERTIFICATE REQUEST, no certificate",
      ],
      [
        [...["--tls-cert", "cert.pem"], "--tls-key", "junk.pem"],
        "--tls-key junk.pem: it holds no PEM",
      ],
      [
        ["--tls-cert", "damaged.pem", "--tls-key", "key.pem"],
        "--tls-cert damaged.pem: its certificate is damaged",
      ],
      [
        [...CERT, "--tls-key", "cert.pem"],
        "--tls-key cert.pem: it holds a certificate, no private key",
      ],
      [
        [...CERT, "--tls-key", "other.key"],
        "--tls-key other.key: it is not the key of cert.pem",
      ],
      [
        ["--tls-cert", "reversed.pem", "--tls-key", "key.pem"],
        "--tls-cert reversed.pem: its certificate number 2 is the server's " +
        "own: put it first",
      ],
      [
        ["--tls-cert", "short.pem", "--tls-key", "short.key"],
        "--tls-key short.key: an RSA key of 1024 bits is too short, " +
        "TLS needs 2048",
      ],
      [
        [...CERT, "--tls-key", "locked.key"],
        "--tls-key locked.key: the key needs a passphrase, take it off with: " +
        "openssl pkey",
      ],
    ] as const
  ) {
    it(`says in a line: ${why}`, async () => {
      const session = run(["serve", "-p0", ...args], OPTIONS);
      const { status, stdout, stderr } = await outcome(session);
      assertEquals([status, stdout], [1, ""]);
      assertEquals(stderr, `echo: Cannot use ${why}\n`);
    });
  }

  it("refuses a certificate that is not valid now", async () => {
    for (
      const [file, why] of [
        ["expired.pem", /the certificate expired on 20\d\d-.*Z\n$/],
        ["future.pem", /the certificate is not valid before 2099-12-31T23:.*Z/],
      ] as const
    ) {
      const files = ["--tls-cert", file, "--tls-key", "key.pem"];
      const session = run(["serve", "-p0", ...files], OPTIONS);
      const { status, stderr } = await outcome(session);
      assertEquals(status, 1);
      assertMatch(stderr, why);
    }
  });
});

describe("echo send --tls", () => {
  it("tells the handshake apart, in each report", async () => {
    await using server = serve({ port: 0, ...PAIR });
    const { port } = server.addr;
    const tls = ["--tls", "--tls-ca", "cert.pem"];
    const once = JSON.parse((await send(port, ...tls, "--json")).stdout);
    assertEquals([once.transport, once.verified], ["tls", true]);
    assert(once.connect_ms > 0 && once.handshake_ms > 0);

    const ping = ["-c2", "-i0", "--reconnect"];
    const { stdout } = await runOn("ping", port, ...tls, ...ping);
    assertMatch(stdout, /seq=1 time=\S+ ms connect=\S+ ms handshake=\S+ ms\n/);
    assertMatch(stdout, /\nTLS handshake min\/p50\/p99\/max = \S+ ms\n/);
    const lines = (await runOn("ping", port, ...tls, ...ping, "--json")).stdout
      .trimEnd().split("\n").map((line) => JSON.parse(line));
    assertEquals(lines.length, 3);
    assert(lines[0].connect_ms > 0 && lines[0].handshake_ms > 0);
    assert(lines[2].connect_ms.max > 0 && lines[2].handshake_ms.max > 0);

    const stay = (await runOn("ping", port, ...tls, "-c1")).stdout;
    assertMatch(stay, /^Connected to \S+\/tls in .*, TLS handshake in /);

    const load = ["-C2", "-d20ms"];
    const report = await runOn("load", port, ...tls, ...load);
    assertEquals(report.status, 0, report.stderr);
    assertMatch(report.stdout, /\nTLS handshake min\/p50\/p99\/max = \S+ ms\n/);
    const json = JSON.parse(
      (await runOn("load", port, ...tls, ...load, "--json")).stdout,
    );
    assert(json.connect_ms.max > 0 && json.handshake_ms.max > 0);
  });

  it("says what to do about a certificate that it does not accept", async () => {
    await using server = serve({ port: 0, ...PAIR });
    const { port } = server.addr;
    const untrusted = await send(port, "--tls", "hi");
    assertEquals([untrusted.status, untrusted.stdout], [1, ""]);
    assertMatch(untrusted.stderr, /not trusted: .*--tls-ca <FILE>\n$/);
    const other = await send(
      ...[port, "--tls", "--tls-ca", "cert.pem", "--tls-name", "x.y"] as const,
    );
    assertEquals(other.status, 1);
    assertMatch(other.stderr, /not for the name x\.y, but .*--tls-name\n$/);
  });

  it("tells a server that speaks no TLS, and one that speaks nothing else", async () => {
    await using plain = serve({ port: 0 });
    const { stderr } = await send(plain.addr.port, "--tls", "hi");
    assertMatch(stderr, /what came is no TLS, .*leave out --tls\n$/);
    await using server = serve({ port: 0, ...PAIR });
    const other = await send(server.addr.port, "hi");
    assertMatch(
      other.stderr,
      /a TLS alert came back, this server speaks TLS\n/,
    );
  });

  it("counts a handshake that fails as a lost message", async () => {
    await using server = serve({ port: 0, ...PAIR });
    const { port } = server.addr;
    const args = ["--tls", "-c2", "-i0", "--json"];
    const { status, stdout } = await runOn("ping", port, ...args);
    assertEquals(status, 1);
    assertEquals(JSON.parse(stdout.split("\n")[0]!).lost, "tls");
  });

  it("refuses flags that do not go together", async () => {
    for (
      const [args, why] of [
        [["--tls", "--udp"], /--tls and --udp exclude each other/],
        [["--tls-ca", "cert.pem"], /--tls-ca goes with --tls/],
        [["--tls-name", "a"], /--tls-name goes with --tls/],
        [["--tls", "--tls-ca="], /expected the name of a file/],
      ] as const
    ) {
      const { status, stderr } = await send(1, ...args);
      assertEquals(status, 2);
      assertMatch(stderr, why);
    }
    const bad = await send(1, "--tls", "--tls-ca", "junk.pem");
    assertEquals(bad.status, 1);
    assertMatch(bad.stderr, /Cannot use --tls-ca junk\.pem: it holds no PEM/);
  });

  it("may read no more once it sends", async () => {
    await using server = serve({ port: 0 });
    const session = run(["send", `-p${server.addr.port}`], OPTIONS);
    assertEquals(await session.status, 0);
    assertEquals(session.mayRead, false);
  });
});
