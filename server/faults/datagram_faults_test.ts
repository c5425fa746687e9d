import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { stopClock } from "../../testing/clock.ts";
import { patternOf } from "../../testing/peer.ts";
import type { ToldFault } from "../events.ts";
import {
  DatagramFaults,
  MAX_HELD_MS,
  MAX_WAITING_BYTES,
} from "./datagram_faults.ts";
import { DatagramPlan } from "./datagram_plan.ts";
import { checkFaults, type FaultOptions } from "./options.ts";

const ONE: Deno.NetAddr = {
  transport: "udp",
  hostname: "127.0.0.1",
  port: 50_712,
};
const OTHER: Deno.NetAddr = { ...ONE, port: 50_713 };

/** Makes faults, and keeps what they send and tell, in order. */
function play(options: FaultOptions, process = { isRef: true }) {
  const sent: [first: number | undefined, at: number, port: number][] = [];
  const told: (ToldFault & { sent: number; port: number })[] = [];
  const replies: Uint8Array[] = [];
  const discarded: number[] = [];
  const start = performance.now();
  const faults = new DatagramFaults({
    faults: checkFaults({ seed: 1, ...options }, true),
    isRef: () => process.isRef,
    send(bytes, { port }) {
      replies.push(bytes.slice());
      sent.push([bytes[0], performance.now() - start, port]);
    },
    onDiscard: ({ port }) => discarded.push(port),
    onFault: ({ port }, fault) =>
      told.push({ ...fault, sent: sent.length, port }),
  });
  /** Receives a datagram in memory that the next one overwrites. */
  const memory = new Uint8Array(8);
  const receive = (first: number, from = ONE) => {
    memory[0] = first;
    faults.reply(memory, from);
  };
  return { faults, sent, told, replies, discarded, receive };
}

const { port } = ONE;

/** Faults of which every second reply is reordered, or so. */
const SHUFFLED: FaultOptions = { reorder: { percent: 50 } };

/** Tells which of some datagrams are planned to wait for the next one. */
function plannedReorders(count: number): boolean[] {
  const plan = new DatagramPlan(checkFaults({ seed: 1, ...SHUFFLED }, true));
  return Array.from({ length: count }, () => plan.next(8).isReordered);
}

