/**
 * Finding the address of a name.
 *
 * @module
 */

import process from "node:process";

const IPV4 = /^\d+\.\d+\.\d+\.\d+$/;

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
  const { noDeprecation = false } = switches;
  switches.noDeprecation = true;
  try {
    const { lookup } = await import("node:dns/promises");
    return (await lookup(name)).address;
  } finally {
    switches.noDeprecation = noDeprecation;
  }
}

/** Shortens an address as sockets do. A zone (RFC 4007) stays as it is. */
function canonicalIPv6(address: string): string {
  const [, bare = address, zone = ""] = address.match(/^([^%]*)(%.*)?$/) ?? [];
  const short = URL.parse(`http://[${bare}]/`)?.hostname.slice(1, -1) ?? bare;
  return short + zone;
}
