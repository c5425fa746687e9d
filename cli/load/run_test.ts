import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertMatch,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { decodeHistogram } from "../../probe/histogram_text.ts";
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

/** Runs `echo send` to its end. */
function send(port: number, args: string[], options?: RunOptions) {
  return outcome(run(["load", `-p${port}`, ...args], options));
}

/** What the message says that no server is there. */
function refusalOf(port: number): string {
  return `Cannot connect to 127.0.0.1:${port}: connection refused`;
}

describe("echo load", () => {
  it("reports, and shows no progress without a terminal", async () => {
    await using server = serve({ port: 0 });
    const { port } = server.addr;
    const { status, stdout, stderr } = await send(port, ["-C3", "-d300ms"]);
    assertEquals([status, stderr], [0, ""]);
    assertMatch(
      stdout,
      new RegExp(
        `^--- 127.0.0.1:${port} echo load ---\n` +
          "[\\d,]+ messages of 64 B verified, 0 failed, " +
          // As long as it was asked for, however long it took.
          "over 3 connections in 300 ms\n" +
          "[\\d,]+ messages/s, [\\d.]+ \\w+/s each way\n" +
          "([\\d,]+ messages? came back after .*\n)?" +
          "latency p50/p90/p99/p99.9/max = ([\\d.]+/){4}\\d+\\.\\d{3} ms\n" +
          "(<= +[\\d.]+ ms +[\\d,]+( #+)?\n)+" +
          "(the client was the limit: .*\n)?$",
      ),
    );
    assertEquals(server.stats().accepted, 3);
  });

  it("prints one object with --json", async () => {
    await using server = serve({ port: 0 });
    const { port } = server.addr;
    const args = ["-C2", "-d200ms", "--json", "-s1k"];
    const { status, stdout, stderr } = await send(port, args);
    assertEquals([status, stderr], [0, ""]);
    const { local_port, id, ...report } = JSON.parse(stdout);
    assertMatch(id, /^[0-9a-f-]{36}$/);
    const { messages, messages_per_second, bytes_per_second } = report;
    const { latency_ms, histogram, timeline, client_limit, ...more } = report;
    const { histogram_hdr, latency_exact, busy_share, ...rest } = more;
    const { after_end, last_after_end_ms } = rest;
    assertEquals(rest, {
      time: "2001-02-03T04:05:06.789Z",
      ...{
        transport: "tcp",
        address: `127.0.0.1:${port}`,
        peer: `127.0.0.1:${port}`,
      },
      ...{ messages, failed: 0, connections: 2, failures: {} },
      ...{ messages_per_second, bytes_per_second, message_bytes: 1024 },
      ...{ duration_ms: 200, after_end, last_after_end_ms, first_errors: {} },
      ...{ longest_outage_ms: 0, warmed_up: true },
      ...{ echo_load: 2, workers: 1, start: "2001-02-03T04:05:06.789Z" },
      first_errors_ms: {},
      failed_before_start: 0,
      failed_after_end: 0,
    });
    assertEquals(
      decodeHistogram(histogram_hdr, 3, messages).totalCount,
      messages,
    );
    assertEquals(latency_exact.count, messages);
    assert(0 < busy_share && busy_share <= 1);
    assert(Number.isInteger(local_port) && local_port > 0);
    assert(client_limit === null || typeof client_limit === "string");
    assertEquals(messages_per_second, (messages - after_end) * 5);
    assertAlmostEquals(bytes_per_second, messages_per_second * 1024, 0.5);
    assertEquals(server.stats().bytes, messages * 1024);
    assertEquals(Object.keys(latency_ms), [
      ...["min", "mean", "p50", "p90", "p99", "p99_9", "max", "stddev"],
    ]);
    // What came back after the end is in no row.
    for (
      const [rows, name, count] of [
        [histogram, "count", messages],
        [timeline, "messages", messages - after_end],
      ]
    ) {
      const counts = rows.map((row: Record<string, number>) => row[name]);
      assertEquals(counts.reduce((a: number, b: number) => a + b), count);
    }
    assertEquals(Object.keys(histogram[0]), ["upto_ms", "count"]);
    assertEquals(Object.keys(timeline[0]), [
      ...["start_ms", "duration_ms", "messages", "failed", "p50_ms", "p99_ms"],
      "histogram_hdr",
    ]);
    assertEquals(timeline[0].start_ms, 0);
  });

  it("keeps to --rate, and says so", async () => {
    await using server = serve({ port: 0 });
    const { port } = server.addr;
    const args = ["-d200ms", "-r50"];
    const { stdout } = await send(port, [...args, "--json"]);
    const { messages, failed, target_rate, unsent, ...rest } = JSON.parse(
      stdout,
    );
    assertEquals([messages + unsent, failed, target_rate], [10, 0, 50]);
    assert(messages > 0);
    const { unsent_too_many_under_way, unsent_client_late, late_ms } = rest;
    assertEquals(unsent_too_many_under_way + unsent_client_late, unsent);
    assert(late_ms.max >= late_ms.p50);
    const report = await send(port, args);
    assertMatch(
      report.stdout,
      /^50 messages\/s asked for(, not reached: .*)?\nlatency .*\nsent late: p99 .*, max .* ms\n/m,
    );
    // One message is enough to prove something.
    assertEquals((await send(port, ["-r1", "-d50ms"])).status, 0);
    assertMatch(
      (await send(port, ["-r0.5", "-d50ms"])).stdout,
      /^1 message of 64 B verified, .*\n0\.5 messages\/s, .*\n0\.5 messages\/s asked for/m,
    );
  });

  it("exits with 1 when anything failed", async () => {
    // Of each connection the second message, which follows 64 B, comes back wrong.
    using peer = startPeer(changing((bytes, offset) => {
      if (offset === 64) bytes[5]! ^= 1;
      return bytes;
    }));
    const { status, stdout } = await send(peer.port, ["-d50ms"]);
    assertEquals(status, 1);
    assertMatch(stdout, /^1 message of 64 B verified, 1 failed, /m);
    assertMatch(stdout, /^failed: 1 mismatch, the first: .* at offset 5 /m);
  });

  it("reports what a server resets right after it accepted", async () => {
    using peer = startPeer(async (conn) => {
      // The rest of the message is unread, so that the kernel sends a reset.
      await readOnce(conn, 1);
      conn.close();
    });
    const { status, stdout, stderr } = await send(peer.port, ["-d50ms"]);
    assertEquals([status, stderr], [1, ""]);
    assertMatch(
      stdout,
      /^--- .* echo load ---\n0 messages of 64 B verified, 1 failed, .*\n0 messages\/s, .*\nfailed: 1 (reset|closed), the first: .+\nlongest outage .+\n(the client was the limit: .+\n)?$/,
    );
    const { stdout: json } = await send(peer.port, ["-d50ms", "--json"]);
    const { messages, failed, latency_ms, error } = JSON.parse(json);
    assertEquals(
      [messages, failed, latency_ms, error],
      [0, 1, null, undefined],
    );
  });

  it("shows what a server of another protocol says", async () => {
    using peer = startPeer(
      changing(() => new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n")),
    );
    const { status, stdout } = await send(peer.port, ["-d50ms"]);
    assertEquals(status, 1);
    assert(stdout.includes(
      '"HTTP/1.1 400 Bad Request\\r\\n" came back, ' +
        "this is not an echo server\n",
    ));
  });

  it("fails when no server is there", async () => {
    const port = freePort();
    const { status, stdout, stderr } = await send(port, ["-C5"]);
    assertEquals([status, stdout], [1, ""]);
    assert(stderr.startsWith(`echo: ${refusalOf(port)}, `));
  });

  it("prints JSON also when no server is there", async () => {
    const port = freePort();
    const args = ["-C5", "--json", "--fail-if=loss>0"];
    const { status, stdout, stderr } = await send(port, args);
    assertEquals(status, 1);
    const [condition, error, ...others] = stderr.split("\n");
    assertEquals(condition, "echo: loss>0: it was 1 message");
    assert(error!.startsWith(`echo: ${refusalOf(port)}, `));
    assertEquals(others, [""]);
    const report = JSON.parse(stdout);
    const { failures, peer, local_port, latency_ms, timeline } = report;
    assertEquals(
      [report.error, failures, report.messages, report.duration_ms],
      [refusalOf(port), { refused: 1 }, 0, 0],
    );
    assertEquals([peer, local_port, latency_ms], [null, null, null]);
    assertEquals(report.failed_conditions, [{
      ...{ condition: "loss>0", value: 1 },
    }]);
    assert(Array.isArray(timeline));
  });

  it("says that the client's first calls count, where they do", async () => {
    await using server = serve({ port: 0 });
    const state = { state: "prompt" } as Deno.PermissionStatus;
    using _ = replace(Deno.permissions, "querySync", () => state);
    const { stdout } = await send(server.addr.port, ["-d50ms"]);
    assertMatch(stdout, /\nthe first calls of the client are in this\n$/);
    const json = await send(server.addr.port, ["-d50ms", "--json"]);
    assertEquals(JSON.parse(json.stdout).warmed_up, false);
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
});

describe("echo load and --fail-if", () => {
  it("exits with 3, and tells which conditions held", async () => {
    await using server = serve({ port: 0 });
    const args = [
      ...["-d50ms", "--fail-if=rate<10M", "--fail-if=loss>0%"],
      ...["--fail-if", "p99.9 >= 0ms"],
    ];
    const { status, stdout, stderr } = await send(server.addr.port, args);
    assertEquals(status, 3);
    assertMatch(
      stderr,
      /^echo: rate<10M: it was [\d.,]+ messages\/s\necho: p99\.9 >= 0ms: it was [\d.]+ ms\n$/,
    );
    assertMatch(stdout, /verified, 0 failed, /);
  });

  it("tells them in JSON, too", async () => {
    await using server = serve({ port: 0 });
    const failedOf = async (...conditions: string[]) => {
      const flags = conditions.map((text) => `--fail-if=${text}`);
      const args = ["-d50ms", "--json", ...flags];
      const { status, stdout } = await send(server.addr.port, args);
      return [status, JSON.parse(stdout).failed_conditions];
    };
    assertEquals(await failedOf("loss<=0", "outage>0ms"), [
      3,
      [{ condition: "loss<=0", value: 0 }],
    ]);
    assertEquals(await failedOf("loss>0"), [0, []]);
    assertEquals(await failedOf(), [0, undefined]);
  });

  it("exits with 1 when something else was wrong", async () => {
    using peer = startPeer((conn) => readOnce(conn).then(() => conn.close()));
    const args = ["-d50ms", "--fail-if=loss>=100%", "--fail-if=p99>0ms"];
    const { status, stderr } = await send(peer.port, args);
    // Without a reply there is no latency that could be too long.
    assertEquals([status, stderr], [1, "echo: loss>=100%: it was 100%\n"]);
  });
});
