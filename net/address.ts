/**
 * Where a socket listens or connects.
 *
 * @module
 */

/** Where a TCP socket listens or connects. */
export interface TcpAddress {
  /** Which kind of socket this is. */
  readonly transport: "tcp";
  /** An IPv4 or IPv6 address or a name. */
  readonly hostname: string;
  /** The port, from 0 to 65,535. */
  readonly port: number;
}

/** Where a TCP socket listens or connects that speaks TLS. */
export interface TlsAddress {
  /** Which kind of socket this is. */
  readonly transport: "tls";
  /** An IPv4 or IPv6 address or a name. */
  readonly hostname: string;
  /** The port, from 0 to 65,535. */
  readonly port: number;
}

/** Where a UDP socket sends and receives datagrams. */
export interface UdpAddress {
  /** Which kind of socket this is. */
  readonly transport: "udp";
  /** An IPv4 or IPv6 address or a name. */
  readonly hostname: string;
  /** The port, from 0 to 65,535. */
  readonly port: number;
}

/** Where a socket listens or connects, by its transport. */
export type Address = TcpAddress | TlsAddress | UdpAddress;

/** What carries bytes from one end to the other. */
export type Transport = Address["transport"];

const TRANSPORTS: readonly string[] = [
  "tcp",
  "tls",
  "udp",
] satisfies Transport[];

/**
 * Tells whether a text names a transport.
 *
 * @param text The text.
 * @returns Whether it is `tcp`, `tls` or `udp`.
 */
export function isTransport(text: string): text is Transport {
  return TRANSPORTS.includes(text);
}

/**
 * Renders an address for a person: as {@linkcode formatHostPort} does, with `/udp`
 * behind it where datagrams are meant, and `/tls` where TLS is.
 *
 * @param address The address.
 * @returns For example `127.0.0.1:12345`, `[::1]:12345` or `127.0.0.1:12345/udp`.
 */
export function formatAddress(
  address: Pick<Address, "hostname" | "port" | "transport">,
): string {
  const text = formatHostPort(address);
  return address.transport === "tcp" ? text : `${text}/${address.transport}`;
}

/**
 * Renders an address as `host:port`, an IPv6 address in brackets
 * ({@link https://www.rfc-editor.org/rfc/rfc3986#section-3.2.2 | RFC 3986}).
 *
 * @param address The address; brackets around its host name are not doubled.
 * @returns For example `127.0.0.1:12345` or `[::1]:12345`.
 */
export function formatHostPort(
  { hostname, port }: Pick<Address, "hostname" | "port">,
): string {
  const bare = hostname.replace(/^\[(.*)\]$/, "$1");
  return bare.includes(":") ? `[${bare}]:${port}` : `${bare}:${port}`;
}
