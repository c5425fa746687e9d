import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "../testing/properties.ts";
import { UsageError } from "./flags.ts";
import {
  parseHost,
  parseInstant,
  parseRate,
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

describe("parseInstant()", () => {
  it("takes an instant of ISO 8601", () => {
    const ms = Date.UTC(2026, 10, 24, 14, 5);
    for (
      const [text, expected] of [
        ["2026-11-24T14:05:00Z", ms],
        ["2026-11-24T14:05:00.5Z", ms + 500],
        ["2026-11-24T15:05:00+01:00", ms],
        ["2026-11-24T14:05Z", ms],
        // Near midnight it is another day in UTC.
        ["2026-11-25T02:05+12:00", ms],
        ["2028-02-29T00:00Z", Date.UTC(2028, 1, 29)],
        // What `date -Ins` and `date +%FT%T%z` print.
        ["2026-11-24T15:05:00,500499999+01:00", ms + 500],
        ["2026-11-24T14:05:00.123456789Z", ms + 123],
        ["2026-11-24T15:05:00+0100", ms],
        ["2026-11-24T09:05:00-0500", ms],
      ] as const
    ) {
      assertEquals(parseInstant(text).getTime(), expected, text);
    }
  });

  it("refuses anything else, and days that a month does not have", () => {
    for (
      const text of [
        ...["", "now", "14", "14:05", "14:05:00", "14:05Z", "2026-11-24"],
        ...["2026-02-30T14:05:00Z", "2027-02-29T14:05Z", "2026-04-31T00:00Z"],
        ...["2026-00-10T00:00Z", "2026-01-00T00:00Z", "2026-13-24T14:05:00Z"],
        ...["2026-11-24T14:60Z", "2026-11-24T25:00Z", "2026-11-24T14:05:60Z"],
        // Without a zone, it is another instant elsewhere.
        ...["2026-11-24T14:05:00", "2026-11-24T14:05:00+1"],
        ...["2026-11-24T14:05:00,Z", "2026-11-24 14:05Z", "2026-11-24T14:05Z "],
      ]
    ) {
      assertRefused(parseInstant, text, "expected an instant such as 2026-");
    }
  });
});

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
    const times = [
      "0",
      "250ms",
      "5s",
      "2m",
      "1h",
      "1.5",
      "0.5ms",
      "2.25m",
      ".5s",
      "500us",
      "1d",
    ];
    assertEquals(
      times.map((text) => parseTime(text)),
      [
        0,
        250,
        5000,
        120_000,
        3_600_000,
        1500,
        0.5,
        135_000,
        500,
        0.5,
        86_400_000,
      ],
    );
  });

  it("takes the limits, and nothing beyond them", () => {
    assertEquals(parseTime(`${MAX_TIME_MS}ms`), MAX_TIME_MS);
    assertEquals(parseTime("596h"), 596 * 3_600_000);
    assertEquals(parseTime("20ms", 20), 20);
    const allowed = "expected a time such as 250ms, 5s, 2m or 1m30s, ";
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

  it("takes a fraction for what it says", () => {
    const times = ["1.001", "14.35s", "0.000001ms", "1.1m"];
    assertEquals(
      times.map((text) => parseTime(text)),
      [1001, 14_350, 0.000001, 66_000],
    );
  });

  it("adds whole numbers of falling units", () => {
    const times = ["1m30s", "1h30m", "2s500ms", "1h2ms", "0h0m", "0m90s"];
    assertEquals(
      times.map((text) => parseTime(text)),
      [90_000, 5_400_000, 2500, 3_600_002, 0, 90_000],
    );
    assertEquals(parseTime("1h2m3s4ms"), 3_723_004);
    assertEquals(parseTime("596h31m23s647ms"), MAX_TIME_MS);
    assertRefused(parseTime, "596h31m23s648ms", "at most 596h");
    assertEquals(parseTime("1s1ms", 1001), 1001);
    assertRefused((text) => parseTime(text, 1002), "1s1ms", "at least 1002ms");
  });

  it("reads any sum of units", () => {
    const part = fc.option(fc.nat(500));
    const parts = fc.tuple(part, part, part, part)
      .filter((parts) => parts.some((part) => part !== null));
    fc.assert(fc.property(parts, (parts) => {
      const units = ["h", "m", "s", "ms"];
      const text = parts.map((part, at) =>
        part === null ? "" : part + units[at]!
      )
        .join("");
      const [h, m, s, ms] = parts.map((part) => part ?? 0);
      assertEquals(parseTime(text), ((h! * 60 + m!) * 60 + s!) * 1000 + ms!);
    }));
  });

  const others = [
    ...["", "s", "-1s", "1 s", " 1s", "1s ", "1s\n", "1S", "1.", "."],
    ...["1e3", "Infinity", "soon", "1m30", "1.5m30s", "1m1.5s", "30s1m"],
    ...[
      "1s1s",
      "500ms1s",
      "1m 30s",
      "1m30s ",
      "ms1s",
      "m30s",
      "1h-1m",
      "1m30S",
    ],
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

describe("parseRate()", () => {
  it("takes a number, a unit or an exponent", () => {
    const rates = {
      ...{ "0.5": 0.5, "1000": 1000, "10k": 10_000, "10K": 10_000 },
      ...{ "1.5k": 1500, "2m": 2_000_000, "2M": 2_000_000, "1e6": 1_000_000 },
      ...{ "2.5e3": 2500, "1E3": 1000, "1e+3": 1000, "5e-1": 0.5, "1e06": 1e6 },
      ...{ "1.001k": 1001, "0.1k": 100, "2.3M": 2_300_000, "0.000001k": 0.001 },
    };
    for (const [text, rate] of Object.entries(rates)) {
      assertEquals(parseRate(text), rate, text);
    }
  });

  it("takes the limits, and nothing beyond them", () => {
    for (const text of ["10000000", "10000k", "10M", "1e7"]) {
      assertEquals(parseRate(text), 10_000_000);
    }
    for (const text of ["0.001", "1e-3"]) assertEquals(parseRate(text), 0.001);
    const allowed = "expected a rate such as 0.5, 1000, 10k or 1e6, ";
    const beyond = [
      ...["0", "0.0", "0k", "0.0009", "9e-4", "1e-999"],
      ...["10000001", "10000.001k", "10.1M", "1e8", "1e999"],
    ];
    for (const text of beyond) {
      const error = assertThrows(() => parseRate(text), UsageError, "", text);
      assertEquals(error.message, `${allowed}at least 0.001 and at most 10M`);
    }
    assertEquals(["0", "0k", "0.0001"].map((text) => parseRate(text, 0)), [
      ...[0, 0, 0.0001],
    ]);
    assertRefused(
      (text) => parseRate(text, 0),
      "11M",
      `${allowed}at least 0 and at most 10M`,
    );
  });

  it("reads any number of any unit", () => {
    const units = { "": 1, k: 1000, K: 1000, M: 1e6, e0: 1, e3: 1000, e6: 1e6 };
    const unit = fc.constantFrom(
      ...Object.keys(units) as (keyof typeof units)[],
    );
    fc.assert(fc.property(fc.nat(20_000), unit, (number, unit) => {
      const rate = number * units[unit];
      const text = `${number}${unit}`;
      if (rate > 0 && rate <= 10_000_000) assertEquals(parseRate(text), rate);
      else assertRefused(parseRate, text);
    }));
  });

  const others = [
    ...["", "k", "e3", "-1", "+1", "1.", ".5", "1e", "1e1.5", "1e3k", "1ke3"],
    ...["1g", "1kk", "1 k", " 1", "1 ", "1\n", "1,000", "0x10", "1/s", "NaN"],
    ...["Infinity", "fast"],
  ];
  it("refuses anything else", () => {
    for (const text of others) assertRefused(parseRate, text);
  });
});

describe("parseSize()", () => {
  it("takes every unit, bytes without one", () => {
    assertEquals(
      ["1", "64", "64k", "64K", "1m", "1M", "2g", "2G"].map(parseSize),
      [1, 64, 65_536, 65_536, 2 ** 20, 2 ** 20, 2 ** 31, 2 ** 31],
    );
    assertEquals(
      ["64B", "1KiB", "1kb", "1MB", "1.5k", ".5M"].map(parseSize),
      [64, 1024, 1024, 2 ** 20, 1536, 2 ** 19],
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
        "expected a size such as 64, 64k, 1.5M or 1KiB, at least 1",
      );
    }
  });

  const others = ["", "k", "-1", "1.0001k", "64bk", "1T", " 64", "64 ", "64\n"];
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
    ...["0.0.0.0", "255.255.255.255", "10.0.0.1", "1.example", "127.0.0.1.nip"],
    ...["host1", "3com.example", "1.2.3.4a", "x.0xg", "1.2.x3", "127.1.A."],
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

  const notQuads = [
    ...["0", "999", "1.2.3", "127.1", "256.1.1.1", "1.1.1.256", "1.2.3.4.5"],
    ...["127.0.0.01", "010.0.0.1", "1.2.3.0000", "0x7f.1", "0x7f000001"],
    ...["1.2.3.0x4", "1.2.3.0X4", "1.2.3.0x", "0x", "1.2.3.4.", "999."],
    ...["example.1", "example.com.0x1f", "a.999.", "4294967296"],
  ];
  it("refuses what a resolver could take for another IPv4 address", () => {
    for (const text of notQuads) {
      const error = assertThrows(() => parseHost(text), UsageError, "", text);
      assertEquals(
        error.message,
        "expected an IPv4 or IPv6 address or a name, an IPv4 address is " +
          "four numbers from 0 to 255 without leading zeros",
      );
    }
  });

  it("takes four decimal numbers of any spelling of an IPv4 address", () => {
    fc.assert(fc.property(fc.ipV4(), (text) => {
      assertEquals(parseHost(text), text);
    }));
    fc.assert(fc.property(fc.ipV4Extended(), (text) => {
      const parts = text.split(".");
      const isQuad = parts.length === 4 &&
        parts.every((part) => String(Number(part)) === part);
      if (isQuad) assertEquals(parseHost(text), text);
      else assertRefused(parseHost, text);
    }));
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
