import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  connectUdp,
  type Irregularity,
  MismatchError,
  type NetworkError,
} from "../client.ts";
import { serve } from "../server.ts";
import {
  type Datagram,
  echo,
  startDatagramPeer,
} from "../testing/datagrams.ts";
import { patternOf } from "../testing/peer.ts";
import { replace } from "../testing/replace.ts";
import { stopClock } from "../testing/clock.ts";
import { ListenerCount } from "../testing/socket.ts";
import { Watched } from "../testing/waiting.ts";
import { MAX_DATAGRAM_BYTES } from "./datagram_client.ts";

const encode = (text: string) => new TextEncoder().encode(text);

/** Keeps what is irregular, until the test has seen as much as it wants. */
function recorder() {
  const seen: Irregularity[] = [];
  const watched = new Watched();
  return {
    seen,
    onIrregular(it: Irregularity) {
      seen.push(it);
      watched.changed();
    },
    until: (count: number) =>
      watched.until(
        () => seen.length >= count ? seen.map(({ kind }) => kind) : undefined,
        () => `${count} irregular datagrams among ${Deno.inspect(seen)}`,
      ),
  };
}

describe("DatagramClient", () => {
  it("verifies datagrams of any size", async () => {
    await using server = serve({ port: 0, udp: true });
    using client = await connectUdp({ port: server.addr.port });
    for (const size of [0, 1, 512, 1472, 1473, MAX_DATAGRAM_BYTES]) {
      const { bytes, durationMs } = await client.echo(patternOf(size));
      assertEquals(bytes, size);
      assert(durationMs > 0);
    }
    assertEquals(server.stats().udp?.datagrams, 6);
  });

  it("refuses what is no datagram, and sends nothing", async () => {
    using peer = startDatagramPeer(echo);
    using client = await connectUdp({ port: peer.port });
    const tooLong = new Uint8Array(MAX_DATAGRAM_BYTES + 1);
    for (
      const send of [
        () => client.echo(tooLong),
        () => client.echoUntilReply(tooLong, Infinity),
      ]
    ) {
      await assertRejects(
        send,
        RangeError,
        "A datagram has at most 65507 B: 65508",
      );
    }
    const text = "hello" as unknown as Uint8Array;
    await assertRejects(() => client.echo(text), TypeError, "no Uint8Array");
    assert(client.isOpen);
    await client.echo(encode("after"));
    assertEquals(peer.got.map(({ bytes }) => bytes), [encode("after")]);
  });

  it("talks IPv6, however an address is spelled", async () => {
    await using server = serve({ hostname: "::1", port: 0, udp: true });
    const { port } = server.addr;
    for (const hostname of ["::1", "[::1]", "0:0:0:0:0:0:0:1"]) {
      using client = await connectUdp({ hostname, port });
      assertEquals(client.localAddr.hostname, "::1");
      assertEquals(client.remoteAddr, {
        ...{ transport: "udp", hostname: "::1", port },
      });
      await client.echo(patternOf(100));
    }
  });

  it("talks IPv4 within IPv6", async () => {
    await using server = serve({ hostname: "::", port: 0, udp: true });
    const { port } = server.addr;
    using client = await connectUdp({ hostname: "::ffff:127.0.0.1", port });
    await client.echo(patternOf(100));
  });

  it("has many under way", async () => {
    await using server = serve({ port: 0, udp: true });
    using client = await connectUdp({ port: server.addr.port });
    const messages = Array.from({ length: 200 }, (_, n) => patternOf(70, n));
    const results = await Promise.all(messages.map((it) => client.echo(it)));
    assertEquals(results.map(({ bytes }) => bytes), Array(200).fill(70));
  });

  it("sends 20,000 messages in the order of the calls", async () => {
    using peer = startDatagramPeer();
    using client = await connectUdp({ port: peer.port, timeoutMs: Infinity });
    const order: number[] = [];
    const count = 20_000;
    for (let number = 0; number < count; number++) {
      const message = new Uint8Array(4);
      new DataView(message.buffer).setUint32(0, number);
      client.echo(message).catch(() => {});
      // The socket's queue holds a few hundred.
      if (number % 100 === 99) await peer.untilGot(number + 1);
    }
    for (const { bytes } of peer.got) {
      order.push(new DataView(bytes.buffer).getUint32(0));
    }
    assertEquals(order, [...Array(count).keys()]);
  });

  it("takes replies in any order", async () => {
    const messages = ["one", "two", "three"].map(encode);
    using peer = startDatagramPeer(async (_, { got, send }) => {
      if (got.length < 3) return;
      for (const { bytes, from } of got.toReversed()) await send(bytes, from);
    });
    const { onIrregular, seen } = recorder();
    using client = await connectUdp({ port: peer.port, onIrregular });
    await Promise.all(messages.map((it) => client.echo(it)));
    assertEquals(seen, [
      { kind: "reordered", reply: encode("two") },
      { kind: "reordered", reply: encode("one") },
    ]);
  });

  it("tells of second replies, and takes them for no other's", async () => {
    using peer = startDatagramPeer(async ({ bytes, from }, { send }) => {
      for (let copy = 0; copy < 3; copy++) await send(bytes, from);
    });
    const { onIrregular, until } = recorder();
    using client = await connectUdp({ port: peer.port, onIrregular });
    await client.echo(encode("one"));
    await client.echo(encode("two"));
    assertEquals(await until(4), Array(4).fill("duplicated"));
  });

  it("gives a message up, and knows its late reply", async () => {
    using peer = startDatagramPeer();
    const { onIrregular, seen, until } = recorder();
    const { port } = peer;
    using client = await connectUdp({ port, timeoutMs: 10, onIrregular });
    const error = await assertRejects(
      () => client.echo(encode("hello")),
      Deno.errors.TimedOut,
    ) as NetworkError;
    const detail =
      "the datagram or its reply was lost or filtered, the server " +
      "limits its rate, or nothing is listening (UDP cannot tell these apart)";
    assertEquals(
      error.message,
      `No reply from 127.0.0.1:${port}/udp within 0.01 s: ${detail}`,
    );
    assertEquals([error.operation, error.reason, error.detail], [
      ...["echo", "timeout", detail],
    ]);
    assertStrictEquals(error.address, client.remoteAddr);
    assert(client.isOpen);
    const [{ bytes, from }] = await peer.untilGot(1) as [Datagram];
    await peer.send(bytes, from);
    assertEquals(await until(1), ["late"]);
    assert(seen[0]!.ageMs! >= 10);
  });

  it("takes no late reply that comes before the timer fires", async () => {
    using _clock = stopClock();
    using peer = startDatagramPeer();
    const { onIrregular, until } = recorder();
    const { port } = peer;
    using client = await connectUdp({ port, timeoutMs: 60_000, onIrregular });
    const echoed = client.echo(encode("hello"));
    const [{ bytes, from }] = await peer.untilGot(1) as [Datagram];
    const lateAt = performance.now() + 60_001;
    using _ = replace(performance, "now", () => lateAt);
    await peer.send(bytes, from);
    await assertRejects(() => echoed, Deno.errors.TimedOut);
    assertEquals(await until(1), ["late"]);
  });

  it("gives each message its own time", async () => {
    using peer = startDatagramPeer(async (datagram, peer) => {
      if (datagram.bytes[0] !== 0) await echo(datagram, peer);
    });
    using clock = stopClock();
    using client = await connectUdp({ port: peer.port, timeoutMs: 50 });
    const fates: string[] = [];
    const send = (first: number) =>
      client.echo(Uint8Array.of(first)).then(
        () => fates.push(`${first} verified`),
        () => fates.push(`${first} lost`),
      );
    const lost = send(0);
    clock.passAtOnce(30);
    const lostLater = send(0);
    await Promise.all([send(1), send(2)]);
    clock.passAtOnce(20);
    await lost;
    assertEquals(fates, ["1 verified", "2 verified", "0 lost"]);
    clock.passAtOnce(29);
    await send(3);
    clock.passAtOnce(1);
    await lostLater;
    assertEquals(fates.slice(3), ["3 verified", "0 lost"]);
  });

  it("waits for ever if it is told so", async () => {
    using peer = startDatagramPeer();
    const timeoutMs = Infinity;
    using client = await connectUdp({ port: peer.port, timeoutMs });
    const echoed = client.echo(encode("hello"));
    const [{ bytes, from }] = await peer.untilGot(1) as [Datagram];
    await peer.send(bytes, from);
    await echoed;
  });

  it("calls a reply wrong that is damaged, longer or cut off", async () => {
    const spoil = new Map<number, (bytes: Uint8Array) => Uint8Array>([
      [100, (bytes) => (bytes[70]! ^= 1, bytes)],
      [101, (bytes) => (bytes[3]! ^= 1, bytes)],
      [102, (bytes) => bytes.subarray(0, 50)],
      [103, () => patternOf(MAX_DATAGRAM_BYTES)],
      [104, () => new Uint8Array()],
    ]);
    using peer = startDatagramPeer(({ bytes, from }, { send }) =>
      send(spoil.get(bytes.length)!(bytes), from)
    );
    const errors: NetworkError[] = [];
    for (const length of spoil.keys()) {
      // Of a client's first message all replies are.
      using client = await connectUdp({ port: peer.port });
      errors.push(
        await assertRejects(
          () => client.echo(patternOf(length)),
        ) as NetworkError,
      );
    }
    assertEquals(errors.map(({ reason }) => reason), Array(5).fill("mismatch"));
    assertEquals(
      errors.map((error) =>
        error instanceof MismatchError ? error.offset : error.detail
      ),
      [
        ...[70, 3, "the reply has 50 of 102 B"],
        ...[103, "the reply has 0 of 104 B"],
      ],
    );
  });

  it("takes no reply from elsewhere", async () => {
    using other = startDatagramPeer();
    using peer = startDatagramPeer(async ({ bytes, from }, { send }) => {
      await other.send(bytes, from);
      // The test sends the second one's own reply.
      if (bytes.length === 6) await send(bytes, from);
    });
    const { onIrregular, seen, until } = recorder();
    const { port } = peer;
    using clock = stopClock();
    using client = await connectUdp({ port, timeoutMs: 50, onIrregular });
    const echoed = client.echo(encode("hello"));
    await until(1);
    clock.passAtOnce(50);
    const error = await assertRejects(() => echoed, Deno.errors.TimedOut);
    assert(
      error.message.endsWith(
        `tell these apart); a datagram came from 127.0.0.1:${other.port}/udp`,
      ),
      error.message,
    );
    await client.echo(encode("hello2"));
    assertEquals(await until(2), ["stray", "stray"]);
    assertEquals(seen[0], {
      ...{ kind: "stray", reply: encode("hello") },
      from: { transport: "udp", hostname: "127.0.0.1", port: other.port },
    });
  });

  it("takes no reply from another address with the same port", async () => {
    using peer = startDatagramPeer();
    const { port } = peer;
    const where = { hostname: "127.0.0.2", port };
    using other = startDatagramPeer(undefined, where);
    const { onIrregular, seen, until } = recorder();
    using client = await connectUdp({ port, onIrregular });
    const echoed = client.echo(encode("hello"));
    const [{ bytes, from }] = await peer.untilGot(1) as [Datagram];
    await other.send(bytes, from);
    assertEquals(await until(1), ["stray"]);
    assertEquals(seen[0]?.from?.hostname, "127.0.0.2");
    await peer.send(bytes, from);
    await echoed;
  });

  it("says that a datagram cannot be sent, and goes on", async () => {
    // Nothing can be sent to port 0.
    using client = await connectUdp({ port: 0, timeoutMs: Infinity });
    for (let time = 0; time < 2; time++) {
      const error = await assertRejects(
        () => client.echo(encode("hello")),
      ) as NetworkError;
      assertEquals(error.operation, "send");
      assertEquals(
        error.message,
        "Cannot send to 127.0.0.1:0/udp: invalid argument",
      );
    }
    assert(client.isOpen);
  });
});

