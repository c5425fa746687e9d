import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { FairnessBarrier } from "../net/fairness.ts";
import { type FakeClock, stopClock } from "../testing/clock.ts";
import {
  FakeDatagramSocket,
  OpenBarrier,
  OWN_PORT,
  sender,
} from "../testing/datagram_socket.ts";
import { patternOf } from "../testing/peer.ts";
import { HELLO } from "../testing/visitor.ts";
import { PREVIEW_BYTES, type ServeEvent } from "./events.ts";
import { checkFaults, type FaultOptions } from "./faults/options.ts";
import { UdpServer, type UdpServerOptions } from "./udp.ts";

/** How many senders are remembered. */
const MOST_PEERS = 10_000;

/** Runs a server on a socket that the test plays. */
function start(options: Partial<UdpServerOptions> = {}) {
  const socket = new FakeDatagramSocket();
  const events: ServeEvent[] = [];
  const barrier = new OpenBarrier();
  const server = new UdpServer(socket.socket, {
    barrier: barrier as Pick<
      FairnessBarrier,
      keyof OpenBarrier & keyof FairnessBarrier
    > as FairnessBarrier,
    countOpen: () => 0,
    faults: undefined,
    emit: (event) => events.push(event),
    ...options,
  });
  const running = server.run();
  return {
    ...{ socket, server, running, barrier },
    /** Takes the events since the last time. */
    take: () => events.splice(0),
    /** Lets datagrams arrive, and waits until they were received. */
    async arrive(from: Deno.NetAddr, ...datagrams: Uint8Array[]) {
      for (const bytes of datagrams) socket.arrive(bytes, from);
      await socket.untilDrained();
    },
  };
}

/** Makes faults of which nobody is told. */
function faultsOf(options: FaultOptions): UdpServerOptions["faults"] {
  const faults = checkFaults(options, true);
  return { faults, isRef: () => true, onFault() {} };
}

/** Stops a server, and checks that nothing of it is left. */
async function stopWholly(
  { server, running, take }: ReturnType<typeof start>,
  clock: FakeClock,
) {
  take();
  server.stop();
  await running;
  assertEquals(clock.timers, 0);
  return take();
}

/** The address of one of many senders. */
function nth(n: number): Deno.NetAddr {
  return sender(50_000 + n % 100, `192.0.${n / 100 >> 8}.${n / 100 & 255}`);
}

const typesOf = (events: ServeEvent[]) => events.map(({ type }) => type);

