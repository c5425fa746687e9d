import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { serve } from "../../server.ts";
import { recorder } from "../../testing/events.ts";
import { freePort } from "../../testing/peer.ts";
import { outcome, run, type RunOptions } from "../../testing/terminal.ts";

/** Longer before than a test may take. */
const NOW = Date.parse("2026-11-24T12:05:00Z");

const START_AT = "--start-at=2026-11-24T14:05:00Z";

const START = Date.parse("2026-11-24T14:05:00Z");

/** A clock that a test sets. It may be set back, too. */
class SetClock {
  #now = NOW;

  /** The time of day. */
  readonly now = (): Date => new Date(this.#now);

  /** Sets it. */
  set(ms: number): void {
    this.#now = ms;
  }
}

/** Starts a load of two connections that begins at 14:05. */
function start(port: number, args: string[], options?: RunOptions) {
  return run(
    ["load", `-p${port}`, "-C2", "-d50ms", START_AT, ...args],
    options,
  );
}

describe("echo send --start-at", () => {
  it("is connected before, and sends nothing before", async () => {
    for (const udp of [false, true]) {
      const clock = new SetClock();
      await using server = serve({ port: 0, udp });
      const session = start(
        server.addr.port,
        ["--json", ...(udp ? ["--udp"] : [])],
        { now: clock.now, isTerminal: "stderr" },
      );
      await session.untilStderr(
        /ready with 2 connections, the load begins in 2h/,
      );
      assertEquals(server.stats().open, udp ? 0 : 2);
      assertEquals(server.stats().bytes, 0);
      clock.set(START - 1500);
      await session.untilStderr(/, the load begins in 2s/);
      assertEquals(server.stats().bytes, 0);
      clock.set(START + 3);
      assertEquals(await session.status, 0);
      const { start: began, messages } = JSON.parse(session.stdout);
      // When it began in truth.
      assertEquals(began, "2026-11-24T14:05:00.003Z");
      assert(messages > 0);
    }
  });

  it("refuses what is past, and opens nothing", async () => {
    const { events, onEvent } = recorder();
    await using server = serve({ port: 0, onEvent });
    for (
      const [ms, past] of [[0, "0.00 ms"], [90_000, "1m 30s"]] as const
    ) {
      const now = () => new Date(START + ms);
      assertEquals(await outcome(start(server.addr.port, [], { now })), {
        ...{ status: 2, stdout: "" },
        stderr: `echo: --start-at 2026-11-24T14:05:00.000Z was ${past} ago\n`,
      });
    }
    assertEquals(events, []);
  });

  it("begins late where it was connected late, and says so", async () => {
    const port = freePort();
    const clock = new SetClock();
    const session = start(port, ["--retry=1m", "--json"], { now: clock.now });
    // The first attempt, at least, is refused.
    await delay(50);
    clock.set(START + 2000);
    await using _ = serve({ port });
    assertEquals(await session.status, 0);
    assertEquals(
      session.stderr,
      "echo: the load begins 2.00 s after --start-at: its connections were " +
        "not open before\n",
    );
    assertEquals(JSON.parse(session.stdout).start, "2026-11-24T14:05:02.000Z");
  });

  it("tells at once that no server is there", async () => {
    const port = freePort();
    const now = () => new Date(NOW);
    const { status, stderr } = await outcome(start(port, [], { now }));
    assertEquals(status, 1);
    assertMatch(stderr, /^echo: Cannot connect to .*: connection refused/);
  });

  it("ends at Ctrl-C while it waits", async () => {
    await using server = serve({ port: 0 });
    const options: RunOptions = {
      ...{ now: () => new Date(NOW), isTerminal: "stderr" },
    };
    for (const json of [false, true]) {
      const args = json ? ["--json"] : [];
      const session = start(server.addr.port, args, options);
      await session.untilStderr(/the load begins in/);
      session.interrupt();
      assertEquals(await session.status, 1);
      if (json) {
        const { start, client_limit, timeline, messages, duration_ms } = JSON
          .parse(session.stdout);
        assertEquals(
          { start, client_limit, timeline, messages, duration_ms },
          {
            ...{ start: null, client_limit: null, timeline: [] },
            ...{ messages: 0, duration_ms: 0 },
          },
        );
      } else {
        assertMatch(
          session.stdout,
          /^--- .* echo load ---\nstopped before the load began: no message was sent\n$/,
        );
      }
    }
    assertEquals(server.stats().bytes, 0);
  });
});
