import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import config from "./deno.json" with { type: "json" };
import { writeAll } from "./net/streams.ts";
import { serve } from "./server.ts";
import { freePort, patternOf, startPeer } from "./testing/peer.ts";
import { CLOSED_STDOUT, run, type Session } from "./testing/terminal.ts";

/** Runs a command to its end. */
async function outcome(session: Session) {
  const status = await session.status;
  return { status, stdout: session.stdout, stderr: session.stderr };
}

/** Starts `echo serve` on a free port, and tells the port. */
async function startServe(...args: string[]): Promise<[Session, string]> {
  const session = run(["serve", "-p0", ...args]);
  const [, port] = await session.untilStdout(/127\.0\.0\.1:(\d+)/);
  return [session, port!];
}

describe("echo", () => {
  it("prints its commands on --help", async () => {
    for (const flag of ["--help", "-h"]) {
      const { status, stdout, stderr } = await outcome(run([flag]));
      assertEquals([status, stderr], [0, ""]);
      assertMatch(stdout, /^Usage: echo <COMMAND>/m);
      assertMatch(stdout, /^ {2}serve +\S/m);
      assertMatch(stdout, /^ {2}send +\S/m);
    }
  });

  it("prints its version", async () => {
    for (const args of [["-V"], ["--version"], ["send", "-V"]]) {
      assertEquals(await outcome(run(args)), {
        status: 0,
        stdout: `echo ${config.version}\n`,
        stderr: "",
      });
    }
  });

  it("prints its usage on stderr when no command is given", async () => {
    const { status, stdout, stderr } = await outcome(run([]));
    assertEquals([status, stdout], [2, ""]);
    assertMatch(stderr, /^Usage: echo <COMMAND>/m);
  });

  it("describes every flag of a command on --help", async () => {
    const { stdout } = await outcome(run(["send", "--help"]));
    for (const flag of ["host", "port", "timeout", "retry", "size", "json"]) {
      assert(stdout.includes(`--${flag}`), flag);
    }
    assertMatch(stdout, /-p, --port <PORT> .*\[12345\]$/m);
    assertMatch(stdout, /--timeout <TIME> .*\[5s\]$/m);
  });

  const mistakes: [args: string[], message: RegExp][] = [
    [["sned"], /unknown command "sned", did you mean send\?/],
    [["hello"], /unknown command "hello", expected serve or send/],
    [["--prot"], /unknown flag --prot/],
    [["send", "--prot", "80"], /unknown flag --prot, did you mean --port\?/],
    [["serve", "--hots=x"], /unknown flag --hots, did you mean --host\?/],
    [["send", "-5"], /unknown flag -5, a MESSAGE that .* goes after --/],
    [["send", "-qx"], /unknown flag -x in -qx/],
    [["send", "-q😀"], /unknown flag -😀 in -q😀/],
    [["send", "-host", "x"], /unknown flag -o in -host, did you mean --host\?/],
    [["serve", "--drain", "5"], /--drain, did you mean --drain-timeout\?/],
    [["-p", "80", "serve"], /flags go after the command: echo serve/],
    [["send", "-H", "ünï"], /--host "ünï": expected an IPv4/],
    [["send", "-H", ":::"], /--host ":::": expected an IPv4/],
    [["send", "-H", "a".repeat(64)], /--host "a+": expected an IPv4/],
    [["serve", "--max-connections", "0"], /a whole number from 1 to 1000000/],
    [["serve", "--idle-timeout", "0"], /--idle-timeout "0": .*at least 1ms/],
    [["serve", "--workers", "-1"], /a whole number from 0 to 256/],
    // Without --allow-read it does not come to what excludes what.
    [["serve", "--workers", "2"], /--workers needs /],
    [["send", "-p"], /-p needs a value: -p <PORT>/],
    [["send", "--port"], /--port needs a value/],
    [["send", "-p1", "--port=2"], /--port is given twice/],
    [["send", "-q", "--quiet"], /--quiet is given twice/],
    [["send", "--json=yes"], /--json takes no value/],
    [["send", "-q=1"], /-q takes no value/],
    [["send", "--host", ""], /--host "": expected an IPv4/],
    [["send", "--host", "a b"], /--host "a b": expected an IPv4/],
    [["send", "-H", "::1]"], /--host "::1\]": expected an IPv4/],
    [["send", "-H", "a:80"], /--host "a:80": .* the port goes to --port/],
    [["send", "--timeout", "0"], /--timeout "0": .*at least 1ms/],
    [["send", "--timeout", "1d"], /--timeout "1d": expected a time such as/],
    [["send", "--timeout", "1000h"], /--timeout "1000h": .* at most 596h/],
    [["send", "--retry=-1s"], /--retry "-1s": expected a time/],
    [["send", "--size", "0"], /--size "0": expected a size/],
    [["send", "--size", "1.5k"], /--size "1.5k": expected a size/],
    [["send", "-s", "9999999999G"], /--size "9999999999G": expected a size/],
    [["send", "-s1", "hello"], /--size and MESSAGE exclude each other/],
    [["send", "-s1", "-"], /--size and - exclude each other/],
    [["send", "-c1", "-"], /--count and - exclude each other/],
    [["send", "-c", "x"], /--count "x": expected a whole number/],
    [["send", "-i", "1s"], /--interval goes with --count/],
    [["send", "--reconnect", "hi"], /--reconnect goes with --count/],
    [["send", "-c1", "-d1s"], /--count and --duration exclude each other/],
    [["send", "-C2", "-c1"], /--count and --connections exclude each other/],
    [["send", "-r5", "-c1"], /--count and --rate exclude each other/],
    [["send", "-C2", ""], /--connections and an empty MESSAGE exclude/],
    [["send", "-c2", ""], /--count and an empty MESSAGE exclude/],
    [["send", "-C2", "-"], /--connections and - exclude each other/],
    [["send", "-C2", "-i1s"], /--interval goes with --count/],
    [["send", "-C2", "--reconnect"], /--reconnect goes with --count/],
    [["send", "-C0"], /--connections "0": expected a whole number from 1/],
    [["send", "-r", "1.5"], /--rate "1.5": expected a whole number from 1/],
    [["send", "-d", "0"], /--duration "0": .*at least 1ms/],
    [["send", "-c2", "-s", "1G"], /--size with --count is at most 256 MiB/],
    [["send", "-", "hello"], /- streams stdin and takes no other MESSAGE/],
    [["serve", "8080"], /takes no argument "8080", did you mean --port 8080\?/],
    [["serve", "--", "-x"], /serve takes no argument "-x"$/],
    [["serve", "--drain-timeout", "soon"], /--drain-timeout "soon": expected/],
    [["send", "-p", "1\n2\x1b[2J"], /--port "1\\n2\\x1b\[2J": expected/],
    ...["0x10", "1.5", "", "70000", "-1", "1e3", " 1", "+1", "１"].map((
      port,
    ) =>
      [
        ["serve", "--port", port],
        /--port ".*": expected a whole number from 0 to 65535$/,
      ] as [string[], RegExp]
    ),
    [["send", "--port", "0"], /expected a whole number from 1 to 65535$/],
  ];
  for (const [args, message] of mistakes) {
    it(`refuses ${JSON.stringify(args.join(" "))} in one line`, async () => {
      const { status, stdout, stderr } = await outcome(run(args));
      assertEquals([status, stdout], [2, ""]);
      assertMatch(stderr, /^echo: [^\n]+\n$/);
      assertMatch(stderr.trimEnd(), message);
    });
  }
});

