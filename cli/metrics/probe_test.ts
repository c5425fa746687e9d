import { assertEquals, assertGreaterOrEqual, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { toPlain } from "../../probe/histogram.ts";
import { Latencies } from "../../probe/latency.ts";
import { Tally, type TallyRecord } from "../../probe/tally.ts";
import { serve } from "../../server.ts";
import { freePort, startPeer } from "../../testing/peer.ts";
import { readOnce } from "../../testing/socket.ts";
import { outcome, run } from "../../testing/terminal.ts";
import { renderMetrics } from "./exposition.ts";
import { BOUNDS_MS, sendMetrics } from "./probe.ts";

/** Starts `echo send` with metrics on a free port, and tells where. */
async function start(port: number, ...args: string[]) {
  const session = run([commandOf(args), `-p${port}`, "--metrics=0", ...args]);
  const [, metrics] = await session.untilStderr(
    /^Metrics on (http:.*)\/metrics\n/,
  );
  return { session, metrics: metrics! };
}

/** Pings with `-c`, and loads without. */
function commandOf(args: readonly string[]): string {
  return args.some((arg) => arg.startsWith("-c")) ? "ping" : "load";
}

/** Reads metrics, by name and labels. */
async function scrape(url: string): Promise<Record<string, number>> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const lines = text.matchAll(/^([^#\s]+) (\S+)$/gm);
  return Object.fromEntries(
    lines.map(([, name, value]) => [name, Number(value)]),
  );
}

/** Reads metrics until one of them has a value, or more. */
async function untilMetric(url: string, name: string, least: number) {
  for (let times = 0; times < 10_000; times++) {
    const metrics = await scrape(url);
    if (metrics[name]! >= least) return metrics;
  }
  throw new Error(`${name} did not become ${least}`);
}

async function untilHealth(url: string, status: number, word: string) {
  for (let times = 0; times < 10_000; times++) {
    const response = await fetch(`${url}/healthz`);
    const text = await response.text();
    if (response.status === status && text === `${word}\n`) return;
  }
  throw new Error(`it did not become ${word}`);
}

const VERIFIED = "echo_messages_verified_total";

describe("echo send --metrics", () => {
  it("counts a load while it runs, as its report does", async () => {
    await using server = serve({ port: 0 });
    for (const args of [["-C3"], ["-C3", "-r2000"]]) {
      const { session, metrics } = await start(
        ...[server.addr.port, "-d1h", "--json", ...args] as const,
      );
      const early = await untilMetric(metrics, VERIFIED, 100);
      const late = await untilMetric(metrics, VERIFIED, early[VERIFIED]! + 100);
      // No counter falls.
      for (const [name, value] of Object.entries(early)) {
        if (/_(total|bucket|sum|count)\b/.test(name)) {
          assertGreaterOrEqual(late[name]!, value, name);
        }
      }
      assertEquals(late["echo_connections"], 3);
      assertEquals(late["echo_connections_made_total"], 3);
      assertEquals(late["echo_bytes_verified_total"], 64 * late[VERIFIED]!);
      const count = late["echo_round_trip_seconds_count"];
      assertEquals(count, late[VERIFIED]);
      assertEquals(late[`echo_round_trip_seconds_bucket{le="+Inf"}`], count);
      assertGreaterOrEqual(late["echo_messages_sent_total"]!, count!);
      const isLate = "echo_sent_late_seconds_count" in late;
      assertEquals(isLate, args.length > 1);
      session.interrupt();
      // On a busy machine some messages may not leave in time.
      await session.status;
      const { messages } = JSON.parse(session.stdout);
      assertGreaterOrEqual(messages, late[VERIFIED]!);
    }
  });

  it("counts what a ping loses, by the reasons of JSON", async () => {
    const { session, metrics } = await start(freePort(), "-c0", "-i5ms");
    const refused = `echo_messages_failed_total{reason="refused"}`;
    const counted = await untilMetric(metrics, refused, 3);
    // One may be under way.
    const sent = counted["echo_messages_sent_total"]!;
    assertGreaterOrEqual(sent, counted[refused]!);
    assertEquals([counted[VERIFIED], counted["echo_connections"]], [0, 0]);
    assertEquals(counted[`echo_messages_failed_total{reason="dns"}`], 0);
    session.interrupt();
    assertEquals(await session.status, 1);
  });

  it("counts what a ping verifies", async () => {
    await using server = serve({ port: 0 });
    const args = ["-c0", "-i0", "--reconnect", "-s100"];
    const { session, metrics } = await start(server.addr.port, ...args);
    const counted = await untilMetric(metrics, VERIFIED, 5);
    assertEquals(
      counted["echo_bytes_verified_total"],
      100 * counted[VERIFIED]!,
    );
    assertGreaterOrEqual(counted["echo_connections_made_total"]!, 5);
    session.interrupt();
    assertEquals(await session.status, 0);
  });

  it("is healthy while it runs, and not while it ends", async () => {
    for (const flags of [["-c0"], ["-d1h"]]) {
      // This server answers nothing: the end of a run waits for it.
      const asked = Promise.withResolvers<unknown>();
      using peer = startPeer((conn) => readOnce(conn).then(asked.resolve));
      const { session, metrics } = await start(peer.port, ...flags);
      await asked.promise;
      await untilHealth(metrics, 200, "up");
      session.interrupt();
      await untilHealth(metrics, 503, "draining");
      assertEquals(await session.status, 1);
      const { port } = new URL(metrics);
      Deno.listen({ hostname: "127.0.0.1", port: Number(port) }).close();
    }
  });

  it("ends at once at a second Ctrl-C", async () => {
    const asked = Promise.withResolvers<unknown>();
    using peer = startPeer((conn) => readOnce(conn).then(asked.resolve));
    const { session } = await start(peer.port, "-c0", "-t1h");
    await asked.promise;
    session.interrupt();
    session.interrupt();
    assertEquals(await session.status, 130);
  });

  it("says nothing with --quiet, and is there", async () => {
    await using server = serve({ port: 0 });
    const port = freePort();
    const session = run([
      ...["ping", `-p${server.addr.port}`, "-c0", "-i1ms", "-q"],
      `--metrics=127.0.0.1:${port}`,
    ]);
    await session.listeningForStatus;
    await untilMetric(`http://127.0.0.1:${port}`, VERIFIED, 1);
    session.interrupt();
    const { status, stderr } = await outcome(session);
    assertEquals([status, stderr], [0, ""]);
  });

  it("does not begin when it cannot listen there", async () => {
    await using server = serve({ port: 0 });
    using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = taken.addr;
    for (const flag of ["-c1", "-d10ms"]) {
      const args = [`-p${server.addr.port}`, flag, `--metrics=${port}`];
      assertEquals(await outcome(run([commandOf(args), ...args])), {
        ...{ status: 1, stdout: "" },
        stderr: `echo: Cannot serve metrics on 127.0.0.1:${port}: ` +
          "address already in use, choose another port with --metrics\n",
      });
    }
    assertEquals(server.stats().accepted, 0);
  });
});

describe("sendMetrics()", () => {
  const none = new Tally().toRecord();
  const latencies = new Latencies();
  for (let nth = 0; nth < 90; nth++) latencies.record(nth < 5 ? 0.11 : 20);
  const { histogram, ...exact } = latencies.toRecord()!;
  const COUNTED: TallyRecord = {
    ...{ ...none, failures: { timeout: 7, error: 3 } },
    counts: {
      ...{ ...none.counts, sent: 100, unsent: 5, tooLate: 6 },
      ...{ connected: 4, open: 2 },
    },
    irregular: { duplicated: 1, reordered: 2, late: 3, corrupt: 4, stray: 5 },
    latencies: { ...exact, histogram: toPlain(histogram) },
    late: { ...exact, histogram: toPlain(histogram) },
  };

  it("tells all that was counted, in seconds and bytes", () => {
    const text = renderMetrics(sendMetrics(Tally.from(COUNTED), 64));
    const lines = text.split("\n");
    for (
      const line of [
        "echo_messages_sent_total 100",
        "echo_messages_verified_total 90",
        `echo_messages_failed_total{reason="timeout"} 7`,
        `echo_messages_failed_total{reason="error"} 3`,
        `echo_messages_failed_total{reason="mismatch"} 0`,
        `echo_messages_failed_total{reason="unanswered"} 0`,
        `echo_messages_unsent_total{reason="too_many_under_way"} 5`,
        `echo_messages_unsent_total{reason="client_late"} 6`,
        "echo_bytes_verified_total 5760",
        `echo_replies_irregular_total{kind="stray"} 5`,
        "echo_connections_made_total 4",
        "echo_connections 2",
        `echo_round_trip_seconds_bucket{le="0.00002"} 0`,
        `echo_round_trip_seconds_bucket{le="0.00015"} 5`,
        `echo_round_trip_seconds_bucket{le="0.015"} 5`,
        `echo_round_trip_seconds_bucket{le="10"} 90`,
        `echo_round_trip_seconds_bucket{le="+Inf"} 90`,
        "echo_round_trip_seconds_count 90",
      ]
    ) assertEquals(lines.filter((it) => it === line), [line]);
    assertMatch(text, /^echo_round_trip_seconds_sum 1\.7005\d*$/m);
    assertEquals(text.includes("echo_sent_late_seconds"), false);
  });

  it("tells how late messages left, where they were due", () => {
    const tally = Tally.from({ ...COUNTED, isPaced: true });
    const text = renderMetrics(sendMetrics(tally, 64));
    assertMatch(text, /^echo_sent_late_seconds_count 90$/m);
    assertMatch(text, /^# TYPE echo_sent_late_seconds histogram$/m);
  });

  it("has bounds of which each is at most 1.67 times the one before", () => {
    const ratios = BOUNDS_MS.slice(1).map((ms, index) =>
      ms / BOUNDS_MS[index]!
    );
    assertEquals(Math.max(...ratios) < 1.67 && Math.min(...ratios) > 1.3, true);
    assertEquals([BOUNDS_MS[0], BOUNDS_MS.at(-1)], [0.02, 10_000]);
  });
});
