import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  addressBytes,
  canonicalIPv6,
  formatAddress,
  formatHostPort,
  isIPv4,
  isTransport,
} from "./address.ts";

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

describe("isIPv4()", () => {
  it("knows four decimal numbers of one spelling, and nothing else", () => {
    const addresses = ["0.0.0.0", "127.0.0.1", "255.255.255.255"];
    for (const text of addresses) assertEquals(isIPv4(text), true, text);
    const others = ["", "1.2.3", "1.2.3.4.", "1.2.3.04", "256.1.1.1", "999"];
    others.push("1.2.3.4/", "0x1.2.3.4", "::1", "1.2.3.4:5", "a.b.c.d");
    for (const text of others) assertEquals(isIPv4(text), false, text);
  });
});

describe("canonicalIPv6()", () => {
  it("spells an address as sockets do", () => {
    assertEquals(canonicalIPv6("0:0::1"), "::1");
    assertEquals(canonicalIPv6("FE80::1%br-lan.5"), "fe80::1%br-lan.5");
    assertEquals(canonicalIPv6("::ffff:7f00:1"), "::ffff:127.0.0.1");
  });

  it("knows what is none", () => {
    for (
      const text of ["", "1.2.3.4", "localhost", "::1::", "::1]/[::2", "%a"]
    ) {
      assertEquals(canonicalIPv6(text), undefined, text);
    }
  });
});

describe("addressBytes()", () => {
  it("has 4 or 16 bytes of an address, none of a name", () => {
    assertEquals(addressBytes("1.2.3.4"), [1, 2, 3, 4]);
    const zeros = Array(12).fill(0);
    assertEquals(addressBytes("::102:304"), [...zeros, 1, 2, 3, 4]);
    assertEquals(addressBytes("102::304"), [1, 2, ...zeros, 3, 4]);
    for (const none of ["localhost", "999.1.2.3", "1::2::3"]) {
      assertEquals(addressBytes(none), undefined);
    }
  });
});
