import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "../testing/properties.ts";
import { UsageError } from "./flags.ts";
import {
  parseHost,
  parseSize,
  parseTime,
  parseWhole,
  timeFlag,
} from "./values.ts";

const MAX_TIME_MS = 2_147_483_647;

/** Checks that a value is refused, in these words if they are given. */
function assertRefused(
  parse: (text: string) => unknown,
  text: string,
  message = "expected ",
): void {
  assertThrows(() => parse(text), UsageError, message, JSON.stringify(text));
}

describe("parseWhole()", () => {
  it("takes the limits, and nothing beyond them", () => {
    assertEquals(parseWhole("3", 3, 10), 3);
    assertEquals(parseWhole("10", 3, 10), 10);
    assertEquals(parseWhole("0080", 3, 80), 80);
    const message = "expected a whole number from 3 to 10";
    for (const text of ["2", "11", "99999999999999999999"]) {
      assertRefused((text) => parseWhole(text, 3, 10), text, message);
    }
  });

  const others = [
    "",
    "-1",
    "+1",
    "1.5",
    "1e3",
    "0x10",
    " 1",
    "1 ",
    "1\n",
    "１",
  ];
  it("refuses anything else", () => {
    const parse = (text: string) => parseWhole(text, 0, 65_535);
    for (const text of others) assertRefused(parse, text);
  });
});

describe("parseTime()", () => {
  it("takes every unit, seconds without one", () => {
    const times = ["0", "250ms", "5s", "2m", "1h", "1.5", "0.5ms", "2.25m"];
    assertEquals(
      times.map((text) => parseTime(text)),
      [0, 250, 5000, 120_000, 3_600_000, 1500, 0.5, 135_000],
    );
  });

  it("takes the limits, and nothing beyond them", () => {
    assertEquals(parseTime(`${MAX_TIME_MS}ms`), MAX_TIME_MS);
    assertEquals(parseTime("596h"), 596 * 3_600_000);
    assertEquals(parseTime("20ms", 20), 20);
    const allowed = "expected a time such as 250ms, 5s, 2m or 1h, ";
    for (const text of [`${MAX_TIME_MS + 1}ms`, "597h", "99999999999"]) {
      assertRefused(parseTime, text, `${allowed}at most 596h`);
    }
    assertRefused(
      (text) => parseTime(text, 20),
      "19ms",
      `${allowed}at least 20ms and at most 596h`,
    );
  });

  it("reads any number of any unit", () => {
    const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
    const unit = fc.constantFrom(
      ...Object.keys(units) as (keyof typeof units)[],
    );
    fc.assert(fc.property(fc.nat(3_000_000), unit, (number, unit) => {
      const ms = number * units[unit];
      const text = `${number}${unit}`;
      if (ms <= MAX_TIME_MS) assertEquals(parseTime(text), ms);
      else assertRefused(parseTime, text);
    }));
  });

  const others = [
    ...["", "s", "-1s", "1d", "1 s", " 1s", "1s ", "1s\n", "1S", "1.", ".5"],
    ...["1e3", "1m30s", "Infinity", "soon"],
  ];
  it("refuses anything else", () => {
    for (const text of others) assertRefused(parseTime, text);
  });
});

describe("timeFlag()", () => {
  it("shows its default as a TIME", () => {
    const textOf = (ms: number) =>
      timeFlag({ help: "", default: ms }).defaultText;
    assertEquals([0, 250, 5000].map(textOf), ["0", "250ms", "5s"]);
    const inWords = timeFlag({
      help: "",
      default: Infinity,
      defaultText: "never",
    });
    assertEquals(inWords.defaultText, "never");
  });

  it("takes a TIME, not below its least", () => {
    const { parse, ...flag } = timeFlag({
      short: "t",
      help: "wait",
      default: 1000,
      min: 1,
    });
    assertEquals(flag, {
      ...{ short: "t", value: "TIME", help: "wait" },
      ...{ default: 1000, defaultText: "1s" },
    });
    assertEquals(parse("1ms"), 1);
    assertRefused(parse, "0", "at least 1ms");
    assertEquals(timeFlag({ help: "", default: 1 }).parse("0"), 0);
  });
});