describe("DatagramFaults", () => {
  it("send replies at once that have no fault", () => {
    using clock = stopClock();
    const { sent, told, receive } = play({});
    for (const first of [1, 2]) receive(first);
    assertEquals(sent, [[1, 0, port], [2, 0, port]]);
    assertEquals([told, clock.timers], [[], 0]);
  });

  it("lose, duplicate and corrupt replies, and tell it before", () => {
    const lost = play({ loss: {} });
    lost.receive(1);
    assertEquals(lost.sent, []);
    assertEquals(lost.told, [{ kind: "loss", sent: 0, port }]);

    const twice = play({ duplicate: {} });
    twice.receive(1);
    assertEquals(twice.sent.map(([first]) => first), [1, 1]);
    assertEquals(twice.told, [{ kind: "duplicate", sent: 0, port }]);

    const wrong = play({ corrupt: {} });
    const datagram = patternOf(64).slice();
    wrong.faults.reply(datagram, ONE);
    assertEquals(datagram, patternOf(64), "what arrived is left alone");
    const at = wrong.replies[0]!.findIndex((it, at) => it !== datagram[at]);
    assertEquals(wrong.told, [{ kind: "corrupt", offset: at, sent: 0, port }]);
    const flipped = wrong.replies[0]![at]! ^ datagram[at]!;
    assertEquals(Math.log2(flipped) % 1, 0);
  });

  it("delay replies, each by its own time", async () => {
    using clock = stopClock();
    const { sent, told, receive } = play({ latency: { ms: 50 } });
    for (const first of [1, 2, 3]) {
      receive(first);
      await clock.pass(10);
    }
    await clock.pass(100);
    assertEquals(sent, [[1, 50, port], [2, 60, port], [3, 70, port]]);
    assertEquals(told, [{ kind: "latency", sent: 0, port }]);
    assertEquals(clock.timers, 0);
  });

  it("tell each delay unless all replies have one", async () => {
    using clock = stopClock();
    const { sent, told, receive } = play({
      latency: { ms: 50, percent: 50 },
    });
    for (let first = 0; first < 20; first++) {
      receive(first);
      await clock.pass(60);
    }
    const late = sent.flatMap(([first, at]) => at === first! * 60 ? [] : first);
    assert(late.length > 3 && late.length < 17);
    assertEquals(told.map((it) => [it.kind, it.delayMs, it.sent]), [
      ...late.map((first) => ["latency", 50, first]),
    ]);
  });

  it("let a reply leave after the next one to its address", () => {
    using clock = stopClock();
    const { sent, told, receive } = play({ reorder: {} });
    receive(1);
    receive(10, OTHER);
    assertEquals(sent, []);
    receive(2);
    assertEquals(sent.map(([first]) => first), [2, 1]);
    assertEquals(told, [{ kind: "reorder", sent: 0, port }]);
    receive(11, OTHER);
    assertEquals(sent.map(([first]) => first), [2, 1, 11, 10]);
    assertEquals(told.length, 2);
    assertEquals(told[1]?.port, OTHER.port);
    assertEquals(clock.timers, 0);
  });

  it("tell as many replies as changed places", () => {
    using clock = stopClock();
    const { sent, told, receive } = play(SHUFFLED);
    const planned = plannedReorders(50);
    for (let first = 0; first < 50; first++) receive(first);
    const expected: number[] = [];
    for (let first = 0; first < 50; first++) {
      // One that waits is followed by the next, whatever is planned for that.
      if (planned[first] && first < 49) expected.push(first + 1, first++);
      else if (!planned[first]) expected.push(first);
    }
    assertEquals(sent.map(([first]) => first), expected);
    const swaps = expected.filter((it, at) => it > (expected[at + 1] ?? 50));
    assert(swaps.length > 5);
    assertEquals(told.length, swaps.length);
    assertEquals(clock.timers, planned[49] && expected.length < 50 ? 1 : 0);
  });

  it("do not let a reply wait for ever, and tell that it was late", async () => {
    using clock = stopClock();
    const { sent, told, receive } = play({ reorder: {} });
    receive(1);
    await clock.pass(MAX_HELD_MS - 1);
    assertEquals(sent, []);
    await clock.pass(1);
    assertEquals(sent, [[1, MAX_HELD_MS, port]]);
    assertEquals(told, [
      { kind: "latency", delayMs: MAX_HELD_MS, sent: 0, port },
    ]);
    assertEquals(clock.timers, 0);
    // It is forgotten: the next one waits anew.
    receive(2);
    assertEquals(sent.length, 1);
    receive(3);
    assertEquals(sent.map(([first]) => first), [1, 3, 2]);
  });

  it("reorder late replies, and send all of their copies together", async () => {
    using clock = stopClock();
    const { sent, told, receive } = play({
      ...{ latency: { ms: 50 }, reorder: {}, duplicate: {} },
    });
    // Both are late before one can wait for the other.
    receive(1);
    receive(2);
    await clock.pass(50);
    assertEquals(sent, [[2, 50, port], [2, 50, port], [1, 50, port], [
      ...[1, 50, port] as [number, number, number],
    ]]);
    const kinds = told.map(({ kind }) => kind);
    const twice = ["duplicate", "latency", "duplicate", "reorder"];
    assertEquals(kinds, twice as typeof kinds);
    assertEquals(clock.timers, 0);
  });

  it("lose what should wait when too much waits, and nothing else", async () => {
    using clock = stopClock();
    const { faults, sent, told } = play({ latency: { ms: 50 } });
    const datagram = new Uint8Array(65_536);
    const most = MAX_WAITING_BYTES / datagram.length;
    for (let turn = 0; turn < most + 3; turn++) faults.reply(datagram, ONE);
    const kinds = told.map(({ kind }) => kind);
    assertEquals(kinds, ["latency", "loss", "loss", "loss"]);
    await clock.pass(50);
    assertEquals(sent.length, most);
    faults.reply(datagram, ONE);
    assertEquals(told.length, 4);
    await clock.pass(50);
    assertEquals(sent.length, most + 1);
  });

  it("count many small replies that wait for more than their bytes", () => {
    using clock = stopClock();
    const { faults, told } = play({ latency: { ms: 50, percent: 99.999 } });
    let count = 0;
    const isLost = () => told.at(-1)?.kind === "loss";
    for (; count < 100_000 && !isLost(); count++) {
      faults.reply(new Uint8Array(1), ONE);
    }
    assertEquals(count, MAX_WAITING_BYTES / 512 + 1);
    faults[Symbol.dispose]();
    assertEquals(clock.timers, 0);
  });

  it("forget what waits when they are disposed of, and tell it", async () => {
    using clock = stopClock();
    const late = play({ latency: { ms: 50 } });
    const held = play({ reorder: {} });
    for (const { receive } of [late, held]) receive(1);
    late.receive(2, OTHER);
    assertEquals(clock.timers, 3);
    assertEquals([late.faults.waiting, held.faults.waiting], [2, 1]);
    for (const { faults } of [late, held]) faults[Symbol.dispose]();
    assertEquals([late.discarded, held.discarded], [[port, OTHER.port], [
      port,
    ]]);
    assertEquals([late.faults.waiting, held.faults.waiting], [0, 0]);
    assertEquals(clock.timers, 0);
    await clock.pass(10_000);
    assertEquals([late.sent, held.sent], [[], []]);
  });

  it("let the process end when their server does while replies wait", async () => {
    using clock = stopClock();
    const process = { isRef: true };
    const { faults, receive, sent } = play({ latency: { ms: 50 } }, process);
    receive(1);
    await clock.pass(20);
    receive(2);
    process.isRef = false;
    faults.updateRef();
    assertEquals([clock.timers, clock.unrefTimers], [2, 2]);
    await clock.pass(50);
    assertEquals(sent, [[1, 50, port], [2, 70, port]]);
  });

  it("keep the process alive only if their server does", () => {
    for (const isRef of [true, false]) {
      using clock = stopClock();
      const { receive } = play({ latency: { ms: 50 } }, { isRef });
      receive(1);
      assertEquals([clock.timers, clock.unrefTimers], [1, isRef ? 0 : 1]);
    }
  });
});
