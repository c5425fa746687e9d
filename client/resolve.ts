import process from "node:process";
import { addressOf, bareHost } from "../net/address.ts";

/** Where a connection to no particular address goes: to the machine itself. */
const UNSPECIFIED: Readonly<Record<string, string>> = {
  "0.0.0.0": "127.0.0.1",
  "::": "::1",
  "::ffff:0.0.0.0": "::ffff:127.0.0.1",
};

/**
 * Finds the addresses of a host, as sockets show their peers there. The system looks
 * names up, in its own order of addresses where the runtime keeps it (Deno 2.9).
 */
export async function resolveHost(hostname: string): Promise<string[]> {
  const address = addressOf(hostname);
  const found = address === undefined
    ? await lookUp(bareHost(hostname))
    : [address];
  return [...new Set(found.map((address) => UNSPECIFIED[address] ?? address))];
}

/** Asks the system. Deno's own look-up asks name servers, and knows no hosts file. */
async function lookUp(name: string): Promise<string[]> {
  // Deno 2.6 warns on stderr of a module that it uses itself there. Deno's types
  // leave the switch out.
  const switches = process as { noDeprecation?: boolean };
  // Of several look-ups at once, the first one turns it off and on again.
  const isOurs = !switches.noDeprecation;
  if (isOurs) switches.noDeprecation = true;
  try {
    const { lookup } = await import("node:dns/promises");
    const options = { all: true, order: "verbatim" } as const;
    return (await lookup(name, options)).map(({ address }) => address);
  } catch (cause) {
    throw new Error("failed to lookup address information", { cause });
  } finally {
    if (isOurs) switches.noDeprecation = false;
  }
}
