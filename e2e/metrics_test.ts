import { assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe } from "@std/testing/bdd";
import { connect } from "../client.ts";
import {
  itRuns,
  type Process,
  start,
  startServe,
  startWithLimit,
} from "../testing/process.ts";
import { HELLO } from "../testing/visitor.ts";

/** How often something is looked at until it is as a test wants. */
const ATTEMPTS = 500;

/** Waits until a server says where its metrics are. */
async function urlOf(server: Process, stream: "Stdout" | "Stderr" = "Stdout") {
  const [, url] = await server[`until${stream}`](
    /^Metrics on (http:.*)\/metrics$/m,
  );
  return url!;
}

/** Reads one metric; `undefined` if nothing answers. */
async function read(url: string, name: string): Promise<number | undefined> {
  const text = await fetch(`${url}/metrics`).then((it) => it.text(), () => "");
  const line = text.split("\n").find((line) => line.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.split(" ")[1]);
}

async function untilMetric(url: string, name: string, value: number) {
  let last: number | undefined;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    last = await read(url, name);
    if (last === value) return;
    await delay(20);
  }
  throw new Error(`${name} is ${last}, not ${value}`);
}

async function statusOf(url: string): Promise<number> {
  const response = await fetch(`${url}/healthz`);
  await response.body?.cancel();
  return response.status;
}

describe("./echo serve --metrics", () => {
  for (const workers of ["--workers=1", "--workers=3"]) {
    itRuns(`counts what all threads did, with ${workers}`, async () => {
      const [server, text] = await startServe(workers, "--metrics=0");
      await using _ = server;
      const url = await urlOf(server);
      const port = Number(text);
      assertEquals(await statusOf(url), 200);
      for (let visits = 0; visits < 20; visits++) {
        using client = await connect({ port });
        await client.echo(HELLO);
        await client.end();
      }
      using staying = await connect({ port });
      await staying.echo(HELLO);
      const closed = `echo_connections_closed_total{reason="eof"}`;
      await untilMetric(url, closed, 20);
      assertEquals(await read(url, "echo_connections_accepted_total"), 21);
      assertEquals(await read(url, "echo_connections_open"), 1);
      const bytes = `echo_bytes_echoed_total{transport="tcp"}`;
      assertEquals(await read(url, bytes), 105);

      server.kill("SIGTERM");
      await server.untilStdout(/Shutting down/);
      assertEquals(await statusOf(url), 503);
      assertEquals(await read(url, "echo_connections_open"), 1);
      await staying.end();
      assertEquals(await server.status, 0);
      assertEquals(server.stderr, "");
    });
  }

  itRuns("ends at once on a second signal", async () => {
    const [server, port] = await startServe(
      ...["--metrics=0", "--drain-timeout=1h"],
    );
    await using _ = server;
    const url = await urlOf(server);
    using _conn = await Deno.connect({ port: Number(port) });
    await server.untilStdout(/established/);
    // A client of the metrics that never ends its request is in nobody's way.
    const { port: metricsPort } = new URL(url);
    using slow = await Deno.connect({ port: Number(metricsPort) });
    await slow.write(new TextEncoder().encode("GET /metr"));
    server.kill("SIGINT");
    await server.untilStdout(/Shutting down/);
    server.kill("SIGTERM");
    assertEquals([await server.status, server.stderr], [130, ""]);
  });

  itRuns("is there again after a lack of descriptors", async () => {
    await using server = startWithLimit(
      ...[64, "serve", "-p0", "--metrics=0"] as const,
    );
    const [, port] = await server.untilStdout(/listening on .*:(\d+)/);
    const url = await urlOf(server);
    const conns: Deno.Conn[] = [];
    try {
      for (let count = 0; count < 80; count++) {
        conns.push(await Deno.connect({ port: Number(port) }));
      }
      await server.untilStdout(/oo many open files/);
      // Either it answers, or it cannot accept.
      for (let times = 0; times < 10; times++) {
        await read(url, "echo_connections_open");
      }
    } finally {
      for (const conn of conns) conn.close();
    }
    await untilMetric(url, "echo_connections_open", 0);
    server.kill("SIGTERM");
    assertEquals([await server.status, server.stderr], [0, ""]);
  });

  itRuns("stands junk, and prints nothing", async () => {
    const [server] = await startServe("--metrics=0");
    await using _ = server;
    const url = await urlOf(server);
    const { port } = new URL(url);
    const junk = crypto.getRandomValues(new Uint8Array(10_000));
    for (let times = 0; times < 50; times++) {
      using conn = await Deno.connect({ port: Number(port) });
      // The server may break the connection in the midst.
      await conn.write(junk.subarray(times)).catch(() => {});
    }
    assertEquals(await statusOf(url), 200);
    server.kill("SIGTERM");
    assertEquals([await server.status, server.stderr], [0, ""]);
    assertMatch(server.stdout, /^Server .*\nMetrics .*\nShutting .*\nServed /);
  });
});

describe("./echo ping and load --metrics", () => {
  itRuns("tells on stderr where, and counts", async () => {
    const [server, port] = await startServe();
    await using _server = server;
    for (
      const flags of [
        ["ping"],
        ["load", "-d1h"],
        ["load", "-C3", "-d1h", "--workers=2"],
      ]
    ) {
      await using client = start(...flags, "-p", port, "--metrics=0");
      const url = await urlOf(client, "Stderr");
      let verified: number | undefined = 0;
      while (!verified) {
        verified = await read(url, "echo_messages_verified_total");
      }
      assertEquals(await statusOf(url), 200);
      if (flags.length > 2) {
        assertEquals(await read(url, "echo_connections"), 3);
        assertEquals(await read(url, "echo_connections_made_total"), 3);
      }
      client.kill("SIGINT");
      assertEquals(await client.status, 0);
      assertMatch(client.stderr, /^Metrics on .*\n$/);
    }
  });
});