describe("parseSize()", () => {
  it("takes every unit, bytes without one", () => {
    assertEquals(
      ["1", "64", "64k", "64K", "1m", "1M", "2g", "2G"].map(parseSize),
      [1, 64, 65_536, 65_536, 2 ** 20, 2 ** 20, 2 ** 31, 2 ** 31],
    );
  });

  it("reads any number of any unit", () => {
    const units = { "": 1, k: 1024, M: 1024 ** 2, G: 1024 ** 3 };
    const unit = fc.constantFrom(
      ...Object.keys(units) as (keyof typeof units)[],
    );
    fc.assert(fc.property(fc.maxSafeNat(), unit, (number, unit) => {
      const size = number * units[unit];
      const text = `${number}${unit}`;
      if (number > 0 && size <= Number.MAX_SAFE_INTEGER) {
        assertEquals(parseSize(text), size);
      } else assertRefused(parseSize, text);
    }));
  });

  it("takes the limits, and nothing beyond them", () => {
    assertEquals(parseSize("9007199254740991"), Number.MAX_SAFE_INTEGER);
    assertEquals(parseSize("8388607G"), 8_388_607 * 2 ** 30);
    for (const text of ["0", "0k", "9007199254740992", "8388608G"]) {
      assertRefused(
        parseSize,
        text,
        "expected a size such as 64, 64k or 1M, at least 1",
      );
    }
  });

  const others = ["", "k", "-1", "1.5k", "64kb", "1T", " 64", "64 ", "64\n"];
  it("refuses anything else", () => {
    for (const text of others) assertRefused(parseSize, text);
  });
});

describe("parseHost()", () => {
  const label = "a".repeat(63);
  const longest = `${label}.${label}.${label}.${"a".repeat(61)}`;

  const hosts = [
    ...["127.0.0.1", "::1", "::", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1"],
    ...[
      "fe80::1%eth0",
      "febf::1%2",
      "ff02::1%eth0",
      "localhost",
      "EXAMPLE.com",
      "example.com.",
      "a",
      "9.x",
    ],
    ...["_dns.no_such-host", "a--b", "a.1b2.3c4", label, longest],
  ];
  it("takes an address or a name", () => {
    assertEquals(hosts.map(parseHost), hosts);
  });

  it("takes brackets off an IPv6 address", () => {
    assertEquals(parseHost("[::1]"), "::1");
    assertEquals(parseHost("[fe80::1%eth0]"), "fe80::1%eth0");
  });

  const others = [
    ...["", " ", "a b", "a\n", "ünï", "a/b", "-a", "a-", "a..b", ".a", "a.-b"],
    ...[":", ":::", "::1::", "1:2:3", "::g", "::1%", "%eth0", "a%eth0"],
    ...["[::1", "::1]", "[[::1]]", "[]", "[localhost]", "[127.0.0.1]"],
    ...[
      "[::1]2",
      "2[::1]",
      "fe80::1%eth0:1",
      `${label}a`,
      `a.${label}a`,
      `${longest}a`,
      `${longest}.`,
    ],
  ];
  it("refuses anything else", () => {
    for (const text of others) {
      const error = assertThrows(() => parseHost(text), UsageError, "", text);
      assertEquals(error.message, "expected an IPv4 or IPv6 address or a name");
    }
  });

  it("says where the port goes", () => {
    const withPort = ["localhost:80", "127.0.0.1:80", ":80", "[::1]:80"];
    for (const text of withPort) {
      assertRefused(parseHost, text, "a name, the port goes to --port");
    }
    for (const text of ["localhost:", "localhost:http", "[::1]:", "::g:80"]) {
      const error = assertThrows(() => parseHost(text), UsageError);
      assertEquals(error.message.includes("--port"), false);
    }
  });

  it("takes a zone with a link-local address alone", () => {
    for (const text of ["::1%lo", "[::1%lo]", "fec0::1%lo", "2001:db8::1%lo"]) {
      const error = assertThrows(() => parseHost(text), UsageError, "", text);
      assertEquals(
        error.message,
        "only a link-local address (fe80::/10) has a zone, leave out %lo",
      );
    }
  });
});
