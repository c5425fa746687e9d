import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertGreaterOrEqual,
  assertMatch,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { serve } from "../../server.ts";
import { freePort, startPeer } from "../../testing/peer.ts";
import { changing } from "../../testing/socket.ts";
import { CLOSED_STDOUT, run, type RunOptions } from "../../testing/terminal.ts";
import { processTerminal, type Terminal } from "../terminal.ts";
import { type LoadTask, runLoad } from "./load.ts";
import type { Style, Target } from "./options.ts";

const LOUD: Style = { json: false, quiet: false };

/** What runLoad() takes to send 5 B over a connection. */
function loadOf(
  port: number,
  options: Pick<LoadTask, "durationMs" | "ratePerSecond">,
): [Target, LoadTask] {
  return [
    { hostname: "127.0.0.1", port, timeoutMs: 5000, retryMs: 0 },
    { message: new Uint8Array(5), connections: 1, ...options },
  ];
}

/** A narrow terminal that keeps what is written, and has a Ctrl-C to press. */
function narrowTerminal() {
  const written = { stdout: "", stderr: "" };
  const writerOf = (name: keyof typeof written) => ({
    write(p: Uint8Array) {
      written[name] += new TextDecoder().decode(p);
      return Promise.resolve(p.length);
    },
  });
  let interrupt = () => {};
  const terminal: Terminal = {
    ...processTerminal(),
    stdout: writerOf("stdout"),
    stderr: writerOf("stderr"),
    isStderrTerminal: true,
    columns: 20,
    onStopSignal(listener) {
      interrupt = listener;
      return { [Symbol.dispose]: () => {} };
    },
  };
  return { terminal, written, interrupt: () => interrupt() };
}

/** Starts `echo send`. */
function start(port: number, args: string[], options?: RunOptions) {
  return run(["send", `-p${port}`, ...args], options);
}

/** Runs `echo send` to its end. */
async function send(port: number, args: string[], options?: RunOptions) {
  const session = start(port, args, options);
  const status = await session.status;
  return { status, stdout: session.stdout, stderr: session.stderr };
}

