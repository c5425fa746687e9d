import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { Socket } from "node:net";
import { connect } from "../client.ts";
import {
  countAccepted,
  itInNetwork,
  itRuns,
  start,
  startInNetwork,
  startServe,
  startWithLimit,
} from "../testing/process.ts";
import { HELLO, roundTrip, startFlood } from "../testing/visitor.ts";
import { Watched } from "../testing/waiting.ts";

/** How often a test looks whether something happens that must not. */
const LOOKS = 20;

/** Clients of which the test sees which ones a server serves. */
class Visitors {
  /** The most that were served at the same time. */
  mostServed = 0;
  readonly #port: number;
  readonly #watched = new Watched();
  /** What lets each client go that is served. */
  readonly #served: (() => void)[] = [];

  constructor(port: string) {
    this.#port = Number(port);
  }

  /** Connects, and stays from the first echo until the test lets it go. */
  async visit(): Promise<void> {
    using client = await connect({ port: this.#port, timeoutMs: 50_000 });
    await client.echo(HELLO);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#served.push(resolve);
    this.mostServed = Math.max(this.mostServed, this.#served.length);
    this.#watched.changed();
    await promise;
    await client.end();
  }

  /** Waits until some are served at the same time, and lets one of them go. */
  async releaseOneOf(count: number): Promise<void> {
    const find = () => this.#served.length >= count || null;
    await this.#watched.until(find, () => `${count} clients served at once`);
    this.#served.shift()!();
  }
}

describe("./echo serve, with a limit,", () => {
  for (const workers of ["1", "4"]) {
    itRuns(`serves all, 5 at a time, with --workers ${workers}`, async () => {
      const limits = ["--max-connections", "5", "--workers", workers];
      const [server, port] = await startServe(...limits);
      await using _ = server;
      const visitors = new Visitors(port);
      const visits = Array.from({ length: 50 }, () => visitors.visit());
      for (let left = 50; left > 0; left--) {
        await visitors.releaseOneOf(Math.min(left, 5));
      }
      await Promise.all(visits);
      assertEquals(visitors.mostServed, 5);
      server.kill("SIGTERM");
      assertEquals(await server.status, 0);
      assertMatch(server.stdout, /^5 connections open, as many as /m);
      assertMatch(server.stdout, /^Served 50 connections, echoed 250 B in /m);
    });
  }

  for (const workers of ["1", "3"]) {
    itRuns(`serves one client with --once --workers ${workers}`, async () => {
      // The others listen no more, but that is no signal to the client's thread.
      const limits = ["--once", "--workers", workers, "--drain-timeout", "0"];
      const [server, port] = await startServe(...limits);
      await using _ = server;
      using conn = await Deno.connect({ port: Number(port) });
      assertEquals(await roundTrip(conn), HELLO);
      for (let look = 0; look < LOOKS; look++) await delay(10);
      assertEquals(await roundTrip(conn), HELLO);
      await conn.closeWrite();
      assertEquals(await conn.read(new Uint8Array(1)), null);
      assertEquals(await server.status, 0);
      assertEquals(server.stderr, "");
      assertMatch(server.stdout, /^Served 1 connection, echoed 10 B in /m);
    });

    itRuns(
      `lets the client of --once --workers ${workers} finish on SIGTERM`,
      async () => {
        const [server, port] = await startServe("--once", "--workers", workers);
        await using _ = server;
        using conn = await Deno.connect({ port: Number(port) });
        await roundTrip(conn);
        // Until only the thread of this client is left.
        await server.untilStdout(/^Received: hello$/m);
        for (let look = 0; look < LOOKS; look++) await delay(10);
        server.kill("SIGTERM");
        await server.untilStdout(/^Shutting down: 1 connection open, /m);
        assertEquals(await roundTrip(conn), HELLO);
        await conn.closeWrite();
        assertEquals(await server.status, 0);
      },
    );
  }

  itRuns("leaves a server alone that waits for its only client", async () => {
    const [server, port] = await startServe("--once");
    await using _ = server;
    await using refused = start("serve", "-p", port, "--workers", "2");
    assertEquals(await refused.status, 1);
    assertEquals(
      refused.stderr,
      `echo: Cannot listen on 127.0.0.1:${port}: ` +
        "address already in use, choose another with --port\n",
    );
    assertEquals(refused.stdout, "");
    await using client = start("send", "-p", port, "hello");
    assertEquals([await client.status, client.stdout], [0, "hello\n"]);
    assertEquals(await server.status, 0);
    assertMatch(server.stdout, /^Served 1 connection, /m);
  });

  itRuns("serves nobody where its workers lack file descriptors", async () => {
    await using server = startWithLimit(40, "serve", "-p0", "--workers", "4");
    // Where a thread cannot even start, the runtime gives up with 134.
    const status = await server.status;
    assert(status === 1 || status === 134, `${status}`);
    assertEquals(server.stdout, "");
    assertMatch(server.stderr, /too many open files/i);
  });

  itRuns("counts clients that never read until they leave", async () => {
    const limits = ["--max-connections", "2", "--idle-timeout", "200ms"];
    const [server, port] = await startServe(...limits);
    await using _ = server;
    const address = { hostname: "127.0.0.1", port: Number(port) };
    const addr: Deno.NetAddr = { transport: "tcp", ...address };
    const floods = await Promise.all(
      Array.from({ length: 3 }, () => startFlood({ addr })),
    );
    try {
      await server.untilStdout(/( \(idle\)\n[^]*){2}/);
      // Those that it closed may still be there, or another came for one.
      for (let look = 0; look < LOOKS; look++) {
        const accepted = await countAccepted(port);
        assert(accepted <= 2, `${accepted} sockets are accepted`);
        await delay(10);
      }
    } finally {
      // All at once: the third waits for the others to leave.
      await Promise.all(floods.map((it) => it[Symbol.asyncDispose]()));
    }
    using conn = await Deno.connect(address);
    assertEquals(await roundTrip(conn), HELLO);
  });

  const itResets = "resetAndDestroy" in Socket.prototype &&
      Deno.build.os === "linux"
    ? itRuns
    : it.skip;
  itResets("tells that a client broke off in the queue", async () => {
    const [server, port] = await startServe("--max-connections", "1");
    await using _ = server;
    using first = await connect({ port: Number(port) });
    await first.echo(HELLO);
    const left = new Socket().connect(Number(port), "127.0.0.1");
    await new Promise((resolve) => left.once("connect", resolve));
    left.resetAndDestroy();
    await new Promise((resolve) => left.once("close", resolve));
    await first.end();
    await server.untilStdout(
      /^A client broke its connection before it was accepted$/m,
    );
    using next = await connect({ port: Number(port) });
    await next.echo(HELLO);
  });
});

describe("./echo where loopback drops packets", () => {
  itInNetwork("serves, loads and stops all the same", async () => {
    await using both = startInNetwork(`{ ip netns add c &&
      ip link add s0 type veth peer name c0 netns c &&
      ip addr add 192.0.2.1/24 dev s0 && ip link set s0 up &&
      ip -n c addr add 192.0.2.2/24 dev c0 && ip -n c link set c0 up &&
      ip -n c link set lo up && tc qdisc add dev lo root blackhole &&
      tc -n c qdisc add dev lo root blackhole; } || exit 9
      "$0" serve -H 192.0.2.1 -p 12345 --udp >/run/log & server=$!
      until grep -q listening /run/log; do kill -0 $server || exit 8; done
      for args in 'load -C 4 -d 500ms' 'load -C 4 -d 500ms -r 100' 'ping -c 2 -i 0'
      do ip netns exec c "$0" $args 192.0.2.1 >/run/report || cat /run/report
      done
      kill -TERM $server; wait $server; tail -n 1 /run/log`);
    assertEquals(await both.status, 0, both.stderr);
    assertMatch(both.stdout, /^Served 9 connections and 0 datagrams, /);
  });
});
