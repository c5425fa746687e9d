import { assertEquals, assertRejects } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { stopClock } from "../testing/clock.ts";
import {
  type Answer,
  failure,
  PlayedClients,
  type ProbeCall,
} from "../testing/probe.ts";
import { ping, type PingEvent, type PingOptions } from "./ping.ts";

const HELLO = new TextEncoder().encode("hello");

/** Keeps events, and tells them in short. */
class Events {
  readonly all: PingEvent[] = [];

  get story(): string[] {
    return this.all.map((event) =>
      event.type === "lost" ? event.reason : event.type
    );
  }
}

/** Pings every 100 ms with played clients, on a clock that does not stand still. */
async function play(
  options: Partial<PingOptions>,
  answer: Answer = () => {},
) {
  using clock = stopClock();
  await clock.pass(1000);
  const startedAt = performance.now();
  const clients = new PlayedClients(answer);
  const events = new Events();
  const pinging = ping({
    connect: clients.connect,
    message: HELLO,
    intervalMs: 100,
    ...options,
    onEvent(event) {
      events.all.push(event);
      return options.onEvent?.(event);
    },
  });
  await clock.pass(60_000);
  const summary = await pinging;
  const sentAt = clients.of("echo").map(({ at }) => at - startedAt);
  const { sent, verified, lost } = summary;
  return { clients, events, summary, counts: [sent, verified, lost], sentAt };
}

/** Answers the echoes alone: those of some numbers fail. */
function losing(...lost: number[]): Answer {
  return ({ method, nth }) => {
    if (method === "echo" && lost.includes(nth)) throw failure("timeout");
  };
}

