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
 * await using client = await connect({ port: server.addr.port });
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
import { connectStream } from "./client/connect.ts";
import { DatagramClient } from "./client/datagram_client.ts";
import { openUdp } from "./client/dial.ts";
import type { Address } from "./net/address.ts";
import { DEFAULT_HOSTNAME, DEFAULT_PORT } from "./net/defaults.ts";
import { networkError } from "./net/errors.ts";
import { checkPort, checkTime } from "./net/options.ts";

export type {
  ConnectOptions,
  EchoClient,
  UdpClient,
  UdpConnectOptions,
} from "./client/api.ts";
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
export function connect(options: ConnectOptions = {}): Promise<EchoClient> {
  return connectStream(options);
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
 * await using client = await connectUdp({ port: server.addr.port });
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
