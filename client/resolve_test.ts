import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import process from "node:process";
import fc from "../testing/properties.ts";
import { resolveHost } from "./resolve.ts";

/** The address that a socket shows which was opened on another spelling of it. */
function shownBySocket(hostname: string): string {
  const options = { transport: "udp", hostname, port: 0 } as const;
  const socket = Deno.listenDatagram(options);
  socket.close();
  return (socket.addr as Deno.NetAddr).hostname;
}

/** The only address of a host. */
async function addressOfHost(hostname: string): Promise<string> {
  const [address, ...others] = await resolveHost(hostname);
  assertEquals(others, []);
  return address!;
}

describe("resolveHost()", () => {
  it("leaves an IPv4 address as it is", async () => {
    await fc.assert(
      fc.asyncProperty(fc.ipV4(), async (address) => {
        assertEquals(await addressOfHost(address), address);
      }),
    );
  });

  it("reads what is octal to the system as the system does", async () => {
    assertEquals(await addressOfHost("127.000.000.001"), "127.0.0.1");
    assertEquals(await addressOfHost("0177.0.0.1"), "127.0.0.1");
    assertEquals(await addressOfHost("127.1"), "127.0.0.1");
  });

  it("shortens IPv6 as sockets do", async () => {
    for (
      const [address, short] of [
        ["::1", "::1"],
        ["[::1]", "::1"],
        ["0:0:0:0:0:0:0:1", "::1"],
        ["0000:0000:0000:0000:0000:0000:0000:0001", "::1"],
        ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
        ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
        ["::ffff:127.0.0.1", "::ffff:127.0.0.1"],
        ["::ffff:7f00:1", "::ffff:127.0.0.1"],
        ["0:0:0:0:0:FFFF:255.254.1.0", "::ffff:255.254.1.0"],
        ["fe80:0::1%eth0", "fe80::1%eth0"],
      ] as const
    ) assertEquals(await addressOfHost(address), short, address);
    for (const address of ["::1", "::ffff:127.0.0.1"]) {
      assertEquals(await addressOfHost(address), shownBySocket(address));
    }
  });

  it("takes the machine itself for no particular address", async () => {
    assertEquals(await addressOfHost("0.0.0.0"), "127.0.0.1");
    assertEquals(await addressOfHost("[::]"), "::1");
    assertEquals(await addressOfHost("::ffff:0:0"), "::ffff:127.0.0.1");
  });

  it("looks a name up", async () => {
    const addresses = await resolveHost("localhost");
    assert(addresses.length > 0);
    for (const address of addresses) assertMatch(address, /^127\.|^::1$/);
  });

  it("leaves the warnings of the process as they were", async () => {
    const switches = process as { noDeprecation?: boolean };
    for (const before of [false, true]) {
      switches.noDeprecation = before;
      await Promise.all(["localhost", "localhost"].map(resolveHost));
      assertEquals(switches.noDeprecation, before);
    }
    switches.noDeprecation = false;
  });

  it("fails in the words of a name that does not resolve", async () => {
    for (const name of ["nosuch.invalid", "256.1.1.1", "1.2.3.4.5"]) {
      await assertRejects(
        () => resolveHost(name),
        Error,
        "failed to lookup address information",
      );
    }
  });
});
