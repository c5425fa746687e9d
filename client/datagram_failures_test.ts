import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Irregularity, NetworkError, UdpAddress } from "../client.ts";
import { stopClock } from "../testing/clock.ts";
import { replace } from "../testing/replace.ts";
import { ListenerCount } from "../testing/socket.ts";
import {
  DatagramClient,
  type DatagramClientOptions,
} from "./datagram_client.ts";
import type { UdpRoute } from "./dial.ts";

const HOSTNAME = "127.0.0.1";
const REMOTE: UdpAddress = { transport: "udp", hostname: HOSTNAME, port: 7 };
const FROM: Deno.NetAddr = { transport: "udp", hostname: HOSTNAME, port: 7 };
const HELLO = new TextEncoder().encode("hello");
const OTHER = new TextEncoder().encode("other");

type Received = [Uint8Array<ArrayBuffer>, Deno.Addr];

/** A socket in memory, whose receives the test settles. */
class MemorySocket implements Pick<Deno.DatagramConn, "addr"> {
  readonly addr: Deno.NetAddr = { ...FROM, port: 50_000 };
  readonly receives: PromiseWithResolvers<Received>[] = [];
  readonly sent: Uint8Array[] = [];
  /** How often it was closed. */
  closed = 0;

  /** The way to a server that it is for. */
  route(remote = REMOTE): UdpRoute {
    return { socket: this as unknown as Deno.DatagramConn, remote };
  }

  receive(): Promise<Received> {
    const receive = Promise.withResolvers<Received>();
    this.receives.push(receive);
    return receive.promise;
  }

  send(p: Uint8Array): Promise<number> {
    this.sent.push(p);
    return Promise.resolve(p.length);
  }

  close(): void {
    this.closed++;
    this.receives.at(-1)?.reject(new Deno.errors.Interrupted());
  }

  /** Answers the receive under way. */
  async reply(bytes: Uint8Array, from = FROM): Promise<void> {
    this.receives.at(-1)!.resolve([bytes.slice(), from]);
    await nextTurn();
  }

  /** Fails the receive under way. */
  async fail(error: Error): Promise<void> {
    this.receives.at(-1)!.reject(error);
    await nextTurn();
  }
}

function open(options: Partial<DatagramClientOptions> = {}) {
  const socket = new MemorySocket();
  const client = new DatagramClient({
    routes: [socket.route()],
    ...{ address: REMOTE, connectMs: 1, timeoutMs: Infinity },
    ...{ signal: undefined, onIrregular: undefined },
    ...options,
  });
  return { client, socket };
}

