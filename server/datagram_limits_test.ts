import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { stopClock } from "../testing/clock.ts";
import fc from "../testing/properties.ts";
import { replace } from "../testing/replace.ts";
import {
  LoopLimit,
  networkOf,
  RateLimit,
  refusal,
  REPEATED_PER_SECOND,
  SAMPLE,
  SUSPECTED,
} from "./datagram_limits.ts";

const OWN_PORT = 12_345;

/** Tells the verdict on an address with a port of which nothing is wrong. */
function verdictOn(hostname: string) {
  return refusal({ hostname, port: 50_000 }, OWN_PORT);
}

/** Counts how many of so many are within a limit. */
function countTaken(times: number, take: () => boolean): number {
  let taken = 0;
  for (let turn = 0; turn < times; turn++) if (take()) taken++;
  return taken;
}

/** Makes a limit for which two senders of a test never share a counter by chance. */
function seeded<T>(make: () => T): T {
  const fill = (array: Uint32Array) => array.fill(7);
  using _ = replace(crypto, "getRandomValues", fill as never);
  return make();
}

describe("refusal()", () => {
  it("refuses ports of services, of NFS and the server's own, and no other", () => {
    const refused: number[] = [];
    for (let port = 0; port <= 65_535; port++) {
      const verdict = refusal({ hostname: "127.0.0.1", port }, OWN_PORT);
      if (verdict === "port") refused.push(port);
      else assertEquals(verdict, undefined);
    }
    const services = Array.from({ length: 1024 }, (_, port) => port);
    assertEquals(refused, [...services, 2049, OWN_PORT]);
  });

  it("knows the port of each server", () => {
    const at = { hostname: "127.0.0.1", port: 50_000 };
    assertEquals(refusal(at, 50_000), "port");
    assertEquals(refusal(at, 50_001), undefined);
  });

  it("refuses addresses that no single machine has", () => {
    const none = [
      ...["0.0.0.0", "0.1.2.3", "0.255.255.255"],
      ...["224.0.0.0", "224.0.0.1", "225.1.2.3", "229.0.0.1", "230.0.0.1"],
      ...["239.255.255.255", "255.255.255.255"],
      ...["::", "ff00::", "ff02::1", "ff0e::101", "ffff::1", "FF02::1"],
    ];
    for (const hostname of none) {
      assertEquals(verdictOn(hostname), "address", hostname);
      // As a socket for IPv6 shows it.
      if (hostname.includes(":")) continue;
      const mapped = `::ffff:${hostname}`;
      assertEquals(verdictOn(mapped), "address", mapped);
    }
  });

  it("refuses no address that a machine may have", () => {
    const some = [
      ...["1.0.0.0", "10.0.0.1", "20.0.0.1", "100.0.0.0", "127.0.0.1"],
      ...["192.0.2.0", "192.0.2.255", "223.255.255.255", "22.4.0.1"],
      ...["2.2.4.1", "240.0.0.1", "255.255.255.254", "254.255.255.255"],
      // What is refused stands in the midst, or goes on.
      ...["10.224.0.1", "10.0.0.0", "1.255.255.255", "25.255.255.255"],
      ...["::1", "::2", "::ff02:1", "::ffff:1.0.0.0", "::ffff:223.0.0.1"],
      ...["fe80::1", "fd00::1", "2001:db8::", "2001:db8::ff02", "ff::1"],
      ...["1::", "ff0::1", "::ffff:0:1", "64:ff9b::224.0.0.1"],
    ];
    for (const hostname of some) {
      assertEquals(verdictOn(hostname), undefined, hostname);
    }
  });

  it("tells the port first", () => {
    assertEquals(refusal({ hostname: "224.0.0.1", port: 7 }, 1), "port");
  });
});

