import { assertEquals, assertGreaterOrEqual } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { type Answer, failure, playLoad, playPing } from "../testing/probe.ts";
import type { Tally } from "./tally.ts";

const BOUNDS_MS = [5, 10, 20];

/** Takes a tally, and reads its counts when the test says so. */
function counter() {
  let tally: Tally | undefined;
  return {
    onTally: (given: Tally) => void (tally = given),
    now: () => countsOf(tally!),
  };
}

function countsOf(tally: Tally) {
  const { failures, latencies, late, isPaced } = tally;
  return {
    ...tally.counts,
    ...{ verified: latencies.count, failures: { ...failures } },
    latencies: latencies.spread(BOUNDS_MS),
    late: isPaced ? late.spread(BOUNDS_MS) : undefined,
  };
}

type Counted = ReturnType<typeof countsOf>;

/** Takes 10 ms for each round trip, and loses every fifth. */
const FIFTH_FAILS: Answer = async ({ method, nth }) => {
  if (method !== "echo") return;
  await delay(10);
  if (nth % 5 === 0) throw failure("reset");
  return 10;
};

describe("load() tells what it counted", () => {
  it("while it runs, and in the end, with nothing lost between", async () => {
    const { onTally, now } = counter();
    const middle: Counted[] = [];
    const { summary, clients } = await playLoad(
      { connections: 2, durationMs: 300, onTally },
      (call) => {
        if (call.method === "echo" && call.nth === 3) middle.push(now());
        return FIFTH_FAILS(call);
      },
    );
    const [early] = middle;
    // The second connection's first message is still under way.
    assertEquals([early?.sent, early?.verified], [3, 1]);
    assertEquals([early?.connected, early?.open], [2, 2]);
    const { messages, failed, failures } = summary;
    const { sent, verified, latencies, ...rest } = now();
    assertEquals([sent, verified], [messages + failed, messages]);
    assertEquals(latencies, {
      ...{ count: messages, sumMs: messages * 10 },
      upTo: [0, messages, messages],
    });
    assertEquals(rest, {
      ...{ failures, unsent: 0, tooLate: 0, surplus: 0 },
      ...{
        failedEarly: 0,
        failedLate: 0,
        messagesInTime: summary.messagesInTime,
      },
      ...{ connected: clients.of("connect").length, open: 0, late: undefined },
    });
    assertEquals(failures, { reset: failed });
    // Those that failed were replaced.
    assertGreaterOrEqual(clients.of("connect").length, 4);
  });

  it("on a schedule, with how late messages left", async () => {
    const { onTally, now } = counter();
    const options = { ratePerSecond: 200, onTally };
    const { summary } = await playLoad(options, FIFTH_FAILS);
    const { sent, verified, failures, late, unsent, tooLate } = now();
    assertEquals(sent, summary.messages + summary.failed);
    assertEquals([verified, failures], [summary.messages, summary.failures]);
    assertEquals([late?.count, late?.upTo], [sent, [sent, sent, sent]]);
    assertEquals([unsent, tooLate], [summary.unsent, summary.tooLate]);
  });

  it("with connections that cannot be made as sent and failed", async () => {
    const { onTally, now } = counter();
    let opening: Counted | undefined;
    const { summary } = await playLoad(
      { connections: 3, onTally },
      (call) => {
        const { method, client } = call;
        if (method === "connect" && client === 3) {
          throw failure("refused");
        }
        if (method === "echo") opening ??= now();
        return method === "echo" ? delay(10) : undefined;
      },
    );
    assertEquals(opening?.failures, { refused: 1 });
    assertEquals([opening?.connected, opening?.open], [2, 2]);
    assertEquals(now().sent, summary.messages + summary.failed);
  });
});

describe("ping() tells what it counted", () => {
  it("while it runs, and in the end", async () => {
    const { onTally, now } = counter();
    const seen: number[][] = [];
    const options = { count: 10, onTally };
    const { summary } = await playPing(options, (call) => {
      if (call.method === "echo") {
        const { sent, verified, connected, open } = now();
        seen.push([sent, verified, connected, open]);
      }
      return FIFTH_FAILS(call);
    });
    assertEquals(seen.slice(0, 2), [[1, 0, 1, 1], [2, 1, 1, 1]]);
    // The fifth was lost, and the sixth connected again.
    assertEquals(seen[5], [6, 4, 2, 1]);
    const { sent, verified, failures, connected, latencies, late } = now();
    assertEquals([sent, verified], [summary.sent, summary.messages]);
    assertEquals([failures, connected], [{ reset: summary.failed }, 2]);
    assertEquals(latencies, { count: 8, sumMs: 80, upTo: [0, 8, 8] });
    assertEquals(late?.count, 10);
  });

  it("with the connections of messages under way, with reconnect", async () => {
    const { onTally, now } = counter();
    const open: number[] = [];
    const options = { count: 4, intervalMs: 20, reconnect: true, onTally };
    await playPing(options, async ({ method }) => {
      if (method !== "echo") return;
      open.push(now().open);
      await delay(50);
    });
    assertEquals(open, [1, 2, 3, 3]);
    assertEquals([now().connected, now().open], [4, 0]);
  });
});
