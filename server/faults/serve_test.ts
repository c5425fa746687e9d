import { Buffer } from "node:buffer";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import { writeAll } from "../../net/streams.ts";
import { type FaultOptions, serve } from "../../server.ts";
import { watchSweeps } from "../../testing/barrier.ts";
import { stopClock } from "../../testing/clock.ts";
import { recorder } from "../../testing/events.ts";
import { patternOf } from "../../testing/peer.ts";
import fc from "../../testing/properties.ts";
import {
  connectTo,
  HELLO,
  readExactly,
  readToEnd,
  reset,
  roundTrip,
  startFlood,
} from "../../testing/visitor.ts";

/** The most that the kernel holds of a connection whose client does not read. */
const KERNEL_BYTES = 32 << 20;

/** What a client sends, and to which server. */
interface Talk {
  faults: FaultOptions;
  writes: number[];
  pauses: boolean[];
  seed: number;
}

/** Any faults but those that change, withhold or end what comes back. */
const HARMLESS: fc.Arbitrary<FaultOptions> = fc.record({
  latency: fc.record({
    ms: fc.integer({ min: 4, max: 8 }),
    jitterMs: fc.constantFrom(0, 4),
    percent: fc.constantFrom(1, 30, 100),
  }),
  rate: fc.record({
    bytesPerSecond: fc.constantFrom(1_000_003, 50_000_000, Infinity),
  }),
  slice: fc.record({
    bytes: fc.constantFrom(700, 4096, 100_000),
    percent: fc.constantFrom(5, 50, 100),
  }),
  seed: fc.nat(),
}, { requiredKeys: ["seed"] });

/** What a client does. */
const TALK = {
  writes: fc.array(
    fc.oneof(
      fc.integer({ min: 1, max: 1000 }),
      fc.constantFrom(16_383, 16_384, 16_385, 40_000),
    ),
    { maxLength: 6, size: "max" },
  ),
  pauses: fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }),
};

/** Sends all, half-closes, and reads to the end. */
async function talk({ faults, writes, pauses, seed }: Talk) {
  await using server = serve({ port: 0, faults });
  using conn = await connectTo(server);
  const bytes = patternOf(writes.reduce((a, b) => a + b, 0), seed);
  const send = async () => {
    let at = 0;
    for (const [turn, size] of writes.entries()) {
      await writeAll(conn, bytes.subarray(at, at += size));
      if (pauses[turn]) await delay(0);
    }
    await conn.closeWrite();
  };
  // A server that cuts the connection is free to reset it.
  const sending = send().catch(() => {});
  const echoed = await readToEnd(conn);
  await sending;
  return { bytes, echoed, stats: server.stats() };
}

describe("a server with faults", () => {
  it("sends back every byte whatever else it does to them", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({ faults: HARMLESS, ...TALK, seed: fc.nat() }),
        async (client) => {
          const { bytes, echoed, stats } = await talk(client);
          assertEquals(echoed.length, bytes.length);
          assertEquals(Buffer.compare(echoed, bytes), 0);
          assertEquals(stats.bytes, bytes.length);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("sends back every byte up to where it cuts", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({ faults: HARMLESS, ...TALK, seed: fc.nat() }),
        fc.integer({ min: 0, max: 60_000 }),
        async (client, cutBytes) => {
          const faults = { ...client.faults, cut: { bytes: cutBytes } };
          const { bytes, echoed, stats } = await talk({ ...client, faults });
          const isCut = bytes.length > cutBytes;
          const length = isCut ? cutBytes : bytes.length;
          assertEquals([stats.bytes, stats.faults?.cut ?? 0], [
            length,
            Number(isCut),
          ]);
          assertEquals(echoed.length, length);
          assertEquals(Buffer.compare(echoed, bytes.subarray(0, length)), 0);
        },
      ),
      { numRuns: 40 },
    );
  });

  it("tells each fault, and counts them by kind", async () => {
    const { events, onEvent, untilClosed } = recorder();
    const faults = { corrupt: {}, cut: { bytes: 12 }, seed: 7 };
    await using server = serve({ port: 0, faults, onEvent });
    assertEquals(server.faultSeed, 7);
    assertEquals(server.stats().faults, {});
    using conn = await connectTo(server);
    const wrong: number[] = [];
    for (let turn = 0; turn < 2; turn++) {
      const reply = await roundTrip(conn);
      const at = reply.findIndex((byte, at) => byte !== HELLO[at]);
      wrong.push(turn * HELLO.length + at);
    }
    await writeAll(conn, HELLO);
    const rest = (await readToEnd(conn)).length;
    assertEquals(rest, 2);
    const remote = conn.localAddr;
    const [closed] = await untilClosed(server);
    assertEquals([closed?.reason, closed?.bytes], ["cut", 12]);
    const told = events.filter((event) => event.type === "fault");
    const fault = { type: "fault" as const, remote };
    const third = told.length === 4 ? [told[2]!] : [];
    assertEquals(told as unknown[], [
      { ...fault, kind: "corrupt", offset: wrong[0] },
      { ...fault, kind: "corrupt", offset: wrong[1] },
      ...third,
      { ...fault, kind: "cut", offset: 12 },
    ]);
    const corrupt = 2 + third.length;
    assertEquals(server.stats().faults, { corrupt, cut: 1 });
  });

  it("counts what nobody is told", async () => {
    await using server = serve({ port: 0, faults: { corrupt: {} } });
    using conn = await connectTo(server);
    for (let turn = 0; turn < 3; turn++) await roundTrip(conn);
    assertEquals(server.stats().faults, { corrupt: 3 });
    assert(Number.isInteger(server.faultSeed));
  });

  it("makes the same faults to the same connections again", async () => {
    const run = async () => {
      const { events, onEvent } = recorder();
      const faults = { corrupt: { percent: 30 }, seed: 99 };
      await using server = serve({ port: 0, faults, onEvent });
      for (let turn = 0; turn < 5; turn++) {
        using conn = await connectTo(server);
        for (let message = 0; message < 10; message++) await roundTrip(conn);
      }
      return events.flatMap((it) => it.type === "fault" ? [it.offset] : []);
    };
    const faults = await run();
    assert(faults.length > 3 && faults.length < 40, `${faults.length}`);
    assertEquals(await run(), faults);
  });

  it("has none without the option", async () => {
    await using server = serve({ port: 0 });
    using conn = await connectTo(server);
    assertEquals(await roundTrip(conn), HELLO);
    assertEquals(server.faultSeed, undefined);
    assertEquals(server.stats(), {
      accepted: 1,
      open: 1,
      closed: {},
      bytes: 5,
    });
  });

  it("refuses what is no fault before it listens", () => {
    for (
      const faults of [{ corrupt: { percent: 101 } }, { loss: { percent: 1 } }]
    ) {
      let isListening = false;
      const onListen = () => isListening = true;
      assertThrows(() => serve({ port: 0, faults, onListen }), RangeError);
      assertEquals(isListening, false);
    }
  });

  it("holds a bounded part of what a client sends that does not read", async () => {
    const faults = { latency: { ms: 1 }, seed: 1 };
    const server = serve({ port: 0, faults, drainTimeoutMs: 0 });
    await using flood = await startFlood(server);
    await flood.untilStuck();
    assert(flood.sent < KERNEL_BYTES, `${flood.sent}`);
    await server.shutdown();
  });

  it("outlives a client that breaks its connection", async () => {
    const { onEvent, untilClosed } = recorder();
    const faults = { latency: { ms: 1 }, slice: { bytes: 1000, percent: 50 } };
    await using server = serve({ port: 0, faults, onEvent });
    await reset(await connectTo(server));
    const [closed] = await untilClosed(server);
    assertEquals(closed?.reason, "reset");
    using conn = await connectTo(server);
    assertEquals(await roundTrip(conn), HELLO);
  });
});

