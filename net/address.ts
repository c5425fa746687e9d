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

export function isTransport(text: string): text is Transport {
  return TRANSPORTS.includes(text);
}

/**
 * Renders an address for a person: as {@linkcode formatHostPort} does, with `/udp`
 * behind it where datagrams are meant, and `/tls` where TLS is.
 */
export function formatAddress(
  address: Pick<Address, "hostname" | "port" | "transport">,
): string {
  const text = formatHostPort(address);
  return address.transport === "tcp" ? text : `${text}/${address.transport}`;
}

/** Renders an address as `host:port`, an IPv6 address in brackets (RFC 3986, 3.2.2). */
export function formatHostPort(
  { hostname, port }: Pick<Address, "hostname" | "port">,
): string {
  const bare = bareHost(hostname);
  return bare.includes(":") ? `[${bare}]:${port}` : `${bare}:${port}`;
}

/** Takes the brackets away that an IPv6 address has in a URL. */
export function bareHost(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, "$1");
}

/** The zone at the end of an IPv6 address, a name or number of a link (RFC 4007). */
export const ZONE = /%([\w.-]+)$/;

/**
 * Tells whether a text is an IPv4 address of four decimal numbers, as a URL has it.
 * The system's resolver also takes 999 for 0.0.3.231, and 010.0.0.1 for 8.0.0.1.
 */
export function isIPv4(text: string): boolean {
  return /^[\d.]+$/.test(text) &&
    URL.parse(`http://${text}/`)?.hostname === text;
}

/** Shortens an IPv6 address without a zone; `undefined` if it is none. */
function shortIPv6(text: string): string | undefined {
  if (!/^[\da-f.]*:[\da-f:.]*$/i.test(text)) return undefined;
  return URL.parse(`http://[${text}]/`)?.hostname.slice(1, -1);
}

/**
 * Spells an IPv6 address as sockets do, and leaves its zone as it is; `undefined` if
 * it is none.
 */
export function canonicalIPv6(text: string): string | undefined {
  const [zone = ""] = text.match(ZONE) ?? [];
  const short = shortIPv6(text.slice(0, text.length - zone.length));
  // Sockets show an IPv4 address within IPv6 as IPv4 (RFC 5952, section 5).
  const mapped = short?.match(/^::ffff:([\da-f]+:[\da-f]+)$/)?.[1]?.split(":");
  return mapped
    ? `::ffff:${bytesOf(mapped).join(".")}${zone}`
    : short && short + zone;
}

/** Returns an address as sockets spell it, without brackets; `undefined` for a name. */
export function addressOf(hostname: string): string | undefined {
  const bare = bareHost(hostname);
  return isIPv4(bare) ? bare : canonicalIPv6(bare);
}

/** Returns the bytes of an IPv4 or IPv6 address, `undefined` for a name. */
export function addressBytes(text: string): number[] | undefined {
  if (isIPv4(text)) return text.split(".").map(Number);
  const short = shortIPv6(text);
  return short === undefined ? undefined : bytesOf(groupsOf(short));
}

/** Splits a short IPv6 address with no IPv4 part into its eight groups. */
export function groupsOf(short: string): string[] {
  const [left = [], right = []] = short.split("::")
    .map((part) => part === "" ? [] : part.split(":"));
  return [
    ...left,
    ...Array(8 - left.length - right.length).fill("0"),
    ...right,
  ];
}

function bytesOf(groups: readonly string[]): number[] {
  return groups.map((group) => parseInt(group, 16))
    .flatMap((number) => [number >> 8, number & 0xff]);
}
