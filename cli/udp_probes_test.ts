import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { serve } from "../server.ts";
import {
  type DatagramPeer,
  echo,
  freeUdpPort,
  startDatagramPeer,
} from "../testing/datagrams.ts";
import { patternOf } from "../testing/peer.ts";
import { run, runUdp } from "../testing/terminal.ts";

/** Pings with `-c`, and loads without. */
function probeUdp(port: number, args: string[]) {
  const isPing = args.some((arg) => arg.startsWith("-c"));
  return runUdp(isPing ? "ping" : "load", port, args);
}

/** Echoes: the second message twice, and the third one after its timeout. */
function startIrregular(): DatagramPeer {
  return startDatagramPeer(async (datagram, peer) => {
    const number = peer.got.length;
    if (number !== 3) await echo(datagram, peer);
    if (number === 2) await echo(datagram, peer);
    // A late reply, to the message that timed out.
    if (number === 4) await echo(peer.got[2]!, peer);
  });
}

describe("echo ping --udp", () => {
  it("reads like ping", async () => {
    await using server = serve({ port: 0, udp: true });
    const { port } = server.addr;
    const { status, stdout, stderr } = await probeUdp(port, ["-c2", "-i5ms"]);
    assertEquals([status, stderr], [0, ""]);
    const address = `127.0.0.1:${port}/udp`;
    assertMatch(
      stdout,
      new RegExp(
        `^Datagrams to ${address} from port \\d+\n` +
          `64 B from ${address}: seq=1 time=[\\d.]+ ms\n` +
          `64 B from ${address}: seq=2 time=[\\d.]+ ms\n` +
          `--- ${address} echo statistics ---\n` +
          "2 sent, 2 verified, 0 lost, in [^\n]+\n" +
          "rtt [^\n]+\nsent late: [^\n]+\n$",
      ),
    );
  });

  it("counts second replies also to the words it asks for a server with", async () => {
    using asking = startDatagramPeer(echo);
    await probeUdp(asking.port, ["-c1", "--retry=50s"]);
    const words = new TextDecoder().decode(asking.got[0]!.bytes);
    using peer = startDatagramPeer(async (datagram, peer) => {
      await echo(datagram, peer);
      if (datagram.bytes.length === words.length) await echo(datagram, peer);
    });
    for (const retry of [[], ["--retry=50s"]]) {
      const args = ["-c2", "-i0", "--json", ...retry, "-m", words];
      const { stdout } = await probeUdp(peer.port, args);
      const { duplicated } = JSON.parse(stdout.trimEnd().split("\n").at(-1)!);
      assertEquals(duplicated, 2);
    }
  });

  it("tells what is irregular, line by line and in sum", async () => {
    using peer = startIrregular();
    const args = ["-c4", "-i0", "-t1s"];
    const { status, stdout, stderr } = await probeUdp(peer.port, args);
    assertEquals([status, stderr], [1, ""]);
    const address = `127.0.0.1:${peer.port}/udp`;
    for (
      const line of [
        `duplicated reply from ${address}: seq=2\n`,
        `no reply from ${address}: seq=3 timed out after 1s\n`,
        "\n4 sent, 3 verified, 1 lost (25%), ",
        "\nreplies: 1 duplicated, 1 late\nrtt ",
      ]
    ) assert(stdout.includes(line), `${line} in ${stdout}`);
    assertMatch(stdout, /\nlate reply from [^ ]+: seq=3, \d[^\n]+ old\n/);
  });

  it("tells it as JSON", async () => {
    using peer = startIrregular();
    const args = ["-c4", "-i0", "-t1s", "--json"];
    const { status, stdout } = await probeUdp(peer.port, args);
    assertEquals(status, 1);
    const lines = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
    const summary = lines.pop();
    assert(lines.every(({ transport }) => transport === "udp"));
    const { sent, verified, lost, loss_percent, transport } = summary;
    assertEquals([sent, verified, lost, loss_percent, transport], [
      ...[4, 3, 1, 25, "udp"],
    ]);
    const { duplicated, reordered, late, corrupt, stray } = summary;
    assertEquals([duplicated, reordered, late, corrupt, stray], [
      ...[1, 0, 1, 0, 0],
    ]);
    const irregular = lines.filter(({ irregular }) => irregular);
    assertEquals(
      irregular.map(({ irregular, seq }) => [irregular, seq]).toSorted(),
      [["duplicated", 2], ["late", 3]],
    );
    const local = peer.got[0]!.from.port;
    assert(irregular.every(({ local_port }) => local_port === local));
    assert(irregular[1].age_ms >= 1000);
  });

  it("tells of a flood of second replies in a few lines", async () => {
    using peer = startDatagramPeer(async ({ bytes, from }, { send, got }) => {
      for (let n = got.length === 1 ? 50 : 1; n > 0; n--) {
        await send(bytes, from);
      }
    });
    const args = ["-c1", "-i0", "--json"];
    const { status, stdout } = await probeUdp(peer.port, args);
    const lines = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
    const { duplicated } = lines.pop();
    const told = lines.filter(({ irregular }) => irregular);
    const many = told.filter(({ irregular }) => irregular === "many");
    const counted = many.reduce((n, { counts }) => n + counts.duplicated, 0);
    assertEquals([status, told.length - many.length + counted], [
      ...[0, duplicated],
    ]);
    assert(duplicated > 5, `${duplicated}`);
    assert(many.length > 0 && told.length <= 12, stdout);
  });

  it("counts a damaged reply as corrupt, and a stranger's as stray", async () => {
    using other = startDatagramPeer();
    using peer = startDatagramPeer(async ({ bytes, from }, { send, got }) => {
      if (got.length === 1) await other.send(bytes, from);
      if (got.length === 2) bytes[80]! ^= 1;
      await send(bytes, from);
    });
    const args = ["-c3", "-i0", "-s100"];
    const { status, stdout } = await probeUdp(peer.port, args);
    assertEquals(status, 1);
    assert(stdout.includes("\n3 sent, 2 verified, 1 lost (33.33%), "), stdout);
    assert(stdout.includes("\nreplies: 1 corrupt, 1 stray\n"), stdout);
    const stray = `stray reply from 127.0.0.1:${other.port}/udp: seq=1\n`;
    assert(stdout.includes(stray), stdout);
  });

  it("takes a new port each with --reconnect", async () => {
    using peer = startDatagramPeer(echo);
    const args = ["-c3", "-i1ms", "--reconnect"];
    const { status, stdout } = await probeUdp(peer.port, args);
    assertEquals(status, 0);
    assertEquals(new Set(peer.got.map(({ from }) => from.port)).size, 3);
    assertMatch(stdout, /seq=1 time=[\d.]+ ms connect=[\d.]+ ms\n/);
  });

  it("waits with --retry until a server starts, and counts that not", async () => {
    const port = freeUdpPort();
    const args = ["-c2", "-i0", "--retry=50s", "--json"];
    const session = run(["ping", "--udp", `-p${port}`, ...args]);
    await session.listeningForStatus;
    await new Promise((resolve) => setTimeout(resolve, 50));
    using peer = startDatagramPeer(async (datagram, peer) => {
      await echo(datagram, peer);
      // The answer to the question comes again.
      if (datagram.bytes.length < 64) await echo(datagram, peer);
    }, { port });
    assertEquals(await session.status, 0);
    const summary = JSON.parse(session.stdout.trimEnd().split("\n").at(-1)!);
    const { sent, verified, duplicated } = summary;
    assertEquals([sent, verified, duplicated], [2, 2, 0]);
    assertEquals(
      peer.got.filter(({ bytes }) => bytes.length === 64).length,
      2,
    );
  });

  it("judges the loss as --fail-if says", async () => {
    for (const [most, status] of [["10%", 3], ["30%", 0]] as const) {
      using peer = startIrregular();
      const args = ["-c4", "-i0", "-t1s", `--fail-if=loss>${most}`];
      assertEquals((await probeUdp(peer.port, args)).status, status);
    }
  });

  it("ends at Ctrl-C with what is under way lost", async () => {
    using peer = startDatagramPeer();
    const args = ["ping", "--udp", `-p${peer.port}`, "-c0", "-i1ms", "--json"];
    const session = run([...args, "-q"]);
    await peer.untilGot(20);
    session.interrupt();
    assertEquals(await session.status, 1);
    const { sent, verified, lost } = JSON.parse(session.stdout);
    assertEquals([verified, lost], [0, sent]);
    assert(sent >= 20);
  });
});

