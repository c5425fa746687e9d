import { type Address, formatAddress } from "../net/address.ts";
import { isNetworkError, withFields } from "../net/errors.ts";
import {
  type Reader,
  readerOf,
  writeAll,
  type Writer,
  writerTo,
} from "../net/streams.ts";
import type { EchoClient } from "./api.ts";
import { Comparison, EXCERPT_BYTES } from "./comparison.ts";
import { Deadline } from "./deadline.ts";
import type { Dialed } from "./dial.ts";
import {
  clientClosedError,
  MismatchError,
  noReplyError,
  ShortEchoError,
} from "./errors.ts";
import { MessageQueue } from "./message_queue.ts";
import { StreamExchange } from "./stream_exchange.ts";
import type { EchoResult } from "./types.ts";
import { BUFFER_BYTES, Wire } from "./wire.ts";

/**
 * What the client takes: messages, nothing during an exchange of another kind,
 * nothing more after a failure. It is closed as soon as no message is waited for.
 */
type State =
  | { readonly is: "idle" }
  | { readonly is: "busy" }
  | { readonly is: "failed"; readonly why: unknown }
  | { readonly is: "closed"; readonly why: unknown };

const IDLE: State = { is: "idle" };
const BUSY: State = { is: "busy" };

/** An echo client over a connection of its own. */
export class StreamClient implements EchoClient {
  readonly connectMs: number;
  readonly handshakeMs: number | undefined;
  readonly remoteAddr: Address;
  readonly localAddr: Address;

  readonly #wire: Wire;
  /** What is done when no message is under way. */
  readonly #exchange: StreamExchange;
  readonly #timeoutMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = () => this.#close(this.#signal?.reason);
  readonly #comparison = new Comparison();
  readonly #deadline = new Deadline(() => this.#expired());
  #state: State = IDLE;
  /** The messages under way. An exchange of another kind waits for their end. */
  readonly #messages = new MessageQueue(this.#comparison);
  /** Whether `#receiveMessages()` runs. */
  #isReceiving = false;

  constructor(
    { conn, local, remote, connectMs, handshakeMs }: Dialed,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ) {
    this.connectMs = connectMs;
    this.handshakeMs = handshakeMs;
    this.localAddr = local;
    this.remoteAddr = remote;
    this.#timeoutMs = timeoutMs;
    this.#wire = new Wire(conn, remote);
    this.#exchange = new StreamExchange(
      this.#wire,
      this.#comparison,
      timeoutMs,
      (why) => this.#close(why),
    );
    this.#signal = signal;
    signal?.addEventListener("abort", this.#onAbort);
    if (signal?.aborted) this.#onAbort();
  }

