import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { serve } from "../server.ts";
import { freePort, startPeer } from "../testing/peer.ts";
import { changing } from "../testing/socket.ts";
import { itRuns, type Process, spawn, start } from "../testing/process.ts";
import { Watched } from "../testing/waiting.ts";

/** Starts `echo send` with a load. */
function load(port: number, ...args: string[]): Process {
  return start("load", "-p", `${port}`, ...args);
}

/** Merges results. */
async function merge(results: readonly string[], ...args: string[]) {
  const child = spawn("report", ...args);
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(results.join("")));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const [out, talk] = [stdout, stderr].map((it) =>
    new TextDecoder().decode(it)
  );
  assertEquals(talk, "");
  return { status: code, stdout: out! };
}

/** An echo server that notes what numbers the connections of messages have. */
function startNoting() {
  const watched = new Watched();
  const numbers = new Map<Deno.TcpConn, Set<string>>();
  const decoder = new TextDecoder();
  const peer = startPeer((conn) => {
    const own = new Set<string>();
    numbers.set(conn, own);
    return changing((bytes) => {
      const text = decoder.decode(bytes);
      for (const [it] of text.matchAll(/run [\da-f]{8} connection \d{7}/g)) {
        own.add(it);
      }
      watched.changed();
      return bytes;
    })(conn);
  });
  return {
    port: peer.port,
    /** Waits until so many connections had a message, and returns their numbers. */
    untilUsed: (count: number) =>
      watched.until(
        () => {
          const used = [...numbers.values()].filter((own) => own.size > 0);
          return used.length === count ? used : undefined;
        },
        () => `${count} connections among ${Deno.inspect(numbers.values())}`,
      ),
    [Symbol.dispose]: () => peer[Symbol.dispose](),
  };
}

describe("./echo load --workers", () => {
  itRuns("shares connections and rate, and prints one report", async () => {
    await using server = serve({ port: 0 });
    const { port } = server.addr;
    await using client = load(port, "-C5", "-d300ms", "--workers=3", "--json");
    assertEquals(await client.status, 0);
    assertEquals(client.stderr, "");
    const found = JSON.parse(client.stdout);
    const { messages, connections, timeline, histogram, after_end } = found;
    assertEquals([server.stats().accepted, connections], [5, 5]);
    assertEquals(server.stats().bytes, messages * 64);
    for (
      const [rows, name, count] of [
        [timeline, "messages", messages - after_end],
        [histogram, "count", messages],
      ]
    ) {
      const counts = rows.map((row: Record<string, number>) => row[name]);
      assertEquals(counts.reduce((a: number, b: number) => a + b), count);
    }
    await using paced = load(
      port,
      ...["-C2", "-r50", "-d400ms", "--workers=2", "--json"],
    );
    await paced.status;
    const result = JSON.parse(paced.stdout);
    assertEquals(result.messages + result.failed + result.unsent, 20);
    assertEquals(result.target_rate, 50);
  });

  itRuns("numbers its connections through", async () => {
    using noting = startNoting();
    await using client = load(noting.port, "-C5", "-d1h", "--workers=2");
    const used = await noting.untilUsed(5);
    client.kill("SIGINT");
    assertEquals(await client.status, 0);
    assertEquals(used.map((own) => own.size), Array(5).fill(1));
    const all = used.flatMap((own) => [...own]);
    assertEquals(new Set(all).size, 5);
    assertEquals(new Set(all.map((it) => it.slice(0, 12))).size, 1);
  });

  itRuns("shows the sum so far at SIGQUIT, and ends at SIGINT", async () => {
    using noting = startNoting();
    await using client = load(noting.port, "-C2", "-d1h", "--workers=2");
    await noting.untilUsed(2);
    client.kill("SIGQUIT");
    await client.untilStderr(/over 2 connections in .*\n(.*\n)*?latency .*\n/);
    client.kill("SIGINT");
    assertEquals(await client.status, 0);
    assertMatch(client.stdout, /verified, 0 failed, over 2 connections in /);
  });

  itRuns("sends datagrams, too, and keeps its deadline", async () => {
    await using server = serve({ port: 0, udp: true });
    await using client = load(
      server.addr.port,
      ...["--udp", "-C3", "-d1h", "-w500ms", "--workers=2", "--json"],
      ...["--fail-if=rate<10M"],
    );
    assertEquals(await client.status, 3);
    const { messages, connections, failed } = JSON.parse(client.stdout);
    assertEquals([connections, failed], [3, 0]);
    assert(messages > 0);
  });

  itRuns("says in one line that no server is there", async () => {
    const port = freePort();
    await using client = load(port, "-C4", "--workers=2");
    assertEquals(await client.status, 1);
    assertEquals(
      [client.stdout, client.stderr],
      [
        "",
        `echo: Cannot connect to 127.0.0.1:${port}: connection refused, ` +
        "is a server running there? start one with: " +
        `./echo serve -p ${port}\n`,
      ],
    );
  });
});

describe("./echo report", () => {
  itRuns("makes one report of what three processes found", async () => {
    await using server = serve({ port: 0 });
    const { port } = server.addr;
    const startAt = new Date(Date.now() + 2000).toISOString();
    const args = ["-C2", "-d500ms", "--json", `--start-at=${startAt}`];
    const clients = [1, 2, 3].map(() => load(port, ...args));
    const statuses = clients.map((client) => client.status);
    assertEquals(await Promise.all(statuses), [0, 0, 0]);
    const results = clients.map((client) => client.stdout);
    const { status, stdout } = await merge(results, "--json");
    assertEquals(status, 0);
    const merged = JSON.parse(stdout);
    assertEquals(server.stats().bytes, merged.messages * 64);
    assertEquals([merged.connections, merged.runs.length], [6, 3]);
    assert(merged.start >= startAt);
    const again = await merge([stdout]);
    assertEquals(again.status, 0);
    assertMatch(again.stdout, /^3 runs merged, which began within /m);
  });
});
