import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import type { LoadProgress } from "../../probe/load.ts";
import type { TimelineRow } from "../../probe/timeline.ts";
import { serve } from "../../server.ts";
import { freePort, startPeer } from "../../testing/peer.ts";
import { changing, deadEnd, readOnce } from "../../testing/socket.ts";
import { outcome, run, type RunOptions } from "../../testing/terminal.ts";
import { renderProgress } from "./run.ts";

/** Starts `echo send`. */
function start(port: number, args: string[], options?: RunOptions) {
  return run(["load", `-p${port}`, ...args], options);
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

const ON_STDERR: RunOptions = { isTerminal: "stderr" };

describe("echo load at Ctrl-C", () => {
  it("reports", async () => {
    await using server = serve({ port: 0 });
    const session = start(server.addr.port, ["-C2", "-d1h"]);
    while (server.stats().bytes < 10_000) await delay(1);
    session.interrupt();
    const { status, stdout, stderr } = await outcome(session);
    assertEquals([status, stderr], [0, ""]);
    assertMatch(stdout, /messages of 64 B verified, 0 failed/);
  });

  it("tells what a silent server did not answer, and exits with 1", async () => {
    for (const args of [["-d1h"], ["-d1h", "-r5"]]) {
      using peer = startSilent();
      const session = start(peer.port, [...args, "--json"]);
      await peer.asked;
      session.interrupt();
      assertEquals(await session.status, 1);
      const report = JSON.parse(session.stdout);
      assertEquals([report.messages, report.latency_ms], [0, null]);
      assertEquals(Object.keys(report.failures), ["unanswered"]);
    }
  });

  it("sends nothing when it comes before", async () => {
    await using server = serve({ port: 0 });
    for (const json of [false, true]) {
      const args = json ? ["-C2", "-r5", "--json"] : ["-C2"];
      const session = start(server.addr.port, args);
      await session.listening;
      session.interrupt();
      const { status, stdout, stderr } = await outcome(session);
      assertEquals(
        [status, stderr],
        [1, "echo: interrupted before anything was sent\n"],
      );
      if (json) {
        const { messages, connections, start, warmed_up } = JSON.parse(stdout);
        assertEquals([messages, connections, start], [0, 2, null]);
        assertEquals(warmed_up, false);
      } else assertMatch(stdout, /^stopped before the load began: /m);
    }
    assertEquals(server.stats().accepted, 0);
  });

  it("gives up connecting, and exits with 1", async () => {
    using nowhere = await deadEnd();
    const ports = [
      [nowhere.port, "-t1h", /^failed: 1 unanswered, /m],
      // That is known from the first attempt on, if it is over by then.
      [freePort(), "--retry=1h", /^failed: 1 (refused|unanswered), /m],
    ] as const;
    for (const [port, flag, why] of ports) {
      const session = start(port, ["-d1h", flag]);
      await session.listeningForStatus;
      session.interrupt();
      const { status, stdout, stderr } = await outcome(session);
      assertEquals([status, stderr], [1, ""]);
      assertMatch(stdout, /^stopped before the load began: /m);
      assertMatch(stdout, why);
    }
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
    const session = start(server.addr.port, ["-d50ms"], { stdout });
    await blocked.promise;
    session.interrupt();
    session.interrupt();
    assertEquals(await session.status, 130);
  });
});

describe("echo load and --deadline", () => {
  it("ends with a report, of the time until then", async () => {
    await using server = serve({ port: 0 });
    const session = start(server.addr.port, ["-d1h", "-w1s"]);
    assertEquals(await session.status, 0);
    assertMatch(session.stdout, /verified, 0 failed, over 1 connection in \d/);
  });
});

describe("echo load at Ctrl-\\", () => {
  it("shows the report so far on stderr, and goes on", async () => {
    await using server = serve({ port: 0 });
    for (const args of [["-d1h"], ["-d1h", "-r1000"]]) {
      const session = start(server.addr.port, args);
      const before = server.stats().bytes;
      while (server.stats().bytes < before + 10_000) await delay(1);
      session.askStatus();
      const [, sofar] = await session.untilStderr(
        /^--- .* echo load ---\n([\d,]+) messages of 64 B verified, 0 failed.*\n(.*\n)*?latency .*\n/,
      );
      const { bytes } = server.stats();
      while (server.stats().bytes === bytes) await delay(1);
      session.interrupt();
      const { status, stdout } = await outcome(session);
      assertEquals(status, 0);
      const [, all] = stdout.match(/^([\d,]+) messages of 64 B/m) ?? [];
      const numberOf = (text = "") => Number(text.replaceAll(",", ""));
      assert(numberOf(sofar) > 100, sofar);
      assert(numberOf(all) > numberOf(sofar), `${all}, ${sofar}`);
    }
  });

  it("begins a line of its own on a terminal", async () => {
    using peer = startSilent();
    const session = start(peer.port, ["-d1h", "-q"], { isTerminal: true });
    await peer.asked;
    session.askStatus();
    await session.untilStderr(/^\n--- .* echo load ---\n0 messages of 64 B/);
    session.interrupt();
    await session.status;
  });
});

describe("the progress of a load", () => {
  it("tells of the last second, and is wiped out", async () => {
    await using server = serve({ port: 0 });
    const session = start(server.addr.port, ["-d1h"], ON_STDERR);
    await session.untilStderr(
      /\r[1-9][\d.]* s: [\d,]+ messages\/s, p99 [\d.]+ ms, 0 failed, .* left/,
    );
    session.interrupt();
    const { stderr } = await outcome(session);
    assertMatch(stderr, / left *\n\r +\r$/);
    assert(!stderr.includes("\x1b"));
  });

  it("tells what is out, and for how long", async () => {
    for (const args of [["-C2", "-d1h"], ["-d1h", "-r0.1"]]) {
      using peer = startSilent();
      const session = start(peer.port, [...args, "-t1h"], ON_STDERR);
      const [, out] = await session.untilStderr(
        /: [^\r]*0 failed, (\d) out, the oldest for \d+ ms, /,
      );
      assertEquals(out, args[0] === "-C2" ? "2" : "1");
      session.interrupt();
      await session.status;
    }
  });

  it("tells how many connections are open, before the clock starts", async () => {
    const hostname = "127.0.0.1";
    using listener = Deno.listen({ hostname, port: 0, tcpBacklog: 1 });
    const { port } = listener.addr;
    // The queue has room for two connections: one more is made, the next waits.
    using _queued = await Deno.connect({ hostname, port });
    const session = start(port, ["-C2", "-d1h", "-t1h"], ON_STDERR);
    await session.untilStderr(/\ropening connections: 1 of 2\b/);
    session.interrupt();
    assertEquals(await session.status, 1);
  });

  it("is cut to the width of the terminal", async () => {
    using peer = startSilent();
    const options: RunOptions = { isTerminal: true, columns: 20 };
    const session = start(peer.port, ["-d1h", "-t1h"], options);
    const [, line] = await session.untilStderr(/\r(\d[^\r]*)\r/);
    assertEquals(line?.length, 19);
    session.interrupt();
    await session.status;
  });

  it("is not shown with -q, nor without a terminal", async () => {
    using peer = startPeer(changing((bytes) => bytes));
    for (const [args, options] of [[["-q"], ON_STDERR], [[], {}]] as const) {
      const all = ["-d400ms", "-r20", ...args];
      assertEquals((await outcome(start(peer.port, all, options))).stderr, "");
    }
  });
});

describe("renderProgress()", () => {
  const ROW: TimelineRow = {
    ...{ startMs: 0, durationMs: 500, messages: 25_000, failed: 0 },
    ...{ p50Ms: 0.1, p99Ms: 0.25 },
  };

  /** Renders the progress after two seconds of ten. */
  const render = (
    row: Partial<TimelineRow>,
    underWay: { messages: number; sinceAt: number | undefined },
    failed = 0,
    now = 3000,
  ) =>
    renderProgress(
      {
        ...{ startedAt: 1000, endsAt: 11_000, failed },
        lastSecond: () => ({ ...ROW, ...row }),
        underWayNow: () => underWay,
        summary: () => {
          throw new Error("not needed");
        },
      } satisfies LoadProgress,
      now,
    );

  const idle = { messages: 0, sinceAt: undefined };

  it("tells the rate and the latency of the last row", () => {
    assertEquals(
      render({}, idle, 1234),
      "2.00 s: 50,000 messages/s, p99 0.25 ms, 1,234 failed, 8.00 s left",
    );
    assertEquals(
      render({ messages: 0, p99Ms: undefined }, idle),
      "2.00 s: 0 messages/s, 0 failed, 8.00 s left",
    );
  });

  it("tells what is out once it is old", () => {
    const out = (sinceAt: number) => render({}, { messages: 2000, sinceAt });
    const [rate, end] = ["2.00 s: 50,000 messages/s, p99 0.25 ms, 0 failed", [
      ", 8.00 s left",
    ]];
    assertEquals(out(2901), `${rate}${end}`);
    assertEquals(out(2900), `${rate}, 2,000 out, the oldest for 100 ms${end}`);
    assertEquals(out(1000), `${rate}, 2,000 out, the oldest for 2.00 s${end}`);
  });

  it("tells of no time left when it is over", () => {
    assertEquals(
      render({}, idle, 0, 11_000),
      "10.00 s: 50,000 messages/s, p99 0.25 ms, 0 failed",
    );
  });
});