describe("echo serve", () => {
  it("logs in the words of the example", async () => {
    const [session, port] = await startServe();
    await outcome(run(["send", "-p", port, "hello"]));
    await session.untilStdout(/closed/);
    session.interrupt();
    const { status, stdout, stderr } = await outcome(session);
    assertEquals([status, stderr], [0, ""]);
    assertMatch(
      stdout,
      new RegExp(
        `^Server listening on 127\\.0\\.0\\.1:${port}\\.\\.\\.\n` +
          "Connection established with (127\\.0\\.0\\.1:\\d+)\n" +
          "Received: hello\n" +
          "Connection closed with \\1: 5 B echoed in [\\d.]+ m?s\n" +
          "Shutting down\n" +
          "Served 1 connection, echoed 5 B in [\\d.]+ m?s\n$",
      ),
    );
  });

  it("never prints what a client sends raw, nor much of it", async () => {
    const [session, port] = await startServe();
    const nasty = "\x1b[2J\r\n\u202eabc\x7f" + "é".repeat(100);
    await outcome(run(["send", "-p", port, nasty]));
    const [, received] = await session.untilStdout(/^Received: (.*)\n/m);
    assertEquals(
      received,
      "\\x1b[2J\\r\\n\\u{202e}abc\\x7f" + "é".repeat(37) + "…",
    );
    assertEquals([...received!].length, 64);
    session.interrupt();
    await session.status;
  });

  it("logs JSON lines", async () => {
    const [session, port] = await startServe("--json");
    await outcome(run(["send", "-p", port, "hello"]));
    await session.untilStdout(/"close"/);
    session.interrupt();
    const { status, stdout } = await outcome(session);
    assertEquals(status, 0);
    const events = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
    const time = "2001-02-03T04:05:06.789Z";
    const { remote, duration_ms } = events[3];
    assertMatch(remote, /^127\.0\.0\.1:\d+$/);
    assertEquals(typeof duration_ms, "number");
    assertEquals(events, [
      { time, event: "listening", address: `127.0.0.1:${port}` },
      { time, event: "open", remote },
      { time, event: "data", remote, bytes: 5, text: "hello" },
      { time, event: "close", remote, bytes: 5, duration_ms, reason: "eof" },
      { time, event: "shutdown", connections: 0 },
      {
        time,
        event: "stopped",
        connections: 1,
        bytes: 5,
        duration_ms: events[5].duration_ms,
      },
    ]);
  });

  it("with --quiet logs nothing, and serves all the same", async () => {
    const port = freePort();
    const session = run(["serve", "--quiet", `--port=${port}`]);
    const sent = await outcome(run(["send", "-p", `${port}`, "--retry=5s"]));
    assertEquals(sent.status, 0);
    session.interrupt();
    assertEquals(await outcome(session), { status: 0, stdout: "", stderr: "" });
  });

  it("with --once ends after one connection", async () => {
    const [session, port] = await startServe("--once");
    assertEquals((await outcome(run(["send", `-p=${port}`]))).status, 0);
    const { status, stdout } = await outcome(session);
    assertEquals(status, 0);
    assertMatch(stdout, /^Served 1 connection, /m);
  });

  it("drains on Ctrl-C, then closes what is left", async () => {
    const [session, port] = await startServe("--drain-timeout", "20ms");
    using conn = await Deno.connect({ port: Number(port) });
    await session.untilStdout(/established/);
    session.interrupt();
    assertEquals(await conn.read(new Uint8Array(1)), null);
    const { status, stdout } = await outcome(session);
    assertEquals(status, 0);
    assertMatch(
      stdout,
      /^Shutting down: 1 connection open, waiting up to 20ms \(Ctrl-C again to stop now\)$/m,
    );
    assertMatch(stdout, /^Connection closed with .* \(shutdown\)$/m);
  });

  it("stops at once on the second Ctrl-C", async () => {
    const [session, port] = await startServe("--drain-timeout", "1h");
    using _ = await Deno.connect({ port: Number(port) });
    await session.untilStdout(/established/);
    session.interrupt();
    session.interrupt();
    assertEquals((await outcome(session)).status, 130);
  });

  it("goes on when nobody can read its log any more", async () => {
    const port = freePort();
    const session = run(["serve", "-p", `${port}`], { stdout: CLOSED_STDOUT });
    for (let turn = 0; turn < 3; turn++) {
      const sent = run(["send", "-p", `${port}`, "--retry", "5s"]);
      assertEquals((await outcome(sent)).status, 0);
    }
    session.interrupt();
    assertEquals(await outcome(session), { status: 0, stdout: "", stderr: "" });
  });

  it("says once that its log cannot be written, and serves on", async () => {
    const port = freePort();
    const full = "Cannot write to stdout: no space left on device";
    const session = run(["serve", "-p", `${port}`], {
      stdout: { write: () => Promise.reject(new Error(full)) },
    });
    for (let turn = 0; turn < 3; turn++) {
      const sent = run(["send", "-p", `${port}`, "--retry", "5s"]);
      assertEquals((await outcome(sent)).status, 0);
    }
    session.interrupt();
    const { status, stderr } = await outcome(session);
    assertEquals([status, stderr], [0, `echo: ${full}\n`]);
  });

  it("holds clients back with --max-connections", async () => {
    const [session, port] = await startServe("--max-connections", "1");
    {
      using _ = await Deno.connect({ port: Number(port) });
      await session.untilStdout(/established/);
      const args = ["send", `-p${port}`, "-t", "100ms"];
      assertEquals((await outcome(run(args))).status, 1);
    }
    const sent = await outcome(run(["send", `-p${port}`]));
    assertEquals(sent.status, 0);
    session.interrupt();
    assertEquals((await outcome(session)).status, 0);
  });

  it("closes an idle client with --idle-timeout", async () => {
    const [session, port] = await startServe("--idle-timeout", "20ms");
    using conn = await Deno.connect({ port: Number(port) });
    assertEquals(await conn.read(new Uint8Array(1)), null);
    await session.untilStdout(/^Connection closed with .* \(idle\)$/m);
    session.interrupt();
    assertEquals((await outcome(session)).status, 0);
  });

  it("says in one line that the port is in use", async () => {
    await using server = serve({ port: 0 });
    const port = `${server.addr.port}`;
    assertEquals(await outcome(run(["serve", "--port", port])), {
      status: 1,
      stdout: "",
      stderr: `echo: Cannot listen on 127.0.0.1:${port}: ` +
        "address already in use, choose another with --port\n",
    });
  });
});

