import { assertEquals, assertMatch } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { freePortForBoth } from "../testing/datagram_peer.ts";
import { freeUdpPort, startDatagramPeer } from "../testing/datagrams.ts";
import {
  itRuns,
  itRunsBeside,
  start,
  startOther,
  startServe,
} from "../testing/process.ts";

/** A server of another program, on a port of 127.0.0.1. */
const OTHERS = {
  socat: (port: string) => [`UDP-RECVFROM:${port},bind=127.0.0.1,fork`, "PIPE"],
  ncat: (port: string) => ["-u", "-l", "-k", "-c", "cat", "127.0.0.1", port],
};

/** Runs `./echo send --udp` to its end. */
async function send(port: string, ...args: string[]) {
  await using client = start("send", "--udp", "-p", port, ...args);
  const status = await client.status;
  return { status, stdout: client.stdout, stderr: client.stderr };
}

describe("./echo send --udp", () => {
  itRuns("is answered by ./echo serve --udp", async () => {
    const [server, port] = await startServe("--udp");
    await using _ = server;
    assertEquals(await send(port, "hello"), {
      ...{ status: 0, stdout: "hello\n", stderr: "Received from server: " },
    });
    const { status, stdout } = await send(port, "-c3", "-i10ms", "-s65507");
    assertEquals(status, 0);
    assertMatch(stdout, /\n3 sent, 3 verified, 0 lost, in /);
    server.kill("SIGINT");
    assertEquals(await server.status, 0);
    assertMatch(server.stdout, /\nServed 0 connections and 4 datagrams, /);
  });

  itRuns("looks a name up, and says nothing of that", async () => {
    const [server, port] = await startServe("--udp", "-H", "localhost");
    await using _ = server;
    const { status, stderr } = await send(port, "-q", "-H", "localhost");
    assertEquals([status, stderr], [0, ""]);
  });

  itRuns("waits with --retry for a server that starts late", async () => {
    const port = `${await freePortForBoth()}`;
    await using client = start("send", "--udp", "-p", port, "--retry", "50s");
    await using server = start("serve", "--udp", "-p", port, "--once");
    assertEquals(await client.status, 0);
    assertEquals(await server.status, 0);
  });

  itRuns("says what silence means, and exits with 1", async () => {
    using peer = startDatagramPeer();
    const { status, stdout, stderr } = await send(`${peer.port}`, "-t50ms");
    assertEquals([status, stdout], [1, ""]);
    assertMatch(stderr, /^echo: No reply from [^\n]+ all look alike\n$/);
  });

  itRuns("ends with its summary at Ctrl-C", async () => {
    const [server, port] = await startServe("--udp");
    await using _ = server;
    await using client = start("send", "--udp", "-p", port, "-c0", "-i1ms");
    await client.untilStdout(/seq=50 /);
    client.kill("SIGINT");
    assertEquals(await client.status, 0);
    const [, sent, verified] = client.stdout
      .match(/\n([\d,]+) sent, ([\d,]+) verified, 0 lost, /) ?? [];
    assertEquals(sent, verified);
  });

  for (const [program, argsOf] of Object.entries(OTHERS)) {
    itRunsBeside(program)(`is answered by ${program}`, async () => {
      const port = `${freeUdpPort()}`;
      await using _ = startOther(program, ...argsOf(port));
      const hello = await send(port, "--retry=20s", "hello");
      assertEquals(hello, {
        ...{ status: 0, stdout: "hello\n", stderr: "Received from server: " },
      });
      const args = ["-c5", "-i20ms", "-t20s", "-s1472"];
      const { status, stdout } = await send(port, ...args);
      assertEquals(status, 0, stdout);
      assertMatch(stdout, /\n5 sent, 5 verified, 0 lost, in /);
    });
  }
});
