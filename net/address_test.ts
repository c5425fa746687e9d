import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { formatAddress, formatHostPort, isTransport } from "./address.ts";

describe("formatHostPort()", () => {
  const renderings: [hostname: string, rendered: string][] = [
    ["127.0.0.1", "127.0.0.1:12345"],
    ["example.com", "example.com:12345"],
    ["::1", "[::1]:12345"],
    ["[::1]", "[::1]:12345"],
    ["fe80::1%eth0", "[fe80::1%eth0]:12345"],
    ["[localhost]", "localhost:12345"],
    // What is no address is shown as it was given.
    ["local[host]", "local[host]:12345"],
    ["[local]host", "[local]host:12345"],
  ];
  for (const [hostname, rendered] of renderings) {
    it(`renders ${hostname} as ${rendered}`, () => {
      assertEquals(formatHostPort({ hostname, port: 12345 }), rendered);
    });
  }
});

describe("formatAddress()", () => {
  it("tells datagrams from connections", () => {
    const at = { hostname: "::1", port: 7 };
    assertEquals(formatAddress({ transport: "tcp", ...at }), "[::1]:7");
    assertEquals(formatAddress({ transport: "udp", ...at }), "[::1]:7/udp");
  });
});

describe("isTransport()", () => {
  it("knows what there is, and nothing else", () => {
    assertEquals(["tcp", "tls", "udp"].map(isTransport), [true, true, true]);
    assertEquals(["", "TCP", "sctp"].map(isTransport), [false, false, false]);
  });
});
