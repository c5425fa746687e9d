import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { UsageError } from "../flags.ts";
import { parseMetricsAddress } from "./flag.ts";

describe("parseMetricsAddress()", () => {
  it("takes a port, on 127.0.0.1 unless it has a host", () => {
    const addresses: [text: string, hostname: string, port: number][] = [
      ["9100", "127.0.0.1", 9100],
      ["0", "127.0.0.1", 0],
      ["65535", "127.0.0.1", 65535],
      ["0.0.0.0:9100", "0.0.0.0", 9100],
      ["localhost:1", "localhost", 1],
      ["[::1]:9100", "::1", 9100],
      ["[fe80::1%eth0]:9100", "fe80::1%eth0", 9100],
    ];
    for (const [text, hostname, port] of addresses) {
      assertEquals(parseMetricsAddress(text), { hostname, port });
    }
  });

  it("refuses what has no port, and says what it takes", () => {
    const texts = [
      ...["", "localhost", "::1", "::1:9100", "[::1]", ":9100", "a:b", "9100 "],
      ...["1.2.3.4:", "[::1:9100", "http://localhost:9100", "-1", "1:2:3"],
    ];
    for (const text of texts) {
      assertThrows(
        () => parseMetricsAddress(text),
        UsageError,
        "expected a port, or a host and a port such as 0.0.0.0:9100 or [::1]:9100",
        text,
      );
    }
  });

  it("refuses a port and a host that there cannot be", () => {
    const refusals: [text: string, why: string][] = [
      ["65536", "expected a whole number from 0 to 65535"],
      ["localhost:65536", "expected a whole number from 0 to 65535"],
      ["1.2.3:9100", "expected an IPv4 or IPv6 address or a name"],
      ["[1.2.3.4]:9100", "expected an IPv4 or IPv6 address or a name"],
      ["a b:9100", "expected an IPv4 or IPv6 address or a name"],
    ];
    for (const [text, why] of refusals) {
      assertThrows(() => parseMetricsAddress(text), UsageError, why, text);
    }
  });
});
