import { assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { connect, connectUdp } from "../../client.ts";
import type { ServeStats } from "../../server.ts";
import { freePort } from "../../testing/peer.ts";
import { outcome, run, type Session } from "../../testing/terminal.ts";
import { HELLO, untilRefused } from "../../testing/visitor.ts";
import { renderMetrics } from "../metrics/exposition.ts";
import { serveMetrics, startServeMetrics } from "./metrics.ts";
import type { RunningServer } from "./running_server.ts";

/** Starts `echo serve` with metrics on free ports, and tells both. */
async function startServe(...args: string[]) {
  const session = run(["serve", "-p0", "--metrics", "0", ...args]);
  const [, port, metrics] = await session.untilStdout(
    /^Server listening on .*?:(\d+)\D*\nMetrics on (http:.*)\/metrics\n/,
  );
  return { session, port: Number(port), metrics: metrics! };
}

/** Reads metrics, by name and labels. */
async function scrape(url: string): Promise<Record<string, number>> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const lines = text.matchAll(/^([^#\s]+) (\S+)$/gm);
  return Object.fromEntries(
    lines.map(([, name, value]) => [name, Number(value)]),
  );
}

/** Reads metrics until one of them has a value. */
async function untilMetric(url: string, name: string, value: number) {
  for (let times = 0; times < 1000; times++) {
    const metrics = await scrape(url);
    if (metrics[name] === value) return metrics;
  }
  throw new Error(`${name} did not become ${value}`);
}

async function healthOf(url: string): Promise<[number, string]> {
  const response = await fetch(`${url}/healthz`);
  return [response.status, (await response.text()).trimEnd()];
}

async function end(session: Session) {
  session.interrupt();
  return await outcome(session);
}

describe("echo serve --metrics", () => {
  it("counts connections, how they ended, and bytes", async () => {
    const { session, port, metrics } = await startServe();
    const first = await scrape(metrics);
    assertEquals(first["echo_connections_accepted_total"], 0);
    assertEquals(first[`echo_connections_closed_total{reason="idle"}`], 0);
    assertEquals(first[`echo_datagrams_echoed_total`], undefined);
    using staying = await connect({ port });
    await staying.echo(HELLO);
    {
      using leaving = await connect({ port });
      await leaving.echo(HELLO);
      await leaving.end();
    }
    const closed = `echo_connections_closed_total{reason="eof"}`;
    const counted = await untilMetric(metrics, closed, 1);
    assertEquals(
      Object.entries(counted).filter(([name, value]) =>
        name.startsWith("echo_") && value > 0
      ),
      [
        [`echo_build_info{version="0.1.0"}`, 1],
        ["echo_connections_accepted_total", 2],
        ["echo_connections_open", 1],
        [closed, 1],
        [`echo_bytes_echoed_total{transport="tcp"}`, 10],
      ],
    );
    // Nothing is counted twice.
    assertEquals((await scrape(metrics))[closed], 1);
    assertEquals(counted["process_start_time_seconds"], 981173106.789);
    const { process_cpu_seconds_total, process_resident_memory_bytes } =
      counted;
    assertEquals(process_cpu_seconds_total! > 0.01, true);
    assertEquals(process_resident_memory_bytes! > 1 << 20, true);
    await staying.end();
    assertEquals((await end(session)).status, 0);
  });

  it("counts datagrams apart", async () => {
    const { session, port, metrics } = await startServe("--udp");
    using client = await connectUdp({ port });
    await client.echo(HELLO);
    using tcp = await connect({ port });
    await tcp.echo(new Uint8Array(3));
    const counted = await untilMetric(
      ...[metrics, "echo_datagrams_echoed_total", 1] as const,
    );
    assertEquals(counted[`echo_bytes_echoed_total{transport="udp"}`], 5);
    assertEquals(counted[`echo_bytes_echoed_total{transport="tcp"}`], 3);
    assertEquals(counted[`echo_datagrams_dropped_total{reason="loop"}`], 0);
    await tcp.end();
    await end(session);
  });

  it("answers until the drain is over, and is not healthy then", async () => {
    const { session, port, metrics } = await startServe("--drain-timeout=1h");
    assertEquals(await healthOf(metrics), [200, "up"]);
    using client = await connect({ port });
    await client.echo(HELLO);
    session.interrupt();
    assertEquals(await healthOf(metrics), [503, "draining"]);
    const addr = { transport: "tcp", hostname: "127.0.0.1", port } as const;
    await untilRefused({ addr });
    assertEquals(await healthOf(metrics), [503, "draining"]);
    assertEquals((await scrape(metrics))["echo_connections_open"], 1);
    await client.end();
    assertEquals(await session.status, 0);
    Deno.listen({ port: Number(new URL(metrics).port) }).close();
  });

  it("ends at once at a second Ctrl-C", async () => {
    const { session, port } = await startServe("--drain-timeout=1h");
    using client = await connect({ port });
    await client.echo(HELLO);
    session.interrupt();
    session.interrupt();
    assertEquals(await session.status, 130);
  });

  it("is not healthy with --once when the client is there", async () => {
    for (const args of [[], ["--udp"]]) {
      const { session, port, metrics } = await startServe("--once", ...args);
      assertEquals(await healthOf(metrics), [200, "up"]);
      using client = await connect({ port });
      await client.echo(HELLO);
      assertEquals(await healthOf(metrics), [503, "draining"]);
      await client.end();
      assertEquals(await session.status, 0);
    }
  });

  it("tells where, as JSON too, and is there with --quiet", async () => {
    const args = ["serve", "-p0", "--metrics=[::1]:0", "--json"];
    const session = run(args);
    const [, address] = await session.untilStdout(
      /^.*"listening".*\n\{"time":"2001[^"]*","event":"metrics","address":"(\[::1\]:\d+)"}\n/,
    );
    assertEquals((await healthOf(`http://${address}`))[0], 200);
    await end(session);

    const port = freePort();
    const quiet = run(["serve", "-q", "-p0", `--metrics=${port}`]);
    await quiet.listening;
    // Before the server listens it says that it starts.
    const url = `http://127.0.0.1:${port}`;
    while ((await healthOf(url))[0] !== 200);
    assertEquals(await end(quiet), { status: 0, stdout: "", stderr: "" });
  });

  it("does not begin when it cannot listen there", async () => {
    using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = taken.addr;
    const args = ["serve", "-p0", `--metrics=${port}`];
    assertEquals(await outcome(run(args)), {
      ...{ status: 1, stdout: "" },
      stderr: `echo: Cannot serve metrics on 127.0.0.1:${port}: ` +
        "address already in use, choose another port with --metrics\n",
    });
  });

  it("says that it has the port on which the server is to listen", async () => {
    const port = freePort();
    const serving = run(["serve", `-p${port}`, `--metrics=${port}`]);
    assertEquals(await outcome(serving), {
      ...{ status: 1, stdout: "" },
      stderr: `echo: Cannot listen on 127.0.0.1:${port}: address already ` +
        "in use by --metrics, choose another port for it\n",
    });
  });

  it("is gone when the server cannot listen", async () => {
    using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const port = freePort();
    const args = ["serve", `-p${taken.addr.port}`, `--metrics=${port}`];
    const { status, stderr } = await outcome(run(args));
    assertEquals(status, 1);
    assertMatch(stderr, /^echo: Cannot listen on .* --port\n$/);
    Deno.listen({ hostname: "127.0.0.1", port }).close();
  });

  it("refuses what is no address, and opens nothing", async () => {
    const { status, stderr } = await outcome(run(["serve", "--metrics=::1"]));
    assertEquals(status, 2);
    assertMatch(stderr, /^echo: --metrics "::1": expected a port, .*\n$/);
  });
});

describe("startServeMetrics()", () => {
  it("tells the health by what the server did", async () => {
    const stats = (
      accepted: number,
      datagrams: number,
      waiting = 0,
    ): ServeStats => ({
      ...{ accepted, open: 0, closed: {}, bytes: 0 },
      udp: { datagrams, bytes: 0, dropped: {}, waiting },
    });
    const starting = undefined;
    const healths: [
      server: ServeStats | undefined,
      options: { once: boolean; isEnding: boolean },
      health: string,
    ][] = [
      [starting, { once: false, isEnding: false }, "starting"],
      [starting, { once: true, isEnding: false }, "starting"],
      [starting, { once: false, isEnding: true }, "draining"],
      [stats(0, 0), { once: false, isEnding: false }, "up"],
      [stats(1, 1), { once: false, isEnding: false }, "up"],
      [stats(0, 0), { once: true, isEnding: false }, "up"],
      [stats(1, 0), { once: true, isEnding: false }, "draining"],
      [stats(0, 1), { once: true, isEnding: false }, "draining"],
      [stats(1, 1), { once: true, isEnding: false }, "draining"],
      [stats(0, 0, 1), { once: true, isEnding: false }, "draining"],
      [stats(0, 0), { once: true, isEnding: true }, "draining"],
    ];
    for (const [stats, { once, isEnding }, health] of healths) {
      const running = stats && { stats: () => Promise.resolve(stats) };
      await using metrics = startServeMetrics({
        address: { hostname: "127.0.0.1", port: 0 },
        ...{ startedAt: new Date(), once, isEnding: () => isEnding },
        server: () => running as RunningServer | undefined,
      });
      const url = `http://127.0.0.1:${metrics.addr.port}`;
      const status = health === "up" ? 200 : 503;
      assertEquals(await healthOf(url), [status, health]);
      const accepted = (await scrape(url))["echo_connections_accepted_total"];
      assertEquals(accepted, stats?.accepted);
    }
  });
});

describe("serveMetrics()", () => {
  it("has every name once, and every reason that happened", () => {
    const metrics = serveMetrics({
      ...{ accepted: 9, open: 1, bytes: 30 },
      closed: { eof: 1, idle: 2, reset: 3, shutdown: 1, error: 1 },
      udp: { datagrams: 2, bytes: 10, dropped: { rate: 4 } },
      faults: { corrupt: 3 },
    });
    const names = metrics.map(({ name }) => name);
    assertEquals(names.length, new Set(names).size);
    const lines = renderMetrics(metrics).split("\n");
    for (
      const line of [
        `echo_connections_closed_total{reason="reset"} 3`,
        `echo_bytes_echoed_total{transport="tcp"} 20`,
        `echo_bytes_echoed_total{transport="udp"} 10`,
        `echo_datagrams_dropped_total{reason="port"} 0`,
        `echo_datagrams_dropped_total{reason="rate"} 4`,
        `echo_faults_total{kind="corrupt"} 3`,
      ]
    ) assertEquals(lines.filter((it) => it === line), [line]);
  });
});