describe("DatagramClient.close()", () => {
  it("fails what is under way, and all that comes after", async () => {
    using peer = startDatagramPeer();
    const client = await connectUdp({ port: peer.port });
    const fates = Promise.allSettled(
      Array.from({ length: 500 }, (_, n) => client.echo(patternOf(9, n))),
    );
    client.close();
    client.close();
    assertEquals(client.isOpen, false);
    const why = `Cannot send to 127.0.0.1:${peer.port}/udp: ` +
      "the client is closed";
    for (const fate of await fates) {
      assertEquals(fate.status, "rejected");
      assertEquals((fate as PromiseRejectedResult).reason.message, why);
    }
    await assertRejects(() => client.echo(encode("hello")), Error, why);
    await assertRejects(
      () => client.echoUntilReply(encode("hello"), Infinity),
      Error,
      why,
    );
    await client.end();
  });

  it("is what an abort does, with its reason", async () => {
    using peer = startDatagramPeer();
    const stop = new AbortController();
    const { signal } = stop;
    const listeners = new ListenerCount(signal);
    using client = await connectUdp({ port: peer.port, signal });
    const echoed = client.echo(encode("hello"));
    await peer.untilGot(1);
    const why = new Error("enough");
    stop.abort(why);
    assertStrictEquals(await assertRejects(() => echoed), why);
    assertEquals([client.isOpen, listeners.now], [false, 0]);
  });

  it("leaves no listener at a signal", async () => {
    const { signal } = new AbortController();
    const listeners = new ListenerCount(signal);
    const client = await connectUdp({ port: 9, signal });
    assertEquals(listeners.now, 1);
    client[Symbol.dispose]();
    assertEquals(listeners.now, 0);
  });
});