describe("RateLimit", () => {
  it("lets so many pass in each second, to each sender", () => {
    const limit = seeded(() => new RateLimit(5));
    for (const now of [0, 1000, 2500, 10_000]) {
      for (const sender of ["192.0.2.1", "192.0.2.2"]) {
        assertEquals(countTaken(20, () => limit.take(sender, now)), 5);
      }
    }
  });

  it("begins a second with the first after the last one's end", () => {
    const limit = new RateLimit(2);
    const takes = [
      0,
      999,
      999.9,
      1000,
      1001,
      1999,
      2000,
      5500,
      5500,
      6499,
      6500,
    ]
      .map((now) => limit.take("a", now));
    assertEquals(
      takes,
      [true, true, false, true, true, false, true, true, true, false, true],
    );
  });

  it("counts when the clock does not begin at 0", () => {
    for (const start of [-5000, 0, 123_456.789, 1e12]) {
      const limit = new RateLimit(3);
      assertEquals(countTaken(9, () => limit.take("a", start)), 3);
      assertEquals(countTaken(9, () => limit.take("a", start + 999)), 0);
      assertEquals(countTaken(9, () => limit.take("a", start + 1000)), 3);
    }
  });

  it("without a limit lets all pass", () => {
    const limit = new RateLimit(Infinity);
    assertEquals(countTaken(10_000, () => limit.take("a", 0)), 10_000);
  });

  it("never lets more pass, whoever else sends", () => {
    fc.assert(fc.property(
      fc.array(fc.tuple(fc.nat(300), fc.nat(400)), { maxLength: 400 }),
      fc.integer({ min: 1, max: 5 }),
      (arrivals, perSecond) => {
        const limit = new RateLimit(perSecond);
        const passed = new Map<string, number>();
        let now = 0;
        let windowStart = -Infinity;
        for (const [host, pauseMs] of arrivals) {
          now += pauseMs;
          if (now >= windowStart + 1000) {
            windowStart = now;
            passed.clear();
          }
          const sender = `192.0.2.${host}`;
          if (!limit.take(sender, now)) continue;
          passed.set(sender, (passed.get(sender) ?? 0) + 1);
        }
        assert([...passed.values()].every((count) => count <= perSecond));
      },
    ));
  });

  it("needs no memory for ten million forged addresses", () => {
    const made: number[] = [];
    const RealArray = globalThis.Uint32Array;
    globalThis.Uint32Array = class extends RealArray {
      constructor(length: number) {
        super(length);
        made.push(length);
      }
    } as typeof Uint32Array;
    try {
      const limit = new RateLimit(1);
      // A million stand for the ten: what they cost would show as well.
      for (let n = 0; n < 1_000_000; n++) {
        limit.take(`${n & 255}.${n >> 8 & 255}.${n >> 16 & 255}.7`, n / 100);
      }
      // All its memory: counters of fixed length, and a seed.
      assertEquals(made, [65_536, 1]);
      assertEquals(Object.keys(limit), []);
    } finally {
      globalThis.Uint32Array = RealArray;
    }
  });

  it("spreads senders over its counters, each time in another way", () => {
    /** Which of many senders share a counter with one before them. */
    const sharing = (name: (n: number) => string) => {
      const limit = new RateLimit(1);
      const sharers: number[] = [];
      for (let n = 0; n < 5000; n++) {
        if (!limit.take(name(n), 0)) sharers.push(n);
      }
      return sharers;
    };
    const names: ((n: number) => string)[] = [
      (n) => `10.0.${n >> 8}.${n & 255}`,
      (n) => `${n & 255}.${n >> 8}.0.10`,
      (n) => `2001:db8:0:${n.toString(16)}`,
      (n) => `192.0.2.1 ${n + 1024}`,
    ];
    for (const name of names) {
      const [first, second] = [sharing(name), sharing(name)];
      // Of 5,000 in 65,536 about 186 meet another, with a deviation of 13.
      for (const { length } of [first, second]) {
        assert(length > 60 && length < 400, `${length} of ${name}`);
      }
      assert(`${first}` !== `${second}`, `the same of ${name}`);
    }
  });
});