describe("echo send with load flags", () => {
  it("reports, and shows no progress without a terminal", async () => {
    await using server = serve({ port: 0 });
    const { port } = server.addr;
    const { status, stdout, stderr } = await send(port, ["-C3", "-d300ms"]);
    assertEquals([status, stderr], [0, ""]);
    assertMatch(
      stdout,
      new RegExp(
        `^--- 127.0.0.1:${port} echo load ---\n` +
          "[\\d,]+ messages of 37 B verified, 0 failed, " +
          "over 3 connections in [\\d.]+ m?s\n" +
          "[\\d,]+ messages/s, [\\d.]+ \\w+/s each way\n" +
          "latency p50/p90/p99/p99.9/max = ([\\d.]+/){4}[\\d.]+ ms\n" +
          "(<= +[\\d.]+ ms +[\\d,]+( #+)?\n)+$",
      ),
    );
    assertEquals(server.stats.accepted, 3);
  });

  it("shows progress on a terminal, cut to its width, and wipes it", async () => {
    await using server = serve({ port: 0 });
    const { port } = server.addr;
    const load = loadOf(port, { durationMs: 700, ratePerSecond: 10 });
    const { terminal, written } = narrowTerminal();
    await runLoad(...load, LOUD, terminal);
    const lines = written.stderr.split("\x1b[K");
    assertEquals(lines.splice(-2), ["\r", ""]);
    assert(lines.length >= 1);
    for (const line of lines) {
      assertMatch(line, /^\r[\d.]+ m?s: \d/);
      assertEquals(line.length, 20);
    }
    written.stderr = "";
    await runLoad(...load, { json: false, quiet: true }, terminal);
    assertEquals(written.stderr, "");
  });

  it("prints one object with --json", async () => {
    await using server = serve({ port: 0 });
    const args = ["-C2", "-d200ms", "--json", "-s1k"];
    const { status, stdout } = await send(server.addr.port, args);
    assertEquals(status, 0);
    const report = JSON.parse(stdout);
    const { messages, messages_per_second, bytes_per_second } = report;
    const { duration_ms, latency_ms, histogram, ...rest } = report;
    assertEquals(rest, {
      ...{ messages, failed: 0, connections: 2, failures: {} },
      ...{ messages_per_second, bytes_per_second },
    });
    // The duration is rounded to the microsecond.
    const perSecond = messages / duration_ms * 1000;
    assertAlmostEquals(messages_per_second / perSecond, 1, 0.001);
    assertAlmostEquals(bytes_per_second / perSecond, 1024, 1);
    assertGreaterOrEqual(duration_ms, 200);
    assertEquals(server.stats.bytes, messages * 1024);
    assertEquals(Object.keys(latency_ms), [
      ...["min", "mean", "p50", "p90", "p99", "p99_9", "max"],
    ]);
    const counts = histogram.map((bucket: { count: number }) => bucket.count);
    assertEquals(counts.reduce((a: number, b: number) => a + b), messages);
    assertEquals(Object.keys(histogram[0]), ["upto_ms", "count"]);
  });

  it("keeps to --rate, and says so in JSON", async () => {
    await using server = serve({ port: 0 });
    const args = ["-d200ms", "-r50", "--json"];
    const { stdout } = await send(server.addr.port, args);
    const { messages, failed, target_rate, unsent } = JSON.parse(stdout);
    assertEquals([messages + unsent, failed, target_rate], [10, 0, 50]);
    assert(messages > 0);
    // One message is enough to prove something.
    assertEquals((await send(server.addr.port, ["-r1", "-d50ms"])).status, 0);
  });

  it("exits with 1 when anything failed", async () => {
    // Of each connection the second message, which follows 37 B, comes back wrong.
    using peer = startPeer(changing((bytes, offset) => {
      if (offset === 37) bytes[5]! ^= 1;
      return bytes;
    }));
    const { status, stdout } = await send(peer.port, ["-d100ms"]);
    assertEquals(status, 1);
    assertMatch(stdout, /^1 message of 37 B verified, 1 failed, /m);
    assertMatch(stdout, /^failed: 1 mismatch, the first: .* at offset 5 /m);
  });

  it("reports on Ctrl-C", async () => {
    await using server = serve({ port: 0 });
    const session = start(server.addr.port, ["-C2", "-d1h"]);
    while (server.stats.bytes < 10_000) await delay(1);
    session.interrupt();
    assertEquals(await session.status, 0);
    assertMatch(session.stdout, /messages of 37 B verified, 0 failed/);
  });

  it("exits with 1 when Ctrl-C comes before any reply", async () => {
    const asked = Promise.withResolvers<unknown>();
    using peer = startPeer((conn) =>
      conn.read(new Uint8Array(1)).then(asked.resolve)
    );
    const session = start(peer.port, ["-d1h", "--json"]);
    await asked.promise;
    session.interrupt();
    assertEquals(await session.status, 1);
    const { messages, failed, latency_ms } = JSON.parse(session.stdout);
    assertEquals([messages, failed, latency_ms], [0, 0, null]);
  });

  it("has nothing to say when Ctrl-C comes before the connection", async () => {
    const [target, task] = loadOf(freePort(), { durationMs: 1000 });
    const { terminal, written, interrupt } = narrowTerminal();
    const retrying = { ...target, retryMs: 3_600_000 };
    const status = runLoad(retrying, task, LOUD, terminal);
    interrupt();
    assertEquals(await status, 1);
    assertEquals(written, { stdout: "", stderr: "" });
  });

  it("fails when no server is there", async () => {
    const { status, stdout, stderr } = await send(freePort(), ["-C5"]);
    assertEquals([status, stdout], [1, ""]);
    assertMatch(stderr, /^echo: Cannot connect to .* connection refused, /);
  });

  it("keeps trying to make the first connection with --retry", async () => {
    const port = freePort();
    const sending = send(port, ["-d50ms", "--retry=1m"]);
    // The first attempt, at least, is refused.
    await delay(50);
    await using _ = serve({ port });
    assertEquals((await sending).status, 0);
  });

  it("exits by what it found when stdout is closed", async () => {
    await using server = serve({ port: 0 });
    const args = ["-d50ms"];
    assertEquals(
      await send(server.addr.port, args, { stdout: CLOSED_STDOUT }),
      { status: 0, stdout: "", stderr: "" },
    );
    const stdout = { write: () => Promise.reject(new Error("full")) };
    assertEquals(
      await send(server.addr.port, args, { stdout }),
      { status: 1, stdout: "", stderr: "echo: full\n" },
    );
  });

  it("ends at the second Ctrl-C when its reader stalls", async () => {
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