describe("echo send", () => {
  it("prints the echo, and its label on stderr", async () => {
    await using server = serve({ port: 0 });
    const port = `${server.addr.port}`;
    const received: [args: string[], stdout: string][] = [
      [[], "Hello server, this is from the client\n"],
      [["hello"], "hello\n"],
      [["two", "words"], "two words\n"],
      [[""], "\n"],
      [["true"], "true\n"],
      [["--", "--help", "-"], "--help -\n"],
      [["--", "-"], "-\n"],
      [["a", "-", "b"], "a - b\n"],
    ];
    for (const [args, stdout] of received) {
      const stderr = "Received from server: ";
      const all = ["send", "-p", port, ...args];
      assertEquals(await outcome(run(all)), { status: 0, stdout, stderr });
    }
    // A flag may come after MESSAGE, and be stuck to its value.
    assertEquals(
      await outcome(run(["send", "-q", "true", `-p${port}`, "-t1"])),
      { status: 0, stdout: "true\n", stderr: "" },
    );
  });

  it("streams stdin byte for byte", async () => {
    await using server = serve({ port: 0 });
    const stdin = patternOf(300_000);
    const parts: Uint8Array[] = [];
    const { status, stderr } = await outcome(
      run(["send", "-p", `${server.addr.port}`, "-"], {
        stdin,
        stdout: {
          write: (p) => Promise.resolve(parts.push(p.slice()) && p.length),
        },
      }),
    );
    assertEquals(status, 0);
    assertMatch(
      stderr,
      /^293 KiB came back, all verified, in [\d.]+ m?s \([\d.]+ \w+\/s\)\n$/,
    );
    const stdout = await new Blob(parts as BlobPart[]).arrayBuffer();
    assertEquals(new Uint8Array(stdout), stdin);
  });

  it("sends as many generated bytes as --size says", async () => {
    await using server = serve({ port: 0 });
    const args = ["send", "-p", `${server.addr.port}`, "--size", "300k"];
    const { status, stdout, stderr } = await outcome(run(args));
    assertEquals([status, stderr], [0, ""]);
    assertMatch(stdout, /^300 KiB came back, all verified, in /);
    assertEquals(server.stats.bytes, 300 * 1024);
  });

  it("prints JSON alone with --json", async () => {
    await using server = serve({ port: 0 });
    const address = `127.0.0.1:${server.addr.port}`;
    const stdin = patternOf(1000);
    for (
      const [args, bytes] of [[["hi"], 2], [["-"], 1000], [["-s5"], 5]] as const
    ) {
      const all = ["send", "--json", `-p${server.addr.port}`, ...args];
      const { status, stdout, stderr } = await outcome(run(all, { stdin }));
      assertEquals([status, stderr], [0, ""]);
      const { connect_ms, duration_ms, bytes_per_second, ...rest } = JSON.parse(
        stdout,
      );
      assertEquals(rest, { address, verified: true, bytes });
      for (const number of [connect_ms, duration_ms, bytes_per_second]) {
        assert(number > 0);
      }
    }
  });

  it("says in one line that no server is there", async () => {
    const port = freePort();
    const message = `Cannot connect to 127.0.0.1:${port}: connection refused`;
    const stderr = `echo: ${message}, ` +
      "is a server running there? start one with: echo serve\n";
    const args = ["send", `-p${port}`];
    assertEquals(await outcome(run(args)), { status: 1, stdout: "", stderr });
    const { stdout, ...rest } = await outcome(run([...args, "--json"]));
    assertEquals(rest, { status: 1, stderr });
    assertEquals(JSON.parse(stdout), {
      address: `127.0.0.1:${port}`,
      verified: false,
      error: message,
    });
  });

  it("tells what failed also when nobody reads its JSON", async () => {
    const port = freePort();
    const options = { stdout: CLOSED_STDOUT };
    const failed = await outcome(run(["send", "--json", `-p${port}`], options));
    assertEquals(failed.status, 1);
    assertMatch(failed.stderr, /^echo: Cannot connect to .* refused, /);
  });

  it("begins a line for what it says when stdout is full", async () => {
    await using server = serve({ port: 0 });
    const stdout = { write: () => Promise.reject(new Error("full")) };
    const args = ["send", `-p${server.addr.port}`, "hello"];
    assertEquals(await outcome(run(args, { stdout })), {
      status: 1,
      stdout: "",
      stderr: "Received from server: \necho: full\n",
    });
  });

  it("takes any host that there may be", async () => {
    await using _ = serve({ hostname: "::1", port: 0 });
    const { port } = _.addr;
    for (const host of ["::1", "[::1]", "0:0:0:0:0:0:0:1"]) {
      const sent = run(["send", `-p${port}`, "-q", "-H", host, "hi"]);
      assertEquals((await outcome(sent)).stdout, "hi\n");
    }
    const unresolved = run(["send", "-H", "no_such-host.invalid."]);
    assertMatch(
      (await outcome(unresolved)).stderr,
      /: the name does not resolve, check --host$/m,
    );
  });

  it("prints nothing that was not verified", async () => {
    using peer = startPeer(async (conn) => {
      const bytes = new Uint8Array(100);
      const length = await conn.read(bytes) ?? 0;
      bytes[2]! ^= 0x20;
      await writeAll(conn, bytes.subarray(0, length));
    });
    assertEquals(await outcome(run(["send", `-p${peer.port}`, "hello"])), {
      status: 1,
      stdout: "",
      stderr: `echo: Wrong echo from 127.0.0.1:${peer.port}: ` +
        "byte at offset 2 differs, sent 0x6c, received 0x4c\n",
    });
  });

  it("gives up on a silent server after --timeout", async () => {
    using peer = startPeer(() => Promise.resolve());
    const args = ["send", `-p${peer.port}`, "--timeout", "500ms", "hello"];
    assertEquals(await outcome(run(args)), {
      status: 1,
      stdout: "",
      stderr: `echo: No reply from 127.0.0.1:${peer.port} within 0.5 s: ` +
        "0 of 5 B came back\n",
    });
  });

  it("ends quietly when stdout is closed", async () => {
    await using server = serve({ port: 0 });
    const options = { stdin: patternOf(100_000), stdout: CLOSED_STDOUT };
    const send = (...args: string[]) =>
      outcome(run(["send", `-p${server.addr.port}`, "-q", ...args], options));
    // All of a message came back; of a stream nobody knows.
    assertEquals(await send("hi"), { status: 0, stdout: "", stderr: "" });
    assertEquals(await send("-"), { status: 1, stdout: "", stderr: "" });
  });
});

