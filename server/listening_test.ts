import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { TcpAddress } from "../net/address.ts";
import type { NetworkError } from "../net/errors.ts";
import { serve } from "../server.ts";
import { peerWithFreeTcpPort } from "../testing/datagram_peer.ts";
import { replace } from "../testing/replace.ts";
import { listenOn } from "./listening.ts";

const HOSTNAME = "127.0.0.1";
const ANYWHERE: TcpAddress = { transport: "tcp", hostname: HOSTNAME, port: 0 };

/** Tells whether a TCP port is free, and whether the UDP port of that number is. */
function isFree(port: number): [tcp: boolean, udp: boolean] {
  const attempt = (open: () => { close(): void }) => {
    try {
      open().close();
      return true;
    } catch {
      return false;
    }
  };
  const at = { hostname: HOSTNAME, port };
  return [
    attempt(() => Deno.listen(at)),
    attempt(() => Deno.listenDatagram({ transport: "udp", ...at })),
  ];
}

/** Lets the first so many UDP ports be taken that something asks for. */
function takeFirst(count: number) {
  const { listenDatagram } = Deno;
  const asked: number[] = [];
  const replaced = replace(Deno, "listenDatagram", (options) => {
    asked.push((options as Deno.NetAddr).port);
    if (asked.length > count) return listenDatagram(options as never);
    throw new Deno.errors.AddrInUse("Address already in use (os error 98)");
  });
  return { asked, [Symbol.dispose]: () => replaced[Symbol.dispose]() };
}

describe("listenOn()", () => {
  it("has one number for both", () => {
    const { listener, socket } = listenOn(ANYWHERE, { udp: true });
    const { hostname, port } = listener.addr;
    assertEquals(socket?.addr, { transport: "udp", hostname, port });
    listener.close();
    socket?.close();
  });

  it("opens no UDP port that nobody asked for", () => {
    for (const udp of [false, undefined]) {
      const { listener, socket } = listenOn(ANYWHERE, { udp });
      assertEquals(socket, undefined);
      assertEquals(isFree(listener.addr.port), [false, true]);
      listener.close();
    }
  });

  it("tries another port where UDP's is taken", () => {
    for (const taken of [1, 99]) {
      using ports = takeFirst(taken);
      const { listener, socket } = listenOn(ANYWHERE, { udp: true });
      const { asked } = ports;
      assertEquals(asked.length, taken + 1);
      assertEquals(listener.addr.port, asked.at(-1));
      assertEquals((socket?.addr as Deno.NetAddr).port, asked.at(-1));
      listener.close();
      socket?.close();
      // It holds none of those that it tried.
      assertEquals(isFree(asked[0]!)[0], true);
    }
  });

  it("gives up after a hundred ports", () => {
    using ports = takeFirst(Infinity);
    const error = assertThrows(
      () => listenOn(ANYWHERE, { udp: true }),
      Deno.errors.AddrInUse,
    ) as NetworkError;
    assertEquals(ports.asked.length, 100);
    const port = ports.asked.at(-1)!;
    assertEquals(error.address, {
      ...{ transport: "udp", hostname: HOSTNAME, port },
    });
    assertEquals(isFree(port)[0], true);
  });

  it("tries a port once that was asked for, and leaves TCP's free", async () => {
    await using taken = await peerWithFreeTcpPort();
    const { port } = taken.addr;
    assertThrows(
      () => listenOn({ ...ANYWHERE, port }, { udp: true }),
      Deno.errors.AddrInUse,
      `Cannot listen on 127.0.0.1:${port}/udp: address already in use`,
    );
    assertEquals(isFree(port), [true, false]);
    using ports = takeFirst(Infinity);
    assertThrows(() => listenOn({ ...ANYWHERE, port }, { udp: true }));
    assertEquals(ports.asked, [port]);
  });

  it("tries once where it is not for a port that is taken", () => {
    let port = 0;
    const failure = new Error("Too many open files (os error 24)");
    using _ = replace(Deno, "listenDatagram", (options) => {
      if (port !== 0) throw new Error("asked again");
      port = (options as Deno.NetAddr).port;
      throw failure;
    });
    const error = assertThrows(
      () => listenOn(ANYWHERE, { udp: true }),
      Error,
      "too many open files",
    );
    assertStrictEquals(error.cause, failure);
    assertEquals(isFree(port)[0], true);
  });

  it("says that TCP's port is taken without a word of UDP", () => {
    using taken = Deno.listen({ hostname: HOSTNAME, port: 0 });
    const { port } = taken.addr;
    assertThrows(
      () => listenOn({ ...ANYWHERE, port }, { udp: true }),
      Deno.errors.AddrInUse,
      `Cannot listen on 127.0.0.1:${port}: address already in use`,
    );
    assertEquals(isFree(port), [false, true]);
  });
});

describe("serve() with udp", () => {
  it("listens no more when onListen throws", () => {
    let port = 0;
    const error = new Error("no");
    const thrown = assertThrows(() =>
      serve({
        ...{ port: 0, udp: true },
        onListen(addr) {
          port = addr.port;
          assertEquals(isFree(port), [false, false]);
          throw error;
        },
      })
    );
    assertStrictEquals(thrown, error);
    assertEquals(isFree(port), [true, true]);
  });

  it("refuses a rate that is none before it listens", () => {
    for (const udpRatePerSecond of [0, -1, 0.5, NaN, "5" as never]) {
      assertThrows(
        () => serve({ port: 0, udp: true, udpRatePerSecond }),
        RangeError,
        "udpRatePerSecond",
      );
    }
  });
});
