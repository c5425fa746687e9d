import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { writeAll } from "../../net/streams.ts";
import { serve } from "../../server.ts";
import { freePort, startPeer } from "../../testing/peer.ts";
import { replace } from "../../testing/replace.ts";
import { changing, readOnce } from "../../testing/socket.ts";
import {
  CLOSED_STDOUT,
  outcome,
  run,
  type RunOptions,
} from "../../testing/terminal.ts";
import { encode } from "../command.ts";
import { OutputClosedError } from "../terminal.ts";

/** Runs `echo send` to its end. */
function send(port: number, args: string[], options?: RunOptions) {
  return outcome(run(["ping", `-p${port}`, ...args], options));
}

function jsonLines(stdout: string) {
  return stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
}

/** The time that a test's terminal tells. */
const TIME = "2001-02-03T04:05:06.789Z";

/** Starts a server that echoes, but not the second message, which has 5 B. */
function startSpoiling() {
  let messages = 0;
  return startPeer(changing((bytes) => {
    if (++messages === 2) bytes[0]! ^= 1;
    return bytes;
  }));
}

/** Starts a server that echoes one message, and sends more after the end. */
function startSurplus() {
  return startPeer(async (conn) => {
    const message = await readOnce(conn);
    await writeAll(conn, message);
    await readOnce(conn);
    await writeAll(conn, message);
    conn.close();
  });
}

