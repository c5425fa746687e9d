/**
 * A socket for datagrams that a test plays: what no sender on loopback can forge, and
 * failures of the system.
 *
 * @module
 */

import type { Barrier } from "../net/fairness.ts";
import { Watched } from "./waiting.ts";

/** The port of a {@linkcode FakeDatagramSocket}. */
export const OWN_PORT = 12_345;

/**
 * Makes the address of a sender.
 *
 * @param port Its port.
 * @param hostname Its host.
 * @returns The address.
 */
export function sender(port = 50_000, hostname = "127.0.0.1"): Deno.NetAddr {
  return { transport: "udp", hostname, port };
}

/** A datagram that was sent, or is to be received. */
type Datagram = readonly [bytes: Uint8Array, address: Deno.NetAddr];

/** A socket that receives and fails when a test says so. */
export class FakeDatagramSocket {
  /** Where it says that it receives. */
  readonly addr: Deno.NetAddr;
  /** What was sent, in order, as copies. */
  readonly sent: Datagram[] = [];
  /** How long the buffers were that it was to receive into. */
  readonly bufferLengths: Set<number> = new Set();
  /** How often it was closed. */
  closed = 0;
  /** How often it was told to keep the process alive, less how often not to. */
  refs = 0;
  /** What sending fails with; without it, sending succeeds. */
  sendFailure: Error | undefined;
  /** What sending waits for before it succeeds or fails. */
  sending: Promise<void> = Promise.resolve();
  readonly #arrived: (Datagram | Error)[] = [];
  readonly #watched = new Watched();
  /** Lets a receive that waits go on. */
  #wake: (() => void) | undefined;

  /**
   * Opens the socket.
   *
   * @param hostname The address that it says it has.
   */
  constructor(hostname = "127.0.0.1") {
    this.addr = sender(OWN_PORT, hostname);
  }

  /** The same, for who wants a socket of the runtime. */
  get socket(): Deno.DatagramConn {
    return this as unknown as Deno.DatagramConn;
  }

  /**
   * Lets a datagram arrive.
   *
   * @param bytes What it holds.
   * @param from Where it comes from.
   */
  arrive(bytes: Uint8Array, from = sender()): void {
    this.#arrived.push([bytes, from]);
    this.#wake?.();
  }

  /**
   * Lets a receive fail.
   *
   * @param error What it throws.
   */
  fail(error: Error): void {
    this.#arrived.push(error);
    this.#wake?.();
  }

  /** Waits until all that arrived was received, and the next receive waits. */
  async untilDrained(): Promise<void> {
    await this.#watched.until(
      () => (this.#wake && this.#arrived.length === 0) || null,
      () => `a receive that waits: ${this.#arrived.length} datagrams do`,
    );
  }

  /**
   * Receives, as a socket does.
   *
   * @param buffer Where to.
   * @returns What arrived next, and where it came from.
   */
  async receive(buffer: Uint8Array): Promise<Datagram> {
    if (this.closed > 0) throw new Deno.errors.BadResource("closed");
    this.bufferLengths.add(buffer.length);
    if (this.#arrived.length === 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      this.#watched.changed();
      await promise;
      this.#wake = undefined;
    }
    const next = this.#arrived.shift();
    if (!next) throw new Deno.errors.Interrupted("closed");
    if (next instanceof Error) throw next;
    const [bytes, from] = next;
    buffer.set(bytes);
    return [buffer.subarray(0, bytes.length), from];
  }

  /**
   * Sends, as a socket does.
   *
   * @param bytes What.
   * @param to Where to.
   * @returns How many bytes.
   */
  async send(bytes: Uint8Array, to: Deno.NetAddr): Promise<number> {
    await this.sending;
    if (this.closed > 0) throw new Deno.errors.Interrupted("closed");
    if (this.sendFailure) throw this.sendFailure;
    this.sent.push([bytes.slice(), to]);
    return bytes.length;
  }

  /** Closes it, which ends a receive that waits. */
  close(): void {
    this.closed++;
    this.#arrived.length = 0;
    this.#wake?.();
  }

  /** Counts a call. */
  ref(): void {
    this.refs++;
  }

  /** Counts a call. */
  unref(): void {
    this.refs--;
  }
}

/** A barrier that is always open, and keeps what it was told of. */
export class OpenBarrier implements Barrier {
  readonly readBytes = 65_536;
  /** How many bytes each read brought. */
  readonly reads: number[] = [];
  /** How often it was passed. */
  passed = 0;
  /** Whether readers must pass it. */
  isClosed = false;

  addRead(bytes: number): boolean {
    this.reads.push(bytes);
    return this.isClosed;
  }

  pass(): Promise<void> {
    this.passed++;
    return Promise.resolve();
  }

  /** What {@linkcode OpenBarrier.untilAllRead} waits for. */
  allRead: Promise<void> = Promise.resolve();

  /** Waits until all was read. */
  untilAllRead(): Promise<void> {
    return this.allRead;
  }
}