describe("echo load --udp", () => {
  it("counts the same as the server", async () => {
    for (const flags of [["-C5"], ["-r1000"]]) {
      await using server = serve({ port: 0, udp: true });
      const args = [...flags, "-d200ms", "--json"];
      const { stdout } = await probeUdp(server.addr.port, args);
      const found = JSON.parse(stdout);
      assertEquals([found.transport, found.failed], ["udp", 0]);
      assertEquals(found.messages, server.stats().udp?.datagrams);
      const { duplicated, reordered, late, corrupt, stray } = found;
      assertEquals(
        [duplicated, reordered, late, corrupt, stray],
        [0, 0, 0, 0, 0],
      );
    }
  });

  it("says what was lost", async () => {
    using peer = startDatagramPeer(async (datagram, peer) => {
      if (peer.got.length % 10 > 2) await echo(datagram, peer);
    });
    const args = ["-r100", "-d1s", "-t1s", "--json"];
    const { status, stdout } = await probeUdp(peer.port, args);
    const { messages, failures, first_errors } = JSON.parse(stdout);
    const sent = peer.got.length;
    const lost = peer.got.filter((_, at) => (at + 1) % 10 <= 2).length;
    assertEquals([status, messages], [1, sent - lost]);
    assertEquals(failures, { timeout: lost });
    assertMatch(first_errors.timeout, /^the datagram or its reply was lost /);
  });

  it("is a report in words, too", async () => {
    using peer = startDatagramPeer(async (datagram, peer) => {
      await echo(datagram, peer);
      if (peer.got.length === 2) await echo(datagram, peer);
    });
    const { status, stdout } = await probeUdp(peer.port, ["-C1", "-d100ms"]);
    assertEquals(status, 0);
    assertMatch(stdout, /^--- 127.0.0.1:\d+\/udp echo load ---\n/);
    assertMatch(stdout, / verified, 0 failed, over 1 socket in /);
    assertMatch(stdout, /\nreplies: 1 duplicated\nlatency /);
  });

  it("ends where nobody answers, with exit status 1", async () => {
    const port = freeUdpPort();
    const args = ["-C2", "-d20ms", "-t20ms"];
    const { status, stdout, stderr } = await probeUdp(port, args);
    assertEquals([status, stderr], [1, ""]);
    assertMatch(stdout, /\n0 messages of 64 B verified, \d+ failed, /);
  });

  it("takes no flood of garbage for replies", async () => {
    const garbage = patternOf(1000);
    using peer = startDatagramPeer(async (datagram, peer) => {
      for (let n = 0; n < 20; n++) await peer.send(garbage, datagram.from);
    });
    const args = ["-C2", "-d100ms", "-t100ms", "--json"];
    const { status, stdout } = await probeUdp(peer.port, args);
    const { messages, failed, failures, corrupt } = JSON.parse(stdout);
    assertEquals([status, messages], [1, 0]);
    // The first of each socket can have no other reply. Nothing tells whose it is later.
    assertEquals(failures, { mismatch: 2, timeout: failed - 2 });
    assert(corrupt > failed);
  });
});
