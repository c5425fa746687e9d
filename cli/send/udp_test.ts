import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { serve } from "../../server.ts";
import {
  type Datagram,
  echo,
  freeUdpPort,
  startDatagramPeer,
} from "../../testing/datagrams.ts";
import { replace } from "../../testing/replace.ts";
import { outcome, run, runUdp } from "../../testing/terminal.ts";

const text = ({ bytes }: Datagram) => new TextDecoder().decode(bytes);

describe("echo send --udp", () => {
  it("prints what came back as over TCP", async () => {
    await using server = serve({ port: 0, udp: true });
    for (const words of [["hello", "you"], [""], ["--", "-"], []]) {
      const { status, stdout, stderr } = await runUdp(
        "send",
        server.addr.port,
        words,
      );
      const message = words.length === 0
        ? "Hello server, this is from the client"
        : words.join(" ").replace("-- ", "");
      assertEquals([status, stdout, stderr], [
        ...[0, `${message}\n`, "Received from server: "],
      ]);
    }
    assertEquals(server.stats().udp?.datagrams, 4);
    assertEquals(server.stats().accepted, 0);
  });

  it("sends one datagram of a size", async () => {
    using peer = startDatagramPeer(echo);
    for (const size of [1, 1472, 1473, 65_507]) {
      const args = [`-s${size}`];
      const { status, stdout, stderr } = await runUdp("send", peer.port, args);
      assertEquals([status, stderr], [0, ""]);
      assertMatch(stdout, /^[\d.]+ \w+ came back, all verified, in [^\n]+\n$/);
      assertEquals(peer.got.at(-1)!.bytes.length, size);
    }
    assertEquals(peer.got.length, 4);
  });

  it("prints JSON", async () => {
    using peer = startDatagramPeer(echo);
    const { status, stdout, stderr } = await runUdp("send", peer.port, [
      "--json",
      "hey",
    ]);
    assertEquals([status, stderr], [0, ""]);
    const { connect_ms, duration_ms, bytes_per_second, ...rest } = JSON.parse(
      stdout,
    );
    const address = `127.0.0.1:${peer.port}`;
    assertEquals(rest, {
      ...{ time: "2001-02-03T04:05:06.789Z", address, transport: "udp" },
      ...{ peer: address, local_port: peer.got[0]!.from.port },
      ...{ verified: true, bytes: 3 },
    });
    for (const number of [connect_ms, duration_ms, bytes_per_second]) {
      assert(number >= 0);
    }
  });

  it("says what silence means", async () => {
    using peer = startDatagramPeer();
    const address = `127.0.0.1:${peer.port}/udp`;
    const { status, stdout, stderr } = await runUdp("send", peer.port, [
      "-t10ms",
      "hi",
    ]);
    assertEquals([status, stdout], [1, ""]);
    assertEquals(
      stderr,
      `echo: No reply from ${address} within 0.01 s: the datagram or its ` +
        "reply was lost or filtered, the server limits its rate, or nothing " +
        "is listening (UDP cannot tell these apart)\n",
    );
    assertEquals(peer.got.map(text), ["hi"]);
    const json = await runUdp("send", peer.port, ["-t10ms", "--json", "hi"]);
    const { verified, error } = JSON.parse(json.stdout);
    assertEquals([json.status, verified], [1, false]);
    assertEquals(`echo: ${error}\n`, stderr);
  });

  it("calls a wrong reply wrong", async () => {
    for (
      const [reply, why] of [
        ["hellO", "byte at offset 4 differs, sent 0x6f, received 0x4f"],
        ["hell", "the reply has 4 of 5 B"],
        [
          "hello!",
          "more came back than was sent: 0x21 at offset 5",
        ],
        ["Go away!", '"Go away!" came back, this is not an echo server'],
      ] as const
    ) {
      using peer = startDatagramPeer(({ from }, { send }) =>
        send(new TextEncoder().encode(reply), from)
      );
      const { status, stdout, stderr } = await runUdp("send", peer.port, [
        "hello",
      ]);
      assertEquals([status, stdout], [1, ""]);
      assert(stderr.endsWith(`: ${why}\n`), stderr);
      assert(stderr.startsWith("echo: Wrong echo"), stderr);
    }
  });

  it("is not answered by another port", async () => {
    using other = startDatagramPeer();
    using peer = startDatagramPeer(({ bytes, from }) =>
      other.send(bytes, from)
    );
    const { status, stdout, stderr } = await runUdp("send", peer.port, [
      "-t50ms",
      "hi",
    ]);
    assertEquals([status, stdout], [1, ""]);
    const from = `a datagram came from 127.0.0.1:${other.port}/udp\n`;
    assert(stderr.endsWith(from), stderr);
  });

  it("sends again with --retry until a server starts", async () => {
    const port = freeUdpPort();
    const session = run(["send", "--udp", `-p${port}`, "--retry=50s", "hello"]);
    await session.listening;
    // What is sent to a closed port is gone, at first.
    await new Promise((resolve) => setTimeout(resolve, 50));
    using peer = startDatagramPeer(echo, { port });
    assertEquals(await session.status, 0);
    assertEquals(session.stdout, "hello\n");
    assertEquals(peer.got.map(text), ["hello"]);
  });

  it("ends at Ctrl-C and at the deadline, also between two tries", async () => {
    using peer = startDatagramPeer();
    const args = ["send", "--udp", `-p${peer.port}`, "-t1ms", "--retry=1h"];
    const session = run([...args, "hello"]);
    await peer.untilGot(3);
    session.interrupt();
    assertEquals(await session.status, 130);
    const late = await outcome(run([...args, "-w50ms", "hello"]));
    assertEquals([late.status, late.stdout], [1, ""]);
    assertMatch(late.stderr, /^echo: [^\n]+\n$/);
  });

  it("refuses what is no datagram before anything is opened", async () => {
    using _ = replace(Deno, "listenDatagram", () => {
      throw new Error("opened");
    });
    const most = "is at most 65507 B, as a datagram is: it has";
    const long = "x".repeat(65_508);
    for (
      const [args, why] of [
        [["-"], "--udp and - exclude each other: a stream is for TCP"],
        [["-s65508"], `--size with --udp ${most} 65508`],
        [["-s64k"], `--size with --udp ${most} 65536`],
        [[long], `a message with --udp ${most} 65508`],
      ] as const
    ) {
      const { status, stdout, stderr } = await runUdp("send", 9, [...args]);
      assertEquals([status, stdout], [2, ""]);
      const [line, ...rest] = stderr.split("\n");
      assertEquals(line, `echo: ${why}`);
      assertEquals(rest.filter((it) => it !== "").length <= 1, true);
    }
  });
});
