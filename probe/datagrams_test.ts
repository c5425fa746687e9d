import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { connectUdp } from "../client.ts";
import { serve } from "../server.ts";
import { type FakeClock, stopClock } from "../testing/clock.ts";
import { TestPipe } from "../testing/pipe.ts";
import fc from "../testing/properties.ts";
import { type Fate, FATES, type Relay, startRelay } from "../testing/relay.ts";
import { load, type Summary } from "./load.ts";
import { ping } from "./ping.ts";
import type { ConnectProbe } from "./probe_client.ts";

/** How long a reply may take, and how long a late one does, in milliseconds. */
const [TIMEOUT_MS, LATE_MS] = [2000, 2300];

/** After the messages with a fate so many come back: none is late after the end. */
const PAD = 30;

/** From one message to the next, in milliseconds. */
const INTERVAL_MS = 20;

/** Lets a clock go on, 10 ms at each look at the sockets, until all is done. */
async function drive<T>(clock: FakeClock, running: Promise<T>): Promise<T> {
  let isOver = false;
  const end = () => isOver = true;
  running.then(end, end);
  // On a busy machine many turns of the event loop pass without a look.
  await using pipe = new TestPipe();
  for (let step = 0; step < 20_000; step++) {
    await pipe.untilPolled();
    if (isOver) return await running;
    clock.passAtOnce(10);
  }
  throw new Error("no end after 20,000 steps");
}

/** What fast-check does: to find a smaller example would take minutes. */
const RUNS = { numRuns: 8, endOnFailure: true };

const fates = fc.array(fc.constantFrom(...FATES), {
  ...{ minLength: 1, maxLength: 60 },
});

/**
 * Returns what becomes of a message. The first one of each client passes: a reply with
 * a damaged head is its, as long as it is the only one.
 */
function fateOf(fates: readonly Fate[], number: number, first = 1): Fate {
  return fates[number - 1 - first] ?? "pass";
}

/** Sends through a relay, and returns what it did and what was found. */
async function through<T>(
  fateOf: (number: number) => Fate,
  measure: (connect: ConnectProbe) => Promise<T>,
): Promise<[relay: Relay, found: T]> {
  await using server = serve({ port: 0, udp: true });
  using clock = stopClock();
  using relay = startRelay({
    ...{ serverPort: server.addr.port, fateOf },
    ...{ lateMs: LATE_MS, swapMs: 500 },
  });
  const { port } = relay;
  const found = await drive(
    clock,
    measure(({ signal, onIrregular }) =>
      connectUdp({ port, timeoutMs: TIMEOUT_MS, signal, onIrregular })
    ),
  );
  return [relay, found];
}

function countsOf({ sent, messages, failed, failures, irregular }: Summary) {
  const wrong = failures.mismatch ?? 0;
  assertEquals(wrong + (failures.timeout ?? 0), failed);
  return { sent, verified: messages, lost: failed, wrong, ...irregular };
}

describe("ping() over UDP", () => {
  it("counts what happened on the way, exactly", async () => {
    const property = fc.asyncProperty(fates, async (fates) => {
      const count = fates.length + 1 + PAD;
      const seen: string[] = [];
      // Those beyond five a second are told together, without their numbers.
      const kinds: string[] = [];
      const [relay, summary] = await through(
        (number) => number === count ? "lost back" : fateOf(fates, number),
        (connect) =>
          ping({
            ...{ connect, count, intervalMs: INTERVAL_MS, message: 100 },
            onEvent(event) {
              if (event.type === "irregular_many") {
                for (const [kind, count] of Object.entries(event.counts)) {
                  kinds.push(...Array(count).fill(kind));
                }
              }
              if (event.type !== "irregular") return;
              kinds.push(event.kind);
              seen.push(`${event.seq} ${event.kind}`);
            },
          }),
      );
      assertEquals(countsOf(summary), relay.counts);
      assertEquals(summary.sent, count);
      const told = fates.flatMap((fate, at) =>
        fate === "twice" || fate === "late copy"
          ? [`${at + 2} duplicated`]
          : fate === "late"
          ? [`${at + 2} late`]
          : []
      );
      const all = Object.entries(relay.counts).flatMap(([kind, count]) =>
        ["duplicated", "late", "corrupt"].includes(kind)
          ? Array(count).fill(kind)
          : []
      );
      assertEquals(kinds.toSorted(), all.toSorted());
      const numbered = seen.filter((it) => !it.endsWith("corrupt"));
      assertEquals(numbered.filter((it) => !told.includes(it)), []);
      assertEquals(new Set(numbered).size, numbered.length);
    });
    await fc.assert(property, RUNS);
  });
});

describe("load() over UDP", () => {
  it("counts what happened on the way at a rate, exactly", async () => {
    const property = fc.asyncProperty(
      fates,
      fc.integer({ min: 1, max: 3 }),
      async (fates, connections) => {
        const count = fates.length + connections + PAD;
        const [relay, summary] = await through(
          (number) =>
            number === count ? "lost back" : fateOf(fates, number, connections),
          (connect) =>
            load({
              ...{ connect, connections, message: 64 },
              ratePerSecond: 1000 / INTERVAL_MS,
              durationMs: count * INTERVAL_MS,
            }),
        );
        assertEquals(countsOf(summary), relay.counts);
        assertEquals([summary.unsent, summary.tooLate], [0, 0]);
      },
    );
    await fc.assert(property, RUNS);
  });

  it("counts what happened on the way without a rate, exactly", async () => {
    const property = fc.asyncProperty(
      fc.array(fc.constantFrom(...FATES), { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 1, max: 3 }),
      async (fates, connections) => {
        const [relay, summary] = await through(
          (number) => fateOf(fates, number),
          (connect) =>
            load({
              ...{ connect, connections, message: 1500 },
              durationMs: (fates.length + 2) * LATE_MS,
            }),
        );
        assertEquals(countsOf(summary), relay.counts);
      },
    );
    await fc.assert(property, RUNS);
  });
});