describe("DatagramClient.end()", () => {
  it("waits for second replies, twice as long as a round trip", async () => {
    using peer = startDatagramPeer();
    using clock = stopClock();
    for (const [rttMs, waitMs] of [[150, 300], [1, 20], [400, 500]] as const) {
      const { onIrregular, until } = recorder();
      using client = await connectUdp({ port: peer.port, onIrregular });
      const already = peer.got.length;
      const echoed = client.echo(encode("hello"));
      const { bytes, from } = (await peer.untilGot(already + 1)).at(-1)!;
      clock.passAtOnce(rttMs);
      await peer.send(bytes, from);
      assertEquals((await echoed).durationMs, rttMs);
      const ended = client.end();
      clock.passAtOnce(waitMs - 1);
      await peer.send(bytes, from);
      assertEquals(await until(1), ["duplicated"]);
      assert(client.isOpen);
      clock.passAtOnce(1);
      await ended;
      assertEquals(client.isOpen, false);
    }
  });

  it("does not wait if nothing was sent", async () => {
    using client = await connectUdp();
    client.end();
    assertEquals(client.isOpen, false);
  });

  it("is over when the client is closed or stopped", async () => {
    await using server = serve({ port: 0, udp: true });
    const stop = new AbortController();
    const { signal } = stop;
    using client = await connectUdp({ port: server.addr.port, signal });
    await client.echo(encode("hello"));
    const ended = client.end();
    assert(client.isOpen);
    stop.abort();
    await ended;
    await client.expectSilence();
    assertEquals(client.isOpen, false);
  });
});

