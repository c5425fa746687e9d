/**
 * Finding the address of a name.
 *
 * @module
 */

import process from "node:process";

/** Four numbers of one spelling: what begins with a zero is octal to the system. */
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/** An IPv4 address within IPv6, as `URL` shows it. */
const MAPPED = /^::ffff:([\da-f]+):([\da-f]+)$/;

/**
 * Finds the address of a host, as sockets show it. The system looks names up, in its
 * own order of addresses.
 *
 * @param hostname An IPv4 or IPv6 address or a name.
 * @returns The address, without brackets.
 * @throws {Error} If the name does not resolve.
 */
export async function resolveHost(hostname: string): Promise<string> {
  const bare = hostname.replace(/^\[(.*)\]$/, "$1");
  if (IPV4.test(bare)) return bare;
  if (bare.includes(":")) return canonicalIPv6(bare);
  try {
    return await lookUp(bare);
  } catch (cause) {
    throw new Error("failed to lookup address information", { cause });
  }
}

/** Asks the system. Deno's own look-up asks name servers, and knows no hosts file. */
async function lookUp(name: string): Promise<string> {
  // Deno 2.6 warns on stderr of a module that it uses itself there. Deno's types
  // leave the switch out.
  const switches = process as { noDeprecation?: boolean };
  // Of several look-ups at once, the first one turns it off and on again.
  const isOurs = !switches.noDeprecation;
  if (isOurs) switches.noDeprecation = true;
  try {
    const { lookup } = await import("node:dns/promises");
    return (await lookup(name)).address;
  } finally {
    if (isOurs) switches.noDeprecation = false;
  }
}

/** Shortens an address as sockets do. A zone (RFC 4007) stays as it is. */
function canonicalIPv6(address: string): string {
  const [, bare = address, zone = ""] = address.match(/^([^%]*)(%.*)?$/) ?? [];
  const short = URL.parse(`http://[${bare}]/`)?.hostname.slice(1, -1) ?? bare;
  const [, high, low] = short.match(MAPPED) ?? [];
  return (high && low ? mappedIPv6(high, low) : short) + zone;
}

/** Sockets show an IPv4 address within IPv6 as IPv4 (RFC 5952, section 5). */
function mappedIPv6(high: string, low: string): string {
  const bytes = [high, low].map((half) => parseInt(half, 16))
    .flatMap((half) => [half >> 8, half & 0xff]);
  return `::ffff:${bytes.join(".")}`;
}
