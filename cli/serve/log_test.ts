import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Writer } from "../../net/streams.ts";
import { stopClock } from "../../testing/clock.ts";
import { EventLog, type LogStyle } from "./log.ts";

/** An event, and the line that it makes. */
const EVENT = { type: "shutdown", open: 0, drainTimeoutMs: 0 } as const;
const LINE = "Shutting down\n";

function logTo(writer: Writer, style: LogStyle = "text"): EventLog {
  return new EventLog(writer, style, () => new Date("2001-02-03T04:05:06Z"));
}

function addTo(log: EventLog, events: number): void {
  for (let event = 0; event < events; event++) log.add(EVENT);
}

/** A writer that keeps what it is given. */
function sink() {
  const texts: string[] = [];
  return {
    texts,
    write(p: Uint8Array): Promise<number> {
      texts.push(new TextDecoder().decode(p));
      return Promise.resolve(p.length);
    },
  };
}

/** A writer whose writes end when a test ends them, one after the other. */
function gate() {
  const texts: string[] = [];
  const waiting: PromiseWithResolvers<number>[] = [];
  return {
    texts,
    write(p: Uint8Array): Promise<number> {
      texts.push(new TextDecoder().decode(p));
      waiting.push(Promise.withResolvers());
      return waiting.at(-1)!.promise;
    },
    /** Ends the write that is under way, and lets the log go on. */
    async end(error?: Error) {
      const { resolve, reject } = waiting.shift()!;
      if (error) reject(error);
      else resolve(new TextEncoder().encode(texts.at(-1)).length);
      await nextTurn();
    },
  };
}

describe("EventLog", () => {
  it("writes lines that come together in one write", async () => {
    const { texts, write } = sink();
    const log = logTo({ write });
    addTo(log, 3);
    await log.flush();
    await log.flush();
    assertEquals(texts, [LINE.repeat(3)]);
  });

  it("writes at once, then every 10 ms at most", async () => {
    using clock = stopClock();
    const { texts, write } = sink();
    const log = logTo({ write });
    addTo(log, 1);
    await clock.pass(0);
    assertEquals(texts, [LINE]);
    for (let batch = 2; batch < 5; batch++) {
      addTo(log, 1);
      await clock.pass(3);
      addTo(log, 1);
      await clock.pass(6);
      assertEquals(texts.length, batch - 1);
      await clock.pass(1);
      assertEquals(texts.length, batch);
      assertEquals(texts.at(-1), LINE.repeat(2));
    }
    // After a pause the next line does not wait.
    await clock.pass(10);
    addTo(log, 1);
    await clock.pass(0);
    assertEquals(texts.length, 5);
    assertEquals(clock.timers, 0);
  });

  it("writes lines that came during a write after it, not beside it", async () => {
    using clock = stopClock();
    const writer = gate();
    const log = logTo(writer);
    addTo(log, 1);
    await clock.pass(0);
    addTo(log, 2);
    await clock.pass(1000);
    assertEquals(writer.texts, [LINE]);
    await writer.end();
    await clock.pass(9);
    assertEquals(writer.texts, [LINE]);
    await clock.pass(1);
    assertEquals(writer.texts, [LINE, LINE.repeat(2)]);
    await writer.end();
    await clock.pass(1000);
    assertEquals(writer.texts.length, 2);
  });

  it("leaves lines out when the reader is slow, and says how many", async () => {
    using clock = stopClock();
    const writer = gate();
    const log = logTo(writer);
    addTo(log, 1);
    await clock.pass(0);
    addTo(log, 12_345);
    await writer.end();
    await clock.pass(10);
    addTo(log, 10_000);
    await writer.end();
    await clock.pass(10);
    const leftOut =
      "2,345 lines left out: the reader of this log is too slow\n";
    assertEquals(writer.texts, [
      LINE,
      LINE.repeat(10_000) + leftOut,
      LINE.repeat(10_000),
    ]);
    await writer.end();
  });

  it("on a flush writes everything, without a pause", async () => {
    using clock = stopClock();
    const writer = gate();
    const log = logTo(writer);
    addTo(log, 1);
    await clock.pass(0);
    addTo(log, 1);
    const flushed = log.flush();
    await nextTurn();
    assertEquals(writer.texts, [LINE]);
    await writer.end();
    assertEquals(writer.texts, [LINE, LINE]);
    addTo(log, 2);
    await writer.end();
    assertEquals(writer.texts, [LINE, LINE, LINE.repeat(2)]);
    await writer.end();
    await flushed;
    await clock.pass(1000);
    assertEquals([writer.texts.length, clock.timers], [3, 0]);
  });

  it("does not wait for ever for a reader that stopped", async () => {
    const log = logTo(gate());
    addTo(log, 1);
    await log.flush();
  });

  it("asks a writer that failed no more", async () => {
    using clock = stopClock();
    const writer = gate();
    const log = logTo(writer);
    addTo(log, 1);
    await clock.pass(0);
    addTo(log, 1);
    await writer.end(new Error("the reader is gone"));
    addTo(log, 1);
    await clock.pass(1000);
    await log.flush();
    assertEquals(writer.texts, [LINE]);
    assertEquals(clock.timers, 0);
  });

  it("writes JSON with the time, or nothing at all", async () => {
    const json = sink();
    const none = sink();
    for (
      const log of [logTo(json, "json"), logTo(none, "none")]
    ) {
      addTo(log, 1);
      await log.flush();
    }
    const time = "2001-02-03T04:05:06.000Z";
    assertEquals(json.texts.map((text) => JSON.parse(text)), [
      { time, event: "shutdown", connections: 0 },
    ]);
    assertEquals(none.texts, []);
  });
});
