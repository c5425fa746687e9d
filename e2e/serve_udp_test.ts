import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { DatagramPeer, peerWithFreeTcpPort } from "../testing/datagram_peer.ts";
import { patternOf } from "../testing/peer.ts";
import {
  itRuns,
  shell,
  start,
  startServe,
  startWithLimit,
} from "../testing/process.ts";
import { HELLO } from "../testing/visitor.ts";

/** The address of a server of this machine. */
function at(port: string): { addr: Deno.NetAddr } {
  const hostname = "127.0.0.1";
  return { addr: { transport: "udp", hostname, port: Number(port) } };
}

/** Other programs that send a line over UDP and print what comes back. */
const CLIENTS: [name: string, script: string][] = [
  ["socat", 'printf "hello\\n" | socat -t 5 - "UDP:127.0.0.1:$1,readbytes=6"'],
  [
    "ncat",
    // It ends only when it is told to.
    '(printf "hello\\n"; sleep 0.5) | ncat -u -i 1s 127.0.0.1 "$1" 2>/dev/null',
  ],
];

/** Where Deno may not run a command, none is there. */
const mayRun = Deno.permissions.querySync({ name: "run", command: "sh" })
  .state === "granted";
const installed = mayRun
  ? await shell("command -v socat; command -v ncat")
  : "";

describe("./echo serve --udp", () => {
  itRuns("answers datagrams, and sums them up at the end", async () => {
    const [server, port] = await startServe("--udp");
    await using _ = server;
    await using peer = new DatagramPeer();
    for (const size of [0, 1, 512, 1472, 1473, 65_507]) {
      assertEquals(await peer.ask(at(port), patternOf(size)), patternOf(size));
    }
    server.kill("SIGTERM");
    assertEquals([await server.status, server.stderr], [0, ""]);
    assertMatch(
      server.stdout,
      /^Last datagram from 127\.0\.0\.1:\d+\/udp: 6 datagrams, 67\.3 KiB echoed in .* \(shutdown\)\nServed 0 connections and 6 datagrams, echoed 67\.3 KiB in [^,]*\n$/m,
    );
  });

  itRuns("answers what came before a signal", async () => {
    const [server, port] = await startServe("--udp");
    await using _ = server;
    await using peer = new DatagramPeer();
    server.kill("SIGSTOP");
    for (let n = 0; n < 50; n++) await peer.send(at(port), patternOf(9, n));
    server.kill("SIGTERM");
    server.kill("SIGCONT");
    assertEquals((await peer.untilReceived(50)).length, 50);
    assertEquals(await server.status, 0);
    assertMatch(server.stdout, /^Served 0 connections and 50 datagrams, /m);
  });

  itRuns("ends with --once after a datagram", async () => {
    const [server, port] = await startServe("--udp", "--once");
    await using _ = server;
    await using peer = new DatagramPeer();
    assertEquals(await peer.ask(at(port), HELLO), HELLO);
    assertEquals(await server.status, 0);
  });

  for (const [name, script] of CLIENTS) {
    const itAnswers = installed.includes(`/${name}\n`) ? itRuns : it.skip;
    itAnswers(`answers ${name} (which must be installed)`, async () => {
      const [server, port] = await startServe("--udp");
      await using _ = server;
      assertEquals(await shell(script, port), "hello\n");
      await server.untilStdout(/^Received: hello\\n$/m);
      server.kill("SIGINT");
      assertEquals(await server.status, 0);
      assertMatch(
        server.stdout,
        /^Served 0 connections and 1 datagram, echoed 6 B in /m,
      );
    });
  }

  itRuns("answers another server no more than its rate", async () => {
    const [first, firstPort] = await startServe("--udp");
    await using _first = first;
    // A server whose port another has a moment later: its replies are forged, as it
    // were.
    const forger = await peerWithFreeTcpPort();
    const { port } = forger.addr;
    first.kill("SIGSTOP");
    await forger.send(at(firstPort), HELLO);
    await forger[Symbol.asyncDispose]();
    await using second = start("serve", "--udp", "-p", `${port}`);
    await second.untilStdout(/listening/);
    first.kill("SIGCONT");
    await first.untilStdout(/^First datagram from /m);
    // The loop has stopped when one of them dropped what was left of it.
    const dropped = /^No answer to a datagram from .* as another echo server/m;
    await Promise.any([first, second].map((it) => it.untilStdout(dropped)));
    for (const server of [first, second]) {
      server.kill("SIGTERM");
      assertEquals(await server.status, 0);
      const [, count] = server.stdout.match(/ and ([\d,]+) datagrams?, /) ?? [];
      const answered = Number(count?.replaceAll(",", ""));
      // A second may have begun meanwhile, in which a thousand more are allowed.
      assert(answered >= 1 && answered <= 3000, `${answered} answered`);
    }
  });

  itRuns("says in one line that descriptors are lacking", async () => {
    // All that it takes before it listens.
    for (let limit = 10; limit <= 40; limit++) {
      await using server = startWithLimit(limit, "serve", "-p0", "--udp");
      const listening = server.untilStdout(/listening/).then(() => true);
      const isListening = await Promise.race([
        listening.catch(() => false),
        server.status.then(() => false),
      ]);
      if (isListening) {
        assert(limit > 10, "no limit was too low");
        return;
      }
      // The runtime itself may lack them, too.
      if (!server.stderr.startsWith("echo: ")) continue;
      assertMatch(
        server.stderr,
        /^echo: Cannot listen on [^\n]+ files[^\n]*\n$/,
      );
    }
    throw new Error("it never listened");
  });
});
