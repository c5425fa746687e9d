import { assertEquals, assertObjectMatch, assertRejects } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import {
  type Answer,
  failure,
  mismatch,
  PlayedClients,
  playPing,
} from "../testing/probe.ts";
import { LOCAL, REMOTE } from "../testing/socket.ts";
import { noIrregularities } from "./irregularities.ts";
import { ping } from "./ping.ts";

const HELLO = new TextEncoder().encode("hello");

/** The ends of a played client. */
function endsOf(client: number) {
  return { local: { ...LOCAL, port: 50_000 + client }, remote: REMOTE };
}

/** Answers the echoes alone: those of some numbers fail. */
function losing(...lost: number[]): Answer {
  return ({ method, nth }) => {
    if (method === "echo" && lost.includes(nth)) throw failure("timeout");
  };
}

/** Leaves the looks for a second reply out of a story. */
function withoutLooks(story: string[]): string[] {
  return story.filter((call) => !call.endsWith("expectSilence"));
}

describe("ping()", () => {
  it("sends each message on the same connection, and sums up", async () => {
    const { clients, events, summary, timers } = await playPing(
      { count: 3 },
      ({ method, nth }) => method === "connect" ? 7 : nth * nth,
    );
    assertEquals(clients.story, [
      ...["1 connect", "1 echo"],
      ...["1 expectSilence", "1 echo"],
      ...["1 expectSilence", "1 echo", "1 end"],
    ]);
    const ends = endsOf(1);
    const reply = { type: "reply", bytes: 5, ends } as const;
    const alone = { connectMs: undefined, endMs: undefined };
    assertEquals(events, [
      { type: "connected", connectMs: 7, ends },
      { ...reply, ...alone, seq: 1, rttMs: 1 },
      { ...reply, ...alone, seq: 2, rttMs: 4 },
      { ...reply, ...alone, seq: 3, rttMs: 9 },
    ]);
    const { latencyMs: rttMs, lateMs, ...rest } = summary;
    assertObjectMatch(rest, {
      ...{ sent: 3, messages: 3, failed: 0, failures: {}, underWay: 0 },
      ...{ unsent: 0, tooLate: 0, surplus: 0, connected: 1, open: 0 },
      outages: { count: 0, longestMs: 0, latest: [] },
      irregular: noIrregularities(),
      // The differences are 3 and 5.
      ...{ durationMs: 200, jitterMs: 4, ends },
    });
    assertEquals([rttMs!.min, rttMs!.p50, rttMs!.max], [1, 4, 9]);
    assertEquals([lateMs!.min, lateMs!.max, timers], [0, 0, 0]);
  });

  it("sends numbered messages, or the given one as it is", async () => {
    const { clients } = await playPing({ count: 2, message: 64 });
    const texts = clients.of("echo").map(({ message }) =>
      new TextDecoder().decode(message).slice(18, 57)
    );
    assertEquals(texts, [
      "connection 0000001 message 000000000001",
      "connection 0000001 message 000000000002",
    ]);
    const given = await playPing({ count: 2 });
    const sent = given.clients.of("echo").map(({ message }) => message);
    assertEquals(sent, [HELLO, HELLO]);
  });

  it("makes a connection for each message with reconnect", async () => {
    const { clients, events } = await playPing(
      { count: 2, reconnect: true },
      async ({ method, nth }) => {
        if (method === "end") await delay(3);
        return method === "connect" ? nth : 5;
      },
    );
    assertEquals(clients.story, [
      ...["1 connect", "1 echo", "1 end"],
      ...["2 connect", "2 echo", "2 end"],
    ]);
    const reply = { type: "reply", bytes: 5, rttMs: 5, endMs: 3 } as const;
    assertEquals(events, [
      { ...reply, seq: 1, connectMs: 1, ends: endsOf(1) },
      { ...reply, seq: 2, connectMs: 2, ends: endsOf(2) },
    ]);
  });

  it("sends at regular times, from start to start", async () => {
    const { sentAt, summary } = await playPing(
      { count: 4 },
      async ({ method }) => {
        if (method === "connect") await delay(50);
        if (method === "echo") await delay(30);
      },
    );
    // The times begin when the first connection is there.
    assertEquals(sentAt, [50, 150, 250, 350]);
    // No interval follows the last message.
    assertEquals(summary.durationMs, 330);
  });

  it("sends every second unless told otherwise", async () => {
    const { sentAt } = await playPing({ count: 3, intervalMs: undefined });
    assertEquals(sentAt, [0, 1000, 2000]);
  });

  it("sends on time, whatever is under way", async () => {
    const { sentAt, story, clients } = await playPing(
      { count: 5 },
      async ({ method, nth }) => {
        if (method === "echo" && nth === 2) await delay(250);
        if (method === "connect") await delay(10);
      },
    );
    assertEquals(sentAt, [10, 110, 210, 310, 410]);
    assertEquals(story, ["connected", ...Array(5).fill("reply")]);
    assertEquals(clients.of("connect").length, 1);
    // No look for a second reply while a first one is to come.
    assertEquals(clients.of("expectSilence").map(({ at }) => at), [1108, 1408]);
  });

  it("sends no more than 16 MiB at once, and tells of the rest", async () => {
    const { summary, counts, sentAt } = await playPing(
      { count: 5, message: 8 * 1024 * 1024 },
      async ({ method }) => {
        if (method === "echo") await delay(350);
      },
    );
    assertEquals(sentAt, [0, 100, 400]);
    assertEquals([counts, summary.unsent], [[3, 3, 0], 2]);
  });

  it("sends one after another without an interval", async () => {
    const { sentAt, summary, story } = await playPing(
      { count: 4, intervalMs: 0 },
      async ({ method, nth }) => {
        if (method === "echo") await delay(nth * 10);
        if (method === "echo" && nth === 2) throw failure("reset");
      },
    );
    assertEquals(sentAt, [0, 10, 30, 60]);
    assertEquals([summary.durationMs, summary.lateMs], [100, undefined]);
    assertEquals(story, [
      ...["connected", "reply", "reset", "connected", "reply", "reply"],
    ]);
  });

  it("waits for nothing else without an interval", async () => {
    const { counts, summary } = await playPing({ count: 100, intervalMs: 0 });
    assertEquals([counts, summary.durationMs], [[100, 100, 0], 0]);
  });

  it("sends nothing if that is all it is asked to", async () => {
    const { clients, counts } = await playPing({ count: 0 });
    assertEquals([clients.story, counts], [[], [0, 0, 0]]);
  });

  it("tries again to connect for the first message only", async () => {
    const answer: Answer = ({ method, nth }) => {
      if (method === "connect" && nth <= 2) throw failure("refused");
    };
    const retries = (clients: PlayedClients) =>
      clients.of("connect").map(({ retryMs }) => retryMs);
    for (const reconnect of [false, true]) {
      const options = { count: 4, retryMs: 500, reconnect };
      const { clients, story, counts } = await playPing(options, answer);
      assertEquals(retries(clients).slice(0, 3), [500, 0, 0]);
      assertEquals(story.slice(0, 2), ["refused", "refused"]);
      assertEquals(counts, [4, 2, 2]);
    }
    const { clients } = await playPing({ count: 1 }, answer);
    assertEquals(retries(clients), [0]);
  });

  it("uses the connection that it tried to make with reconnect", async () => {
    const { clients } = await playPing({
      ...{ count: 2, retryMs: 500, reconnect: true },
    });
    assertEquals(clients.story, [
      ...["1 connect", "1 echo", "1 end", "2 connect", "2 echo", "2 end"],
    ]);
  });

  it("tells one event after another", async () => {
    const told: string[] = [];
    await playPing({
      count: 2,
      intervalMs: 10,
      async onEvent({ type }) {
        told.push(`${type} ...`);
        await delay(25);
        told.push(type);
      },
    });
    assertEquals(told, [
      ...["connected ...", "connected"],
      ...["reply ...", "reply", "reply ...", "reply"],
    ]);
  });

  it("counts a message as under way until its event is taken", async () => {
    let underWay: number | undefined;
    const { sentAt } = await playPing({
      ...{ count: 2, intervalMs: 0 },
      onTally: (tally) => {
        setTimeout(() => underWay = tally.summary().sent, 40);
      },
      async onEvent({ type }) {
        if (type === "reply") await delay(50);
      },
    });
    assertEquals([sentAt, underWay], [[0, 50], 1]);
  });

  it("sums up at any time", async () => {
    const counts: number[][] = [];
    await playPing({
      count: 4,
      onTally: (tally) => {
        setTimeout(() => {
          const { sent, messages, failed, underWay, outages } = tally.summary();
          counts.push([sent, messages, failed, underWay, outages.longestMs]);
        }, 250);
      },
    }, async ({ method, nth }) => {
      if (method !== "echo") return;
      if (nth === 2) throw failure("timeout");
      if (nth === 3) await delay(80);
    });
    assertEquals(counts, [[3, 1, 1, 1, 150]]);
  });

  it("makes a new connection after each loss", async () => {
    const { clients, events, counts, story } = await playPing(
      { count: 4 },
      losing(2, 3),
    );
    assertEquals(withoutLooks(clients.story), [
      ...["1 connect", "1 echo", "1 echo"],
      ...["2 connect", "2 echo", "3 connect", "3 echo", "3 end"],
    ]);
    assertEquals(story, [
      ...["connected", "reply", "timeout"],
      ...["connected", "timeout", "connected", "reply"],
    ]);
    const [lost] = events.filter((event) => event.type === "lost");
    assertEquals([lost!.seq, lost!.detail, lost!.ends], [
      ...[2, "timeout", endsOf(1)],
    ]);
    assertEquals(counts, [4, 2, 2]);
  });

  it("counts the wait for a connection that another asked for", async () => {
    const { events } = await playPing(
      { count: 3 },
      async ({ method, nth }) => {
        if (method === "echo" && nth === 1) throw failure("reset");
        if (method === "connect" && nth === 2) await delay(150);
      },
    );
    const rtts = events.filter((event) => event.type === "reply");
    // The second message asked for it at 100, the third waited from 200 to 250.
    assertEquals(rtts.map(({ seq, rttMs }) => [seq, rttMs]), [[2, 1], [3, 51]]);
  });

  it("does not send after a second reply to the last message", async () => {
    const { clients, story, counts } = await playPing(
      { count: 3 },
      ({ method, nth }) => {
        if (method === "expectSilence" && nth === 1) throw failure("mismatch");
      },
    );
    assertEquals(clients.story, [
      ...["1 connect", "1 echo", "1 expectSilence"],
      ...["2 connect", "2 echo", "2 end"],
    ]);
    assertEquals(story, [
      ...["connected", "reply", "mismatch", "connected", "reply"],
    ]);
    assertEquals(counts, [3, 2, 1]);
  });

  it("names the message whose reply came again", async () => {
    const sent: Uint8Array[] = [];
    const answer: Answer = ({ method, message, nth }) => {
      if (message) sent.push(message);
      const [first, second] = sent;
      if (method === "echo" && nth === 2) throw mismatch(second!, first!);
    };
    for (const intervalMs of [0, 100]) {
      sent.length = 0;
      const options = { count: 3, message: 64, intervalMs };
      const { events } = await playPing(options, answer);
      const [lost] = events.filter((event) => event.type === "lost");
      assertEquals(lost!.seq, 2);
      assertEquals(lost!.detail, "the reply to message 1 came again");
    }
  });

  it("tells of bytes after the last reply", async () => {
    const sent: Uint8Array[] = [];
    const answer: Answer = ({ method, message }) => {
      if (message) sent.push(message);
      if (method !== "end") return;
      const last = sent.at(-1)!;
      throw mismatch(last, new Uint8Array([...last, ...last]));
    };
    const { events, counts, summary, story } = await playPing(
      { count: 2, message: 64 },
      answer,
    );
    assertEquals(story, ["connected", "reply", "reply", "surplus"]);
    assertEquals([counts, summary.surplus], [[2, 2, 0], 1]);
    const [surplus] = events.filter((event) => event.type === "surplus");
    assertEquals(surplus!.detail, "the reply to message 2 came again");
    assertEquals(surplus!.ends, endsOf(1));
    const options = { count: 2, message: 64, reconnect: true };
    const anew = await playPing(options, answer);
    assertEquals(anew.story, ["mismatch", "mismatch"]);
    assertEquals([anew.counts, anew.summary.surplus], [[2, 0, 2], 0]);
  });

  it("does not mind how the last connection ends", async () => {
    const { story, summary } = await playPing({ count: 1 }, ({ method }) => {
      if (method === "end") throw failure("reset");
    });
    assertEquals([story, summary.surplus], [["connected", "reply"], 0]);
  });

  it("has no round trips to sum up when nothing came back", async () => {
    const { summary, counts } = await playPing({ count: 2 }, losing(1, 2));
    assertEquals(counts, [2, 0, 2]);
    assertEquals([summary.latencyMs, summary.jitterMs], [undefined, undefined]);
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
    assertEquals(clients.of("echo").length, 1);
    assertEquals(clients.story.at(-1), "1 end");
  });
});