describe("ping()", () => {
  it("sends each message on the same connection, and sums up", async () => {
    const { clients, events, summary } = await play(
      { count: 3 },
      ({ method, nth }) => method === "connect" ? 7 : nth * 2,
    );
    assertEquals(clients.story, [
      ...["1 connect", "1 echo"],
      ...["1 expectSilence", "1 echo"],
      ...["1 expectSilence", "1 echo", "1 end", "1 close"],
    ]);
    const reply = { type: "reply", bytes: 5, connectMs: undefined } as const;
    assertEquals(events.all, [
      { type: "connected", connectMs: 7 },
      { ...reply, seq: 1, rttMs: 2 },
      { ...reply, seq: 2, rttMs: 4 },
      { ...reply, seq: 3, rttMs: 6 },
    ]);
    const { rttMs, ...rest } = summary;
    assertEquals(rest, {
      ...{ sent: 3, verified: 3, lost: 0 },
      ...{ longestOutageMs: 0, durationMs: 200 },
    });
    const { min, p50, max } = rttMs!;
    assertEquals([min, Math.round(p50), max], [2, 4, 6]);
  });

  it("makes a connection for each message with reconnect", async () => {
    const { clients, events } = await play(
      { count: 2, reconnect: true },
      ({ method, nth }) => method === "connect" ? nth : 5,
    );
    assertEquals(clients.story, [
      ...["1 connect", "1 echo", "1 end", "1 close"],
      ...["2 connect", "2 echo", "2 end", "2 close"],
    ]);
    const reply = { type: "reply", bytes: 5, rttMs: 5 } as const;
    assertEquals(events.all, [
      { ...reply, seq: 1, connectMs: 1 },
      { ...reply, seq: 2, connectMs: 2 },
    ]);
  });

  it("sends at regular times, from start to start", async () => {
    const { sentAt, summary } = await play({ count: 4 }, async ({ method }) => {
      if (method === "echo") await delay(30);
    });
    assertEquals(sentAt, [0, 100, 200, 300]);
    // No interval follows the last message.
    assertEquals(summary.durationMs, 330);
  });

  it("sends every second unless told otherwise", async () => {
    const { sentAt } = await play({ count: 3, intervalMs: undefined });
    assertEquals(sentAt, [0, 1000, 2000]);
  });

  it("leaves out the turns that a message covers", async () => {
    const { sentAt } = await play({ count: 5 }, async ({ method, nth }) => {
      if (method === "connect") await delay(110);
      if (method === "echo" && nth === 2) await delay(150);
      if (method === "echo" && nth === 4) await delay(200);
    });
    assertEquals(sentAt, [110, 200, 400, 500, 700]);
  });

  it("waits for nothing without an interval", async () => {
    using clock = stopClock();
    const clients = new PlayedClients();
    const { connect } = clients;
    const options = { connect, message: HELLO, count: 100, intervalMs: 0 };
    const { verified, durationMs } = await ping(options);
    assertEquals([verified, durationMs, clock.timers], [100, 0, 0]);
    const pinging = ping({
      ...options,
      count: 3,
      connect: async () => {
        await delay(10);
        return connect(0);
      },
    });
    await clock.pass(10);
    assertEquals((await pinging).durationMs, 10);
  });

  it("goes on until its signal is aborted, without a count", async () => {
    const stop = new AbortController();
    const { counts, summary } = await play({
      signal: stop.signal,
      onEvent(event) {
        if (event.type === "reply" && event.seq === 300) stop.abort();
      },
    });
    assertEquals(counts, [300, 300, 0]);
    assertEquals(summary.durationMs, 29_900);
  });

  it("tries again to connect for the first message only", async () => {
    const answer: Answer = ({ method, nth }) => {
      if (method === "connect" && nth <= 2) throw failure("refused");
    };
    const { clients, events } = await play({ count: 4, retryMs: 500 }, answer);
    assertEquals(clients.of("connect").map((call) => call.retryMs), [
      500,
      0,
      0,
    ]);
    assertEquals(events.story, [
      ...["refused", "refused", "connected", "reply", "reply"],
    ]);
    const withoutRetry = await play({ count: 1 }, answer);
    assertEquals(withoutRetry.clients.of("connect")[0]!.retryMs, 0);
  });

  it("waits until an event is taken before it goes on", async () => {
    const story: string[] = [];
    await play({
      count: 2,
      async onEvent({ type }) {
        story.push(`${type} ...`);
        await delay(10);
        story.push(type);
      },
    }, ({ method }) => void story.push(method));
    assertEquals(story, [
      ...[
        "connect",
        "connected ...",
        "connected",
        "echo",
        "reply ...",
        "reply",
      ],
      ...["expectSilence", "echo", "end", "reply ...", "reply", "close"],
    ]);
  });

  it("makes a new connection after each loss", async () => {
    const { clients, events, counts } = await play({ count: 4 }, losing(2, 3));
    assertEquals(clients.story, [
      ...["1 connect", "1 echo", "1 expectSilence", "1 echo", "1 close"],
      ...["2 connect", "2 echo", "2 close"],
      ...["3 connect", "3 echo", "3 end", "3 close"],
    ]);
    assertEquals(events.story, [
      ...["connected", "reply", "timeout"],
      ...["connected", "timeout"],
      ...["connected", "reply"],
    ]);
    const [lost] = events.all.filter((event) => event.type === "lost");
    assertEquals([lost!.seq, (lost!.error as Error).message], [2, "timeout"]);
    assertEquals(counts, [4, 2, 2]);
  });

  it("does not send after a second reply to the last message", async () => {
    const { clients, events, counts } = await play(
      { count: 3 },
      ({ method, nth }) => {
        if (method === "expectSilence" && nth === 1) throw failure("mismatch");
      },
    );
    assertEquals(clients.story, [
      ...["1 connect", "1 echo", "1 expectSilence", "1 close"],
      ...["2 connect", "2 echo", "2 end", "2 close"],
    ]);
    assertEquals(events.story, [
      ...["connected", "reply", "mismatch", "connected", "reply"],
    ]);
    assertEquals(counts, [3, 2, 1]);
  });

  it("takes bytes after a connection's last reply for a loss", async () => {
    const answer: Answer = ({ method }) => {
      if (method === "end") throw failure("mismatch");
    };
    const { clients, events, counts } = await play({ count: 2 }, answer);
    assertEquals(events.story, ["connected", "reply", "mismatch"]);
    assertEquals(counts, [2, 1, 1]);
    assertEquals(clients.of("close").length, 1);
    const anew = await play({ count: 2, reconnect: true }, answer);
    assertEquals(anew.events.story, ["mismatch", "mismatch"]);
    assertEquals(anew.clients.of("close").length, 2);
  });

  it("has no round trips to sum up when nothing came back", async () => {
    const { summary, counts } = await play({ count: 2 }, losing(1, 2));
    assertEquals(counts, [2, 0, 2]);
    assertEquals(summary.rttMs, undefined);
  });

  it("takes the longest of its outages", async () => {
    const slow = (answer: Answer): Answer => async (call) => {
      if (call.method === "echo") await delay(10);
      await answer(call);
    };
    for (
      const [lost, longestOutageMs] of [
        [[2], 110],
        [[2, 3, 4, 6], 310],
        [[2, 4, 5, 6, 8], 310],
        // The outage goes on when the last message is lost.
        [[2, 9, 10], 110],
      ] as const
    ) {
      const { summary } = await play({
        count: 10,
        async onEvent({ type }) {
          // Printing that a message came back is no part of the outage.
          if (type === "reply") await delay(20);
        },
      }, slow(losing(...lost)));
      assertEquals(summary.longestOutageMs, longestOutageMs, `${lost}`);
    }
  });

  it("counts the time to connect as a part of the outage", async () => {
    const { summary } = await play({ count: 3 }, async ({ method, nth }) => {
      if (method !== "connect") return;
      await delay(50);
      if (nth === 1) throw failure("refused");
    });
    assertEquals(summary.longestOutageMs, 150);
  });

  it("ends its last outage with its signal", async () => {
    const stop = new AbortController();
    const { summary } = await play(
      { signal: stop.signal },
      async ({ method, nth }) => {
        if (method !== "echo" || nth === 1) return;
        if (nth === 2) throw failure("timeout");
        await delay(50);
        stop.abort();
        throw stop.signal.reason;
      },
    );
    assertEquals([summary.sent, summary.longestOutageMs], [2, 150]);
  });
});

