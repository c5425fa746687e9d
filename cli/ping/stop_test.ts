import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { writeAll } from "../../net/streams.ts";
import { serve } from "../../server.ts";
import { freePort, startPeer } from "../../testing/peer.ts";
import { changing, deadEnd, readOnce } from "../../testing/socket.ts";
import { outcome, run, type RunOptions } from "../../testing/terminal.ts";

function start(port: number, args: string[], options?: RunOptions) {
  return run(["ping", `-p${port}`, ...args], options);
}

/** Runs `echo send` to its end. */
function send(port: number, args: string[], options?: RunOptions) {
  return outcome(start(port, args, options));
}

/** Starts a server that never answers, and says when it was asked. */
function startSilent() {
  const asked = Promise.withResolvers<unknown>();
  const peer = startPeer((conn) => readOnce(conn).then(asked.resolve));
  return {
    port: peer.port,
    asked: asked.promise,
    [Symbol.dispose]: () => peer[Symbol.dispose](),
  };
}

describe("echo ping at Ctrl-C", () => {
  it("sums up, and exits by what it found", async () => {
    await using server = serve({ port: 0 });
    const args = ["-c0", "-i0", "--reconnect"];
    const session = start(server.addr.port, args);
    await session.untilStdout(/seq=5 time=.* connect=/);
    session.interrupt();
    const { status, stdout, stderr } = await outcome(session);
    assertEquals([status, stderr], [0, ""]);
    const [, sent, verified] =
      stdout.match(/^(\d+) sent, (\d+) verified, 0 lost, in /m) ?? [];
    assert(Number(sent) >= 5);
    assertEquals(sent, verified);
    assert(!stdout.includes("\n\n"));
  });

  it("begins a line of its own on a terminal", async () => {
    await using server = serve({ port: 0 });
    for (
      const [args, isTerminal, isApart] of [
        ...[[[], true, true], [["-q"], true, true]] as const,
        ...[[[], "stderr", true], [["--json"], false, false]] as const,
      ]
    ) {
      const all = ["-c0", "-i0", ...args];
      const session = start(server.addr.port, all, { isTerminal });
      if (args[0] === "-q") await session.listeningForStatus;
      else await session.untilStdout(/seq"?[=:]2/);
      session.interrupt();
      await session.status;
      assertEquals(session.stderr, isApart ? "\n" : "");
    }
  });

  it("does not do so when it ends by itself", async () => {
    await using server = serve({ port: 0 });
    const args = ["-c2", "-i0"];
    const { stdout } = await send(server.addr.port, args, { isTerminal: true });
    assertMatch(stdout, /seq=2 [^\n]+\n--- /);
  });

  it("tells what a silent server did not answer, and exits with 1", async () => {
    using peer = startSilent();
    const session = start(peer.port, ["-c0"]);
    await peer.asked;
    session.interrupt();
    const { status, stdout } = await outcome(session);
    assertEquals(status, 1);
    assertMatch(
      stdout,
      /^no reply from [\d.:]+: seq=1 unanswered after [\d.]+ m?s$/m,
    );
    assertMatch(
      stdout,
      /^1 sent, 0 verified, 1 lost \(100%\), longest outage .*\noutage from .* 1 message, unanswered$/m,
    );
  });

  it("tells so in JSON, too", async () => {
    using peer = startSilent();
    const session = start(peer.port, ["-c0", "--json"]);
    await peer.asked;
    session.interrupt();
    assertEquals(await session.status, 1);
    const [loss, summary, ...others] = session.stdout.trimEnd().split("\n")
      .map((line) => JSON.parse(line));
    assertEquals([loss.seq, loss.lost, others], [1, "unanswered", []]);
    assertEquals(
      [summary.sent, summary.verified, summary.lost, summary.loss_percent],
      [1, 0, 1, 100],
    );
    assertEquals([summary.rtt_ms, summary.jitter_ms], [null, null]);
  });

  it("gives up connecting", async () => {
    using nowhere = await deadEnd();
    const ports = [
      [nowhere.port, "-t1h", /: seq=1 unanswered after/],
      // That is known from the first attempt on, if it is over by then.
      [freePort(), "--retry=1h", /: seq=1 (connection refused|unanswered)/],
    ] as const;
    for (const [port, flag, why] of ports) {
      const session = start(port, ["-c0", flag]);
      await session.listeningForStatus;
      session.interrupt();
      const { status, stdout } = await outcome(session);
      assertEquals(status, 1);
      assertMatch(stdout, /^1 sent, 0 verified, 1 lost \(100%\)/m);
      assertMatch(stdout, why);
    }
  });

  it("sends nothing when it comes before", async () => {
    await using server = serve({ port: 0 });
    for (const json of [false, true]) {
      const args = json ? ["-c0", "--json"] : ["-c0"];
      const session = start(server.addr.port, args);
      await session.listening;
      session.interrupt();
      const { status, stdout, stderr } = await outcome(session);
      assertEquals(
        [status, stderr],
        [1, "echo: interrupted before anything was sent\n"],
      );
      if (json) {
        const { sent, verified, warmed_up } = JSON.parse(stdout);
        assertEquals([sent, verified, warmed_up], [0, 0, false]);
      } else {
        assertMatch(stdout, /^0 sent, 0 verified, 0 lost, in .*$/m);
      }
    }
    assertEquals(server.stats().accepted, 0);
  });

  it("ends at the second one when its reader stalls", async () => {
    await using server = serve({ port: 0, drainTimeoutMs: 0 });
    const blocked = Promise.withResolvers<void>();
    const stdout = {
      write() {
        blocked.resolve();
        return new Promise<number>(() => {});
      },
    };
    const session = start(server.addr.port, ["-c0", "-i0"], { stdout });
    await blocked.promise;
    session.interrupt();
    session.interrupt();
    assertEquals(await session.status, 130);
  });
});

describe("echo ping --deadline", () => {
  it("ends it with the summary", async () => {
    await using server = serve({ port: 0 });
    const args = ["-c0", "-i10ms", "-w1s"];
    const options = { isTerminal: true };
    const { status, stdout } = await send(server.addr.port, args, options);
    assertEquals(status, 0);
    assertMatch(stdout, /^\d+ sent, \d+ verified, 0 lost, in /m);
    // No Ctrl-C shows, after which a line would have to end.
    assert(!stdout.includes("\n\n"));
  });

  it("waits no longer for a silent server", async () => {
    using peer = startSilent();
    const args = ["-c1", "-t1h", "-w1s", "-q"];
    const { status, stdout } = await send(peer.port, args);
    assertEquals(status, 1);
    assertMatch(
      stdout,
      /^1 sent, 0 verified, 1 lost .*\noutage .*unanswered$/m,
    );
  });
});

describe("echo ping at Ctrl-\\", () => {
  it("shows the summary so far on stderr, and goes on", async () => {
    await using server = serve({ port: 0 });
    for (const isTerminal of [false, true]) {
      const args = ["-c0", "-i1ms"];
      const session = start(server.addr.port, args, { isTerminal });
      await session.untilStdout(/seq=3 /);
      session.askStatus();
      const [summary] = await session.untilStderr(
        /^\n?--- .* echo statistics ---\n\d+ sent, (\d+) verified, 0 lost, .*\nrtt .*\nsent late: .*\n$/,
      );
      assertEquals(summary.startsWith("\n"), isTerminal);
      const verified = Number(summary.match(/(\d+) verified/)?.[1]);
      assert(verified >= 2);
      assert(!session.stdout.includes("statistics"));
      await session.untilStdout(RegExp(`seq=${verified + 3} `));
      session.interrupt();
      assertEquals(await session.status, 0);
      assertMatch(session.stdout, / echo statistics ---\n/);
      assertEquals(session.stderr, summary + (isTerminal ? "\n" : ""));
    }
  });

  it("tells what is under way", async () => {
    using peer = startSilent();
    const session = start(peer.port, ["-c1", "-t1h"]);
    await peer.asked;
    session.askStatus();
    await session.untilStderr(
      /^1 sent, 0 verified, 0 lost, 1 under way, in [\d.]+ m?s$/m,
    );
    session.interrupt();
    await session.status;
  });
});

describe("echo ping on a terminal", () => {
  /** Returns the only line of a run that tells of a loss, or has colors. */
  async function lossOf(args: string[], options: RunOptions) {
    let messages = 0;
    using peer = startPeer(changing((bytes) => {
      if (++messages === 2) bytes[0]! ^= 1;
      return bytes;
    }));
    const all = ["-c3", "-i0", ...args, "-mhello"];
    const { stdout } = await send(peer.port, all, options);
    const [loss, ...others] = stdout.split("\n")
      .filter((line) => line.includes("wrong") || line.includes("\x1b"));
    assertEquals(others, []);
    return loss!;
  }

  const plain = /^wrong reply from .* seq=2 .*0x69$/;

  it("shows losses in red, and nothing else", async () => {
    assertMatch(
      await lossOf([], { isTerminal: true }),
      // deno-lint-ignore no-control-regex -- these are the colors
      /^\x1b\[31mwrong reply from .* seq=2 .*0x69\x1b\[39m$/,
    );
    const timed = await lossOf(["--timestamps"], { isTerminal: true });
    // deno-lint-ignore no-control-regex -- these are the colors
    assertMatch(timed, /^2001-\S+Z \x1b\[31mwrong reply .*\x1b\[39m$/);
  });

  it("shows what comes after the last message in red, too", async () => {
    using peer = startPeer(async (conn) => {
      await writeAll(conn, await readOnce(conn));
      await readOnce(conn);
      await writeAll(conn, new Uint8Array(1));
      conn.close();
    });
    const session = start(peer.port, ["-c1"], { isTerminal: true });
    assertEquals(await session.status, 1);
    const red = "\n\x1b[31mwrong reply from ";
    assert(session.stdout.includes(red), session.stdout);
  });

  it("shows no colors with --no-color, nor where the terminal has none", async () => {
    assertMatch(await lossOf(["--no-color"], { isTerminal: true }), plain);
    const options = { isTerminal: true, hasColor: false };
    assertMatch(await lossOf([], options), plain);
  });

  it("shows no colors where stdout is no terminal", async () => {
    assertMatch(await lossOf([], { isTerminal: "stderr" }), plain);
    assertMatch(await lossOf([], {}), plain);
  });
});

describe("echo ping --timestamps", () => {
  it("begins each line with the time, but not the summary", async () => {
    await using server = serve({ port: 0 });
    const args = ["-c2", "-i0", "--timestamps"];
    const { stdout } = await send(server.addr.port, args);
    const [events, summary] = stdout.split("--- 127");
    const lines = events!.trimEnd().split("\n");
    assertEquals(
      lines.map((line) => line.replace(/ in .*| time=.*/, "")),
      [
        `2001-02-03T04:05:06.789Z Connected to 127.0.0.1:${server.addr.port}`,
        ...[1, 2].map((seq) =>
          `2001-02-03T04:05:06.789Z 64 B from 127.0.0.1:${server.addr.port}: ` +
          `seq=${seq}`
        ),
      ],
    );
    assert(!summary!.includes("2001"));
  });
});

describe("echo ping --reconnect", () => {
  it("says once why it is slow", async () => {
    // It keeps its side open, as a server does that does not know half-close.
    using peer = startPeer(async (conn) => {
      for (let bytes; (bytes = await readOnce(conn)).length > 0;) {
        await writeAll(conn, bytes);
      }
    });
    const why = "echo: the server keeps its side of a connection open: " +
      "the client waits a second for the end of each\n";
    const args = ["-c2", "-i0", "--reconnect"];
    const { status, stderr } = await send(peer.port, args);
    assertEquals([status, stderr], [0, why]);
    assertEquals((await send(peer.port, [...args, "-q"])).stderr, "");
  });

  it("says nothing where the server ends its side", async () => {
    await using server = serve({ port: 0 });
    const args = ["-c2", "-i0", "--reconnect"];
    assertEquals((await send(server.addr.port, args)).stderr, "");
    assertEquals(server.stats().accepted, 2);
  });
});

describe("echo ping --fail-if", () => {
  it("exits with 3, and tells which conditions held", async () => {
    await using server = serve({ port: 0 });
    const args = [
      ...["-c2", "-i0", "--fail-if=max>=0ms", "--fail-if=loss>0"],
      ...["--fail-if", "rate < 10M"],
    ];
    const { status, stdout, stderr } = await send(server.addr.port, args);
    assertEquals(status, 3);
    assertMatch(
      stderr,
      /^echo: max>=0ms: it was [\d.]+ ms\necho: rate < 10M: it was [\d.,]+ messages\/s\n$/,
    );
    assertMatch(stdout, /^2 sent, 2 verified, 0 lost/m);
  });

  it("tells them in JSON, too", async () => {
    await using server = serve({ port: 0 });
    const args = ["-qc2", "-i0", "--json"];
    const failedOf = async (...conditions: string[]) => {
      const all = [...args, ...conditions.map((text) => `--fail-if=${text}`)];
      const { status, stdout } = await send(server.addr.port, all);
      return [status, JSON.parse(stdout).failed_conditions];
    };
    assertEquals(await failedOf("loss<=0", "loss>0"), [
      3,
      [{ condition: "loss<=0", value: 0 }],
    ]);
    assertEquals(await failedOf("loss>0"), [0, []]);
    assertEquals(await failedOf(), [0, undefined]);
  });

  it("knows the rate and the longest outage", async () => {
    await using server = serve({ port: 0 });
    // Two messages within more than a second are fewer than two a second.
    const slow = ["-qc2", "-i1.1s", "--fail-if=rate<2", "--fail-if=outage>0"];
    const { stderr } = await send(server.addr.port, slow);
    assertMatch(stderr, /^echo: rate<2: it was [\d.]+ messages\/s\n$/);
    const out = await send(freePort(), ["-qc1", "--fail-if=outage>0ms"]);
    assertMatch(out.stderr, /^echo: outage>0ms: it was [\d.]+ ms\n$/);
  });

  it("exits with 1 when something else was wrong", async () => {
    const args = ["-c2", "-i0", "--fail-if=loss>50%", "--fail-if=outage>1h"];
    const { status, stderr } = await send(freePort(), args);
    assertEquals([status, stderr], [1, "echo: loss>50%: it was 100%\n"]);
  });
});
