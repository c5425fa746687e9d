import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { stopClock } from "../testing/clock.ts";
import { type Answer, failure, PlayedClients } from "../testing/probe.ts";
import { LOCAL, REMOTE } from "../testing/socket.ts";
import { endsOf, Link, type LinkOptions } from "./link.ts";
import { Messages } from "./messages.ts";
import type { ConnectProbeOptions, ProbeClient } from "./probe_client.ts";

/** Makes a link of played clients. */
function play(answer?: Answer, options: Partial<LinkOptions> = {}) {
  const clients = new PlayedClients(answer);
  const giveUp = new AbortController();
  const connected: ProbeClient[] = [];
  const link = new Link({
    ...{ connect: clients.connect, messages: new Messages(64) },
    ...{ giveUp: giveUp.signal, pauseMs: 0 },
    onConnected: (client) => connected.push(client),
    onIrregular() {},
    ...options,
  });
  return { link, clients, giveUp, connected };
}

describe("Link", () => {
  it("connects when it is asked to", async () => {
    const { link, clients, connected } = play();
    assertEquals([link.open, link.isConnecting], [undefined, false]);
    const connecting = link.connect(500);
    assertEquals([link.open, link.isConnecting], [undefined, true]);
    const connection = await connecting;
    assertStrictEquals(link.open, connection);
    assertEquals(link.isConnecting, false);
    assertEquals(clients.calls.map(({ retryMs }) => retryMs), [500]);
    assertEquals(connected, [connection.client]);
  });

  it("makes one connection for all who ask meanwhile", async () => {
    const { link, clients } = play();
    const all = await Promise.all([link.connect(), link.connect(7)]);
    assertStrictEquals(all[0], all[1]);
    assertEquals(clients.story, ["1 connect"]);
    assertEquals(clients.calls[0]!.retryMs, 0);
  });

  it("tells all who asked that connecting failed", async () => {
    const { link, clients, connected } = play(({ nth }) => {
      if (nth === 1) throw failure("refused");
    });
    const asking = [link.connect(), link.connect()];
    for (const one of asking) await assertRejects(() => one, Error, "refused");
    assertEquals([link.open, link.isConnecting], [undefined, false]);
    assertEquals(connected, []);
    await link.connect();
    assertEquals(clients.of("connect").length, 2);
  });

  it("numbers the messages of each connection anew", async () => {
    const { link } = play();
    for (const connection of [1, 2]) {
      const { messages } = await link.connect();
      const text = new TextDecoder().decode(messages.take(9));
      assertEquals(text.includes(`connection 000000${connection} m`), true);
      link.drop(link.open);
    }
  });

  it("gives up only the connection that is there", async () => {
    const { link } = play();
    const first = await link.connect();
    link.drop(first);
    assertEquals(link.open, undefined);
    const second = await link.connect();
    // A message of the first connection fails, or one that had none.
    link.drop(first);
    link.drop(undefined);
    assertStrictEquals(link.open, second);
  });

  it("calls an undamaged reply late that its client does not remember", async () => {
    const told: unknown[] = [];
    let tell: ConnectProbeOptions["onIrregular"];
    const { link } = play(undefined, {
      connect(options) {
        tell = options.onIrregular;
        return new PlayedClients().connect(options);
      },
      onIrregular: ({ kind }, number) => told.push([kind, number]),
    });
    const { messages } = await link.connect();
    const reply = messages.take(50).slice();
    messages.take(2000);
    tell!({ kind: "corrupt", reply });
    tell!({ kind: "duplicated", reply });
    tell!({ kind: "corrupt", reply: reply.with(56, 0x37) });
    assertEquals(told, [
      ...[["late", 50], ["duplicated", 50], ["corrupt", undefined]],
    ]);
  });

  it("makes a pause after an attempt that failed, and no other", async () => {
    using clock = stopClock();
    const { link, giveUp } = play(({ nth }) => {
      if (nth > 1) throw failure("refused");
    }, { pauseMs: 100 });
    const startedAt = performance.now();
    await link.pause();
    link.drop(await link.connect());
    // What was made once is made again at once.
    await link.pause();
    await assertRejects(() => link.connect());
    await clock.pass(30);
    const pausing = link.pause();
    await clock.pass(70);
    await pausing;
    assertEquals(performance.now() - startedAt, 100);
    await assertRejects(() => link.connect());
    const givenUp = link.pause();
    giveUp.abort(new Error("enough"));
    await givenUp;
    assertEquals(clock.timers, 0);
  });

  it("tells why the last attempt failed when it is given up", async () => {
    const failures = [failure("dns"), failure("refused")];
    const { link, giveUp } = play(undefined, {
      connect: ({ signal, onAttemptFailed }) => {
        for (const it of failures) onAttemptFailed?.(it);
        return new Promise((_, reject) =>
          signal.addEventListener("abort", () => reject(signal.reason))
        );
      },
    });
    const connecting = link.connect(10_000);
    giveUp.abort(new Error("enough"));
    const error = await assertRejects(() => connecting);
    assertStrictEquals(error, failures[1]);
    // Without any failure, why it is given up.
    await assertRejects(
      () => {
        const { link, giveUp } = play(() => new Promise(() => {}));
        const connecting = link.connect();
        giveUp.abort(new Error("enough"));
        return connecting;
      },
      Error,
      "enough",
    );
  });

  it("ends its connection, and makes another one later", async () => {
    const { link, clients } = play();
    await link.end();
    assertEquals(clients.story, []);
    await link.connect();
    const ending = link.end();
    assertEquals(link.open, undefined);
    await ending;
    await link.end();
    await link.connect();
    assertEquals(clients.story, ["1 connect", "1 end", "2 connect"]);
  });

  it("throws what the end of its connection does", async () => {
    const { link } = play(({ method }) => {
      if (method === "end") throw failure("mismatch");
    });
    await link.connect();
    await assertRejects(() => link.end(), Error, "mismatch");
    assertEquals(link.open, undefined);
  });
});

describe("endsOf()", () => {
  it("has the addresses of both ends", async () => {
    const { link } = play();
    const { client } = await link.connect();
    const local = { ...LOCAL, port: 50_001 };
    assertEquals(endsOf(client), { local, remote: REMOTE });
  });
});
