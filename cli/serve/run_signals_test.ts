import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { serve } from "../../server.ts";
import { type FakeClock, stopClock } from "../../testing/clock.ts";
import { replace } from "../../testing/replace.ts";
import { run, type Session } from "../../testing/terminal.ts";
import { roundTrip } from "../../testing/visitor.ts";
import { processTerminal, type Terminal } from "../terminal.ts";
import { runServe } from "./run.ts";

/**
 * Starts to serve, presses Ctrl-C at once, and checks in the end that no signal is
 * listened for any more.
 */
function interrupted(port: number, { times = 1, workers = 1 } = {}) {
  const listeners = new Set<() => void>();
  const written = { stdout: "" };
  const terminal: Terminal = {
    ...processTerminal(),
    stdout: {
      write(p) {
        written.stdout += new TextDecoder().decode(p);
        return Promise.resolve(p.length);
      },
    },
    onStopSignal(listener) {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
  };
  const options = {
    serve: { port, drainTimeoutMs: 0 },
    ...{ workers, log: "text" } as const,
  };
  const status = runServe(options, terminal)
    .finally(() => assertEquals(listeners.size, 0));
  for (let time = 0; time < times; time++) {
    listeners.forEach((listener) => listener());
  }
  return { status, written };
}

/** Lets time pass until something is so. */
async function passUntil(clock: FakeClock, isSo: () => boolean): Promise<void> {
  while (!isSo()) await clock.pass(1);
}

/** Lets time pass until a server listens, and tells its port. */
async function untilListening(
  clock: FakeClock,
  session: Session,
): Promise<number> {
  await passUntil(clock, () => session.stdout.includes("\n"));
  const [, port] = await session.untilStdout(/127\.0\.0\.1:(\d+)/);
  return Number(port);
}

describe("echo serve, on Ctrl-C", () => {
  it("lets connections finish for --drain-timeout, then closes them", async () => {
    using clock = stopClock();
    await clock.pass(60_000);
    const session = run(["serve", "-p0", "--drain-timeout", "20s"]);
    const port = await untilListening(clock, session);
    using conn = await Deno.connect({ port });
    await passUntil(clock, () => session.stdout.includes("established"));
    session.interrupt();
    await clock.pass(19_999);
    assertMatch(
      session.stdout,
      /^Shutting down: 1 connection open, waiting up to 20s \(Ctrl-C again to stop now\)$/m,
    );
    await roundTrip(conn);
    await clock.pass(1);
    assertEquals(await conn.read(new Uint8Array(1)), null);
    assertEquals(await session.status, 0);
    assertMatch(session.stdout, /^Connection closed with .* \(shutdown\)$/m);
    const served = /\nServed 1 connection, echoed 5 B in 21\.\d\d s\n$/;
    assertMatch(session.stdout, served);
  });

  it("stops at once on the second one", async () => {
    using clock = stopClock();
    const session = run(["serve", "-p0", "--drain-timeout", "1h"]);
    const port = await untilListening(clock, session);
    using conn = await Deno.connect({ port });
    await passUntil(clock, () => session.stdout.includes("established"));
    session.interrupt();
    await passUntil(clock, () => session.stdout.includes("Shutting down"));
    session.interrupt();
    assertEquals(await session.status, 130);
    assertEquals(await conn.read(new Uint8Array(1)), null);
    assertEquals(session.stdout.match(/^Shutting down/gm)?.length, 1);
    assertMatch(session.stdout, /^Connection closed with .* \(shutdown\)$/m);
    assertMatch(session.stdout, /\nServed 1 connection, echoed 0 B in .*\n$/);
  });

  it("gives a log that stalls 50 ms after the second one", async () => {
    using clock = stopClock();
    let isStalled = false;
    const stdout = {
      write() {
        isStalled = true;
        return new Promise<number>(() => {});
      },
    };
    const session = run(["serve", "-p0"], { stdout });
    let status: number | undefined;
    session.status.then((known) => status = known);
    await passUntil(clock, () => isStalled);
    session.interrupt();
    session.interrupt();
    await clock.pass(49);
    assertEquals(status, undefined);
    // A flush of the log would take a second, which this clock does not make pass.
    await clock.pass(1);
    assertEquals(status, 130);
  });

  it("ends in good order, however soon it comes", async () => {
    const { status, written } = interrupted(0);
    assertEquals(await status, 0);
    assertMatch(
      written.stdout,
      /^Server listening on .*\nShutting down\nServed 0 connections, .*\n$/,
    );
  });

  it("stops at once on the second one, though its threads do not start", async () => {
    class Stuck {
      postMessage() {}
      terminate() {}
    }
    using _ = replace(globalThis, "Worker", Stuck as unknown as typeof Worker);
    const { status, written } = interrupted(0, { times: 2, workers: 2 });
    assertEquals([await status, written.stdout], [130, ""]);
  });

  it("says all the same why it cannot listen", async () => {
    await using server = serve({ port: 0 });
    const { status, written } = interrupted(server.addr.port);
    await assertRejects(() => status, Deno.errors.AddrInUse);
    assertEquals(written.stdout, "");
  });

  // With the real clock, so that a timer left behind shows.
  it("leaves nothing behind on the second one", async () => {
    const session = run(["serve", "-p0", "--drain-timeout", "1h"]);
    const [, port] = await session.untilStdout(/127\.0\.0\.1:(\d+)/);
    using _conn = await Deno.connect({ port: Number(port) });
    await session.untilStdout(/established/);
    session.interrupt();
    await session.untilStdout(/Shutting down/);
    session.interrupt();
    assertEquals(await session.status, 130);
  });
});
