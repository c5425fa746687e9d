import { assert, assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import type { Writer } from "../../net/streams.ts";
import { EventLog } from "./log.ts";
import { renderText } from "./log_lines.ts";

const EVENT = { type: "shutdown", open: 0, drainTimeoutMs: 0 } as const;
const LINE = "Shutting down\n";

function textLog(writer: Writer): EventLog {
  return new EventLog(writer, "text", () => new Date());
}

/** A writer that holds each write until it is let go. */
function gate() {
  const texts: string[] = [];
  const waiting: (() => void)[] = [];
  return {
    texts,
    async started(writes: number): Promise<void> {
      while (texts.length < writes) await delay(0);
    },
    release: () => waiting.shift()!(),
    write(p: Uint8Array): Promise<number> {
      texts.push(new TextDecoder().decode(p));
      return new Promise((resolve) => waiting.push(() => resolve(p.length)));
    },
  };
}

describe("EventLog", () => {
  it("writes lines that come together in one write", async () => {
    const texts: string[] = [];
    const log = textLog({
      write: (p) => Promise.resolve(texts.push(`${p.length}`) && p.length),
    });
    for (let event = 0; event < 3; event++) log.add(EVENT);
    await log.flush();
    await log.flush();
    assertEquals(texts, [`${3 * LINE.length}`]);
  });

  it("leaves lines out when the reader is slow, and says how many", async () => {
    const writer = gate();
    const log = textLog(writer);
    log.add(EVENT);
    const flushed = log.flush();
    await writer.started(1);
    for (let line = 0; line < 12_345; line++) log.add(EVENT);
    writer.release();
    await writer.started(2);
    writer.release();
    await flushed;
    assertEquals(writer.texts, [
      LINE,
      LINE.repeat(10_000) +
      "2,345 lines left out: the reader of this log is too slow\n",
    ]);
  });

  it("does not wait for ever for a reader that stopped", async () => {
    const log = textLog(gate());
    log.add(EVENT);
    await log.flush();
  });

  it("asks a writer that failed no more", async () => {
    let writes = 0;
    const log = textLog({
      write: () => Promise.reject(new Error(`${++writes}`)),
    });
    for (let turn = 0; turn < 3; turn++) {
      log.add(EVENT);
      await log.flush();
    }
    assertEquals(writes, 1);
  });
});

describe("renderText()", () => {
  const remote: Deno.NetAddr = {
    transport: "tcp",
    hostname: "::1",
    port: 50712,
  };

  it("says why a connection ended when its client did not end it", () => {
    const close = { type: "close", remote, bytes: 0, durationMs: 2 } as const;
    assertEquals(
      renderText({ ...close, reason: "shutdown" }),
      "Connection closed with [::1]:50712: 0 B echoed in 2.0 ms (shutdown)",
    );
    const error = new Deno.errors.ConnectionReset("x (os error 104)");
    assert(
      renderText({ ...close, reason: "reset", error })
        .endsWith("(connection reset by peer)"),
    );
  });

  it("says that it goes on after a failed accept", () => {
    assertEquals(
      renderText({ type: "error", error: new Error("Cannot accept: full") }),
      "Cannot accept: full, trying again",
    );
  });

  it("counts the lines that are left out", () => {
    assertEquals(
      renderText({ type: "left_out", lines: 1234 }),
      "1,234 lines left out: the reader of this log is too slow",
    );
  });
});