  get isOpen(): boolean {
    return !("why" in this.#state);
  }

  echo(message: Uint8Array): Promise<EchoResult> {
    if (!(message instanceof Uint8Array)) {
      const why = "Cannot echo a message that is no Uint8Array";
      return Promise.reject(new TypeError(why));
    }
    if (this.#state !== IDLE) return Promise.reject(this.#refusal());
    const result = this.#messages.add(message, performance.now());
    this.#awaitMessages();
    if (this.#wire.output === "ready") this.#writeMessages();
    if (!this.#isReceiving) this.#receiveMessages();
    return result;
  }

  async echoStream(
    source: ReadableStream<Uint8Array>,
    sink?: WritableStream<Uint8Array>,
  ): Promise<EchoResult> {
    const reader = source.getReader();
    const writer = sink?.getWriter();
    try {
      const result = await this.echoBytes(
        readerOf(reader),
        writer && writerTo(writer),
      );
      await writer?.close();
      return result;
    } catch (error) {
      // Neither is waited for: the user's own may never end.
      reader.cancel(error).catch(() => {});
      writer?.abort(error).catch(() => {});
      throw error;
    } finally {
      reader.releaseLock();
      writer?.releaseLock();
    }
  }

  /** `echoStream()` without a copy: bytes are read to where they are compared. */
  echoBytes(source: Reader, sink?: Writer): Promise<EchoResult> {
    return this.#run((exchange) => exchange.stream(source, sink));
  }

  expectSilence(): Promise<void> {
    return this.#run((exchange) => exchange.expectSilence());
  }

  end(): Promise<void> {
    return this.#run((exchange) => exchange.end());
  }

  close(): void {
    this.#close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isIdle) await this.end();
    else this.close();
  }

  /** Whether it is open, and nothing is under way. */
  get #isIdle(): boolean {
    return this.#state === IDLE && this.#messages.isEmpty;
  }

  #close(why: unknown = clientClosedError(this.remoteAddr)): void {
    if (this.#state.is === "closed") return;
    this.#state = { is: "closed", why };
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#deadline.stop();
    this.#exchange.stop();
    this.#wire.conn[Symbol.dispose]();
    this.#messages.giveUpAll(why, (message) => this.#followUp(why, message));
  }

  /** Why the client takes nothing now. */
  #refusal(): unknown {
    if ("why" in this.#state) return this.#state.why;
    const address = formatAddress(this.remoteAddr);
    return new Error(`Cannot send to ${address}: an exchange is under way`);
  }

  /** Makes the error of a message whose connection an earlier one's failure ends. */
  #followUp(why: unknown, message: Uint8Array): unknown {
    const address = this.remoteAddr;
    if (why instanceof ShortEchoError) {
      const progress = { sent: message.length, received: 0 };
      return new ShortEchoError(address, progress, why.cause);
    }
    if (!(why instanceof MismatchError)) return why;
    const detail = "another reply was wrong";
    const text = `Wrong echo from ${formatAddress(address)}: ${detail}`;
    const { operation, reason } = why;
    return withFields(new Error(text), { operation, address, reason, detail });
  }

  /** Writes the messages that are not written, one batch after another. */
  async #writeMessages(): Promise<void> {
    const { conn } = this.#wire;
    this.#wire.output = "writing";
    try {
      for (let next; (next = this.#messages.nextWrite());) {
        // One write is nearly always enough, and saves the promise of `writeAll()`.
        const written = next.length > 0 ? await conn.write(next) : 0;
        if (written < next.length) {
          await writeAll(conn, next.subarray(written));
        }
        if (this.#messages.addWritten()) this.#awaitMessages();
      }
    } catch (error) {
      this.#wire.writeFailed(error);
    }
    this.#wire.output = "ready";
  }

  /** Reads until no message is under way. */
  async #receiveMessages(): Promise<void> {
    this.#isReceiving = true;
    try {
      while (!this.#messages.isEmpty) {
        // More than can come back, so that a surplus shows at once.
        const most = this.#messages.outstandingBytes + EXCERPT_BYTES;
        const length = await this.#wire.read(Math.min(most, BUFFER_BYTES));
        // A write that ended after its reply came has left this read to others.
        if (this.#state === BUSY) return;
        const received = this.#wire.take(length ?? 0);
        const now = performance.now();
        this.#deadline.check(now);
        if (this.#state.is === "closed") return;
        if (length === null) throw await this.#wire.causeOfEnd();
        const difference = this.#messages.compare(received, now);
        if (difference) throw new MismatchError(this.remoteAddr, difference);
        this.#awaitMessages();
      }
    } catch (error) {
      const { sent, verified: received } = this.#comparison;
      const progress = { sent, received };
      this.#close(
        isNetworkError(error)
          ? error
          : new ShortEchoError(this.remoteAddr, progress, error),
      );
    } finally {
      this.#isReceiving = false;
    }
  }

  /**
   * Lets the deadline watch the oldest message that is waited for. It has its time as
   * a whole: a reply of which something comes now and then could take for ever.
   */
  #awaitMessages(): void {
    this.#deadline.clear();
    const { awaitedSince } = this.#messages;
    if (awaitedSince !== undefined) {
      this.#deadline.start(this.#timeoutMs, awaitedSince);
    } else if (this.#state.is === "failed") this.#close(this.#state.why);
  }

  #expired(): void {
    const messages = this.#messages;
    const dueSince = performance.now() - this.#timeoutMs;
    // Later messages have time left, and a late reply is told from theirs.
    do {
      const progress = messages.awaitedProgress;
      const why = noReplyError(this.remoteAddr, this.#timeoutMs, progress);
      messages.giveUpOldest(why);
      if (this.#state.is !== "failed") this.#state = { is: "failed", why };
    } while (messages.isAwaited && messages.awaitedSince! <= dueSince);
    this.#awaitMessages();
  }

  /** Runs an exchange of another kind than messages, of which none is under way. */
  async #run<T>(run: (exchange: StreamExchange) => Promise<T>): Promise<T> {
    if (!this.#isIdle) throw this.#refusal();
    this.#state = BUSY;
    try {
      return await run(this.#exchange);
    } catch (error) {
      this.#close(error);
      // What closed the client is why the exchange failed.
      throw this.#refusal();
    } finally {
      if (this.#state === BUSY) this.#state = IDLE;
    }
  }
}
