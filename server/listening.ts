/**
 * Opening the sockets of a server.
 *
 * @module
 */

import {
  bareHost,
  type TcpAddress,
  type TlsAddress,
  ZONE,
} from "../net/address.ts";
import { isNetworkError } from "../net/errors.ts";
import { listen, type ServerListener } from "./accepting.ts";
import type { ServeOptions, ServerTls } from "./api.ts";
import { listenUdp } from "./datagrams.ts";

/** How often a port is tried that is free for TCP and may be for UDP. */
const ATTEMPTS = 100;

/** The sockets of a server. */
export interface Sockets {
  /** Where connections come in. */
  readonly listener: ServerListener;
  /** Where datagrams come in, if the server takes any. */
  readonly socket: Deno.DatagramConn | undefined;
}

/**
 * Listens on an address, for datagrams on the same port if they are asked for.
 *
 * @param address The address; port 0 takes one that is free for both.
 * @param options Whether it is for datagrams, too, and whether others share the port.
 * @param tls The certificate for TLS.
 * @returns The sockets.
 * @throws {NetworkError} If it cannot listen there.
 */
export function listenOn(
  address: TcpAddress | TlsAddress,
  { udp = false, reusePort = false }: Pick<ServeOptions, "udp" | "reusePort">,
  tls?: ServerTls,
): Sockets {
  for (let attempt = 1;; attempt++) {
    const listener = listen(address, reusePort, tls);
    try {
      // A name may have several addresses: both sockets have the same one. Deno shows
      // an address without its zone.
      const { port } = listener.addr;
      const [zone = ""] = bareHost(address.hostname).match(ZONE) ?? [];
      const hostname = listener.addr.hostname + zone;
      const socket = udp
        ? listenUdp({ transport: "udp", hostname, port })
        : undefined;
      return { listener, socket };
    } catch (error) {
      listener.close();
      const isTaken = isNetworkError(error) &&
        error.reason === "address_in_use";
      if (address.port !== 0 || !isTaken || attempt === ATTEMPTS) throw error;
    }
  }
}
