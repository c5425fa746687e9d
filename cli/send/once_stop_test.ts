import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { writeAll } from "../../net/streams.ts";
import { stopClock } from "../../testing/clock.ts";
import { freePort, patternOf, startPeer } from "../../testing/peer.ts";
import { deadEnd } from "../../testing/socket.ts";
import { outcome, run, type RunOptions } from "../../testing/terminal.ts";
import { readExactly } from "../../testing/visitor.ts";

/**
 * Starts a server that reads bytes, says so, echoes the first of them, and all the
 * rest when it is told to.
 */
function startHolding(bytes: number, echoed = 0) {
  const received = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  let localPort = 0;
  const peer = startPeer(async (conn) => {
    localPort = conn.remoteAddr.port;
    const message = await readExactly(conn, bytes);
    received.resolve();
    await writeAll(conn, message.subarray(0, echoed));
    await released.promise;
    await writeAll(conn, message.subarray(echoed));
    conn.close();
  });
  return {
    port: peer.port,
    get localPort() {
      return localPort;
    },
    received: received.promise,
    release: () => released.resolve(),
    [Symbol.dispose]: () => peer[Symbol.dispose](),
  };
}

function start(port: number, args: string[], options?: RunOptions) {
  return run(["send", `-p${port}`, ...args], options);
}

describe("echo send at Ctrl-C", () => {
  it("says how far a stream came, and exits with 130", async () => {
    for (const args of [["-s1k"], ["-s1k", "-q"], ["-"]]) {
      using peer = startHolding(1024);
      const session = start(peer.port, args, { stdin: patternOf(1024) });
      await peer.received;
      session.interrupt();
      assertEquals(await outcome(session), {
        ...{ status: 130, stdout: "" },
        stderr: "echo: interrupted, 0 B of the 1 KiB sent so far came back, " +
          "all verified\n",
      });
    }
  });

  it("counts what came back until then", async () => {
    using peer = startHolding(1024, 100);
    const session = start(peer.port, ["-s1k"], { isTerminal: "stderr" });
    await session.untilStderr(/\r100 B verified/);
    session.interrupt();
    const { status, stderr } = await outcome(session);
    assertEquals(status, 130);
    assertMatch(
      stderr,
      /\r +\recho: interrupted, 100 B of the 1 KiB sent so far came back, all verified\n$/,
    );
  });

  it("says so in JSON, too", async () => {
    using peer = startHolding(1024);
    const session = start(peer.port, ["-s1k", "--json"]);
    await peer.received;
    session.interrupt();
    const { status, stdout, stderr } = await outcome(session);
    const error = "interrupted, 0 B of the 1 KiB sent so far came back, " +
      "all verified";
    assertEquals([status, stderr], [130, `echo: ${error}\n`]);
    const address = `127.0.0.1:${peer.port}`;
    assertEquals(JSON.parse(stdout), {
      ...{
        time: "2001-02-03T04:05:06.789Z",
        transport: "tcp",
        address,
        peer: address,
      },
      ...{ local_port: peer.localPort, verified: false, error },
    });
  });

  it("says no more of a message", async () => {
    using peer = startHolding(5);
    const session = start(peer.port, ["hello"]);
    await peer.received;
    session.interrupt();
    assertEquals(await outcome(session), {
      ...{ status: 130, stdout: "", stderr: "echo: interrupted\n" },
    });
  });

  it("gives up connecting", async () => {
    using nowhere = await deadEnd();
    const session = start(nowhere.port, ["-t1h", "--json", "hello"]);
    await session.listening;
    session.interrupt();
    const { status, stdout, stderr } = await outcome(session);
    assertEquals([status, stderr], [130, "echo: interrupted\n"]);
    const { peer, local_port, error } = JSON.parse(stdout);
    assertEquals([peer, local_port, error], [null, null, "interrupted"]);
  });

  it("gives up trying again to connect", async () => {
    const session = start(freePort(), ["--retry=1h", "hello"]);
    await session.listening;
    session.interrupt();
    assertEquals(await outcome(session), {
      ...{ status: 130, stdout: "", stderr: "echo: interrupted\n" },
    });
  });

  it("ends at the second one when its reader stalls", async () => {
    using peer = startHolding(5, 5);
    const blocked = Promise.withResolvers<void>();
    const stdout = {
      write() {
        blocked.resolve();
        return new Promise<number>(() => {});
      },
    };
    const session = start(peer.port, ["-"], { stdin: patternOf(5), stdout });
    await blocked.promise;
    session.interrupt();
    session.interrupt();
    assertEquals(await session.status, 130);
  });
});