describe("LoopLimit", () => {
  const A = new Uint8Array([1, 2, 3]);
  const other = (n: number) => new Uint8Array([n, n >> 8, n >> 16, 7]);

  const ONE = { hostname: "a", port: 1 };

  it("lets a sender send the same about a thousand times a second", async () => {
    assertEquals(REPEATED_PER_SECOND, 1000);
    using clock = stopClock();
    for (const datagram of [A, new Uint8Array()]) {
      const limit = seeded(() => new LoopLimit());
      const take = () => limit.take(ONE, datagram);
      // Until then one in 16 is looked at.
      const first = countTaken(5000, take);
      assert(first > 1000 - 2 * SAMPLE && first <= 1000, `${first}`);
      for (let second = 1; second < 3; second++) {
        await clock.pass(1000);
        assertEquals(countTaken(5000, take), 1000, `in second ${second}`);
      }
    }
  });

  it("lets any number pass that differ", () => {
    using _ = stopClock();
    const limit = seeded(() => new LoopLimit());
    let n = 0;
    // As many as no machine sends.
    const take = () => limit.take(ONE, other(n++));
    assertEquals(countTaken(200_000, take), 200_000);
  });

  it("tells senders apart", () => {
    using _ = stopClock();
    const limit = seeded(() => new LoopLimit());
    countTaken(5000, () => limit.take(ONE, A));
    for (const sender of [{ ...ONE, port: 2 }, { ...ONE, hostname: "b" }]) {
      const taken = countTaken(4000, () => limit.take(sender, A));
      assertEquals(taken, 1000, sender.hostname);
    }
  });

  it("lets other messages of the same sender pass", () => {
    using _ = stopClock();
    const limit = seeded(() => new LoopLimit());
    countTaken(5000, () => limit.take(ONE, A));
    assertEquals(limit.take(ONE, A), false);
    for (let n = 0; n < 100; n++) {
      assertEquals(limit.take(ONE, other(n)), true);
    }
  });

  it("looks at one in some again when nothing is beyond the limit", () => {
    using _ = stopClock();
    const limit = seeded(() => new LoopLimit());
    countTaken(5000, () => limit.take(ONE, A));
    let n = 0;
    countTaken(SUSPECTED, () => limit.take(ONE, other(n++)));
    // What was beyond the limit is refused only where it is looked at.
    const taken = countTaken(SAMPLE, () => limit.take(ONE, A));
    assertEquals(taken, SAMPLE - 1);
  });

  it("bounds a loop of several datagrams, too", () => {
    // As many as the buffers of two sockets hold at most.
    for (const inTurn of [2, 3, 10, 16, 500]) {
      using _ = stopClock();
      const limit = seeded(() => new LoopLimit());
      let n = 0;
      const take = () => limit.take(ONE, other(n++ % inTurn));
      const taken = countTaken(100_000, take);
      const most = 1000 + 4 * SAMPLE * inTurn;
      assert(taken <= most, `${taken} of ${inTurn} in turn`);
      assert(taken >= 900, `${taken} of ${inTurn} in turn`);
    }
  });
});

describe("networkOf()", () => {
  const NETWORKS: [hostname: string, network: string][] = [
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "::ffff:192.0.2.1"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2"],
    ["2001:db8:1:2::", "2001:db8:1:2"],
    ["2001:db8:1:2::6", "2001:db8:1:2"],
    ["2001:db8::", "2001:db8:0:0"],
    ["2001:db8::3:4:5:6", "2001:db8:0:0"],
    ["2001:db8::2:3:4:5:6", "2001:db8:0:2"],
    ["2001::1:2:3:4:5:6", "2001:0:1:2"],
    ["::1", "0:0:0:0"],
    ["::", "0:0:0:0"],
    ["::2:3:4:5:6", "0:0:0:2"],
    ["::a:b:c:d:3:4:5", "0:a:b:c"],
    ["fe80::1", "fe80:0:0:0"],
    ["a:b:c::1:2", "a:b:c:0"],
    ["a:b:c:d:e::", "a:b:c:d"],
  ];
  it("tells the first 64 bits of IPv6, and IPv4 as it is", () => {
    for (const [hostname, network] of NETWORKS) {
      assertEquals(networkOf(hostname), network, hostname);
    }
  });

  it("tells one network of all addresses in it, however they are written", () => {
    const part = fc.nat(0xffff).map((n) => n.toString(16));
    const zero = fc.constantFrom("0", "0", "1", "abc");
    fc.assert(fc.property(
      fc.array(zero, { minLength: 4, maxLength: 4 }),
      fc.array(fc.oneof(part, zero), { minLength: 4, maxLength: 4 }),
      (network, rest) => {
        const full = [...network, ...rest].join(":");
        // The first run of zeros, as short as IPv6 allows it to be written.
        const short = full.replace(/(?:^|:)0(?::0)+(?::|$)/, "::");
        assertEquals(networkOf(short), networkOf(full), `${short} ${full}`);
        assertEquals(networkOf(full), network.join(":"));
      },
    ));
  });
});
