import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { formatAddress } from "./address.ts";

describe("formatAddress()", () => {
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
      assertEquals(formatAddress({ hostname, port: 12345 }), rendered);
    });
  }
});
