/**
 * Clients of UDP that a test writes itself: honest ones, and forged senders.
 *
 * @module
 */

import { setImmediate as nextTurn } from "node:timers/promises";
import type { EchoServer } from "../server.ts";
import { Watched } from "./waiting.ts";

/** The longest wait for a server, in milliseconds: half of what a test may take. */
const LONGEST_WAIT_MS = 30_000;

/** Has a UDP address: a server by the port that it shares with TCP, or a peer. */
export interface HasAddress {
  /** The address; its transport does not matter. */
  readonly addr: Deno.NetAddr;
}

/** A socket of its own, which keeps all that comes. */
export class DatagramPeer implements AsyncDisposable {
  /** The datagrams that came, in order. */
  readonly received: Uint8Array[] = [];
  /** Where each of them came from, as `host port`. */
  readonly senders: string[] = [];
  /** The address of the socket. */
  readonly addr: Deno.NetAddr;
  readonly #socket: Deno.DatagramConn;
  readonly #watched = new Watched();
  readonly #receiving: Promise<void>;

  /**
   * Opens the socket.
   *
   * @param hostname Its address.
   * @param port Its port, by default a free one.
   */
  constructor(hostname = "127.0.0.1", port = 0) {
    this.#socket = Deno.listenDatagram({ transport: "udp", hostname, port });
    this.addr = this.#socket.addr as Deno.NetAddr;
    this.#receiving = this.#receive();
  }

  /**
   * Sends a datagram.
   *
   * @param to Where to.
   * @param bytes What.
   */
  async send({ addr }: HasAddress, bytes: Uint8Array): Promise<void> {
    await this.#socket.send(bytes, { ...addr, transport: "udp" });
  }

  /**
   * Waits until so many datagrams came, from the first one on.
   *
   * @param count How many.
   * @returns All that came.
   * @throws {Error} If they do not come in half a minute.
   */
  async untilReceived(count: number): Promise<readonly Uint8Array[]> {
    const isThere = () => this.received.length >= count || null;
    await this.#watched.until(
      isThere,
      () => `${count} datagrams: ${this.received.length} came`,
    );
    return this.received;
  }

  /**
   * Sends a datagram, and waits for one more than came before.
   *
   * @param to Where to.
   * @param bytes What.
   * @returns The last datagram that came.
   */
  async ask(to: HasAddress, bytes: Uint8Array): Promise<Uint8Array> {
    const before = this.received.length;
    await this.send(to, bytes);
    return (await this.untilReceived(before + 1)).at(-1)!;
  }

  /** Closes the socket. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await this.#receiving;
  }

  async #receive(): Promise<void> {
    try {
      while (true) {
        const [bytes, from] = await this.#socket.receive(
          new Uint8Array(65_536),
        );
        const { hostname, port } = from as Deno.NetAddr;
        this.senders.push(`${hostname} ${port}`);
        this.received.push(bytes.slice());
        this.#watched.changed();
      }
    } catch {
      // It was closed.
    }
  }
}

/**
 * Takes an address of loopback for one test, at which no other test listens.
 *
 * @returns An address of 127.0.0.0/8, which all is loopback on Linux.
 */
export function ownAddress(): string {
  const [a = 0, b = 0] = crypto.getRandomValues(new Uint8Array(2));
  return `127.${a % 250 + 2}.${b}.2`;
}

/**
 * Tells whether the process may have ports below 1024.
 *
 * @returns Whether it may: in general a privileged process alone.
 */
export function mayTakeServicePorts(): boolean {
  const hostname = ownAddress();
  try {
    Deno.listenDatagram({ transport: "udp", hostname, port: 1023 }).close();
    return true;
  } catch {
    return false;
  }
}

/**
 * Waits until something is so, turn by turn of the event loop.
 *
 * @param isSo Tells whether it is so.
 * @throws {Error} If it is not so after half a minute.
 */
export async function untilSo(isSo: () => boolean): Promise<void> {
  // Not a timer of the test's: a test may have a clock of its own.
  const tooLong = AbortSignal.timeout(LONGEST_WAIT_MS);
  while (!isSo()) {
    if (tooLong.aborted) throw new Error(`waited too long until ${isSo}`);
    await nextTurn();
  }
}

/**
 * Waits until a server has answered or dropped so many datagrams.
 *
 * @param server The server.
 * @param count How many, from its start on.
 * @returns What became of them.
 */
export async function untilCounted(
  server: Pick<EchoServer, "stats">,
  count: number,
): Promise<{ answered: number; dropped: Record<string, number> }> {
  await untilSo(() => {
    const { datagrams, dropped } = server.stats().udp!;
    const all = Object.values(dropped).reduce((sum, n) => sum + n, datagrams);
    return all >= count;
  });
  const { datagrams: answered, dropped } = server.stats().udp!;
  return { answered, dropped };
}

/**
 * Makes a peer whose port is free for TCP, too.
 *
 * @returns The peer. Nothing listens on its port for connections.
 */
export async function peerWithFreeTcpPort(): Promise<DatagramPeer> {
  for (let attempt = 1;; attempt++) {
    const peer = new DatagramPeer();
    const { hostname, port } = peer.addr;
    try {
      Deno.listen({ hostname, port }).close();
      return peer;
    } catch (error) {
      await peer[Symbol.asyncDispose]();
      // The connections of other programs may have a hundred ports, not all.
      if (attempt === 100) throw error;
    }
  }
}

/**
 * Finds a port of 127.0.0.1 on which nothing receives datagrams or listens.
 *
 * @returns The port, which was free a moment ago.
 */
export async function freePortForBoth(): Promise<number> {
  await using peer = await peerWithFreeTcpPort();
  return peer.addr.port;
}