describe("echo ping", () => {
  it("reads like ping", async () => {
    await using server = serve({ port: 0 });
    const { port } = server.addr;
    const address = `127.0.0.1:${port}`;
    const { status, stdout, stderr } = await send(port, ["-c3", "-i5ms"]);
    assertEquals([status, stderr], [0, ""]);
    const exact = "\\d+\\.\\d{3}";
    const known = "\\d+(?:\\.\\d{1,3})?";
    const times = [exact, exact, known, known, known, exact, exact].join("/");
    assertMatch(
      stdout,
      new RegExp(
        `^Connected to ${address} in [\\d.]+ ms\n` +
          [1, 2, 3].map((seq) =>
            `64 B from ${address}: seq=${seq} time=${exact} ms\n`
          ).join("") +
          `--- ${address} echo statistics ---\n` +
          "3 sent, 3 verified, 0 lost, in [\\d.]+ m?s\n" +
          `rtt min/mean/p50/p90/p99/max/stddev = ${times} ms, ` +
          `jitter ${exact} ms\n` +
          `sent late: p99 ${known} ms, max ${exact} ms\n$`,
      ),
    );
    assertEquals(server.stats().accepted, 1);
  });

  it("is not late without an interval", async () => {
    await using server = serve({ port: 0 });
    const { stdout } = await send(server.addr.port, ["-c2", "-i0"]);
    assertMatch(stdout, /\nrtt [^\n]+\n$/);
  });

  it("sends what it is given, and prints the summary alone with -q", async () => {
    await using server = serve({ port: 0 });
    for (const args of [["-s100"], ["-m", "x".repeat(100)]]) {
      const all = ["-qc2", "-i0", ...args];
      const { status, stdout } = await send(server.addr.port, all);
      assertEquals(status, 0);
      assertMatch(stdout, /^--- [^\n]+\n2 sent, [^\n]+\nrtt [^\n]+\n$/);
    }
    assertEquals(server.stats().bytes, 400);
  });

  it("tells a wrong reply, which is no outage", async () => {
    using peer = startSpoiling();
    const args = ["-c3", "-i0", "-mhello"];
    const { status, stdout, stderr } = await send(peer.port, args);
    assertEquals([status, stderr], [1, ""]);
    const lines = stdout.split("\n");
    const address = `127.0.0.1:${peer.port}`;
    assertEquals(
      lines[2],
      `wrong reply from ${address}: seq=2 byte at offset 0 differs, ` +
        "sent 0x68, received 0x69",
    );
    // It connects again.
    assertMatch(lines[3]!, /^Connected to /);
    assertMatch(lines[4]!, /: seq=3 time=/);
    assertEquals(lines[5], `--- ${address} echo statistics ---`);
    assertMatch(
      lines[6]!,
      /^3 sent, 2 verified, 1 lost \(33\.33%\), in [\d.]+ m?s$/,
    );
  });

  it("tells of no reply why there was none", async () => {
    using silent = startPeer(() => Promise.resolve());
    const timedOut = await send(silent.port, ["-c1", "-t100ms"]);
    assertEquals(timedOut.status, 1);
    assertMatch(
      timedOut.stdout,
      /^no reply from [\d.:]+: seq=1 timed out after 100ms$/m,
    );
    using closing = startPeer((conn) =>
      readOnce(conn).then(() => conn.close())
    );
    const closed = await send(closing.port, ["-c1", "-mhello"]);
    assertEquals(closed.status, 1);
    assertMatch(
      closed.stdout,
      /^no reply from [\d.:]+: seq=1 connection closed by server, 0 of 5 B came back$/m,
    );
  });

  it("exits with 1 when too much was under way", async () => {
    const released = Promise.withResolvers<void>();
    using peer = startPeer(async (conn) => {
      await released.promise;
      await changing((bytes) => bytes)(conn);
    });
    // At most 16 MiB are under way at once.
    const args = ["-c3", "-i1ms", "-s10M", "-t1h"];
    const session = run(["ping", `-p${peer.port}`, ...args]);
    await session.listeningForStatus;
    while (!session.stderr.includes(", 2 not sent: ")) {
      session.askStatus();
      await delay(1);
    }
    released.resolve();
    assertEquals(await session.status, 1);
    assertMatch(
      session.stdout,
      /^1 sent, 1 verified, 0 lost, 2 not sent: too many were under way, in /m,
    );
  });

  it("shows what a server of another protocol says", async () => {
    using peer = startPeer(async (conn) => {
      await readOnce(conn);
      await writeAll(conn, encode("220 \x1b[2J ftp\r\n"));
    });
    using web = startPeer(async (conn) => {
      await readOnce(conn);
      await writeAll(conn, encode("HTTP/1.1 400 Bad Request\r\n"));
    });
    const { status, stdout } = await send(web.port, ["-c1"]);
    assertEquals(status, 1);
    assert(stdout.includes(
      `\nwrong reply from 127.0.0.1:${web.port}: seq=1 ` +
        '"HTTP/1.1 400 Bad Request\\r\\n" came back, ' +
        "this is not an echo server\n",
    ));
    // Bytes that would change the terminal are never shown.
    assert(!(await send(peer.port, ["-c1"])).stdout.includes("\x1b"));
  });

  it("finds what comes after the last message", async () => {
    using peer = startSurplus();
    const { status, stdout } = await send(peer.port, ["-c1"]);
    assertEquals(status, 1);
    assert(stdout.includes(
      `\nwrong reply from 127.0.0.1:${peer.port}: after the last message, ` +
        "the reply to message 1 came again\n",
    ));
    assertMatch(
      stdout,
      /^1 sent, 1 verified, 0 lost, more came back than was sent, in /m,
    );
    const { stdout: json } = await send(peer.port, [
      "-c1",
      "--json",
      "-mhello",
    ]);
    const [, surplus, summary] = jsonLines(json);
    assertEquals([surplus.surplus, summary.surplus], [true, 1]);
    assertEquals(surplus.error, `more came back than was sent: "hello"`);
  });

  it("prints JSON lines", async () => {
    await using server = serve({ port: 0 });
    const { port } = server.addr;
    const args = ["-c2", "-i5ms", "-s100", "--json"];
    const { stdout, stderr } = await send(port, args);
    assertEquals(stderr, "");
    const [first, second, summary, ...others] = jsonLines(stdout);
    const address = `127.0.0.1:${port}`;
    const where = {
      ...{ time: TIME, transport: "tcp", address, peer: address },
      local_port: first.local_port,
    };
    assertEquals(
      [first, second, others],
      [
        { ...where, seq: 1, bytes: 100, rtt_ms: first.rtt_ms },
        { ...where, seq: 2, bytes: 100, rtt_ms: second.rtt_ms },
        [],
      ],
    );
    assert(Number.isInteger(first.local_port) && first.local_port > 0);
    const { duration_ms, rtt_ms, jitter_ms, late_ms, ...rest } = summary;
    assertEquals(rest, {
      ...{ ...where, sent: 2, verified: 2, lost: 0, loss_percent: 0 },
      ...{ unsent: 0, unsent_too_many_under_way: 0, unsent_client_late: 0 },
      ...{ surplus: 0, outages: 0, longest_outage_ms: 0 },
      ...{ latest_outages: [], warmed_up: true },
    });
    assert(duration_ms >= Math.max(first.rtt_ms, second.rtt_ms));
    const names = [
      ...["min", "mean", "p50", "p90", "p99", "p99_9", "max", "stddev"],
    ];
    assertEquals([Object.keys(rtt_ms), Object.keys(late_ms)], [names, names]);
    const times = [first.rtt_ms, second.rtt_ms].sort((a, b) => a - b);
    assertEquals([rtt_ms.min, rtt_ms.max], times);
    // Each is rounded to the microsecond.
    assert(Math.abs(jitter_ms - (times[1] - times[0])) < 0.002);

    const again = await send(port, [...args, "--reconnect", "-q"]);
    assertEquals(jsonLines(again.stdout).length, 1);
    const each = await send(port, [...args, "--reconnect"]);
    const [one, two] = jsonLines(each.stdout);
    assertEquals(Object.keys(one), [...Object.keys(first), "connect_ms"]);
    assert(one.local_port !== two.local_port);
  });

  it("prints losses in JSON", async () => {
    using peer = startSpoiling();
    const args = ["-c3", "-i0", "--json", "-mhello"];
    const { status, stdout } = await send(peer.port, args);
    assertEquals(status, 1);
    const [, { age_ms, local_port, ...loss }, , summary] = jsonLines(stdout);
    const address = `127.0.0.1:${peer.port}`;
    assertEquals(loss, {
      ...{
        time: TIME,
        transport: "tcp",
        address,
        peer: address,
        seq: 2,
        lost: "mismatch",
      },
      error: "byte at offset 0 differs, sent 0x68, received 0x69",
    });
    assertEquals([typeof age_ms, typeof local_port], ["number", "number"]);
    const { outages, longest_outage_ms, latest_outages } = summary;
    assertEquals([outages, longest_outage_ms, latest_outages], [0, 0, []]);
  });

  it("tells in JSON that there was no connection", async () => {
    const port = freePort();
    const { status, stdout } = await send(port, ["-c2", "-i1ms", "--json"]);
    assertEquals(status, 1);
    const [first, second, summary] = jsonLines(stdout);
    const loss = {
      ...{
        time: TIME,
        transport: "tcp",
        address: `127.0.0.1:${port}`,
        peer: null,
      },
      ...{ local_port: null, lost: "refused", error: "connection refused" },
    };
    assertEquals(
      [first, second],
      [
        { ...loss, seq: 1, age_ms: first.age_ms },
        { ...loss, seq: 2, age_ms: second.age_ms },
      ],
    );
    assertEquals([summary.lost, summary.loss_percent], [2, 100]);
    assertEquals([summary.peer, summary.rtt_ms], [null, null]);
    assert(summary.longest_outage_ms > 0);
  });

  it("says that the client's first calls count, where they do", async () => {
    await using server = serve({ port: 0 });
    const status = { state: "prompt" } as Deno.PermissionStatus;
    using _ = replace(Deno.permissions, "querySync", () => status);
    const { stdout } = await send(server.addr.port, ["-c1"]);
    assertMatch(stdout, /\nthe first calls of the client are in this\n$/);
    const { stdout: json } = await send(server.addr.port, ["-qc1", "--json"]);
    assertEquals(JSON.parse(json).warmed_up, false);
  });

  it("keeps trying to make the first connection with --retry", async () => {
    const port = freePort();
    const sending = send(port, ["-c1", "--retry=1m"]);
    // The first attempt, at least, is refused.
    await delay(50);
    await using _ = serve({ port });
    const { status, stdout } = await sending;
    assertEquals(status, 0);
    assertMatch(stdout, /^1 sent, 1 verified, 0 lost/m);
  });

  it("ends quietly when stdout is closed, by what it verified", async () => {
    await using server = serve({ port: 0 });
    const { port } = server.addr;
    const args = ["-c0", "-i0"];
    assertEquals(await send(freePort(), args, { stdout: CLOSED_STDOUT }), {
      ...{ status: 1, stdout: "", stderr: "" },
    });
    let lines = 0;
    const stdout = {
      write: (p: Uint8Array) =>
        ++lines <= 3
          ? Promise.resolve(p.length)
          : Promise.reject(new OutputClosedError("closed")),
    };
    const { status, stderr } = await send(port, args, { stdout });
    assertEquals([status, stderr], [0, ""]);
    // One that fails, and the summary.
    assertEquals(lines, 5);
  });

  it("prints the summary on stderr when Ctrl-C ended the reader too", async () => {
    await using server = serve({ port: 0 });
    let lines = 0;
    const stdout = {
      write(p: Uint8Array): Promise<number> {
        if (++lines < 3) return Promise.resolve(p.length);
        if (lines === 3) session.interrupt();
        return Promise.reject(new OutputClosedError("closed"));
      },
    };
    const args = ["ping", `-p${server.addr.port}`, "-c0", "-i0"];
    const session = run(args, { stdout });
    const { status, stderr } = await outcome(session);
    assertEquals(status, 0);
    assertMatch(stderr, /^--- 127\.0\.0\.1:\d+ echo statistics ---\n\d+ sent/);
  });

  it("fails when stdout is full", async () => {
    await using server = serve({ port: 0 });
    const { port } = server.addr;
    const stdout = { write: () => Promise.reject(new Error("full")) };
    for (const args of [["-c0"], ["-qc1"]]) {
      assertEquals(await send(port, args, { stdout }), {
        ...{ status: 1, stdout: "", stderr: "echo: full\n" },
      });
    }
  });
});