describe("DatagramClient.echoUntilReply()", () => {
  it("sends once where it is answered", async () => {
    using peer = startDatagramPeer(echo);
    using client = await connectUdp({ port: peer.port });
    const { bytes } = await client.echoUntilReply(encode("hello"), Infinity);
    assertEquals([bytes, peer.got.length], [5, 1]);
  });

  it("sends once without a time, and says what silence means", async () => {
    using peer = startDatagramPeer();
    using client = await connectUdp({ port: peer.port, timeoutMs: 10 });
    await assertRejects(
      () => client.echoUntilReply(encode("hello"), 0),
      Deno.errors.TimedOut,
      "No reply",
    );
    assertEquals(peer.got.length, 1);
  });

  it("sends again until a reply comes, to whichever", async () => {
    using peer = startDatagramPeer(async (_, { got, send }) => {
      if (got.length === 3) await send(got[0]!.bytes, got[0]!.from);
    });
    const { onIrregular, seen } = recorder();
    using client = await connectUdp({ port: peer.port, onIrregular });
    const { durationMs } = await client.echoUntilReply(encode("hello"), 30_000);
    assertEquals(peer.got.map(({ bytes }) => bytes), [
      ...Array(3).fill(encode("hello")),
    ]);
    // The first one's wait was not over: 250 and 500 ms before the third.
    assert(durationMs > 700);
    assertEquals(seen, []);
  });

  it("sends a last one at the end of its time, and waits for it", async () => {
    using peer = startDatagramPeer(async (_, { got, send }) => {
      if (got.length === 2) await send(got[1]!.bytes, got[1]!.from);
    });
    using client = await connectUdp({ port: peer.port, timeoutMs: 30_000 });
    await client.echoUntilReply(encode("hello"), 10);
    assertEquals(peer.got.length, 2);
  });

  it("says how many it sent in vain, in how much time", async () => {
    using peer = startDatagramPeer();
    using client = await connectUdp({ port: peer.port, timeoutMs: 10 });
    const error = await assertRejects(
      () => client.echoUntilReply(encode("hello"), 20),
      Deno.errors.TimedOut,
    ) as NetworkError;
    assertEquals(peer.got.length, 2);
    const beginning = `No reply from 127.0.0.1:${peer.port}/udp to 2 ` +
      "datagrams within 0.03 s: the datagram or ";
    assert(error.message.startsWith(beginning), error.message);
    assertEquals(error.reason, "timeout");
  });

  it("refuses what is no time, and sends nothing", async () => {
    using peer = startDatagramPeer(echo);
    using client = await connectUdp({ port: peer.port });
    for (const retryMs of [NaN, -1, "5" as never]) {
      await assertRejects(
        () => client.echoUntilReply(encode("no"), retryMs),
        RangeError,
        "retryMs must be a time",
      );
    }
    await client.echo(encode("hello"));
    assertEquals(peer.got.length, 1);
  });

  it("is over when the client is closed", async () => {
    using peer = startDatagramPeer();
    const stop = new AbortController();
    const { signal } = stop;
    const timeoutMs = 1;
    using client = await connectUdp({ port: peer.port, signal, timeoutMs });
    const replied = client.echoUntilReply(encode("hello"), Infinity);
    await peer.untilGot(3);
    stop.abort(new Error("enough"));
    // The last one timed out before.
    await assertRejects(() => replied, Error, "enough");
    assertEquals(peer.got.length, 3);
  });
});
