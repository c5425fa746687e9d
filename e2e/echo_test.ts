import { assertEquals, assertMatch } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { delay } from "@std/async/delay";
import { createHash } from "node:crypto";
import { RandomSource } from "../cli/send/random_source.ts";
import { connect } from "../client.ts";
import { freePort, startPeer } from "../testing/peer.ts";
import {
  countListeners,
  EXECUTABLE,
  itRuns,
  shell,
  spawn,
  start,
  startServe,
  startWithLimit,
} from "../testing/process.ts";
import { soak } from "./soak.ts";

describe("./echo", () => {
  itRuns("serves and sends in two processes", async () => {
    const [server, port] = await startServe();
    await using _ = server;
    await using client = start("send", "-p", port, "hello");
    assertEquals(await client.status, 0);
    assertEquals(client.stdout, "hello\n");
    assertEquals(client.stderr, "Received from server: ");
    await server.untilStdout(/^Received: hello$/m);
    await server.untilStdout(/^Connection closed with .*: 5 B echoed in /m);
  });

  itRuns("needs no more than the network", async () => {
    const [server, port] = await startServe("--once", "-H", "localhost");
    await using _ = server;
    await using client = start("send", "-p", port, "-H", "localhost");
    assertEquals(await client.status, 0);
    assertEquals(await server.status, 0);
    assertEquals(server.stderr, "");
  });

  itRuns("says in one line that the port is in use", async () => {
    const [server, port] = await startServe();
    await using _ = server;
    await using second = start("serve", "-p", port);
    assertEquals(await second.status, 1);
    assertEquals(second.stdout, "");
    assertEquals(
      second.stderr,
      `echo: Cannot listen on 127.0.0.1:${port}: ` +
        "address already in use, choose another with --port\n",
    );
  });

  itRuns("exits with 2 when the command line is wrong", async () => {
    await using client = start("send", "--prot", "80");
    assertEquals(await client.status, 2);
    assertEquals(
      client.stderr,
      "echo: unknown flag --prot, did you mean --port?\n",
    );
  });

  itRuns("opens nothing that others may have put in its way", async () => {
    // Deno's code cache would be a file of this name, for anyone to make.
    const script = 'd=$(mktemp -d); mkfifo "$d/deno-compile-echo.cache"; ' +
      'TMPDIR=$d timeout 10 "$1" --version; echo "status $?"; rm -r "$d"';
    const stdout = await shell(script, EXECUTABLE.pathname);
    assertMatch(stdout, /^echo [\d.]+\nstatus 0\n$/);
  });

  itRuns("does not depend on who hears its talk", async () => {
    const [server, port] = await startServe();
    await using _ = server;
    const script = '"$1" send -p "$2" hello 2>/dev/full; echo "status $?"';
    const stdout = await shell(script, EXECUTABLE.pathname, port);
    assertEquals(stdout, "hello\nstatus 0\n");
  });

  itRuns("takes a reply that came in time while it was stopped", async () => {
    const arrived = Promise.withResolvers<void>();
    using peer = startPeer(async (conn) => {
      const bytes = new Uint8Array(10);
      const length = await conn.read(bytes) ?? 0;
      arrived.resolve();
      await stopped.promise;
      await conn.write(bytes.subarray(0, length));
      answered.resolve();
    });
    const stopped = Promise.withResolvers<void>();
    const answered = Promise.withResolvers<void>();
    await using client = start("send", "-p", `${peer.port}`, "-t1", "hello");
    await arrived.promise;
    client.kill("SIGSTOP");
    stopped.resolve();
    await answered.promise;
    await delay(1500);
    client.kill("SIGCONT");
    assertEquals(await client.status, 0);
    assertEquals(client.stdout, "hello\n");
  });

  itRuns("streams 100 MB through stdin and stdout unharmed", async () => {
    const [server, port] = await startServe();
    await using _ = server;
    await using client = spawn("send", "-p", port, "-q", "-");
    const sent = createHash("sha256");
    const feed = async () => {
      const source = new RandomSource(100_000_000);
      const writer = client.stdin.getWriter();
      const buffer = new Uint8Array(1 << 20);
      for (let length; (length = await source.read(buffer)) !== null;) {
        const piece = buffer.slice(0, length);
        sent.update(piece);
        await writer.write(piece);
      }
      await writer.close();
    };
    const feeding = feed();
    const received = createHash("sha256");
    for await (const piece of client.stdout) received.update(piece);
    await feeding;
    assertEquals((await client.status).code, 0);
    assertEquals(await new Response(client.stderr).text(), "");
    assertEquals(received.digest("hex"), sent.digest("hex"));
  });

  itRuns("ends quietly when its stdout is closed", async () => {
    const [server, port] = await startServe();
    await using _ = server;
    await using client = spawn("send", "-p", port, "-q", "-");
    const writer = client.stdin.getWriter();
    const feed = async () => {
      while (true) await writer.write(new Uint8Array(65_536));
    };
    const feeding = feed().catch((error) => error.name);
    const reader = client.stdout.getReader();
    await reader.read();
    await reader.cancel();
    assertEquals((await client.status).code, 1);
    assertEquals(await new Response(client.stderr).text(), "");
    assertEquals(await feeding, "BrokenPipe");
  });

  for (const workers of ["1", "2"]) {
    const gone = "when the reader of its log is gone";
    itRuns(`serves on with --workers ${workers} ${gone}`, async () => {
      await using server = spawn("serve", "-p0", "--workers", workers);
      const reader = server.stdout.getReader();
      const { value } = await reader.read();
      const port = new TextDecoder().decode(value).match(/:(\d+)\.\.\./)![1]!;
      await reader.cancel();
      for (let turn = 0; turn < 3; turn++) {
        await using client = start("send", "-p", port, "hello");
        assertEquals(await client.status, 0);
      }
      server.kill("SIGTERM");
      assertEquals((await server.status).code, 0);
      assertEquals(await new Response(server.stderr).text(), "");
      await server.stdin.close();
    });
  }

  itRuns("measures", async () => {
    const [server, port] = await startServe("--json");
    await using _ = server;
    await using ping = start("ping", "-p", port, "-c2", "-i10ms");
    assertEquals(await ping.status, 0);
    assertMatch(ping.stdout, /^2 sent, 2 verified, 0 lost, in /m);
    await using load = start("load", "-p", port, "-C3", "-d200ms", "--json");
    assertEquals(await load.status, 0);
    const { messages, failed, connections } = JSON.parse(load.stdout);
    assertEquals([failed, connections], [0, 3]);
    server.kill("SIGTERM");
    assertEquals(await server.status, 0);
    const echoed = [...server.stdout.matchAll(/"close".*"bytes":(\d+)/g)]
      .reduce((sum, [, bytes]) => sum + Number(bytes), 0);
    assertEquals(echoed, (2 + messages) * 64);
  });

  itRuns(
    "shows the summary so far on SIGQUIT, and ends on SIGINT",
    async () => {
      const [server, port] = await startServe();
      await using _ = server;
      await using ping = start("ping", "-p", port, "-c0", "-i20ms");
      await ping.untilStdout(/seq=2 /);
      ping.kill("SIGQUIT");
      await ping.untilStderr(/^\d+ sent, \d+ verified, 0 lost/m);
      const seen = ping.stdout.match(/seq=/g)!.length;
      await ping.untilStdout(new RegExp(`seq=${seen + 2} `));
      ping.kill("SIGINT");
      assertEquals(await ping.status, 0);
      assertMatch(ping.stdout, /^\d+ sent, \d+ verified, 0 lost/m);
    },
  );

  itRuns("serves in several threads that share a port", async () => {
    const [server, port] = await startServe("--workers", "3");
    await using _ = server;
    assertEquals(await countListeners(port), 3);
    // The kernel gives each listener its share: one that nobody serves would
    // leave some without an answer.
    for (let turn = 0; turn < 60; turn++) {
      using client = await connect({ port: Number(port) });
      await client.echo(new Uint8Array(100).fill(65));
      await client.end();
    }
    using conn = await Deno.connect({ port: Number(port) });
    await conn.write(new Uint8Array(3));
    assertEquals(await conn.read(new Uint8Array(10)), 3);
    server.kill("SIGTERM");
    await server.untilStdout(/^Shutting down: 1 connection open, /m);
    await conn.closeWrite();
    assertEquals(await server.status, 0);
    assertEquals(server.stderr, "");
    const lines = server.stdout.split("\n");
    for (
      const [start, count] of [["Server", 1], ["Connection e", 61], [
        "Received",
        61,
      ], ["Connection c", 61]] as const
    ) {
      const found = lines.filter((line) => line.startsWith(start));
      assertEquals([start, found.length], [start, count]);
    }
    assertMatch(
      server.stdout,
      /\nServed 61 connections, echoed 5\.86 KiB in [^\n]+\n$/,
    );
  });

  itRuns("serves in one thread a core with --workers 0", async () => {
    const [server, port] = await startServe("--workers", "0");
    await using _ = server;
    assertEquals(await countListeners(port), navigator.hardwareConcurrency);
  });

  itRuns("says once that the disk is full, from all its threads", async () => {
    // A client of the moment before the threads listen is reset: the first may be one.
    const script = 'exec 2>&1; "$1" serve -p "$2" --workers 2 >/dev/full & ' +
      'for turn in 1 2 3; do "$1" send -qp "$2" --retry 10s hi && break; done ' +
      ">/dev/null 2>&1; " +
      'for turn in 1 2 3 4; do "$1" send -qp "$2" --retry 10s hi; done; ' +
      'kill $!; wait $!; echo "status $?"';
    const port = `${freePort()}`;
    const stdout = await shell(script, EXECUTABLE.pathname, port);
    assertEquals(stdout.split("\n").sort(), [
      "",
      "echo: Cannot write to stdout: no space left on device",
      ...["hi", "hi", "hi", "hi", "status 0"],
    ]);
  });

  itRuns("does not share its port with another server", async () => {
    const [server, port] = await startServe("--workers", "2");
    await using _ = server;
    for (const workers of ["1", "2"]) {
      await using second = start("serve", "-p", port, "--workers", workers);
      assertEquals(await second.status, 1);
      assertMatch(second.stderr, /address already in use, choose another/);
    }
  });

  // Not ./echo, but only another process can show that one ends.
  itRuns("as a library lets a process end after unref()", async () => {
    const server = new URL("../server.ts", import.meta.url);
    const program = `import { serve } from "${server}";
      serve({ port: 0, idleTimeoutMs: 3_600_000 }).unref();`;
    const script = 'printf %s "$1" | timeout 20 deno run --allow-net -; ' +
      'echo "status $?"';
    assertEquals(await shell(script, program), "status 0\n");
  });

  itRuns("outlives a lack of file descriptors", async () => {
    await using server = startWithLimit(64, "serve", "--port", "0");
    const [, port] = await server.untilStdout(/127\.0\.0\.1:(\d+)/);
    // More than there are descriptors for: the others wait in the queue.
    const clients = await Promise.all(
      Array.from({ length: 120 }, () => connect({ port: Number(port) })),
    );
    await server.untilStdout(/^Cannot accept a connection on .*: too many/m);
    for (const client of clients) {
      await client.echo(new Uint8Array(10));
      client.close();
    }
    server.kill("SIGTERM");
    assertEquals(await server.status, 0);
    assertEquals(server.stdout.match(/^Cannot accept/gm)?.length, 1);
    assertMatch(server.stdout, /^Served 120 connections, /m);
  });

  itRuns("does not grow with the connections it served", async () => {
    await soak(30_000, 10_000);
  });
});