describe("echo send --count", () => {
  it("reads like ping", async () => {
    await using server = serve({ port: 0 });
    const address = `127.0.0.1:${server.addr.port}`;
    const args = ["send", `-p${server.addr.port}`, "-c3", "-i", "5ms"];
    const { status, stdout, stderr } = await outcome(run(args));
    assertEquals([status, stderr], [0, ""]);
    const n = "\\d+\\.\\d{3}";
    assertMatch(
      stdout,
      new RegExp(
        `^Connected to ${address} in [\\d.]+ ms\n` +
          [1, 2, 3].map((seq) =>
            `37 B from ${address}: seq=${seq} time=${n} ms\n`
          ).join("") +
          `--- ${address} echo statistics ---\n` +
          "3 sent, 3 verified, 0 lost, in [\\d.]+ m?s\n" +
          "rtt min/mean/p50/p99/max/stddev = " +
          `${n}/${n}/${n}/${n}/${n}/${n} ms\n$`,
      ),
    );
  });

  it("tells what was lost, and why", async () => {
    const address = `127.0.0.1:${freePort()}`;
    const args = ["send", `-p${address.split(":")[1]}`, "-c2", "-i", "5ms"];
    const { status, stdout, stderr } = await outcome(run(args));
    assertEquals([status, stderr], [1, ""]);
    assertMatch(
      stdout,
      new RegExp(
        `^no reply from ${address}: seq=1 connection refused\n` +
          `no reply from ${address}: seq=2 connection refused\n` +
          `--- ${address} echo statistics ---\n` +
          "2 sent, 0 verified, 2 lost \\(100%\\), " +
          "longest outage [\\d.]+ m?s, in [\\d.]+ m?s\n$",
      ),
    );
    using silent = startPeer(() => Promise.resolve());
    const timedOut = ["send", `-p${silent.port}`, "-c1", "-t", "50ms"];
    assertMatch(
      (await outcome(run(timedOut))).stdout,
      /seq=1 timed out after 50ms$/m,
    );
    using wrong = startPeer((conn) => writeAll(conn, new Uint8Array(1)));
    assertMatch(
      (await outcome(run(["send", `-p${wrong.port}`, "-c1"]))).stdout,
      /seq=1 byte at offset 0 differs, sent 0x48, received 0x00$/m,
    );
  });

  it("goes on until Ctrl-C with 0, and connects for each if asked", async () => {
    await using server = serve({ port: 0 });
    const args = ["send", `-p${server.addr.port}`, "-c0", "-i0", "--reconnect"];
    const session = run(args);
    await session.untilStdout(/seq=5 time=.* connect=/);
    session.interrupt();
    const { status, stdout } = await outcome(session);
    assertEquals(status, 0);
    assertMatch(stdout, /^\d+ sent, (\d+) verified, 0 lost, in /m);
  });

  it("prints JSON lines, or the summary alone", async () => {
    await using server = serve({ port: 0 });
    const args = ["send", `-p${server.addr.port}`, "-c2", "-i5ms", "-s100"];
    const json = await outcome(run([...args, "--json"]));
    const lines = json.stdout.trimEnd().split("\n").map((line) => {
      return JSON.parse(line);
    });
    assertEquals(lines.slice(0, 2), [
      { seq: 1, bytes: 100, rtt_ms: lines[0].rtt_ms },
      { seq: 2, bytes: 100, rtt_ms: lines[1].rtt_ms },
    ]);
    const { duration_ms, rtt_ms, ...rest } = lines[2];
    assertEquals(rest, {
      sent: 2,
      verified: 2,
      lost: 0,
      loss_percent: 0,
      longest_outage_ms: 0,
    });
    assert(duration_ms > 0);
    assertEquals(Object.keys(rtt_ms), [
      ...["min", "mean", "p50", "p99", "max", "stddev"],
    ]);
    const quiet = await outcome(run([...args, "-q"]));
    assertMatch(quiet.stdout, /^--- [^\n]+\n2 sent, [^\n]+\nrtt [^\n]+\n$/);
    const refused = ["send", `-p${freePort()}`, "-c1", "--json"];
    const [lost, summary] = (await outcome(run(refused))).stdout.split("\n");
    assertEquals(JSON.parse(lost!).lost, "refused");
    assertEquals(JSON.parse(summary!).rtt_ms, null);
  });

  it("ends quietly when stdout is closed", async () => {
    await using server = serve({ port: 0 });
    const args = ["send", `-p${server.addr.port}`, "-c0", "-i0"];
    const { stderr } = await outcome(run(args, { stdout: CLOSED_STDOUT }));
    assertEquals(stderr, "");
  });
});

