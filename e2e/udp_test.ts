import { assertEquals, assertMatch } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { freePortForBoth } from "../testing/datagram_peer.ts";
import { freeUdpPort, startDatagramPeer } from "../testing/datagrams.ts";
import {
  itInNetwork,
  itRuns,
  itRunsBeside,
  start,
  startInNetwork,
  startOther,
  startServe,
} from "../testing/process.ts";

/** A server of another program, on a port of 127.0.0.1. */
const OTHERS = {
  socat: (port: string) => [`UDP-RECVFROM:${port},bind=127.0.0.1,fork`, "PIPE"],
  ncat: (port: string) => ["-u", "-l", "-k", "-c", "cat", "127.0.0.1", port],
};

/** Runs `./echo send --udp` to its end, or `ping` with `-c`. */
async function send(port: string, ...args: string[]) {
  const command = args.some((arg) => arg.startsWith("-c")) ? "ping" : "send";
  await using client = start(command, "--udp", "-p", port, ...args);
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
    assertMatch(stderr, /^echo: No reply from [^\n]+ tell these apart\)\n$/);
  });

  itRuns("ends with its summary at Ctrl-C", async () => {
    const [server, port] = await startServe("--udp");
    await using _ = server;
    await using client = start("ping", "--udp", "-p", port, "-c0", "-i1ms");
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

/** Starts a server on a host, then sends to another one over TCP and UDP. */
function serveAndSend(server: string, client: string): string {
  return `"$0" serve -H '${server}' --udp >/run/log & server=$!
    until grep -q listening /run/log; do kill -0 $server || exit 8; done
    for over in '' --udp; do "$0" send $over -q -t 9s -H '${client}' "hi$over"; done
    kill $server; wait $server`;
}

describe("./echo send, by an address that is not plain,", () => {
  const ends = [
    ["fe80::9%lo", "fe80::9%lo"],
    ["0.0.0.0", "0.0.0.0"],
    ["::", "::"],
    // A name with both addresses.
    ["127.0.0.1", "two.test"],
    ["::1", "two.test"],
    ["two.test", "two.test"],
    // A name whose first address is a black hole: what loopback gets for others.
    ["198.51.100.1", "hole.test"],
  ] as const;
  const hosts = "127.0.0.1 two.test\n::1 two.test\n" +
    "192.0.2.1 hole.test\n198.51.100.1 hole.test\n";
  const addresses = `ip addr add fe80::9/64 dev lo nodad
    ip addr add 192.0.2.200/32 dev lo; ip route add 192.0.2.1 dev lo
    ip route add local 198.51.100.1 dev lo src 192.0.2.200 table local\n`;
  for (const [server, client] of ends) {
    itInNetwork(`reaches ${server} as ${client}`, async () => {
      const script = addresses + serveAndSend(server, client);
      await using both = startInNetwork(script, hosts);
      const status = await both.status;
      assertEquals([status, both.stdout], [0, "hi\nhi--udp\n"], both.stderr);
    });
  }

  itInNetwork("tells which address of a name answered", async () => {
    const script = `"$0" serve -H ::1 --udp --once >/run/log & server=$!
      until grep -q listening /run/log; do kill -0 $server || exit 8; done
      "$0" ping --udp two.test -c 2 -i 0 -t 300ms
      "$0" ping --udp two.test -c 1 -t 100ms --json
      wait $server; cat /run/log`;
    await using both = startInNetwork(script, hosts);
    assertEquals(await both.status, 0, both.stderr);
    const [, lost, summary] = both.stdout.match(/^({.*)\n({.*)$/m) ?? [];
    assertEquals([lost, summary].map((line) => JSON.parse(line!).peer), [
      ...[null, null],
    ]);
    assertMatch(both.stdout, /^Datagrams to two\.test:12345\/udp\n64 B from /);
  });

  itInNetwork(
    "tells a route that leads nowhere from other failures",
    async () => {
      const kinds = ["blackhole", "prohibit", "unreachable"];
      const script =
        kinds.map((kind, at) => `ip route add ${kind} 203.0.113.${at}\n`).join(
          "",
        ) + `for over in '' --udp; do for at in 0 1 2 3; do
      "$0" ping $over 203.0.113.$at -c 1 -t 9s --json; done; done`;
      await using client = startInNetwork(script);
      assertEquals(await client.status, 1);
      const lost = client.stdout.match(/"lost":"\w+","error":"[^"]+"/g);
      const words = [
        "invalid argument",
        "permission denied",
        "no route to host",
      ];
      const told = [...words, "network is unreachable"]
        .map((error) => `"lost":"unreachable","error":"${error}"`);
      assertEquals(lost, [...told, ...told]);
    },
  );

  itInNetwork("is answered by no socket that is its own", async () => {
    const ports = "/proc/sys/net/ipv4/ip_local_port_range";
    await using client = startInNetwork(`echo 40000 40007 >${ports}
      for over in '' --udp --tls; do
        "$0" ping -p 40002 $over -c 50 -i 5ms -t 100ms; done
      awk '$2 == $3 { print "kept", $2 }' /proc/net/tcp; exit 1`);
    assertEquals(await client.status, 1);
    assertEquals(client.stdout.match(/50 sent, 0 verified/g)?.length, 3);
    // No TIME-WAIT keeps the port from a server that starts.
    assertEquals(client.stdout.includes("kept"), false, client.stdout);
    const failures = client.stdout.match(/(?<=seq=\d+ ).*/g) ?? [];
    assertEquals(
      [...new Set(failures)],
      ["connection refused", "timed out after 100ms"],
    );
  });
});
