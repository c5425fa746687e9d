/**
 * A client that sends bytes to an echo server, over TCP or UDP, and compares every
 * byte that comes back with the one that was sent.
 *
 * @example One verified round trip
 * ```ts
 * import { connect } from "@echo/echo/client";
 * import { serve } from "@echo/echo/server";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = serve({ port: 0 });
 * using client = await connect({ port: server.addr.port });
 * const { bytes } = await client.echo(new TextEncoder().encode("hello"));
 * assertEquals(bytes, 5);
 * ```
 *
 * @module
 */

import {
  type ConnectOptions,
  DEFAULT_TIMEOUT_MS,
  type EchoClient,
  type UdpClient,
  type UdpConnectOptions,
} from "./client/api.ts";
import { DatagramClient } from "./client/datagram_client.ts";
import { dial, openUdp } from "./client/dial.ts";
import { StreamClient } from "./client/stream_client.ts";
import type { Address, TcpAddress, TlsAddress } from "./net/address.ts";
import { DEFAULT_HOSTNAME, DEFAULT_PORT } from "./net/defaults.ts";
import { networkError, type Reason, reasonOf } from "./net/errors.ts";
import { checkPort, checkTime } from "./net/options.ts";
import { sleep } from "./net/time.ts";

export {
  type ClientTls,
  type ConnectOptions,
  DEFAULT_TIMEOUT_MS,
  type EchoClient,
  type UdpClient,
  type UdpConnectOptions,
} from "./client/api.ts";
export { MAX_DATAGRAM_BYTES } from "./client/datagram_client.ts";
export type {
  Difference,
  EchoResult,
  Irregularity,
  IrregularKind,
  Progress,
} from "./client/types.ts";
export { MismatchError, ShortEchoError } from "./client/errors.ts";
export type {
  Address,
  TcpAddress,
  TlsAddress,
  UdpAddress,
} from "./net/address.ts";
export {
  type Failure,
  isNetworkError,
  type NetworkError,
  type Operation,
  type Reason,
  type TlsReason,
} from "./net/errors.ts";
export type { Reader, Writer } from "./net/streams.ts";

/** The server is there, and its certificate is what it is. */
const FINAL_REASONS: ReadonlySet<Reason> = new Set([
  "tls_untrusted",
  "tls_wrong_name",
  "tls_expired",
  "tls_not_yet_valid",
  "tls_authority",
]);

/** The pause before another attempt to connect: doubled for each further one. */
const RETRY_PAUSE_MS = { first: 20, last: 250 };

/**
 * Connects to an echo server.
 *
 * @example Wait for a server that is about to start
 * ```ts
 * import { connect } from "@echo/echo/client";
 * import { serve } from "@echo/echo/server";
 * import { assertRejects } from "@std/assert";
 *
 * const { port } = serve({ port: 0, signal: AbortSignal.abort() }).addr;
 * await assertRejects(
 *   () => connect({ port, retryMs: 100 }),
 *   Deno.errors.ConnectionRefused,
 * );
 * ```
 *
 * @param options Where to connect to, timeouts and a signal.
 * @returns The connected client.
 * @throws {Deno.errors.ConnectionRefused} If nothing listens there.
 * @throws {Deno.errors.TimedOut} If there is no connection within the timeout.
 * @throws {Deno.errors.NotCapable} If Deno may not connect there.
 * @throws {RangeError} If an option is no time or no port.
 * @throws {URIError} If the host name is not valid.
 * @throws {Deno.errors.InvalidData} If TLS fails: {@linkcode NetworkError.reason}
 * tells an untrusted certificate from an expired one, for example.
 * @throws {Error} If the name does not resolve, or for other network errors.
 */
export async function connect(
  options: ConnectOptions = {},
): Promise<EchoClient> {
  const { hostname = DEFAULT_HOSTNAME, port = DEFAULT_PORT } = options;
  const { timeoutMs = DEFAULT_TIMEOUT_MS, retryMs = 0, signal, tls } = options;
  checkPort(port);
  checkTime("timeoutMs", timeoutMs);
  checkTime("retryMs", retryMs);
  const transport = tls ? "tls" : "tcp";
  const address: TcpAddress | TlsAddress = { transport, hostname, port };

  const startedAt = performance.now();
  let attempts = 0;
  let pauseMs = RETRY_PAUSE_MS.first;
  while (true) {
    signal?.throwIfAborted();
    try {
      const dialed = await dial(address, timeoutMs, signal, tls);
      return new StreamClient(dialed, timeoutMs, signal);
    } catch (error) {
      signal?.throwIfAborted();
      const triedMs = performance.now() - startedAt;
      const leftMs = retryMs - triedMs;
      const howLong = ++attempts > 1
        ? ` (${attempts} attempts in ${(triedMs / 1000).toFixed(1)} s)`
        : "";
      const failure = networkError("connect", address, error, howLong);
      if (leftMs <= 0 || isFinal(error)) throw failure;
      options.onAttemptFailed?.(failure);
      await sleep(Math.min(pauseMs, leftMs), signal);
      pauseMs = Math.min(pauseMs * 2, RETRY_PAUSE_MS.last);
    }
  }
}

/**
 * Opens a UDP socket that sends to an echo server. There is no connection, so this
 * does not tell whether the server is there.
 *
 * @example One verified round trip
 * ```ts
 * import { connectUdp } from "@echo/echo/client";
 * import { serve } from "@echo/echo/server";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = serve({ port: 0, udp: true });
 * using client = await connectUdp({ port: server.addr.port });
 * const { bytes } = await client.echo(new TextEncoder().encode("hello"));
 * assertEquals(bytes, 5);
 * ```
 *
 * @param options Where to send to, a timeout and a signal.
 * @returns The client. Its name was looked up, once.
 * @throws {Deno.errors.TimedOut} If the look-up took longer than the timeout.
 * @throws {TypeError} If Deno was started without `--unstable-net`.
 * @throws {Deno.errors.NotCapable} If Deno may not use the network.
 * @throws {RangeError} If an option is no time or no port.
 * @throws {Error} If the name does not resolve, or for other network errors.
 */
export async function connectUdp(
  options: UdpConnectOptions = {},
): Promise<UdpClient> {
  const { hostname = DEFAULT_HOSTNAME, port = DEFAULT_PORT } = options;
  const { timeoutMs = DEFAULT_TIMEOUT_MS, signal, onIrregular } = options;
  checkPort(port);
  checkTime("timeoutMs", timeoutMs);
  const address: Address = { transport: "udp", hostname, port };
  signal?.throwIfAborted();
  try {
    const opened = await openUdp(address, timeoutMs, signal);
    return new DatagramClient({
      ...opened,
      address,
      timeoutMs,
      signal,
      onIrregular,
    });
  } catch (error) {
    signal?.throwIfAborted();
    throw networkError("connect", address, error);
  }
}

/** Tells whether another attempt would fail in the same way. */
function isFinal(error: unknown): boolean {
  return error instanceof Deno.errors.NotCapable ||
    error instanceof URIError || error instanceof RangeError ||
    FINAL_REASONS.has(reasonOf(error));
}
