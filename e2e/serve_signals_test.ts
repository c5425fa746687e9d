import { assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe } from "@std/testing/bdd";
import { connect } from "../client.ts";
import { freePort } from "../testing/peer.ts";
import {
  itRuns,
  shell,
  startServe,
  startWithFile,
} from "../testing/process.ts";
import { roundTrip } from "../testing/visitor.ts";

/** How often a signal is sent twice: of a busy machine one may be late. */
const ATTEMPTS = 3;

/** Starts a server with one client, which ends with a signal. */
async function serveOne() {
  const [server, port] = await startServe("--drain-timeout", "1h");
  const conn = await Deno.connect({ port: Number(port) });
  await roundTrip(conn);
  return { server, conn };
}

describe("./echo serve, on a signal,", () => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
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

  itRuns("stops its threads at once on a second signal", async () => {
    const [server, port] = await startServe(
      "--workers=2",
      "--drain-timeout=1h",
    );
    await using _ = server;
    using conn = await Deno.connect({ port: Number(port) });
    await conn.write(new Uint8Array(3));
    await conn.read(new Uint8Array(10));
    server.kill("SIGINT");
    await server.untilStdout(/Shutting down/);
    server.kill("SIGTERM");
    assertEquals(await server.status, 130);
  });

  itRuns("takes a signal that is repeated at once for one", async () => {
    const statuses: number[] = [];
    do {
      const { server, conn } = await serveOne();
      await using _ = server;
      using _conn = conn;
      server.kill("SIGINT");
      // The kernel would make one of two that are sent without a pause.
      await delay(5);
      server.kill("SIGINT");
      await conn.closeWrite();
      statuses.push(await server.status);
    } while (statuses.at(-1) !== 0 && statuses.length < ATTEMPTS);
    assertEquals(statuses.at(-1), 0);
  });

  itRuns("takes a signal that comes again later for another", async () => {
    const { server, conn } = await serveOne();
    await using _ = server;
    using _conn = conn;
    server.kill("SIGINT");
    await server.untilStdout(/Shutting down/);
    await delay(200);
    server.kill("SIGINT");
    assertEquals(await server.status, 130);
  });

  itRuns(
    "ends when a client comes in the same moment as a signal",
    async () => {
      for (let turn = 0; turn < 10; turn++) {
        const [server, port] = await startServe("--drain-timeout", "50ms");
        await using _ = server;
        server.kill("SIGSTOP");
        server.kill("SIGTERM");
        using _conn = await Deno.connect({ port: Number(port) });
        server.kill("SIGCONT");
        assertEquals(await server.status, 0);
      }
    },
  );

  itRuns("logs the end of thousands of connections in a file", async () => {
    const clients = 3000;
    const port = freePort();
    const log = (await shell("mktemp")).trim();
    const conns: Deno.Conn[] = [];
    try {
      await using server = startWithFile(
        ...[log, "serve", "-p", `${port}`, "--drain-timeout", "0"] as const,
      );
      (await connect({ port, retryMs: 10_000 })).close();
      while (conns.length < clients) {
        conns.push(await Deno.connect({ port }));
      }
      // All that came before the last one were accepted before it.
      await roundTrip(conns.at(-1)!);
      server.kill("SIGTERM");
      assertEquals([await server.status, server.stderr], [0, ""]);
      const text = await shell('cat "$1"', log);
      const count = (pattern: RegExp) => text.match(pattern)?.length;
      assertEquals(count(/^Connection established with /gm), clients);
      assertMatch(text, /^1 connection opened and closed without a byte, /m);
      const closed = /^Connection closed with .* \(shutdown\)$/gm;
      assertEquals(count(closed), clients);
      assertMatch(text, /^Shutting down: 3,000 connections open, /m);
      assertMatch(text, /\nServed 3,001 connections, echoed 5 B in [^\n]+\n$/);
    } finally {
      for (const conn of conns) conn.close();
      await shell('rm "$1"', log);
    }
  });
});