describe("DatagramClient", () => {
  it("receives once at a time, whatever is sent", async () => {
    const { client, socket } = open();
    assertEquals(socket.receives.length, 0);
    const echoed = [client.echo(HELLO), client.echo(HELLO)];
    await nextTurn();
    assertEquals(socket.receives.length, 1);
    await socket.reply(HELLO);
    await socket.reply(HELLO);
    await Promise.all(echoed);
    assertEquals(socket.receives.length, 3);
    client.close();
  });

  it("receives into pages that take memory once they are written", async () => {
    const { client, socket } = open();
    const buffers: Uint8Array[] = [];
    socket.receive = (buffer?: Uint8Array) => {
      buffers.push(buffer!);
      return Promise.withResolvers<Received>().promise;
    };
    client.echo(HELLO).catch(() => {});
    await nextTurn();
    const [{ length, buffer }] = buffers as [Uint8Array<ArrayBuffer>];
    assertEquals([length, buffer.resizable], [65_536, true]);
    client.close();
  });

  it("says that nobody is there where the system tells it", async () => {
    using clock = stopClock();
    for (
      const refusal of [
        // Windows, and others.
        new Deno.errors.ConnectionReset("reset (os error 10054)"),
        new Deno.errors.ConnectionRefused("refused (os error 111)"),
      ]
    ) {
      const { client, socket } = open();
      const fates = [client.echo(HELLO), client.echo(HELLO)];
      const told = fates.map((fate) =>
        assertRejects(() => fate, Deno.errors.ConnectionRefused)
      );
      await nextTurn();
      await socket.fail(refusal);
      for (const error of await Promise.all(told) as unknown[]) {
        const { operation, reason, message } = error as NetworkError;
        assertEquals([operation, reason], ["send", "refused"]);
        const why = "Cannot send to 127.0.0.1:7/udp: connection refused";
        assertEquals(message, why);
      }
      // It goes on, after a pause.
      assert(client.isOpen);
      clock.passAtOnce(19);
      await nextTurn();
      assertEquals(socket.receives.length, 1);
      clock.passAtOnce(1);
      await nextTurn();
      assertEquals(socket.receives.length, 2);
      const echoed = client.echo(HELLO);
      await socket.reply(HELLO);
      await echoed;
      client.close();
    }
    assertEquals(clock.timers, 0);
  });

  it("fails with what else broke a receive", async () => {
    const { client, socket } = open();
    const echoed = client.echo(HELLO);
    const told = assertRejects(() => echoed);
    await nextTurn();
    await socket.fail(new Error("No buffer space available (os error 105)"));
    const error = await told as NetworkError;
    const why = "Cannot send to 127.0.0.1:7/udp: no buffer space available";
    assertEquals([error.message, error.reason], [why, "other"]);
    client.close();
    await nextTurn();
    assertEquals([socket.receives.length, socket.closed], [1, 1]);
  });

  it("waits as long for a message after a failure as before", async () => {
    using clock = stopClock();
    const { client, socket } = open({ timeoutMs: 100 });
    const lost = assertRejects(() => client.echo(HELLO));
    clock.passAtOnce(50);
    await nextTurn();
    await socket.fail(new Error("broken"));
    await lost;
    const echoed = assertRejects(
      () => client.echo(HELLO),
      Deno.errors.TimedOut,
    );
    clock.passAtOnce(99);
    clock.passAtOnce(5);
    await nextTurn();
    clock.passAtOnce(1);
    clock.passAtOnce(5);
    await echoed;
    client.close();
  });

  it("ends without a word when it is closed", async () => {
    const { client, socket } = open();
    const echoed = assertRejects(() => client.echo(HELLO));
    await nextTurn();
    client.close();
    await echoed;
    await nextTurn();
    assertEquals([socket.receives.length, socket.closed], [1, 1]);
  });

  it("is closed if its signal is aborted already", async () => {
    const why = new Error("too late");
    const signal = AbortSignal.abort(why);
    const listeners = new ListenerCount(signal);
    const { client, socket } = open({ signal });
    assertEquals([client.isOpen, socket.closed], [false, 1]);
    assertEquals(listeners.now, 0);
    assertStrictEquals(await assertRejects(() => client.echo(HELLO)), why);
    assertEquals(socket.sent, []);
  });

  it("keeps 64 bytes of a stray, a copy", async () => {
    const seen: Irregularity[] = [];
    const { client, socket } = open({ onIrregular: (it) => seen.push(it) });
    client.echo(HELLO).catch(() => {});
    await nextTurn();
    await socket.reply(new Uint8Array(100).fill(1), { ...FROM, port: 8 });
    assertEquals(seen[0]?.reply, new Uint8Array(64).fill(1));
    assertEquals(seen[0]!.reply.buffer.byteLength, 64);
    client.close();
  });

  it("goes on when what takes note of irregular datagrams throws", async () => {
    const reported: unknown[] = [];
    using _ = replace(globalThis, "reportError", (it) => reported.push(it));
    const bug = new Error("bug");
    const { client, socket } = open({
      onIrregular() {
        throw bug;
      },
    });
    const echoed = [client.echo(HELLO), client.echo(OTHER)];
    await nextTurn();
    await socket.reply(HELLO, { ...FROM, port: 8 });
    await socket.reply(HELLO);
    await socket.reply(HELLO);
    await socket.reply(OTHER);
    assertEquals((await Promise.all(echoed)).length, 2);
    assertEquals(reported, [bug, bug]);
    client.close();
  });

  it("does not send what was given up before", async () => {
    using clock = stopClock();
    const { client, socket } = open({ timeoutMs: 100 });
    const sending = Promise.withResolvers<number>();
    socket.send = (p) => {
      socket.sent.push(p);
      return sending.promise;
    };
    const lost = [HELLO, HELLO].map((message) =>
      assertRejects(() => client.echo(message), Deno.errors.TimedOut)
    );
    clock.passAtOnce(100);
    // The deadline looks a little later.
    clock.passAtOnce(5);
    await nextTurn();
    clock.passAtOnce(1);
    clock.passAtOnce(5);
    await Promise.all(lost);
    const echoed = client.echo(OTHER);
    sending.resolve(5);
    await nextTurn();
    assertEquals(socket.sent, [HELLO, OTHER]);
    await socket.reply(OTHER);
    await echoed;
    client.close();
  });

  it("finds nothing to tell apart before a message", async () => {
    const { client } = open();
    await client.expectSilence();
    client.close();
  });

  it("sends again after a quarter and half of a second, then each second", async () => {
    using clock = stopClock();
    const { client, socket } = open();
    const replied = client.echoUntilReply(HELLO, 4000);
    const sentAt: number[] = [];
    for (let ms = 0; ms <= 5000; ms += 50) {
      await nextTurn();
      if (socket.sent.length > sentAt.length) sentAt.push(ms);
      clock.passAtOnce(50);
    }
    assertEquals(sentAt, [0, 250, 750, 1750, 2750, 3750, 4000]);
    await socket.reply(HELLO);
    await replied;
    client.close();
  });

  describe("with several addresses of a name", () => {
    const name: UdpAddress = { ...REMOTE, hostname: "two.test" };
    const others: UdpAddress = { ...REMOTE, hostname: "::1" };

    function openBoth(options: Partial<DatagramClientOptions> = {}) {
      const sockets = [new MemorySocket(), new MemorySocket()] as const;
      const routes = [sockets[0].route(others), sockets[1].route()];
      return { ...open({ routes, address: name, ...options }), sockets };
    }

    it("sends to all, and keeps the one that answers first", async () => {
      const seen: Irregularity[] = [];
      const { client, sockets: [first, second] } = openBoth({
        onIrregular: (it) => seen.push(it),
      });
      assertEquals(client.remoteAddr, name);
      const echoed = client.echo(HELLO);
      await nextTurn();
      assertEquals([first.sent, second.sent], [[HELLO], [HELLO]]);
      await second.reply(HELLO);
      assertEquals((await echoed).bytes, 5);
      assertEquals(client.remoteAddr, REMOTE);
      assertEquals([first.closed, second.closed], [1, 0]);

      const again = client.echo(OTHER);
      await nextTurn();
      assertEquals([first.sent, second.sent], [[HELLO], [HELLO, OTHER]]);
      await second.reply(OTHER);
      await again;
      client.close();
      assertEquals([first.closed, second.closed, seen], [1, 1, []]);
    });

    it("takes no second reply from one that answers in the same turn", async () => {
      const { client, sockets: [first, second] } = openBoth({
        onIrregular: () => assert(false),
      });
      const echoed = client.echo(HELLO);
      await nextTurn();
      await Promise.all([second.reply(HELLO), first.reply(HELLO)]);
      await echoed;
      assertEquals([first.closed, second.closed], [1, 0]);
      client.close();
    });

    it("goes on with the others where one is told to refuse", async () => {
      const refusal = new Deno.errors.ConnectionReset("reset (os error 10054)");
      const { client, sockets: [first, second] } = openBoth();
      const refused = client.echo(HELLO);
      await nextTurn();
      await first.fail(refusal);
      assertEquals([first.closed, client.remoteAddr], [1, REMOTE]);
      await second.reply(HELLO);
      await refused;

      const lost = assertRejects(
        () => client.echo(OTHER),
        Deno.errors.ConnectionRefused,
      );
      await nextTurn();
      await second.fail(refusal);
      await lost;
      client.close();
    });

    it("loses a message only if it can be sent to none", async () => {
      const unreachable = () =>
        Promise.reject(
          new Deno.errors.NetworkUnreachable(
            "Network is unreachable (os error 101)",
          ),
        );
      const { client, sockets: [first, second] } = openBoth();
      first.send = unreachable;
      const echoed = client.echo(HELLO);
      await nextTurn();
      second.send = unreachable;
      const lost = await assertRejects(() => client.echo(OTHER));
      assertEquals(
        (lost as NetworkError).message,
        "Cannot send to two.test:7/udp: network is unreachable",
      );
      await second.reply(HELLO);
      await echoed;
      client.close();
    });
  });

  it("knows a sender whose zone it is not shown", async () => {
    const hostname = "fe80::1";
    const { client, socket } = open({ onIrregular: () => assert(false) });
    client.close();
    const zoned = open({
      routes: [socket.route({ ...REMOTE, hostname: `${hostname}%eth0` })],
    }).client;
    const echoed = zoned.echo(HELLO);
    await nextTurn();
    await socket.reply(HELLO, { ...FROM, hostname });
    await echoed;
    zoned.close();
  });
});