describe("echo send --deadline", () => {
  it("ends with 1, and says how far it came", async () => {
    const streamed = ", 0 B of the 5 B sent so far came back, all verified";
    for (
      const [args, howFar] of [
        ...[[["hello"], ""], [["-s5"], streamed], [["-"], streamed]] as const,
      ]
    ) {
      using clock = stopClock();
      using peer = startHolding(5);
      const stdin = patternOf(5);
      const session = start(peer.port, ["-w2s", ...args], { stdin });
      await peer.received;
      clock.passAtOnce(2000);
      assertEquals(await outcome(session), {
        ...{ status: 1, stdout: "" },
        stderr: `echo: the deadline of 2s is over${howFar}\n`,
      });
    }
  });

  it("says so in JSON, too", async () => {
    using clock = stopClock();
    using peer = startHolding(5);
    const session = start(peer.port, ["-w2s", "--json", "hello"]);
    await peer.received;
    clock.passAtOnce(2000);
    const { status, stdout, stderr } = await outcome(session);
    const { verified, error } = JSON.parse(stdout);
    assertEquals([status, verified], [1, false]);
    assertEquals(error, "the deadline of 2s is over");
    assertEquals(stderr, `echo: ${error}\n`);
  });

  it("gives up connecting", async () => {
    using clock = stopClock();
    using nowhere = await deadEnd();
    const session = start(nowhere.port, ["-t1h", "-w2s", "hello"]);
    await session.listening;
    clock.passAtOnce(2000);
    assertEquals(await outcome(session), {
      ...{ status: 1, stdout: "" },
      stderr: "echo: the deadline of 2s is over\n",
    });
  });

  it("changes nothing before it is over", async () => {
    using clock = stopClock();
    using peer = startHolding(5);
    const session = start(peer.port, ["-w2s", "-q", "hello"]);
    await peer.received;
    clock.passAtOnce(1999);
    peer.release();
    assertEquals(await outcome(session), {
      ...{ status: 0, stdout: "hello\n", stderr: "" },
    });
  });
});

describe("the progress of echo send", () => {
  /** Returns what stderr shows while all but 100 B are out. */
  async function progressOf(args: string[], isTerminal: boolean | "stderr") {
    using peer = startHolding(1024, 100);
    const stdin = patternOf(1024);
    const session = start(peer.port, args, { stdin, isTerminal });
    await session.untilStderr(/100 B/);
    peer.release();
    await session.status;
    return session.stderr;
  }

  it("tells how much of --size came back, how fast, how long yet", async () => {
    for (const isTerminal of ["stderr", true] as const) {
      for (const args of [["-s1k"], ["-s1k", "--json"]]) {
        const stderr = await progressOf(args, isTerminal);
        assertMatch(
          stderr,
          /^(\r[^\r]* verified, [\d.]+ \w+\/s(, [\d.]+ m?s left)? *)+\r +\r$/,
        );
        assertMatch(stderr, /\r100 B verified, [\d.]+ B\/s, [\d.]+ m?s left/);
      }
    }
  });

  it("tells of stdin how much came back, and how fast", async () => {
    for (const args of [["-"], ["-", "--json"]]) {
      const stderr = await progressOf(args, "stderr");
      assertMatch(stderr, /\r100 B verified, [\d.]+ B\/s *\r/);
    }
    // What is typed and what comes back share the terminal, unless it is JSON.
    await progressOf(["-", "--json"], true);
  });

  it("is not shown anywhere else", async () => {
    const silent: [args: string[], isTerminal: boolean | "stderr"][] = [
      [["-s1k"], false],
      [["-"], false],
      [["-"], true],
      [["-s1k", "-q"], true],
      [["-", "-q"], "stderr"],
      [["x".repeat(1024)], true],
      [["x".repeat(1024)], "stderr"],
      [["x".repeat(1024), "--json"], true],
    ];
    for (const [args, isTerminal] of silent) {
      using clock = stopClock();
      using peer = startHolding(1024);
      const stdin = patternOf(1024);
      const session = start(peer.port, args, { stdin, isTerminal });
      await peer.received;
      clock.passAtOnce(1000);
      peer.release();
      const { status, stderr } = await outcome(session);
      assertEquals(status, 0);
      assert(!stderr.includes("\r"), stderr);
    }
  });
});
