import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { stopClock } from "../testing/clock.ts";
import { StatusLine } from "./status_line.ts";
import { processTerminal, type Terminal } from "./terminal.ts";

/** A terminal, or none, that keeps what is written to it, piece by piece. */
function testTerminal(isStderrTerminal: boolean, stderrColumns = 80) {
  const written: string[] = [];
  const terminal: Terminal = {
    ...processTerminal(),
    ...{ isStderrTerminal, stderrColumns, columns: 200 },
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
      assertEquals(written, ["\rnumber 1", "\rnumber 2"]);
    }
    assertEquals(written.splice(2), ["\r        ", "\r"]);
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
      ["\rbefore", "\rafter ", "\rafter"],
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
      [3, 5, 8, 10].map((number) => `\rnumber ${number}`),
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
    assertEquals(written, ["\r012345678"]);
  });

  it("writes nothing that does not fit, however narrow a terminal is", async () => {
    for (const columns of [1, 2, 3]) {
      using clock = stopClock();
      const { terminal, written } = testTerminal(true, columns);
      {
        await using line = new StatusLine(terminal);
        line.show(() => "0123456789abc");
        clock.passAtOnce(500);
      }
      const widths = written.map((text) => text.length - 1);
      assertEquals(widths, [columns - 1, columns - 1, columns - 1, 0]);
    }
  });
});
