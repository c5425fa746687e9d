import { assertEquals, assertStrictEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { stopClock } from "../testing/clock.ts";
import { sender } from "../testing/datagram_socket.ts";
import { Peers } from "./datagram_peers.ts";

/** How many senders are remembered. */
const MOST = 10_000;

/** The address of one of many senders. */
function nth(n: number): Deno.NetAddr {
  return sender(50_000 + n % 100, `192.0.${n / 100 >> 8}.${n / 100 & 255}`);
}

describe("Peers", () => {
  it("finds a sender again, by host and port", async () => {
    using clock = stopClock();
    await clock.pass(70);
    const peers = new Peers();
    assertEquals(peers.find(sender()), undefined);
    const peer = peers.add(sender());
    assertEquals(peer, {
      ...{ remote: sender(), openedAt: 70, lastAt: 70 },
      ...{ datagrams: 0, bytes: 0, idleSweeps: 0, waiting: 0 },
    });
    assertStrictEquals(peers.find(sender()), peer);
    for (const other of [sender(50_001), sender(50_000, "127.0.0.2")]) {
      assertEquals(peers.find(other), undefined);
    }
    assertEquals([peers.size, [...peers]], [1, [peer]]);
  });

  it("does not confuse a host with a port", () => {
    const peers = new Peers();
    peers.add(sender(23, "::1"));
    assertEquals(peers.find(sender(3, "::12")), undefined);
  });

  it("forgets a sender", () => {
    const peers = new Peers();
    const [first, second] = [peers.add(nth(1)), peers.add(nth(2))];
    peers.delete(first);
    assertEquals(peers.find(nth(1)), undefined);
    assertEquals([...peers], [second]);
  });

  it("has room for ten thousand, and for another when one is forgotten", () => {
    const peers = new Peers();
    for (let n = 0; n < MOST; n++) {
      assertEquals(peers.hasRoom, true);
      peers.add(nth(n));
    }
    assertEquals(peers.size, MOST);
    assertEquals(peers.hasRoom, false);
    const [known] = peers;
    assertStrictEquals(peers.find(nth(0)), known!);
    peers.delete(known!);
    assertEquals([peers.hasRoom, peers.size], [true, MOST - 1]);
  });
});
