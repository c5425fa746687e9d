/**
 * Servers of datagrams that a test writes itself.
 *
 * @module
 */

import { Watched } from "./waiting.ts";

/** A datagram that a peer got. */
export interface Datagram {
  /** Its bytes, a copy. */
  readonly bytes: Uint8Array;
  /** Who sent it. */
  readonly from: Deno.NetAddr;
}

/** A server of datagrams on a free port. */
export interface DatagramPeer extends Disposable {
  /** Its port. */
  readonly port: number;
  /** What it got so far. */
  readonly got: readonly Datagram[];
  /** Sends a datagram from its port. */
  send(bytes: Uint8Array, to: Deno.NetAddr): Promise<void>;
  /** Waits until it got so many datagrams, and returns them. */
  untilGot(count: number): Promise<readonly Datagram[]>;
}

/**
 * Starts a server of datagrams.
 *
 * @param handle What it does with each datagram, by default nothing. The next one is
 * taken when that is done.
 * @param options Where it listens, by default on a free port of 127.0.0.1.
 * @returns The server; disposing of it closes it.
 */
export function startDatagramPeer(
  handle: (
    datagram: Datagram,
    peer: DatagramPeer,
  ) => Promise<unknown> | void = () => {},
  { hostname = "127.0.0.1", port = 0 } = {},
): DatagramPeer {
  const socket = Deno.listenDatagram({ transport: "udp", hostname, port });
  const watched = new Watched();
  const got: Datagram[] = [];
  const peer: DatagramPeer = {
    port: (socket.addr as Deno.NetAddr).port,
    got,
    async send(bytes, to) {
      await socket.send(bytes, { ...to, transport: "udp" });
    },
    untilGot: (count) =>
      watched.until(
        () => got.length >= count ? got : undefined,
        () => `${count} datagrams, but ${got.length}`,
      ),
    [Symbol.dispose]: () => socket.close(),
  };
  const receive = async () => {
    const buffer = new Uint8Array(65_536);
    while (true) {
      const [bytes, from] = await socket.receive(buffer);
      const datagram = { bytes: bytes.slice(), from: from as Deno.NetAddr };
      got.push(datagram);
      watched.changed();
      await handle(datagram, peer);
    }
  };
  receive().catch((error) => watched.ended(`${error}`));
  return peer;
}

/**
 * Echoes a datagram.
 *
 * @param datagram The datagram.
 * @param peer The server that got it.
 */
export async function echo(
  { bytes, from }: Datagram,
  peer: DatagramPeer,
): Promise<void> {
  await peer.send(bytes, from);
}

/**
 * Finds a UDP port of 127.0.0.1 that nothing listens on.
 *
 * @returns The port, which was free a moment ago.
 */
export function freeUdpPort(): number {
  using peer = startDatagramPeer();
  return peer.port;
}
