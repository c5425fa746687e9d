import { assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { connect } from "../../client.ts";
import {
  DatagramPeer,
  ownAddress,
  peerWithFreeTcpPort,
} from "../../testing/datagram_peer.ts";
import { freePort } from "../../testing/peer.ts";
import { outcome, run, type Session } from "../../testing/terminal.ts";
import { HELLO } from "../../testing/visitor.ts";

/** Starts `echo serve --udp` on a free port, and tells where it is. */
async function startServe(...args: string[]) {
  const session = run(["serve", "-p0", "--udp", ...args]);
  const [, port] = await session.untilStdout(/127\.0\.0\.1:(\d+)/);
  const addr: Deno.NetAddr = {
    ...{ transport: "udp", hostname: "127.0.0.1", port: Number(port) },
  };
  return { session, addr };
}

/** Presses Ctrl-C, and waits for the end. */
function end(session: Session) {
  session.interrupt();
  return outcome(session);
}

describe("echo serve --udp", () => {
  it("logs datagrams and connections in one log", async () => {
    const { session, addr } = await startServe();
    await using peer = new DatagramPeer();
    await peer.ask({ addr }, HELLO);
    await peer.ask({ addr }, HELLO);
    {
      using client = await connect({ port: addr.port });
      await client.echo(HELLO);
      await client.end();
    }
    await session.untilStdout(/Connection closed/);
    const { status, stdout, stderr } = await end(session);
    assertEquals([status, stderr], [0, ""]);
    const at = `127\\.0\\.0\\.1:${peer.addr.port}/udp`;
    assertMatch(
      stdout,
      new RegExp(
        `^Server listening on 127\\.0\\.0\\.1:${addr.port}, ` +
          "over TCP and UDP\\.\\.\\.\n" +
          `First datagram from ${at}\n` +
          "Received: hello\n" +
          "Connection established with (127\\.0\\.0\\.1:\\d+)\n" +
          "Received from \\1: hello\n" +
          "Connection closed with \\1: 5 B echoed in [\\d.]+ m?s\n" +
          "Shutting down\n" +
          `Last datagram from ${at}: 2 datagrams, ` +
          "10 B echoed in [\\d.]+ m?s \\(shutdown\\)\n" +
          "Served 1 connection and 2 datagrams, echoed 15 B in [\\d.]+ m?s\n$",
      ),
    );
  });

  it("logs JSON lines, and what was not answered", async () => {
    const { session, addr } = await startServe("--json", "--udp-rate=2");
    await using peer = new DatagramPeer();
    await using nfs = new DatagramPeer(ownAddress(), 2049);
    await nfs.send({ addr }, HELLO);
    await nfs.send({ addr }, HELLO);
    for (let n = 0; n < 10; n++) await peer.send({ addr }, HELLO);
    await session.untilStdout(/"reason":"rate"/);
    const { status, stdout } = await end(session);
    assertEquals(status, 0);
    const lines = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
    assertEquals(
      lines.map(({ event, reason }) => reason ? `${event} ${reason}` : event),
      [
        ...["listening", "drop port", "open", "data", "drop rate"],
        ...["shutdown", "close shutdown", "stopped"],
      ],
    );
    const { datagrams, dropped } = lines.at(-1);
    assertEquals(dropped.port, 2);
    // The second may have changed in the midst.
    assertEquals(datagrams + dropped.rate, 10);
    assertEquals(lines.at(-2).datagrams, datagrams);
  });

  it("with --once ends after one datagram", async () => {
    const { session, addr } = await startServe("--once");
    await using peer = new DatagramPeer();
    assertEquals(await peer.ask({ addr }, HELLO), HELLO);
    const { status, stdout } = await outcome(session);
    assertEquals(status, 0);
    assertMatch(
      stdout,
      /\nServed 0 connections and 1 datagram, echoed 5 B in .*\n$/,
    );
  });

  it("says at its end which replies were held back, and counts them", async () => {
    for (const style of ["text", "json"]) {
      const { session, addr } = await startServe(
        ...["--fault", "latency=30s", "--drain-timeout", "10ms"],
        ...(style === "json" ? ["--json"] : []),
      );
      await using peer = new DatagramPeer();
      await peer.send({ addr }, HELLO);
      await session.untilStdout(style === "json" ? /"fault"/ : /Fault: /);
      const { status, stdout } = await end(session);
      assertEquals(status, 0);
      if (style === "text") {
        assertMatch(
          stdout,
          new RegExp(
            "\nShutting down: 1 datagram reply held back, waiting up to 10ms " +
              "\\(Ctrl-C again to stop now\\)\n" +
              "No answer to a datagram from .*: the server stopped .*\n" +
              "Last datagram from .*: 0 datagrams, 0 B echoed .*\n" +
              "Served 0 connections and 0 datagrams, .*" +
              ", not answered: 1 shutdown, faults: 1 latency\n$",
          ),
        );
      } else {
        assertMatch(stdout, /"event":"shutdown","connections":0,"replies":1}/);
        assertMatch(stdout, /"event":"stopped".*"dropped":{"shutdown":1}/);
      }
    }
  });

  it("forgets a silent sender after --idle-timeout", async () => {
    const { session, addr } = await startServe("--idle-timeout", "20ms");
    await using peer = new DatagramPeer();
    await peer.ask({ addr }, HELLO);
    await session.untilStdout(
      /^Last datagram from .*: 1 datagram, 5 B echoed in .* \(idle\)$/m,
    );
    assertEquals((await end(session)).status, 0);
  });

  it("says which faults datagrams do not have", async () => {
    const { session } = await startServe("--fault", "stall,loss:5");
    const { stdout } = await end(session);
    assertMatch(
      stdout,
      /^Server listening .*\(stall is for connections: datagrams are .*\n/,
    );
  });

  it("with --quiet logs nothing, and answers all the same", async () => {
    const port = freePort();
    const session = run(["serve", "-q", "--udp", `--port=${port}`]);
    (await connect({ port, retryMs: 10_000 })).close();
    await using peer = new DatagramPeer();
    const addr: Deno.NetAddr = {
      ...{ transport: "udp", hostname: "127.0.0.1", port },
    };
    assertEquals(await peer.ask({ addr }, HELLO), HELLO);
    assertEquals(await end(session), { status: 0, stdout: "", stderr: "" });
  });

  it("says in one line that the UDP port is taken", async () => {
    await using taken = await peerWithFreeTcpPort();
    const { port } = taken.addr;
    assertEquals(await outcome(run(["serve", "--udp", `-p${port}`])), {
      ...{ status: 1, stdout: "" },
      stderr: `echo: Cannot listen on 127.0.0.1:${port}/udp: ` +
        "address already in use, choose another with --port\n",
    });
    // TCP's is free.
    Deno.listen({ hostname: "127.0.0.1", port }).close();
  });
});
