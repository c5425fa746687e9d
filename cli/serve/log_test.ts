import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import { stopClock } from "../../testing/clock.ts";
import type { CloseEvent } from "../../server.ts";
import { EventLog, type LogOutput, type LogStyle } from "./log.ts";

const ADDR = { transport: "tcp", hostname: "::1", port: 7 } as const;

/** An event that may be left out, and the line that it makes. */
const EVENT = { type: "reset" } as const;
const LINE = "A client broke its connection before it was accepted\n";

/** An event whose line the server owes, and the line. */
const OWED_EVENT = { type: "shutdown", open: 0, drainTimeoutMs: 0 } as const;
const OWED = "Shutting down\n";

/** The line that tells how many were left out. */
function leftOut(lines: string): string {
  return `${lines} left out: ` +
    "the reader of this log is too slow, or its disk is full\n";
}

function logTo(output: LogOutput, style: LogStyle = "text"): EventLog {
  return new EventLog(output, style, () => new Date("2001-02-03T04:05:06Z"));
}

function addTo(log: EventLog, events: number): void {
  for (let event = 0; event < events; event++) log.add(EVENT);
}

/** An output that keeps what it is given, and loses nothing. */
function sink() {
  const texts: string[] = [];
  return {
    texts,
    write(lines: Uint8Array): Promise<number> {
      texts.push(new TextDecoder().decode(lines));
      return Promise.resolve(0);
    },
  };
}

/** An output whose writes end when a test ends them. */
function gate() {
  const texts: string[] = [];
  let writing: PromiseWithResolvers<number> | undefined;
  return {
    /** What was written, since the test took it last. */
    take: () => texts.splice(0),
    write(lines: Uint8Array): Promise<number> {
      assertEquals(writing, undefined, "one write beside the other");
      texts.push(new TextDecoder().decode(lines));
      writing = Promise.withResolvers();
      return writing.promise;
    },
    /** Ends the write that is under way, and lets the log go on. */
    async end(lost: number | Error = 0) {
      const { resolve, reject } = writing!;
      writing = undefined;
      if (lost instanceof Error) reject(lost);
      else resolve(lost);
      await nextTurn();
    },
  };
}

