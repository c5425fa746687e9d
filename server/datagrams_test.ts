import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { NetworkError } from "../net/errors.ts";
import { type FakeClock, stopClock } from "../testing/clock.ts";
import { DatagramPeer } from "../testing/datagram_peer.ts";
import {
  FakeDatagramSocket,
  OpenBarrier,
  OWN_PORT,
  sender,
} from "../testing/datagram_socket.ts";
import { SAMPLE } from "./datagram_limits.ts";
import { patternOf } from "../testing/peer.ts";
import { HELLO } from "../testing/visitor.ts";
import type { Peer } from "./datagram_peers.ts";
import {
  DatagramEcho,
  type DatagramOptions,
  DEFAULT_UDP_RATE,
  type Drop,
  listenUdp,
} from "./datagrams.ts";
import { checkFaults, type FaultOptions } from "./faults/options.ts";

/** Runs an echo on a socket that the test plays. */
function start(
  options: Partial<DatagramOptions> = {},
  socket: FakeDatagramSocket = new FakeDatagramSocket(),
) {
  const barrier = new OpenBarrier();
  const drops: Drop[] = [];
  const failures: NetworkError[] = [];
  const echo = new DatagramEcho(socket.socket, {
    ...{ once: false, barrier },
    onDatagram: () => undefined,
    onDrop: (drop) => drops.push(drop),
    onFailure: (error) => failures.push(error),
    ...options,
  });
  return { socket, barrier, drops, failures, echo, running: echo.run() };
}

/** Makes faults of which nobody is told. */
function faultsOf(options: FaultOptions): DatagramOptions["faults"] {
  const faults = checkFaults(options, true);
  return { faults, isRef: () => true, onFault() {} };
}

/** Lets the same datagram arrive so many times, and waits until all were received. */
async function flood(
  { socket }: { socket: FakeDatagramSocket },
  count: number,
  bytes: (n: number) => Uint8Array,
  from = sender(),
) {
  for (let n = 0; n < count; n++) socket.arrive(bytes(n), from);
  await socket.untilDrained();
}

/** Stops an echo, and checks that nothing of it is left. */
async function stopWholly(
  { echo, socket, running, failures }: ReturnType<typeof start>,
  clock?: FakeClock,
) {
  const failed = failures.length;
  echo.stop();
  echo.stop();
  await running;
  assertEquals([socket.closed, clock?.timers ?? 0], [1, 0]);
  assertEquals(failures.length, failed);
}

const same = () => HELLO;
const numbered = (n: number) => new Uint8Array([n, n >> 8, n >> 16]);

