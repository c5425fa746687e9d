import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { connect } from "../client.ts";
import { selfSigned } from "../server/self_signed.ts";
import { freePort } from "../testing/peer.ts";
import {
  itRuns,
  itWith,
  type Process,
  shell,
  start,
  startScript,
  startServe,
} from "../testing/process.ts";

const PAIR = await selfSigned();

/** A folder with a certificate and its key. */
interface Files extends AsyncDisposable {
  /** The folder. */
  readonly folder: string;
  /** The certificate. */
  readonly cert: string;
  /** Its key. */
  readonly key: string;
  /** Both in one file. */
  readonly both: string;
}

async function writeFiles(): Promise<Files> {
  const script = 'cd "$(mktemp -d)" && printf %s "$1" >cert.pem && ' +
    'printf %s "$2" >key.pem && cat cert.pem key.pem >both.pem && pwd';
  const folder = (await shell(script, PAIR.cert, PAIR.key)).trim();
  assertMatch(folder, /^\/.+/);
  return {
    folder,
    ...{ cert: `${folder}/cert.pem`, key: `${folder}/key.pem` },
    both: `${folder}/both.pem`,
    async [Symbol.asyncDispose]() {
      await shell('cd "$1" && rm -f ./* && rmdir "$1"', folder);
    },
  };
}

/** Makes keys of all kinds with openssl, and certificates for 127.0.0.1. */
const MAKE_KEYS = `
cd "$1" && exec 2>/dev/null
self() {
  openssl req -x509 -nodes -keyout "$1.key" -out "$1.pem" -subj /CN=test \\
    -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=IP:127.0.0.1 \\
    -newkey "$2" -pkeyopt "$3"
}
self rsa rsa rsa_keygen_bits:2048
openssl rsa -in rsa.key -traditional -out pkcs1.key && cp rsa.pem pkcs1.pem
self ec ec ec_paramgen_curve:P-384
openssl ecparam -name secp384r1 -out sec1.key &&
  openssl ec -in ec.key >>sec1.key && cp ec.pem sec1.pem
openssl req -x509 -nodes -newkey ed25519 -keyout ed25519.key -out ed25519.pem \\
  -subj /CN=test -addext basicConstraints=critical,CA:FALSE \\
  -addext subjectAltName=IP:127.0.0.1
openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 \\
  -keyout root.key -out root.pem -subj /CN=root \\
  -addext basicConstraints=critical,CA:TRUE
issue() {
  openssl req -new -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 \\
    -keyout "$1.key" -out "$1.csr" -subj "/CN=$1"
  printf %s "$3" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial \\
    -days 2 -extfile "$1.ext" -out "$1.pem"
}
issue middle root basicConstraints=critical,CA:TRUE
issue leaf middle subjectAltName=IP:127.0.0.1
cat leaf.pem middle.pem >chain.pem && cp leaf.key chain.key
ls -- *.key | wc -l
`;

/** Sends to a server with TLS that is about to start, and expects the echo. */
async function expectEcho(
  port: number | string,
  { cert }: Files,
  message = "hello",
  ...args: string[]
): Promise<Process> {
  const tls = ["--tls", "--tls-ca", cert, "--retry", "20s"];
  const send = start("send", "-p", `${port}`, ...tls, ...args, message);
  assertEquals(await send.status, 0, send.stderr);
  assertEquals(send.stdout, `${message}\n`);
  return send;
}

/** Starts `echo serve` with the files, which ends idle connections. */
function serveFiles({ cert, key }: Files): Promise<[Process, string]> {
  const files = ["--tls-cert", cert, "--tls-key", key];
  return startServe(...files, "--idle-timeout", "300ms");
}

