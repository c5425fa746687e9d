import { sleep, startTimer } from "./time.ts";

const HOSTNAME = "127.0.0.1";

/** Without a connection, the event loop is taken to poll this often, in milliseconds. */
const BLIND_POLL_MS = 2;

/** The pause after a connection that could not be made, in milliseconds. */
const RETRY_PAUSE_MS = 1000;

/**
 * How long connecting may take, and how long a byte, in milliseconds: where a firewall
 * drops what goes over loopback, neither ever ends. The kernel sends a lost byte again
 * after 200 ms.
 */
const LIMIT_MS = 250;

/** More bytes than wait to be read at any time. */
const BUFFER_BYTES = 64;

const BYTE = new Uint8Array(1);

/** Tells when the event loop has looked at its sockets. */
export interface SocketPoll {
  /**
   * Waits until the event loop has asked the kernel, after this call, which sockets
   * are ready.
   */
  untilPolled(): Promise<void>;

  /** Ends every wait for a poll, now and later. */
  close(): Promise<void>;
}

/**
 * A TCP connection of the process to itself: the self-pipe of
 * {@link https://cr.yp.to/docs/selfpipe.html | D. J. Bernstein}. A byte sent over it
 * can only arrive after the event loop has asked the kernel which sockets are ready
 * (epoll(7) on Linux).
 *
 * Neither a timer nor `setImmediate` tells as much: while reads and writes succeed
 * at once, both are called again and again before the event loop asks.
 */
export class SelfPipe implements SocketPoll {
  readonly #closed = new AbortController();
  #opening: Promise<Loopback | undefined> | undefined;
  #loopback: Loopback | undefined;
  /** When a connection may be made, as `performance.now()`. */
  #opensAt = -Infinity;

  /**
   * Waits until the event loop has asked the kernel, after this call, which sockets
   * are ready. Where the process may not connect to 127.0.0.1, lacks descriptors for
   * that, or gets no answer, this waits for a few milliseconds instead. It is for one
   * caller at a time: the byte of a second one may arrive with that of the first.
   */
  async untilPolled(): Promise<void> {
    const { signal } = this.#closed;
    if (signal.aborted) return;
    const loopback = this.#loopback ?? await this.#untilOpen();
    if (!loopback) return await sleep(BLIND_POLL_MS, signal);
    await loopback.untilArrived();
  }

  /** Closes the connection. Whoever waits goes on. */
  async close(): Promise<void> {
    this.#closed.abort();
    await (await this.#opening)?.close();
  }

  /** Waits for the connection: after one that failed no longer than without any. */
  async #untilOpen(): Promise<Loopback | undefined> {
    if (!this.#opening && performance.now() >= this.#opensAt) {
      this.#opening = this.#open();
    }
    if (!this.#opening || this.#opensAt === -Infinity) {
      return await this.#opening;
    }
    const { promise, resolve } = Promise.withResolvers<undefined>();
    using _timer = startTimer(BLIND_POLL_MS, () => resolve(undefined));
    return await Promise.race([this.#opening, promise]);
  }

  async #open(): Promise<Loopback | undefined> {
    const giveUp = new AbortController();
    const onEnd = () => giveUp.abort();
    const timer = startTimer(LIMIT_MS, onEnd, { persistent: false });
    this.#closed.signal.addEventListener("abort", onEnd);
    try {
      const loopback = new Loopback(...await connectToItself(giveUp.signal));
      this.#loopback = loopback;
      loopback.ended.then(() => this.#retryLater());
      return loopback;
    } catch {
      this.#retryLater();
      return undefined;
    } finally {
      timer[Symbol.dispose]();
      this.#closed.signal.removeEventListener("abort", onEnd);
    }
  }

  #retryLater(): void {
    this.#opening = undefined;
    this.#loopback = undefined;
    this.#opensAt = performance.now() + RETRY_PAUSE_MS;
  }
}

/** A connection of the process to itself. */
class Loopback {
  /** Settles when it is closed, or broke. */
  readonly ended: Promise<void>;
  readonly #near: Deno.TcpConn;
  readonly #far: Deno.TcpConn;
  /** What to call when the next bytes arrive, one for each byte. */
  readonly #waiting: (() => void)[] = [];
  /** One timer for many bytes: one each would take half as long as the byte. */
  #watch: Disposable | undefined;
  #hasEnded = false;

  constructor(near: Deno.TcpConn, far: Deno.TcpConn) {
    this.#near = near;
    this.#far = far;
    this.ended = this.#receive();
  }

  /** Sends a byte, and waits until it arrives. One that is late ends the connection. */
  async untilArrived(): Promise<void> {
    if (this.#hasEnded) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    if (!this.#watch) this.#watchOldest();
    this.#near.write(BYTE).catch(() => this.#far[Symbol.dispose]());
    await promise;
  }

  async close(): Promise<void> {
    // The process stays alive until the read has noticed.
    if (!this.#hasEnded) this.#far.ref();
    this.#far[Symbol.dispose]();
    await this.ended;
  }

  /** Ends the connection if who waits longest still waits after the limit. */
  #watchOldest(): void {
    const oldest = this.#waiting[0];
    this.#watch = oldest && startTimer(LIMIT_MS, () => {
      if (this.#waiting[0] === oldest) this.#far[Symbol.dispose]();
      else this.#watchOldest();
    }, { persistent: false });
  }

  async #receive(): Promise<void> {
    const buffer = new Uint8Array(BUFFER_BYTES);
    try {
      let reading = this.#far.read(buffer);
      for (let bytes; (bytes = await reading) !== null;) {
        // This read begins while nothing is there, so that it must wait for a poll.
        reading = this.#far.read(buffer);
        for (const resolve of this.#waiting.splice(0, bytes)) resolve();
      }
    } catch {
      // The connection broke.
    }
    this.#hasEnded = true;
    this.#watch?.[Symbol.dispose]();
    this.#near[Symbol.dispose]();
    this.#far[Symbol.dispose]();
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

async function connectToItself(
  signal: AbortSignal,
): Promise<[Deno.TcpConn, Deno.TcpConn]> {
  // Without the right to it, connecting would ask the user.
  const right = { name: "net", host: HOSTNAME } as const;
  if (Deno.permissions.querySync(right).state !== "granted") {
    throw new Deno.errors.NotCapable("no right to connect");
  }
  using listener = Deno.listen({ hostname: HOSTNAME, port: 0 });
  const { port } = listener.addr;
  // It also ends an accept.
  signal.addEventListener("abort", () => listener[Symbol.dispose]());
  const near = await Deno.connect({ hostname: HOSTNAME, port, signal });
  try {
    near.unref();
    near.setNoDelay();
    const far = await acceptFrom(listener, near.localAddr.port);
    far.unref();
    return [near, far];
  } catch (error) {
    near.close();
    throw error;
  }
}

/** Accepts the connection from a port: another process may have connected first. */
async function acceptFrom(
  listener: Deno.TcpListener,
  port: number,
): Promise<Deno.TcpConn> {
  while (true) {
    const conn = await listener.accept();
    if (conn.remoteAddr.port === port) return conn;
    conn.close();
  }
}