describe("DatagramEcho", () => {
  it("sends each datagram back to its sender, whole and alone", async () => {
    const run = start();
    const datagrams = [0, 1, 512, 1472, 1473, 65_507].map((length, n) =>
      [patternOf(length, n), sender(50_000 + n)] as const
    );
    for (const [bytes, from] of datagrams) run.socket.arrive(bytes, from);
    await run.socket.untilDrained();
    assertEquals(run.socket.sent, datagrams);
    assertEquals(run.echo.stats, {
      datagrams: 6,
      bytes: 1 + 512 + 1472 + 1473 + 65_507,
      dropped: {},
    });
    // What is longer than a buffer would be cut off in silence.
    assertEquals([...run.socket.bufferLengths], [65_536]);
    await stopWholly(run);
  });

  it("does not answer senders that no client has, and counts them", async () => {
    const run = start();
    const { socket, drops, echo } = run;
    const forged = [
      ...[0, 7, 1023, 2049, OWN_PORT].map((port) => sender(port)),
      ...["0.0.0.0", "224.0.0.1", "ff02::1"].map((host) =>
        sender(50_000, host)
      ),
    ];
    for (const from of forged) socket.arrive(HELLO, from);
    await socket.untilDrained();
    assertEquals(socket.sent, []);
    assertEquals(drops.map(({ remote }) => remote), forged);
    assertEquals(
      drops.map(({ reason }) => reason),
      [...Array(5).fill("port"), ...Array(3).fill("address")],
    );
    assertEquals(echo.stats, {
      ...{ datagrams: 0, bytes: 0 },
      dropped: { port: 5, address: 3 },
    });
    for (const port of [1024, 2048, 2050, OWN_PORT - 1, OWN_PORT + 1]) {
      socket.arrive(HELLO, sender(port));
    }
    await socket.untilDrained();
    assertEquals(socket.sent.length, 5);
    await stopWholly(run);
  });

  it("holds a rate to each address, whatever the port, second by second", async () => {
    using clock = stopClock();
    // The same on loopback and elsewhere, once it is asked for.
    for (const hostname of ["127.0.0.1", "0.0.0.0", "::"]) {
      const run = start({ ratePerSecond: 5 }, new FakeDatagramSocket(hostname));
      for (let second = 1; second <= 3; second++) {
        for (const host of ["192.0.2.1", "192.0.2.2"]) {
          for (const port of [50_000, 50_001]) {
            await flood(run, 10, same, sender(port, host));
          }
        }
        assertEquals(run.echo.stats.datagrams, 10 * second);
        assertEquals(run.echo.stats.dropped, { rate: 30 * second });
        await clock.pass(1000);
      }
      const to = run.socket.sent.map(([, { hostname }]) => hostname);
      assertEquals(to.filter((it) => it === "192.0.2.1").length, 15);
      await stopWholly(run, clock);
    }
  });

  it("holds the rate to a network of 64 bits of IPv6", async () => {
    using clock = stopClock();
    const run = start({ ratePerSecond: 5 }, new FakeDatagramSocket("::"));
    await flood(run, 4, same, sender(50_000, "2001:db8::1"));
    await flood(run, 4, same, sender(50_000, "2001:db8::2:0:0:3"));
    assertEquals(run.echo.stats.datagrams, 5);
    await flood(run, 4, same, sender(50_000, "2001:db8:0:1::1"));
    assertEquals(run.echo.stats.datagrams, 9);
    await stopWholly(run, clock);
  });

  it("has a rate of 1,000 by default, but not on loopback", async () => {
    using clock = stopClock();
    assertEquals(DEFAULT_UDP_RATE, 1000);
    for (
      const hostname of [
        "0.0.0.0",
        "192.0.2.1",
        "::",
        "::ffff:127.0.0.1",
        "2001::1",
        "::12",
      ]
    ) {
      const run = start({}, new FakeDatagramSocket(hostname));
      await flood(run, 1200, numbered, sender(50_000, "192.0.2.9"));
      assertEquals(run.echo.stats.datagrams, 1000, hostname);
      assertEquals(run.echo.stats.dropped, { rate: 200 }, hostname);
      await stopWholly(run, clock);
    }
    for (const hostname of ["127.0.0.1", "127.9.9.9", "::1"]) {
      const run = start({}, new FakeDatagramSocket(hostname));
      await flood(run, 1200, numbered);
      assertEquals(run.echo.stats.datagrams, 1200, hostname);
      await stopWholly(run, clock);
    }
  });

  it("on loopback drops what is sent again and again as a loop", async () => {
    using clock = stopClock();
    const run = start();
    await flood(run, 1200, same);
    const { loop = 0 } = run.echo.stats.dropped;
    // Until then one datagram in 16 is looked at.
    assert(loop >= 200 && loop <= 200 + SAMPLE, `${loop} dropped`);
    // Another port of the same machine is another sender.
    await flood(run, 1000, same, sender(50_001));
    assertEquals(run.echo.stats.dropped, { loop });
    await clock.pass(1000);
    await flood(run, 1200, same);
    assertEquals(run.echo.stats.dropped, { loop: loop + 200 });
    assertEquals(run.echo.stats.datagrams, 3400 - loop - 200);
    assertEquals(run.drops[0], { remote: sender(), reason: "loop" });
    await stopWholly(run, clock);
  });

  it("with a rate of its own does not look for loops", async () => {
    const run = start({ ratePerSecond: Infinity });
    await flood(run, 3000, same);
    assertEquals(run.echo.stats.datagrams, 3000);
    await stopWholly(run);
  });

  it("tells of a datagram before it is sent back, and of no other", async () => {
    const told: unknown[] = [];
    const socket = new FakeDatagramSocket();
    const run = start({
      onDatagram(remote, bytes) {
        told.push([remote.port, [...bytes], socket.sent.length]);
        return undefined;
      },
    }, socket);
    socket.arrive(new Uint8Array([1]), sender(50_000));
    socket.arrive(new Uint8Array([2]), sender(2049));
    socket.arrive(new Uint8Array([3]), sender(50_001));
    await socket.untilDrained();
    assertEquals(told, [[50_000, [1], 0], [50_001, [3], 1]]);
    await stopWholly(run);
  });

  it("counts for its sender what was sent back, and when", async () => {
    using clock = stopClock();
    const peer = { datagrams: 0, bytes: 0, lastAt: -1 } as Peer;
    const run = start({ onDatagram: () => peer });
    await clock.pass(20);
    await flood(run, 3, same);
    const { datagrams, bytes, lastAt } = peer;
    assertEquals([datagrams, bytes, lastAt], [3, 15, performance.now()]);
    run.socket.sendFailure = new Error("Unreachable (os error 101)");
    await clock.pass(20);
    await flood(run, 3, same);
    assertEquals([peer.datagrams, peer.bytes, peer.lastAt], [3, 15, lastAt]);
    await stopWholly(run, clock);
  });

  it("counts a reply that cannot be sent as failed, and goes on", async () => {
    const run = start();
    run.socket.sendFailure = new Error("Network unreachable (os error 101)");
    await flood(run, 2, same);
    run.socket.sendFailure = undefined;
    await flood(run, 1, same);
    assertEquals(run.drops[0], {
      ...{ remote: sender(), reason: "failed" },
      detail: "network unreachable",
    });
    assertEquals(run.echo.stats, {
      ...{ datagrams: 1, bytes: 5 },
      dropped: { failed: 2 },
    });
    assertEquals(run.failures, []);
    await stopWholly(run);
  });

  it("after a receive that failed pauses, and goes on", async () => {
    using clock = stopClock();
    const run = start();
    const { socket, failures } = run;
    for (let turn = 1; turn <= 3; turn++) {
      socket.fail(new Error("No buffer space (os error 105)"));
      await clock.pass(0);
      socket.arrive(HELLO);
      await clock.pass(19);
      assertEquals([failures.length, socket.sent.length], [turn, turn - 1]);
      await clock.pass(1);
      assertEquals(socket.sent.length, turn);
    }
    assertEquals(
      failures[0]?.message,
      `Cannot receive datagrams on 127.0.0.1:${OWN_PORT}/udp: no buffer space`,
    );
    assertEquals(failures[0]?.operation, "receive");
    await stopWholly(run, clock);
  });

  it("says nothing of an earlier reply that found nobody", async () => {
    using clock = stopClock();
    const run = start();
    run.socket.fail(new Deno.errors.ConnectionReset("x (os error 10054)"));
    run.socket.arrive(HELLO);
    await clock.pass(20);
    assertEquals([run.failures, run.socket.sent.length], [[], 1]);
    await stopWholly(run, clock);
  });

  it("stops while it waits after a failure", async () => {
    using clock = stopClock();
    const run = start();
    run.socket.fail(new Error("No buffer space (os error 105)"));
    await clock.pass(1);
    await stopWholly(run, clock);
  });

  it("counts a reply that was under way when it stopped", async () => {
    const sending = Promise.withResolvers<void>();
    const run = start();
    run.socket.sending = sending.promise;
    run.socket.arrive(HELLO);
    await nextTurn();
    run.echo.stop();
    sending.resolve();
    await stopWholly(run);
    assertEquals(run.drops, [{ remote: sender(), reason: "shutdown" }]);
    assertEquals(run.echo.stats, {
      ...{ datagrams: 0, bytes: 0 },
      dropped: { shutdown: 1 },
    });
  });

  it("counts replies with faults that were under way when it stopped", async () => {
    const sending = Promise.withResolvers<void>();
    const run = start({ faults: faultsOf({ duplicate: {} }) });
    run.socket.sending = sending.promise;
    run.socket.arrive(HELLO);
    await nextTurn();
    run.echo.stop();
    sending.resolve();
    await run.running;
    assertEquals(run.echo.stats.dropped, { shutdown: 2 });
  });

  it("goes on reading where a reply cannot leave, and drops what it cannot send", async () => {
    for (const faults of [undefined, faultsOf({ duplicate: { percent: 0 } })]) {
      using clock = stopClock();
      const run = start({ faults });
      const { socket, echo } = run;
      await flood(run, 2, same);
      for (let time = 1; time <= 3; time++) {
        const sending = Promise.withResolvers<void>();
        socket.sending = sending.promise;
        for (let n = 0; n < 3; n++) socket.arrive(HELLO);
        // The first reply: a look at it begins up to as much later.
        await clock.pass(49);
        assertEquals(
          echo.stats.dropped,
          time > 1 ? { failed: 2 * time - 2 } : {},
        );
        await clock.pass(51);
        await socket.untilDrained();
        assertEquals(echo.stats.dropped, { failed: 2 * time });
        await clock.pass(1000);
        socket.sending = Promise.resolve();
        sending.resolve();
        await nextTurn();
        await flood(run, 2, same);
        assertEquals([socket.sent.length, run.drops.length], [
          2 + 3 * time,
          2 * time,
        ]);
      }
      assertEquals(
        run.drops[0]?.detail,
        "the send buffer is full of replies that cannot leave",
      );
      await clock.pass(100);
      assertEquals(clock.timers, 0, "it does not look at an idle socket");
      await stopWholly(run, clock);
    }
  });

  it("stops while a reply cannot leave", async () => {
    using clock = stopClock();
    const run = start();
    const sending = Promise.withResolvers<void>();
    run.socket.sending = sending.promise;
    run.socket.arrive(HELLO);
    await clock.pass(100);
    run.echo.stop();
    sending.resolve();
    await stopWholly(run, clock);
    assertEquals(run.echo.stats.dropped, { shutdown: 1 });
  });

  it("once learns of its datagram before the reply is under way", async () => {
    const seen: number[] = [];
    const { socket, running } = start({
      once: true,
      onOnce: () => seen.push(socket.sent.length),
    });
    socket.arrive(HELLO);
    await running;
    assertEquals([seen, socket.sent.length], [[0], 1]);
  });

  it("once stops after the first datagram that it answered", async () => {
    const run = start({ once: true });
    const { socket, echo } = run;
    socket.arrive(HELLO, sender(2049));
    await socket.untilDrained();
    socket.sendFailure = new Error("Network unreachable (os error 101)");
    socket.arrive(HELLO);
    await socket.untilDrained();
    assertEquals(socket.closed, 0);
    socket.sendFailure = undefined;
    socket.arrive(HELLO);
    socket.arrive(HELLO);
    await run.running;
    assertEquals([socket.closed, socket.sent.length], [1, 1]);
    assertEquals(echo.stats.datagrams, 1);
    assertEquals(echo.stats.dropped, { port: 1, failed: 1 });
  });

  it("passes the barrier when it must, by the bytes of each datagram", async () => {
    const run = start();
    await flood(run, 2, (n) => new Uint8Array(n * 10));
    assertEquals([run.barrier.reads, run.barrier.passed], [[0, 10], 0]);
    run.barrier.isClosed = true;
    await flood(run, 2, same);
    run.socket.arrive(HELLO, sender(2049));
    await run.socket.untilDrained();
    assertEquals([run.barrier.reads, run.barrier.passed], [
      [0, 10, 5, 5, 5],
      3,
    ]);
    await stopWholly(run);
  });

  it("answers the queue before it stops", async () => {
    using clock = stopClock();
    const run = start();
    for (let n = 0; n < 50; n++) run.socket.arrive(numbered(n));
    const answering = run.echo.answerQueue();
    // One pause in which they come, and three in which nothing does.
    for (let pause = 0; pause < 4; pause++) {
      assertEquals(run.socket.closed, 0);
      await clock.pass(1);
    }
    assertEquals([run.socket.sent.length, run.socket.closed], [50, 1]);
    await answering;
    await stopWholly(run, clock);
  });

  it("answers the queue as long as more comes, a second at most", async () => {
    using clock = stopClock();
    const run = start();
    const answering = run.echo.answerQueue();
    let ms = 0;
    for (; run.socket.closed === 0 && ms < 2000; ms++) {
      // What is not answered holds it up as well: it may hide what is.
      run.socket.arrive(HELLO, sender(ms % 2 ? 2049 : 50_000));
      await clock.pass(1);
    }
    assert(ms >= 1000 && ms <= 1003, `${ms} ms`);
    await answering;
    await stopWholly(run, clock);
  });

  it("answers no more while replies wait that it owes", async () => {
    using clock = stopClock();
    const run = start({ faults: faultsOf({ latency: { ms: 20 } }) });
    run.socket.arrive(HELLO);
    await run.socket.untilDrained();
    const answering = run.echo.answerQueue();
    // Three pauses, and the reply's time.
    let ms = 0;
    for (; run.socket.closed === 0 && ms < 200; ms++) {
      if (ms >= 4) run.socket.arrive(HELLO);
      await clock.pass(1);
    }
    // One was about to be received.
    assertEquals([run.socket.sent.length, run.socket.closed], [2, 1]);
    assert(ms < 50, `${ms} ms`);
    await answering;
    await stopWholly(run, clock);
  });

  it("with faults receives no faster than it sends", async () => {
    const sending = Promise.withResolvers<void>();
    let taken = 0;
    const run = start({
      faults: faultsOf({ duplicate: {} }),
      onDatagram: () => void taken++,
    });
    run.socket.sending = sending.promise;
    for (let n = 0; n < 10; n++) run.socket.arrive(numbered(n));
    for (let turn = 0; turn < 10; turn++) await nextTurn();
    assertEquals(taken, 1);
    sending.resolve();
    await run.socket.untilDrained();
    assertEquals([taken, run.socket.sent.length], [10, 20]);
    await stopWholly(run);
  });

  it("tells its socket whether the process waits for it", async () => {
    const run = start();
    run.echo.unref();
    assertEquals(run.socket.refs, -1);
    run.echo.ref();
    assertEquals(run.socket.refs, 0);
    await stopWholly(run);
  });

  it("gives totals that later datagrams do not change", async () => {
    const run = start();
    run.socket.arrive(HELLO, sender(7));
    await run.socket.untilDrained();
    const { stats } = run.echo;
    run.socket.arrive(HELLO, sender(7));
    await run.socket.untilDrained();
    assertEquals([stats.dropped.port, run.echo.stats.dropped.port], [1, 2]);
    await stopWholly(run);
  });
});

describe("listenUdp()", () => {
  it("says which address it cannot have, and that it is UDP's", async () => {
    await using taken = new DatagramPeer();
    const { hostname, port } = taken.addr;
    const error = assertThrows(
      () => listenUdp({ transport: "udp", hostname, port }),
      Deno.errors.AddrInUse,
      `Cannot listen on 127.0.0.1:${port}/udp: address already in use`,
    ) as NetworkError;
    assertEquals([error.operation, error.reason], ["listen", "address_in_use"]);
    assertEquals(error.address, { transport: "udp", hostname, port });
  });
});