describe("ping() with a signal", () => {
  /** Pings until a call, in the midst of which the signal is aborted. */
  async function playUntil(
    method: ProbeCall["method"],
    nth: number,
    options: Partial<PingOptions> = {},
  ) {
    const stop = new AbortController();
    return await play({ ...options, signal: stop.signal }, async (call) => {
      if (call.method === "echo" && call.nth === 4) throw failure("reset");
      if (call.method !== method || call.nth !== nth) return;
      stop.abort();
      await delay(1);
      throw stop.signal.reason;
    });
  }

  it("does not count what the abort cut off", async () => {
    const connected = ["connected", "reply", "reply", "reply"];
    for (
      const [method, nth, story] of [
        ["connect", 1, []],
        ["echo", 1, ["connected"]],
        ["expectSilence", 2, ["connected", "reply", "reply"]],
        ["echo", 3, ["connected", "reply", "reply"]],
        ["connect", 2, [...connected, "reset"]],
      ] as const
    ) {
      const { clients, events, summary } = await playUntil(method, nth);
      assertEquals(events.story, [...story], `${method} ${nth}`);
      const lost = story.filter((what) => what === "reset").length;
      const verified = story.filter((what) => what === "reply").length;
      assertEquals(
        [summary.sent, summary.verified, summary.lost],
        [verified + lost, verified, lost],
      );
      const open = method === "connect" && nth === 1 ? 0 : 1;
      assertEquals(clients.of("close").length, open, `${method} ${nth}`);
    }
    const { counts, events } = await playUntil("end", 1, { count: 2 });
    assertEquals(events.story, ["connected", "reply"]);
    assertEquals(counts, [1, 1, 0]);
  });

  it("counts a reply that came all the same", async () => {
    const stop = new AbortController();
    const { clients, counts, events } = await play(
      { signal: stop.signal },
      ({ method }) => {
        if (method === "echo") stop.abort();
      },
    );
    assertEquals(events.story, ["connected", "reply"]);
    assertEquals(counts, [1, 1, 0]);
    assertEquals(clients.story, ["1 connect", "1 echo", "1 close"]);
  });

  it("does not wait for the next turn", async () => {
    for (const intervalMs of [Infinity, 1000]) {
      const stop = new AbortController();
      const { clients, counts, summary } = await play({
        ...{ intervalMs, signal: stop.signal },
        onEvent() {
          setTimeout(() => stop.abort(), 250);
        },
      });
      assertEquals(clients.story, ["1 connect", "1 echo", "1 close"]);
      assertEquals(counts, [1, 1, 0]);
      assertEquals(summary.durationMs, 250);
    }
  });

  it("sends nothing when it is aborted already", async () => {
    const { clients, counts } = await play({ signal: AbortSignal.abort() });
    assertEquals(clients.story, []);
    assertEquals(counts, [0, 0, 0]);
  });

  it("hangs up also when an event is not taken", async () => {
    const clients = new PlayedClients();
    const { connect } = clients;
    await assertRejects(
      () =>
        ping({
          ...{ connect, message: HELLO },
          onEvent({ type }) {
            if (type === "reply") throw new Error("no room");
          },
        }),
      Error,
      "no room",
    );
    assertEquals(clients.story, ["1 connect", "1 echo", "1 close"]);
  });
});
