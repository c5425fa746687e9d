import { setImmediate as nextTurn } from "node:timers/promises";
import type { Address } from "../net/address.ts";
import type { EchoConn } from "./dial.ts";

/** The most that one read or one write of a stream takes, in bytes. */
export const BUFFER_BYTES = 256 * 1024;

/** A connection, and what reads and writes on it leave for the next ones. */
export class Wire {
  readonly conn: EchoConn;
  readonly remote: Address;
  /** What the client's side of the connection does. */
  output: "ready" | "writing" | "ended" = "ready";
  #buffer = new Uint8Array();
  /** A read whose bytes nobody took yet. */
  #reading: Promise<number | null> | undefined;
  /** That the server broke the connection, if a write found it out. */
  #reset: unknown;

  constructor(conn: EchoConn, remote: Address) {
    this.conn = conn;
    this.remote = remote;
  }

  /** Begins to read up to `most` bytes, unless a read is left that nobody took. */
  read(most: number): Promise<number | null> {
    if (!this.#reading) {
      if (this.#buffer.length < most) this.#buffer = new Uint8Array(most);
      this.#reading = this.conn.read(this.#buffer);
    }
    return this.#reading;
  }

  /** Takes what a read brought. It is valid until the next read. */
  take(length: number): Uint8Array {
    this.#reading = undefined;
    return this.#buffer.subarray(0, length);
  }

  /** Notes why a write failed. Reading finds out how much came back all the same. */
  writeFailed(error: unknown): void {
    // A broken pipe only says that the server ended its side before.
    if (error instanceof Deno.errors.ConnectionReset) this.#reset = error;
  }

  /** Returns what broke the connection, if a read found an end too early. */
  async causeOfEnd(): Promise<unknown> {
    // The kernel tells of a reset once. If it told a write, which may end after the
    // read, the read found an end.
    if (this.output === "writing") await nextTurn();
    return this.#reset;
  }
}
