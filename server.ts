/**
 * A TCP server that sends back every byte it gets, in order, until the client
 * ends its stream, as {@link https://www.rfc-editor.org/rfc/rfc862 | RFC 862}
 * asks. It may do so with UDP datagrams, too.
 *
 * @example In a test
 * ```ts
 * import { serve } from "@echo/echo/server";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = serve({ port: 0 });
 * using conn = await Deno.connect({ port: server.addr.port });
 * await conn.write(new TextEncoder().encode("hello"));
 * const reply = new Uint8Array(5);
 * await conn.read(reply);
 * assertEquals(new TextDecoder().decode(reply), "hello");
 * ```
 *
 * @module
 */

import type { EchoServer, ServeOptions } from "./server/api.ts";
import { startServer } from "./server/echo_server.ts";

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
export type {
  DatagramStats,
  EchoServer,
  FaultCounts,
  ServeOptions,
  ServerTls,
  ServeStats,
  ShutdownOptions,
} from "./server/api.ts";
export type {
  AcceptFailedEvent,
  CloseEvent,
  CloseReason,
  CrowdEvent,
  DataEvent,
  DropEvent,
  FaultEvent,
  FullEvent,
  HandshakeFailedEvent,
  OpenEvent,
  ResetEvent,
  ServeEvent,
} from "./server/events.ts";
export type { HandshakeFailure } from "./server/handshakes.ts";
export type { DropReason } from "./server/datagram_limits.ts";
export type {
  CutFault,
  FaultKind,
  FaultOptions,
  FaultShare,
  LatencyFault,
  RateFault,
  SliceFault,
} from "./server/faults/options.ts";

/**
 * Starts an echo server, which serves any number of clients at once until
 * {@linkcode EchoServer.shutdown} or its signal ends it. An error of one
 * connection ends that connection alone.
 *
 * @example On a free port
 * ```ts
 * import { serve } from "@echo/echo/server";
 * import { assertNotEquals } from "@std/assert";
 *
 * const server = serve({ port: 0 });
 * assertNotEquals(server.addr.port, 0);
 * await server.shutdown();
 * ```
 *
 * @param options Where to listen, limits and callbacks.
 * @returns The server, which listens already.
 * @throws {Deno.errors.AddrInUse} If something else listens there.
 * @throws {Deno.errors.AddrNotAvailable} If the machine has no such address.
 * @throws {Deno.errors.PermissionDenied} If the port needs privileges.
 * @throws {Deno.errors.NotCapable} If Deno may not listen there.
 * @throws {RangeError} If an option is no time, no port, no number of connections or
 * no fault.
 * @throws {TypeError} If there is a `cert` without a `key`, or the reverse.
 * @throws {URIError} If the host name is not valid.
 * @throws {Deno.errors.InvalidData} If the certificate or its key is no PEM.
 * @throws {Error} If the name does not resolve, or the key is not the certificate's.
 */
export function serve(options: ServeOptions = {}): EchoServer {
  return startServer(options);
}