describe("./echo with TLS", () => {
  for (const workers of ["1", "3"]) {
    itRuns(`needs one file only, with --workers ${workers}`, async () => {
      const [server, port] = await startServe("--tls", "--workers", workers);
      await using _ = server;
      await server.untilStderr(/END CERTIFICATE-----\n/);
      const caCerts = [server.stderr];
      for (let visit = 0; visit < 6; visit++) {
        using client = await connect({ port: Number(port), caCerts });
        await client.echo(new Uint8Array(100_000));
        await client.end();
      }
      server.kill("SIGINT");
      assertEquals(await server.status, 0);
      assertMatch(server.stdout, /Served 6 connections, echoed 586 KiB/);
    });
  }

  itRuns(
    "ends all threads after one failed handshake with --once",
    async () => {
      const [server] = await startServe("--tls", "--once", "--workers", "2");
      await using _ = server;
      const [, port] = await server.untilStdout(/127\.0\.0\.1:(\d+)/);
      using conn = await Deno.connect({ port: Number(port) });
      await conn.write(new TextEncoder().encode("no TLS"));
      assertEquals(await server.status, 0);
      assertMatch(
        server.stdout,
        /Served 1 connection, .* 1 TLS handshake failed/,
      );
    },
  );

  itRuns(
    "is loaded from several threads, with faults and metrics",
    async () => {
      await using files = await writeFiles();
      const [server, port] = await startServe(
        ...["--tls-cert", files.cert, "--tls-key", files.key],
        ...["--fault", "latency=1ms", "--metrics", "0"],
      );
      await using _ = server;
      const [, metrics] = await server.untilStdout(/Metrics on (\S+)/);
      await using client = start(
        ...["load", "--tls", "--tls-ca", files.cert, "-p", port] as const,
        ...["-C4", "-d300ms", "--workers", "2", "--json"] as const,
      );
      assertEquals(await client.status, 0, client.stderr);
      const { transport, connections, failed } = JSON.parse(client.stdout);
      assertEquals([transport, connections, failed], ["tls", 4, 0]);
      const text = await (await fetch(metrics!)).text();
      assertMatch(text, /^echo_connections_accepted_total 4$/m);
      server.kill("SIGTERM");
      assertEquals(await server.status, 0);
    },
  );

  itRuns("reads its files by links, and drains", async () => {
    await using files = await writeFiles();
    await shell('ln -s cert.pem "$1/link.pem"', files.folder);
    const link = `${files.folder}/link.pem`;
    const [server, port] = await startServe(
      ...["--tls-cert", link, "--tls-key", files.key],
    );
    await using _ = server;
    const caCerts = [PAIR.cert];
    using client = await connect({ port: Number(port), caCerts });
    await client.echo(new Uint8Array(1));
    server.kill("SIGTERM");
    await server.untilStdout(/Shutting down: 1 connection open/);
    await client.echo(new Uint8Array(1));
    await client.end();
    assertEquals(await server.status, 0);
  });

  itWith("strace")("opens no file after the first socket", async () => {
    await using files = await writeFiles();
    const trace = `${files.folder}/trace`;
    const strace = 'exec strace -f -e trace=open,openat,socket -o "$1" "$0"';
    const server = startScript(
      `${strace} serve -p0 --tls-cert "$2" --tls-key "$3" --once`,
      ...[trace, files.cert, files.key],
    );
    await using _ = server;
    const [, port] = await server.untilStdout(/127\.0\.0\.1:(\d+)/);
    await (await expectEcho(port!, files))[Symbol.asyncDispose]();
    assertEquals(await server.status, 0);
    const calls = (await shell('cat "$1"', trace)).split("\n");
    const first = calls.findIndex((call) => /socket\(AF_INET/.test(call));
    const reads = (from: number, to?: number) =>
      calls.slice(from, to).filter((call) => call.includes(files.folder));
    assertEquals(reads(0, first).length, 2);
    // The C library counts the processors when a thread first needs memory.
    const opened = calls.slice(first).filter((call) =>
      /open/.test(call) && !call.includes('"/sys/devices/system/cpu/')
    );
    assertEquals(opened, []);
  });
});

describe("./echo serve --tls", () => {
  itWith("openssl")("echoes to openssl s_client", async () => {
    await using files = await writeFiles();
    const [server, port] = await serveFiles(files);
    await using _ = server;
    const output = await shell(
      'printf hello | timeout 30 openssl s_client -quiet -connect "127.0.0.1:$1" ' +
        '-CAfile "$2" -verify_return_error -verify_ip 127.0.0.1 2>/dev/null',
      ...[port, files.cert],
    );
    assertEquals(output, "hello");
    await server.untilStdout(/Received: hello\n/);
  });

  itWith("openssl")("takes all kinds of keys, and a chain", async () => {
    await using files = await writeFiles();
    const { folder } = files;
    assertEquals((await shell(MAKE_KEYS, folder)).trim(), "9");
    for (const kind of ["rsa", "pkcs1", "ec", "sec1", "ed25519", "chain"]) {
      const cert = `${folder}/${kind}.pem`;
      const flags = ["--tls-cert", cert, "--tls-key", `${folder}/${kind}.key`];
      const [server, port] = await startServe(...flags);
      await using _ = server;
      const trusted = kind === "chain" ? `${folder}/root.pem` : cert;
      await using _send = await expectEcho(port, { ...files, cert: trusted });
    }
  });

  itWith("openssl")("refuses TLS 1.1, and says so", async () => {
    await using files = await writeFiles();
    const [server, port] = await serveFiles(files);
    await using _ = server;
    await shell(
      'timeout 30 openssl s_client -connect "127.0.0.1:$1" -tls1_1 ' +
        "-cipher ALL:@SECLEVEL=0 </dev/null >/dev/null 2>&1",
      port,
    );
    await server.untilStdout(
      /TLS handshake failed with \S+: no common version: TLS 1.2 or 1.3 is/,
    );
  });

  itWith("ncat")("echoes to ncat --ssl", async () => {
    await using files = await writeFiles();
    const [server, port] = await serveFiles(files);
    await using _ = server;
    const script = 'printf hello | timeout 30 ncat --ssl 127.0.0.1 "$1"';
    assertEquals(await shell(script, port), "hello");
  });

  itWith("socat")("echoes to socat OPENSSL", async () => {
    await using files = await writeFiles();
    const [server, port] = await serveFiles(files);
    await using _ = server;
    const script = "printf hello | timeout 30 socat -t 5 - " +
      '"OPENSSL:127.0.0.1:$1,cafile=$2"';
    assertEquals(await shell(script, port, files.cert), "hello");
  });
});

describe("./echo send --tls", () => {
  itWith("socat")("is answered by socat OPENSSL-LISTEN", async () => {
    await using files = await writeFiles();
    const port = freePort();
    await using _ = startScript(
      'exec socat "OPENSSL-LISTEN:$1,bind=127.0.0.1,cert=$2,verify=0,reuseaddr" ' +
        "EXEC:cat",
      ...[`${port}`, files.both],
    );
    await using _send = await expectEcho(port, files);
  });

  itWith("ncat")("is answered by ncat --ssl", async () => {
    await using files = await writeFiles();
    const port = freePort();
    await using _ = startScript(
      'exec ncat --ssl --ssl-cert "$2" --ssl-key "$3" -e /bin/cat ' +
        '-l 127.0.0.1 "$1"',
      ...[`${port}`, files.cert, files.key],
    );
    await using _send = await expectEcho(port, files);
  });

  itWith("openssl")("is answered by openssl s_server", async () => {
    await using files = await writeFiles();
    const port = freePort();
    // It sends each line back, reversed.
    await using _ = startScript(
      'exec openssl s_server -rev -quiet -accept "127.0.0.1:$1" -cert "$2" ' +
        '-key "$3"',
      ...[`${port}`, files.cert, files.key],
    );
    await using _send = await expectEcho(port, files, "abccba\n");
  });

  itWith("haproxy")("goes through HAProxy, which ends TLS", async () => {
    await using files = await writeFiles();
    const [server, plain] = await startServe();
    await using _server = server;
    const port = freePort();
    const config = [
      "defaults",
      "  mode tcp",
      "  timeout connect 5s",
      "  timeout client 30s",
      "  timeout server 30s",
      "frontend tls",
      `  bind 127.0.0.1:${port} ssl crt ${files.both}`,
      "  default_backend echo",
      "backend echo",
      `  server echo 127.0.0.1:${plain}`,
      "",
    ].join("\n");
    await using _ = startScript(
      'printf %s "$1" >"$2/haproxy.cfg" && exec haproxy -db -f "$2/haproxy.cfg"',
      ...[config, files.folder],
    );
    await using _send = await expectEcho(port, files);
    const times = "-c 3 -i 10ms --reconnect --json".split(" ");
    const tls = ["--tls", "--tls-ca", files.cert];
    await using ping = start("ping", "-p", `${port}`, ...tls, ...times);
    assertEquals(await ping.status, 0, ping.stderr);
    const lines = ping.stdout.trimEnd().split("\n")
      .map((line) => JSON.parse(line));
    assertEquals(lines.at(-1).verified, 3);
    assert(lines.slice(0, 3).every((line) => line.handshake_ms > 0));
    assertMatch(server.stdout, /Received: hello/);
  });
});