describe("echo send, when its reader stalls", () => {
  for (const args of [["-c0", "-i0"], ["-d50ms"]]) {
    it(`ends at the second Ctrl-C with ${args.join(" ")}`, async () => {
      await using server = serve({ port: 0, drainTimeoutMs: 0 });
      const blocked = Promise.withResolvers<void>();
      const stdout = {
        write() {
          blocked.resolve();
          return new Promise<number>(() => {});
        },
      };
      const session = run(["send", `-p${server.addr.port}`, ...args], {
        stdout,
      });
      await blocked.promise;
      session.interrupt();
      session.interrupt();
      assertEquals((await outcome(session)).status, 130);
    });
  }
});

describe("echo send with load flags", () => {
  it("reports, and shows no progress without a terminal", async () => {
    await using server = serve({ port: 0 });
    const args = ["send", `-p${server.addr.port}`, "-C3", "-d300ms"];
    const { status, stdout, stderr } = await outcome(run(args));
    assertEquals([status, stderr], [0, ""]);
    assertMatch(
      stdout,
      new RegExp(
        `^--- 127.0.0.1:${server.addr.port} echo load ---\n` +
          "[\\d,]+ messages of 37 B verified, 0 failed, " +
          "over 3 connections in [\\d.]+ m?s\n" +
          "[\\d,]+ messages/s, [\\d.]+ \\w+/s each way\n" +
          "latency p50/p90/p99/p99.9/max = ([\\d.]+/){4}[\\d.]+ ms\n" +
          "(<= +[\\d.]+ ms +[\\d,]+( #+)?\n)+$",
      ),
    );
  });

  it("shows progress on a terminal, and wipes it", async () => {
    await using server = serve({ port: 0 });
    const args = ["send", `-p${server.addr.port}`, "-d700ms"];
    const { stderr } = await outcome(run(args, { isTerminal: true }));
    assertMatch(stderr.slice(1), /^\d+ ms: [\d,]+ messages\/s, 0 failed/);
    assert(stderr.endsWith("\r\x1b[K"));
    const quiet = run([...args, "-q"], { isTerminal: true });
    assertEquals((await outcome(quiet)).stderr, "");
  });

  it("prints one object with --json", async () => {
    await using server = serve({ port: 0 });
    const args = ["send", `-p${server.addr.port}`, "-C2", "-d200ms", "--json"];
    const { status, stdout } = await outcome(run([...args, "-r", "100"]));
    assertEquals(status, 0);
    const report = JSON.parse(stdout);
    assertEquals(Object.keys(report), [
      ...["messages", "failed", "messages_per_second", "bytes_per_second"],
      ...["duration_ms", "connections", "latency_ms", "histogram"],
      ...["failures", "target_rate", "unsent"],
    ]);
    assertEquals(Object.keys(report.latency_ms), [
      ...["min", "mean", "p50", "p90", "p99", "p99_9", "max"],
    ]);
    assert(report.messages > 0 && report.messages <= 20);
    assertEquals([report.connections, report.target_rate], [2, 100]);
    const inBuckets = report.histogram.map((b: { count: number }) => b.count)
      .reduce((a: number, b: number) => a + b);
    assertEquals(inBuckets, report.messages);
  });

  it("exits with 1 when anything failed, and on Ctrl-C reports", async () => {
    using peer = startPeer((conn) => writeAll(conn, new Uint8Array(37)));
    const failed = run(["send", `-p${peer.port}`, "-d100ms"]);
    const { status, stdout } = await outcome(failed);
    assertEquals(status, 1);
    assertMatch(stdout, /^failed: \d+ mismatch, the first: .* at offset 0 /m);

    await using server = serve({ port: 0 });
    const args = ["send", `-p${server.addr.port}`, "-C2", "-d1h"];
    const session = run(args, { isTerminal: true });
    while (server.stats.bytes < 10_000) await delay(1);
    session.interrupt();
    assertEquals((await outcome(session)).status, 0);
    assertMatch(session.stdout, /messages of 37 B verified, 0 failed/);
  });

  it("says in one line that no server is there", async () => {
    const { status, stdout, stderr } = await outcome(
      run(["send", `-p${freePort()}`, "-C5"]),
    );
    assertEquals([status, stdout], [1, ""]);
    assertMatch(
      stderr,
      /^echo: Cannot connect to .* connection refused, .*\n$/,
    );
  });
});