/** Makes a log whose first write, of a line, has been under way for some time. */
async function stalled(forMs: number) {
  const clock = stopClock();
  const output = gate();
  const log = logTo(output);
  addTo(log, 1);
  await clock.pass(0);
  await clock.pass(forMs);
  assertEquals(output.take(), [LINE]);
  return {
    clock,
    output,
    log,
    [Symbol.dispose]: () => clock[Symbol.dispose](),
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
    using stall = await stalled(0);
    const { clock, output, log } = stall;
    addTo(log, 2);
    await clock.pass(1000);
    assertEquals(output.take(), []);
    await output.end();
    await clock.pass(9);
    assertEquals(output.take(), []);
    await clock.pass(1);
    assertEquals(output.take(), [LINE.repeat(2)]);
    await output.end();
    await clock.pass(1000);
    assertEquals(output.take(), []);
  });

  it("writes a burst in pieces of 1,000 lines, without a pause", async () => {
    using clock = stopClock();
    const { texts, write } = sink();
    const log = logTo({ write });
    addTo(log, 2001);
    await clock.pass(0);
    assertEquals(texts, [LINE.repeat(1000), LINE.repeat(1000), LINE]);
    assertEquals(clock.timers, 0);
  });

  it("leaves out nothing of a burst, however large", async () => {
    using stall = await stalled(1000);
    const { clock, output, log } = stall;
    addTo(log, 12_345);
    await output.end();
    await clock.pass(10);
    for (let piece = 0; piece < 12; piece++) {
      assertEquals(output.take(), [LINE.repeat(1000)]);
      await output.end();
    }
    assertEquals(output.take(), [LINE.repeat(345)]);
    // Nor when a second passed since the last write.
    await output.end();
    await clock.pass(2000);
    addTo(log, 10_001);
    const flushed = log.flush();
    await nextTurn();
    for (let piece = 0; piece < 10; piece++) {
      assertEquals(output.take(), [LINE.repeat(1000)]);
      await output.end();
    }
    assertEquals(output.take(), [LINE]);
    await output.end();
    await flushed;
  });

  it("leaves lines out while the reader is behind, and says where", async () => {
    using stall = await stalled(1001);
    const { clock, output, log } = stall;
    addTo(log, 10_000);
    addTo(log, 2345);
    log.add(OWED_EVENT);
    addTo(log, 1);
    await output.end();
    await clock.pass(10);
    // The next thousand lines found room when the first thousand were under way.
    for (let piece = 0; piece < 10; piece++) {
      assertEquals(output.take(), [LINE.repeat(1000)]);
      if (piece === 1) addTo(log, 1);
      await output.end();
    }
    assertEquals(output.take(), [
      leftOut("2,345 lines") + OWED + leftOut("1 line") + LINE,
    ]);
    await output.end();
    await clock.pass(10);
    assertEquals(output.take(), []);
  });

  it("takes a reader for slow that takes a second for a batch", async () => {
    using stall = await stalled(0);
    const { clock, output, log } = stall;
    addTo(log, 12_000);
    await output.end();
    await clock.pass(10);
    await clock.pass(1000);
    await output.end();
    addTo(log, 1);
    await clock.pass(1);
    addTo(log, 2);
    for (let piece = 0; piece < 11; piece++) await output.end();
    await clock.pass(10);
    assertEquals(output.take().slice(-2), [
      LINE.repeat(1000),
      LINE + leftOut("2 lines"),
    ]);
    await output.end();
  });

  it("keeps what waits for a stalled reader in bounds", async () => {
    using stall = await stalled(1001);
    const { clock, output, log } = stall;
    addTo(log, 1_000_000);
    await output.end();
    await clock.pass(10);
    for (let piece = 0; piece < 10; piece++) await output.end();
    await clock.pass(10);
    assertEquals(output.take().slice(-2), [
      LINE.repeat(1000),
      leftOut("990,000 lines"),
    ]);
    await output.end();
  });

  it("on a flush writes everything, without a pause", async () => {
    using stall = await stalled(0);
    const { clock, output, log } = stall;
    addTo(log, 1);
    const flushed = log.flush();
    await nextTurn();
    assertEquals(output.take(), []);
    await output.end();
    assertEquals(output.take(), [LINE]);
    addTo(log, 2);
    await output.end();
    assertEquals(output.take(), [LINE.repeat(2)]);
    await output.end();
    await flushed;
    assertEquals(clock.timers, 0);
    await clock.pass(3000);
    assertEquals(output.take(), []);
  });

  it("after a second of a flush writes only what it owes", async () => {
    using stall = await stalled(0);
    const { clock, output, log } = stall;
    addTo(log, 1500);
    log.add(OWED_EVENT);
    addTo(log, 1);
    const flushed = log.flush();
    await output.end();
    assertEquals(output.take(), [LINE.repeat(1000)]);
    await clock.pass(999);
    addTo(log, 1);
    await clock.pass(1);
    await output.end();
    assertEquals(output.take(), [
      leftOut("500 lines") + OWED + leftOut("2 lines"),
    ]);
    await clock.pass(999);
    await output.end();
    await flushed;
    assertEquals(clock.timers, 0);
  });

  it("waits two seconds for a reader that stopped", async () => {
    using stall = await stalled(0);
    const { clock, log } = stall;
    let isFlushed = false;
    const flushed = log.flush().then(() => isFlushed = true);
    await clock.pass(1999);
    assertEquals(isFlushed, false);
    await clock.pass(1);
    assertEquals(isFlushed, true);
    await flushed;
  });

  it("flushes twice at a time without two writes at a time", async () => {
    using stall = await stalled(0);
    const { output, log } = stall;
    addTo(log, 1);
    const flushes = [log.flush(), log.flush()];
    await output.end();
    assertEquals(output.take(), [LINE]);
    await output.end();
    await Promise.all(flushes);
    assertEquals(output.take(), []);
  });

  it("counts lines that the output lost", async () => {
    using stall = await stalled(0);
    const { clock, output, log } = stall;
    await output.end(1);
    await clock.pass(1000);
    // Nothing new, nothing to try.
    assertEquals(output.take(), []);
    addTo(log, 3);
    await clock.pass(0);
    assertEquals(output.take(), [leftOut("1 line") + LINE.repeat(3)]);
    // What came later is left out only if it is lost.
    addTo(log, 1);
    await output.end(2);
    await clock.pass(10);
    assertEquals(output.take(), [leftOut("2 lines") + LINE]);
    await output.end();
    addTo(log, 1);
    await clock.pass(10);
    assertEquals(output.take(), [LINE]);
    await output.end();
  });

  it("forgets no number whose line was lost, nor counts that line", async () => {
    using stall = await stalled(0);
    const { clock, output, log } = stall;
    await output.end(1);
    addTo(log, 2);
    await clock.pass(10);
    await output.end(3);
    addTo(log, 1);
    await clock.pass(10);
    assertEquals(output.take(), [
      leftOut("1 line") + LINE.repeat(2),
      leftOut("3 lines") + LINE,
    ]);
    await output.end(1);
    addTo(log, 1);
    await clock.pass(10);
    assertEquals(output.take(), [leftOut("1 line") + LINE]);
    await output.end();
  });

  it("tries a lost line that it owes again, in its place", async () => {
    using stall = await stalled(0);
    const { clock, output, log } = stall;
    addTo(log, 2);
    log.add(OWED_EVENT);
    addTo(log, 3);
    await output.end();
    await clock.pass(10);
    await output.end(5);
    addTo(log, 1);
    await clock.pass(10);
    const again = leftOut("1 line") + OWED + leftOut("3 lines") + LINE;
    assertEquals(output.take(), [
      LINE.repeat(2) + OWED + LINE.repeat(3),
      again,
    ]);
    await output.end(4);
    const flushed = log.flush();
    await nextTurn();
    assertEquals(output.take(), [
      leftOut("1 line") + OWED + leftOut("4 lines"),
    ]);
    await output.end();
    await flushed;
    await log.flush();
    assertEquals(output.take(), []);
  });

  it("on a flush tries what was lost once more, not for ever", async () => {
    using stall = await stalled(0);
    const { clock, output, log } = stall;
    await output.end();
    log.add(OWED_EVENT);
    const flushed = log.flush();
    await nextTurn();
    await output.end(1);
    await output.end(1);
    await flushed;
    await clock.pass(1000);
    assertEquals(output.take(), [OWED, OWED]);
    assertEquals(clock.timers, 0);
  });

  it("owes its first and its last lines", async () => {
    using stall = await stalled(1001);
    const { clock, output, log } = stall;
    addTo(log, 10_001);
    const stats = { accepted: 1, open: 0, closed: {}, bytes: 2 };
    log.add({ type: "listening", addr: ADDR, udp: false });
    log.add(OWED_EVENT);
    log.add({ type: "stopped", stats, durationMs: 3 });
    const flushed = log.flush();
    await clock.pass(1000);
    await output.end();
    assertEquals(output.take(), [
      leftOut("10,001 lines") +
      "Server listening on [::1]:7...\n" + OWED +
      "Served 1 connection, echoed 2 B in 3.0 ms\n",
    ]);
    await output.end();
    await flushed;
  });

  it("asks an output that failed no more", async () => {
    using stall = await stalled(0);
    const { clock, output, log } = stall;
    await output.end(1);
    log.add(OWED_EVENT);
    addTo(log, 2000);
    await clock.pass(10);
    output.take();
    await output.end(new Error("the reader is gone"));
    log.add(OWED_EVENT);
    await clock.pass(1000);
    await log.flush();
    assertEquals(output.take(), []);
    assertEquals(clock.timers, 0);
  });

  it("writes JSON with the time, or nothing at all", async () => {
    const json = sink();
    const none = sink();
    for (
      const log of [logTo(json, "json"), logTo(none, "none")]
    ) {
      log.add(OWED_EVENT);
      await log.flush();
    }
    const time = "2001-02-03T04:05:06.000Z";
    assertEquals(json.texts.map((text) => JSON.parse(text)), [
      { time, event: "shutdown", connections: 0 },
    ]);
    assertEquals(none.texts, []);
  });
});

