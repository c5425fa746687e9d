import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { stopClock } from "../testing/clock.ts";
import { StatusLine } from "./status_line.ts";
import { processTerminal, type Terminal } from "./terminal.ts";

/** A terminal, or none, that keeps what is written to it, piece by piece. */
function testTerminal(isStderrTerminal: boolean, columns = 80) {
  const written: string[] = [];
  const terminal: Terminal = {
    ...processTerminal(),
    ...{ isStderrTerminal, columns },
    stdout: { write: () => Promise.reject(new Error("not to stdout")) },
    stderr: {
      write(p) {
        written.push(new TextDecoder().decode(p));
        return Promise.resolve(p.length);
      },
    },
  };
  return { terminal, written };
}

const WIPED = "\r\x1b[K";

describe("StatusLine", () => {
  it("shows the text of the moment, and wipes it out", async () => {
    using clock = stopClock();
    const { terminal, written } = testTerminal(true);
    {
      await using line = new StatusLine(terminal);
      let number = 1;
      line.show(() => `number ${number++}`);
      assertEquals(written, []);
      clock.passAtOnce(500);
      assertEquals(written, ["\rnumber 1\x1b[K", "\rnumber 2\x1b[K"]);
    }
    assertEquals(written.splice(2), [WIPED]);
    assertEquals(clock.timers, 0);
  });

  it("replaces what it showed before", async () => {
    using clock = stopClock();
    const { terminal, written } = testTerminal(true);
    await using line = new StatusLine(terminal);
    line.show(() => "before");
    clock.passAtOnce(250);
    line.show(() => "after");
    clock.passAtOnce(500);
    assertEquals(
      written,
      ["before", "after", "after"].map((text) => `\r${text}\x1b[K`),
    );
    assertEquals(clock.timers, 1);
  });

  it("shows what is replaced sooner than it is written", async () => {
    using clock = stopClock();
    const { terminal, written } = testTerminal(true);
    await using line = new StatusLine(terminal);
    for (let number = 1; number <= 10; number++) {
      line.show(() => `number ${number}`);
      clock.passAtOnce(100);
    }
    assertEquals(
      written,
      [3, 5, 8, 10].map((number) => `\rnumber ${number}\x1b[K`),
    );
  });

  it("shows nothing where stderr is no terminal", async () => {
    using clock = stopClock();
    const { terminal, written } = testTerminal(false);
    {
      await using line = new StatusLine(terminal);
      line.show(() => "text");
      assertEquals(clock.timers, 0);
      clock.passAtOnce(1000);
    }
    assertEquals(written, []);
  });

  it("wipes nothing out where it never showed", async () => {
    const { terminal, written } = testTerminal(true);
    await new StatusLine(terminal)[Symbol.asyncDispose]();
    assertEquals(written, []);
  });

  it("leaves the last column free", async () => {
    using clock = stopClock();
    const { terminal, written } = testTerminal(true, 10);
    await using line = new StatusLine(terminal);
    line.show(() => "0123456789abc");
    clock.passAtOnce(250);
    assertEquals(written, ["\r012345678\x1b[K"]);
  });
});
