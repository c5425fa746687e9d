/**
 * A way between a client and a server of datagrams that loses, repeats, delays and
 * damages them, and counts what it did.
 *
 * @module
 */

/**
 * What becomes of a message: its reply comes back; it is lost on the way there, or
 * its reply on the way back; the reply comes twice; after the next one; damaged; good
 * and then damaged; after the timeout; in time and after the timeout; damaged and
 * after the timeout.
 */
export const FATES = [
  ...[
    "pass",
    "lost there",
    "lost back",
    "twice",
    "swapped",
    "damaged",
  ] as const,
  ...["damaged copy", "late", "late copy", "late and damaged"] as const,
];

/** What becomes of a message. */
export type Fate = typeof FATES[number];

/** What tells a message from others is in so many bytes at its beginning. */
const HEAD_BYTES = 64;

/** What a client must have seen. */
export interface RelayCounts {
  /** How many messages came to the relay. */
  sent: number;
  /** How many of them came back in good order and in time. */
  verified: number;
  /** How many did not. */
  lost: number;
  /** How many of those had a reply that was damaged after its head. */
  wrong: number;
  duplicated: number;
  reordered: number;
  late: number;
  /** The other damaged replies. */
  corrupt: number;
  stray: number;
}

/** Options for a relay. */
export interface RelayOptions {
  /** The server's port on 127.0.0.1. */
  readonly serverPort: number;
  /** Tells what becomes of the message with a number, counted from 1. */
  readonly fateOf: (number: number) => Fate;
  /** After this time a reply is late, for certain, in milliseconds. */
  readonly lateMs: number;
  /** For how long a swapped reply waits for the next one, in milliseconds. */
  readonly swapMs: number;
}

/** A relay on a free port of 127.0.0.1. */
export interface Relay extends Disposable {
  readonly port: number;
  readonly counts: RelayCounts;
}

/** One client of a relay. */
interface Client {
  readonly address: Deno.NetAddr;
  /** A socket of its own, to which the server answers. */
  readonly upstream: Deno.DatagramConn;
  /** The latest message whose reply went back. */
  latest: number;
  /** Lets a reply go that waits for the next one. */
  swap: (() => void) | undefined;
}

/** Where a generated message of 64 bytes or more has its number. */
const NUMBER = /^echo run \w+ connection \d+ message (\d+)/;

/**
 * Starts a relay.
 *
 * @param options Where to, and what it does.
 * @returns The relay; disposing of it closes its sockets.
 */
export function startRelay(options: RelayOptions): Relay {
  return new UdpRelay(options);
}

class UdpRelay implements Relay {
  readonly #options: RelayOptions;
  readonly #socket = open();
  readonly #clients = new Map<number, Client>();
  readonly counts: RelayCounts = {
    ...{ sent: 0, verified: 0, lost: 0, wrong: 0, duplicated: 0 },
    ...{ reordered: 0, late: 0, corrupt: 0, stray: 0 },
  };

  constructor(options: RelayOptions) {
    this.#options = options;
    receive(this.#socket, (bytes, from) => this.#there(bytes, from));
  }

  get port(): number {
    return (this.#socket.addr as Deno.NetAddr).port;
  }

  [Symbol.dispose](): void {
    this.#socket.close();
    for (const { upstream } of this.#clients.values()) upstream.close();
  }

  async #there(bytes: Uint8Array, from: Deno.NetAddr): Promise<void> {
    const client = this.#clients.get(from.port) ?? this.#add(from);
    const number = numberOf(bytes);
    const { counts } = this;
    const fate = this.#options.fateOf(number);
    counts.sent++;
    if (["pass", "twice", "swapped"].includes(fate) || /copy/.test(fate)) {
      counts.verified++;
    } else {
      counts.lost++;
    }
    if (fate === "lost there") return;
    const { serverPort: port } = this.#options;
    const server = { transport: "udp", hostname: "127.0.0.1", port } as const;
    await client.upstream.send(bytes, server);
  }

  #add(address: Deno.NetAddr): Client {
    const client: Client = {
      ...{ address, upstream: open(), latest: 0, swap: undefined },
    };
    receive(client.upstream, (bytes) => this.#back(client, bytes));
    this.#clients.set(address.port, client);
    return client;
  }

  async #back(client: Client, bytes: Uint8Array): Promise<void> {
    const number = numberOf(bytes);
    const { counts } = this;
    const { fateOf, lateMs, swapMs } = this.#options;
    const damagedIn = (length: number) => {
      const damaged = bytes.slice();
      damaged[number * 7 % length]! ^= 1;
      return damaged;
    };
    // Of what is not waited for any more a client knows no more than the head.
    const head = Math.min(bytes.length, HEAD_BYTES);
    const send = (bytes: Uint8Array) => this.#send(client, bytes);
    const sendGood = () => {
      if (number < client.latest) counts.reordered++;
      client.latest = Math.max(client.latest, number);
      return send(bytes);
    };
    const swap = () => {
      client.swap?.();
      client.swap = undefined;
    };
    switch (fateOf(number)) {
      case "pass":
        await sendGood();
        return swap();
      case "twice":
        counts.duplicated++;
        await sendGood();
        await send(bytes);
        return swap();
      case "swapped": {
        let isSent = false;
        const other = client.swap;
        client.swap = () => {
          if (isSent) return;
          isSent = true;
          sendGood();
          other?.();
        };
        setTimeout(client.swap, swapMs);
        return;
      }
      case "damaged": {
        const at = number * 7 % bytes.length;
        // Nothing tells whose a reply is whose head is damaged.
        if (at < head) counts.corrupt++;
        else counts.wrong++;
        return await send(damagedIn(bytes.length));
      }
      case "damaged copy":
        counts.corrupt++;
        await sendGood();
        return await send(damagedIn(head));
      case "late":
        counts.late++;
        setTimeout(send, lateMs, bytes);
        return;
      case "late copy":
        counts.duplicated++;
        await sendGood();
        setTimeout(send, lateMs, bytes);
        return;
      case "late and damaged":
        counts.corrupt++;
        setTimeout(send, lateMs, damagedIn(head));
        return;
    }
  }

  async #send({ address }: Client, bytes: Uint8Array): Promise<void> {
    await this.#socket.send(bytes, { ...address, transport: "udp" });
  }
}

function open(): Deno.DatagramConn {
  const hostname = "127.0.0.1";
  return Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
}

/** Hands on what a socket receives, one after another, until it is closed. */
async function receive(
  socket: Deno.DatagramConn,
  take: (bytes: Uint8Array, from: Deno.NetAddr) => Promise<void>,
): Promise<void> {
  try {
    while (true) {
      const [bytes, from] = await socket.receive();
      await take(bytes, from as Deno.NetAddr);
    }
  } catch {
    // It was closed.
  }
}

function numberOf(bytes: Uint8Array): number {
  const head = new TextDecoder().decode(bytes.subarray(0, 64));
  return Number(head.match(NUMBER)?.[1]);
}