describe("EventLog, of connections", () => {
  const remote = (port: number) => ({ ...ADDR, port });
  const opened = (port: number) =>
    ({ type: "open", remote: remote(port) }) as const;
  const closed = (
    port: number,
    more: Partial<CloseEvent> = {},
  ): CloseEvent => ({
    type: "close",
    ...{ remote: remote(port), bytes: 0, durationMs: 1, reason: "eof" },
    ...more,
  });
  const established = (port: number) =>
    `Connection established with [::1]:${port}\n`;
  const leftSilent = (count: string, port: number) =>
    `${count} opened and closed without a byte, the last from [::1]:${port}\n`;

  function start(style: LogStyle = "text") {
    const clock = stopClock();
    const { texts, write } = sink();
    return {
      clock,
      log: logTo({ write }, style),
      text: () => texts.join(""),
      [Symbol.dispose]: () => clock[Symbol.dispose](),
    };
  }

  it("tells those that leave at once without a byte in one line a burst", async () => {
    using it = start();
    for (let port = 1; port <= 1000; port++) {
      it.log.add(opened(port));
      const reason = port % 2 ? "eof" : "reset";
      it.log.add(closed(port, { reason }));
      await it.clock.pass(2);
    }
    await it.clock.pass(990);
    assertEquals(it.text(), "");
    await it.clock.pass(30);
    assertEquals(it.text(), leftSilent("1,000 connections", 1000));
    it.log.add(opened(5));
    it.log.add(closed(5));
    await it.clock.pass(1010);
    assertEquals(
      it.text(),
      leftSilent("1,000 connections", 1000) + leftSilent("1 connection", 5),
    );
    assertEquals(it.clock.timers, 0);
  });

  it("tells a burst that does not end every ten seconds", async () => {
    using it = start();
    for (let at = 0; at < 120; at++) {
      it.log.add(opened(1));
      it.log.add(closed(1));
      await it.clock.pass(100);
    }
    assertEquals(it.text().match(/ without a byte/g)?.length, 1);
  });

  it("tells one that moves a byte at once, in its order", async () => {
    using it = start();
    it.log.add(opened(1));
    it.log.add(opened(2));
    const preview = new TextEncoder().encode("hi");
    it.log.add({ type: "data", remote: remote(2), preview, bytes: 2, open: 1 });
    it.log.add(closed(2, { bytes: 2 }));
    await it.clock.pass(10);
    assertEquals(
      it.text(),
      established(2) + "Received: hi\n" +
        "Connection closed with [::1]:2: 2 B echoed in 1.0 ms\n",
    );
    await it.log.flush();
    assertEquals(it.text().endsWith(established(1)), true);
    assertEquals(it.clock.timers, 0);
  });

  it("tells one that stays silent after a second", async () => {
    using it = start();
    it.log.add(opened(1));
    await it.clock.pass(500);
    it.log.add(opened(2));
    await it.clock.pass(490);
    assertEquals(it.text(), "");
    await it.clock.pass(20);
    assertEquals(it.text(), established(1));
    it.log.add(closed(1, { durationMs: 1010 }));
    it.log.add(closed(2, { reason: "idle" }));
    await it.clock.pass(20);
    assertEquals(it.text().match(/^Connection/gm)?.length, 4);
    await it.clock.pass(1000);
    assertEquals(it.clock.timers, 0);
  });

  it("tells those that came before it shuts down before that", async () => {
    using it = start("json");
    it.log.add(opened(1));
    it.log.add(opened(2));
    it.log.add(closed(2));
    it.log.add(OWED_EVENT);
    await it.log.flush();
    const lines = it.text().trimEnd().split("\n").map((line) =>
      JSON.parse(line)
    );
    assertEquals(lines.map(({ event }) => event), [
      ...["open", "left_silent", "shutdown"],
    ]);
    assertEquals([lines[1].connections, lines[1].remote], [1, "[::1]:2"]);
  });
});
