import { assertEquals, assertMatch } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { createHash } from "node:crypto";
import { RandomSource } from "../cli/random_source.ts";
import { itRuns, type Process, spawn, start } from "../testing/process.ts";

/** Starts `echo serve` on a free port, and tells the port. */
async function startServe(...args: string[]): Promise<[Process, string]> {
  const server = start("serve", "--port", "0", ...args);
  const [, port] = await server.untilStdout(/127\.0\.0\.1:(\d+)/);
  return [server, port!];
}

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

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    itRuns(`lets open connections finish on ${signal}`, async () => {
      const [server, port] = await startServe();
      await using _ = server;
      using conn = await Deno.connect({ port: Number(port) });
      await server.untilStdout(/established/);
      server.kill(signal);
      await server.untilStdout(/^Shutting down: 1 connection open, /m);
      await conn.write(new Uint8Array(3));
      await conn.closeWrite();
      assertEquals(await conn.read(new Uint8Array(10)), 3);
      assertEquals(await conn.read(new Uint8Array(10)), null);
      assertEquals(await server.status, 0);
      assertMatch(server.stdout, /^Served 1 connection, echoed 3 B in /m);
    });
  }

  itRuns("stops at once on a second signal", async () => {
    const [server, port] = await startServe("--drain-timeout", "1h");
    await using _ = server;
    using _conn = await Deno.connect({ port: Number(port) });
    await server.untilStdout(/established/);
    server.kill("SIGINT");
    await server.untilStdout(/Shutting down/);
    server.kill("SIGTERM");
    assertEquals(await server.status, 130);
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

  itRuns("serves on when the reader of its log is gone", async () => {
    await using server = spawn("serve", "--port", "0");
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
});