/** A latency that no test waits for. */
const LATENCY_MS = 60_000;

/** Starts a server on whose connection a reply waits. */
async function serveLate(options: Parameters<typeof serve>[0] = {}) {
  const { events, onEvent, untilClosed } = recorder();
  // Not of all replies, so that each is told.
  const faults = { latency: { ms: LATENCY_MS, percent: 99.999 }, seed: 1 };
  const server = serve({ ...options, port: 0, faults, onEvent });
  const conn = await connectTo(server);
  await writeAll(conn, HELLO);
  const isLate = () => events.some(({ type }) => type === "fault");
  for (let turn = 0; turn < 10_000 && !isLate(); turn++) await delay(0);
  return { server, conn, untilClosed };
}

describe("a reply that waits", () => {
  it("comes after the client ended its stream", async () => {
    const { onEvent, untilClosed } = recorder();
    await using server = serve({
      port: 0,
      faults: { latency: { ms: 20 } },
      onEvent,
    });
    using conn = await connectTo(server);
    await writeAll(conn, HELLO);
    await conn.closeWrite();
    assertEquals(await readToEnd(conn), HELLO);
    const [closed] = await untilClosed(server);
    assertEquals([closed?.reason, closed?.bytes], ["eof", 5]);
  });

  it("comes while the server drains", async () => {
    const faults = { latency: { ms: 50 } };
    const server = serve({ port: 0, faults, drainTimeoutMs: 30_000 });
    using conn = await connectTo(server);
    await writeAll(conn, HELLO);
    await conn.closeWrite();
    const finished = server.shutdown();
    assertEquals(await readToEnd(conn), HELLO);
    await finished;
  });

  it("is given up when the drain timeout is over", async () => {
    const { server, conn } = await serveLate({ drainTimeoutMs: 1 });
    using _ = conn;
    await server.shutdown();
    assertEquals((await readToEnd(conn)).length, 0);
    assertEquals(server.stats().open, 0);
  });

  it("is given up at an abort, and frees its place", async () => {
    const stop = new AbortController();
    const { server, conn, untilClosed } = await serveLate({
      signal: stop.signal,
      maxConnections: 1,
    });
    using _ = conn;
    // The client sends no more: nothing reads that the abort could interrupt.
    await conn.closeWrite();
    stop.abort();
    await server.finished;
    const [closed] = await untilClosed(server);
    assertEquals([closed?.reason, closed?.bytes], ["shutdown", 0]);
  });

  it("is no idle time", async () => {
    using clock = stopClock();
    using sweeps = watchSweeps();
    const { onEvent, untilClosed } = recorder();
    const faults = { latency: { ms: 10_000 } };
    const server = serve({ port: 0, faults, idleTimeoutMs: 1000, onEvent });
    using conn = await connectTo(server);
    await writeAll(conn, HELLO);
    // One timer is the reply's, the other one the next sweep's.
    while (clock.timers !== 2) await nextTurn();
    for (let sweep = 1; sweep < 40; sweep++) {
      await clock.pass(250);
      await sweeps.untilSwept();
    }
    await clock.pass(250);
    assertEquals(await readExactly(conn, HELLO.length), HELLO);
    for (let sweep = 0; sweep < 4; sweep++) {
      await sweeps.untilSwept();
      assertEquals(server.stats().open, 1);
      await clock.pass(250);
    }
    // The sweep that came together with the reply may count or not.
    await sweeps.untilSwept();
    await clock.pass(250);
    const [closed] = await untilClosed(server);
    assertEquals([closed?.reason, closed?.bytes], ["idle", 5]);
    await server.shutdown({ timeoutMs: 0 });
  });
});