describe("UdpServer", () => {
  it("tells of the first datagram of each sender, and of no other", async () => {
    using clock = stopClock();
    const run = start({ countOpen: () => 3 });
    await run.arrive(sender(), HELLO, HELLO, new Uint8Array(9));
    await run.arrive(sender(50_001), new Uint8Array());
    await run.arrive(sender(), HELLO);
    assertEquals(run.take(), [
      { type: "open", remote: sender() },
      {
        ...{ type: "data", remote: sender() },
        ...{ preview: HELLO, bytes: 5, open: 4 },
      },
      { type: "open", remote: sender(50_001) },
      {
        ...{ type: "data", remote: sender(50_001) },
        ...{ preview: new Uint8Array(), bytes: 0, open: 5 },
      },
    ]);
    assertEquals(run.server.stats.datagrams, 5);
    await stopWholly(run, clock);
  });

  it("shows a copy of at most 512 bytes", async () => {
    using clock = stopClock();
    const run = start();
    for (const length of [511, 512, 65_507]) {
      const from = sender(1024 + length);
      await run.arrive(from, patternOf(length, 1), patternOf(length, 2));
      const [, data] = run.take();
      assertEquals(data?.type, "data");
      if (data?.type !== "data") continue;
      const shown = Math.min(length, PREVIEW_BYTES);
      assertEquals(data.bytes, length);
      assertEquals(data.preview, patternOf(length, 1).subarray(0, shown));
      assertEquals(data.preview.buffer.byteLength, shown);
    }
    await stopWholly(run, clock);
  });

  it("forgets a sender that is silent for 30 s, or for the idle timeout", async () => {
    for (const idleTimeoutMs of [undefined, 400, 1e9]) {
      using clock = stopClock();
      const run = start({ idleTimeoutMs });
      const timeoutMs = idleTimeoutMs ?? 30_000;
      await clock.pass(timeoutMs / 8);
      await run.arrive(sender(), HELLO);
      await clock.pass(timeoutMs / 2);
      await run.arrive(sender(), HELLO, HELLO);
      run.take();
      await clock.pass(timeoutMs - 1);
      assertEquals(run.take(), [], `${idleTimeoutMs}`);
      await clock.pass(timeoutMs / 4 + 1);
      assertEquals(run.take(), [{
        ...{ type: "close", remote: sender(), reason: "idle" },
        // From the first datagram to the last one.
        ...{ bytes: 15, datagrams: 3, durationMs: timeoutMs / 2 },
      }]);
      // It is new when it comes again.
      await run.arrive(sender(), HELLO);
      assertEquals(typesOf(run.take()), ["open", "data"]);
      await stopWholly(run, clock);
    }
  });

  it("does not forget a sender whose datagram has yet to be read", async () => {
    using clock = stopClock();
    const run = start();
    await run.arrive(sender(), HELLO);
    run.take();
    const { promise, resolve } = Promise.withResolvers<void>();
    run.barrier.allRead = promise;
    await clock.pass(40_000);
    await run.arrive(sender(), HELLO);
    resolve();
    await clock.pass(29_999);
    assertEquals(run.take(), []);
    await clock.pass(7501);
    assertEquals(typesOf(run.take()), ["close"]);
    await stopWholly(run, clock);
  });

  it("does not forget a sender that sends now and then", async () => {
    using clock = stopClock();
    const run = start();
    await run.arrive(sender(), HELLO);
    run.take();
    for (let turn = 0; turn < 10; turn++) {
      await clock.pass(29_999);
      await run.arrive(sender(), HELLO);
    }
    assertEquals(run.take(), []);
    await stopWholly(run, clock);
  });

  it("does not forget a sender while a reply to it waits", async () => {
    using clock = stopClock();
    const run = start({
      idleTimeoutMs: 400,
      faults: faultsOf({ latency: { ms: 5000 }, duplicate: {} }),
    });
    await run.arrive(sender(), HELLO);
    await clock.pass(1000);
    await run.arrive(sender(), HELLO);
    run.take();
    await clock.pass(4999);
    assertEquals([run.take(), run.socket.sent.length], [[], 2]);
    await clock.pass(400);
    assertEquals([run.take(), run.socket.sent.length], [[], 4]);
    await clock.pass(101);
    assertEquals(run.take(), [{
      ...{ type: "close", remote: sender(), reason: "idle" },
      ...{ bytes: 20, datagrams: 4, durationMs: 6000 },
    }]);
    await stopWholly(run, clock);
  });

  it("never forgets a sender with an infinite timeout", async () => {
    using clock = stopClock();
    const run = start({ idleTimeoutMs: Infinity });
    assertEquals(clock.timers, 0);
    await run.arrive(sender(), HELLO);
    run.take();
    await clock.pass(1e9);
    assertEquals(run.take(), []);
    await stopWholly(run, clock);
  });

  it("does not keep the process alive to look for silent senders", async () => {
    using clock = stopClock();
    const run = start();
    assertEquals([clock.timers, clock.unrefTimers], [1, 1]);
    await stopWholly(run, clock);
  });

  it("tells of every sender when it stops", async () => {
    using clock = stopClock();
    const run = start();
    await run.arrive(sender(50_000), HELLO, HELLO);
    await clock.pass(10);
    await run.arrive(sender(50_001), HELLO);
    const close = { type: "close", reason: "shutdown" } as const;
    assertEquals(await stopWholly(run, clock), [
      {
        ...{ ...close, remote: sender(50_000) },
        ...{ bytes: 10, datagrams: 2, durationMs: 0 },
      },
      {
        ...{ ...close, remote: sender(50_001) },
        ...{ bytes: 5, datagrams: 1, durationMs: 0 },
      },
    ]);
  });

  it("counts replies that wait, and those that it stops before", async () => {
    using clock = stopClock();
    const run = start({ faults: faultsOf({ latency: { ms: 5000 } }) });
    await run.arrive(sender(), HELLO, HELLO);
    await clock.pass(4000);
    await run.arrive(sender(), HELLO, HELLO, HELLO);
    assertEquals(run.server.stats.waiting, 5);
    await clock.pass(1000);
    assertEquals(run.server.stats, {
      ...{ datagrams: 2, bytes: 10, dropped: {}, waiting: 3 },
    });
    const told = await stopWholly(run, clock);
    assertEquals(told.map((it) => [it.type, "reason" in it && it.reason]), [
      ["drop", "shutdown"],
      ["close", "shutdown"],
    ]);
    assertEquals(run.server.stats, {
      ...{ datagrams: 2, bytes: 10, dropped: { shutdown: 3 }, waiting: 0 },
    });
  });

  it("serves one datagram with once", async () => {
    using clock = stopClock();
    const run = start({ once: true });
    run.socket.arrive(HELLO);
    run.socket.arrive(HELLO);
    await run.running;
    assertEquals(typesOf(run.take()), ["open", "data", "close"]);
    assertEquals([run.socket.sent.length, clock.timers], [1, 0]);
  });

  it("remembers ten thousand senders, and answers more without a word", async () => {
    using clock = stopClock();
    const run = start();
    for (let n = 0; n < MOST_PEERS; n++) run.socket.arrive(HELLO, nth(n));
    await run.socket.untilDrained();
    assertEquals(run.take().length, 2 * MOST_PEERS);
    for (let n = 0; n < 100; n++) {
      run.socket.arrive(HELLO, nth(MOST_PEERS + n));
    }
    await run.socket.untilDrained();
    assertEquals(run.take(), [{ type: "crowd", addresses: MOST_PEERS }]);
    assertEquals(run.socket.sent.length, MOST_PEERS + 100);
    // Those that it remembers are counted on.
    await run.arrive(nth(0), HELLO);
    await clock.pass(10_000);
    await run.arrive(nth(MOST_PEERS), HELLO);
    assertEquals(typesOf(run.take()), ["crowd"]);
    const closed = await stopWholly(run, clock);
    assertEquals(closed.length, MOST_PEERS);
    const first = closed[0];
    assertEquals(first?.type === "close" && first.datagrams, 2);
  });

  it("has room again when senders fell silent", async () => {
    using clock = stopClock();
    const run = start();
    for (let n = 0; n < MOST_PEERS; n++) run.socket.arrive(HELLO, nth(n));
    await run.socket.untilDrained();
    await clock.pass(37_500);
    run.take();
    await run.arrive(nth(MOST_PEERS), HELLO);
    assertEquals(typesOf(run.take()), ["open", "data"]);
    await stopWholly(run, clock);
  });

  it("without events remembers nobody", async () => {
    using clock = stopClock();
    const run = start({ emit: undefined });
    assertEquals(clock.timers, 0);
    for (let n = 0; n < 100; n++) run.socket.arrive(HELLO, nth(n));
    run.socket.arrive(HELLO, sender(7));
    run.socket.fail(new Error("No buffer space (os error 105)"));
    await clock.pass(20);
    await run.socket.untilDrained();
    assertEquals(run.server.stats.dropped, { port: 1 });
    assertEquals(run.socket.sent.length, 100);
    await stopWholly(run, clock);
  });

  it("tells of drops once a burst, for each reason", async () => {
    using clock = stopClock();
    const run = start({ udpRatePerSecond: 5 });
    await run.arrive(sender(7), HELLO, HELLO);
    await run.arrive(sender(50_000, "224.0.0.1"), HELLO, HELLO);
    await run.arrive(sender(OWN_PORT), HELLO);
    assertEquals(run.take(), [
      { type: "drop", remote: sender(7), reason: "port" },
      {
        ...{ type: "drop", reason: "address" },
        remote: sender(50_000, "224.0.0.1"),
      },
    ]);
    await run.arrive(sender(), ...Array<Uint8Array>(20).fill(HELLO));
    assertEquals(typesOf(run.take()), ["open", "data", "drop"]);
    await clock.pass(9999);
    await run.arrive(sender(8), HELLO);
    assertEquals(run.take(), []);
    await clock.pass(10_000);
    await run.arrive(sender(8), HELLO);
    assertEquals(run.take(), [
      { type: "drop", remote: sender(8), reason: "port" },
    ]);
    assertEquals(run.server.stats.dropped, { port: 5, address: 2, rate: 15 });
    await stopWholly(run, clock);
  });

  it("tells why a reply could not be sent", async () => {
    using clock = stopClock();
    const run = start();
    run.socket.sendFailure = new Error("Network unreachable (os error 101)");
    await run.arrive(sender(), HELLO, HELLO);
    assertEquals(run.take().slice(2), [{
      ...{ type: "drop", remote: sender(), reason: "failed" },
      detail: "network unreachable",
    }]);
    const [closed] = await stopWholly(run, clock);
    assertEquals(closed?.type === "close" && closed.datagrams, 0);
  });

  it("tells once that it cannot receive, of each reason", async () => {
    using clock = stopClock();
    const run = start();
    for (const number of [105, 105, 12, 105]) {
      run.socket.fail(new Error(`Failure ${number} (os error ${number})`));
      await clock.pass(20);
    }
    const told = run.take().map((event) =>
      event.type === "error" && event.error.detail
    );
    assertEquals(told, ["failure 105", "failure 12"]);
    await stopWholly(run, clock);
  });

  it("answers what had arrived before it stops, however late it is read", async () => {
    using clock = stopClock();
    const run = start();
    const { promise, resolve } = Promise.withResolvers<void>();
    run.barrier.allRead = promise;
    const answering = run.server.answerQueue();
    await clock.pass(100);
    assertEquals(run.socket.closed, 0);
    await run.arrive(sender(), HELLO);
    resolve();
    await clock.pass(4);
    await answering;
    assertEquals([run.socket.sent.length, run.socket.closed], [1, 1]);
    await stopWholly(run, clock);
  });

  it("passes on what it is told", async () => {
    using clock = stopClock();
    const run = start();
    run.server.unref();
    assertEquals(run.socket.refs, -1);
    run.server.ref();
    assertEquals(run.socket.refs, 0);
    run.socket.arrive(HELLO);
    const answering = run.server.answerQueue();
    await clock.pass(4);
    await answering;
    assertEquals(run.socket.closed, 1);
    await stopWholly(run, clock);
  });
});
