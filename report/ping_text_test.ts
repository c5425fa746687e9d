import { assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { noIrregularities } from "../probe/irregularities.ts";
import { MismatchError, ShortEchoError } from "../client.ts";
import { networkError } from "../net/errors.ts";
import type { Outage } from "../probe/outages.ts";
import type { PingEvent } from "../probe/ping.ts";
import { type Summary, Tally } from "../probe/tally.ts";
import { LOCAL, REMOTE } from "../testing/socket.ts";
import {
  jsonEvent,
  jsonSummary,
  renderEvent,
  renderSummary,
  type SummaryContext,
} from "./ping_text.ts";

const ENDS = { local: LOCAL, remote: REMOTE };

/** Moments are milliseconds of the first second of 1970. */
const CONTEXT: SummaryContext = {
  target: { transport: "tcp", hostname: "a", port: 7 },
  message: 64,
  timeOf: (moment) => new Date(moment).toISOString(),
};

type Lost = Extract<PingEvent, { type: "lost" }>;

const LOST: Lost = {
  ...{ type: "lost", seq: 2, reason: "refused", ageMs: 1.23456 },
  ...{ error: new Error("x"), detail: "connection refused", ends: ENDS },
};

const REPLY: Extract<PingEvent, { type: "reply" }> = {
  ...{ type: "reply", seq: 3, bytes: 5, rttMs: 0.12345, ends: ENDS },
  ...{ connectMs: undefined, endMs: undefined },
};

describe("renderEvent()", () => {
  const render = (event: PingEvent) => renderEvent(event, "[::1]:7", 250);

  it("tells of a connection and of a reply", () => {
    assertEquals(
      render({ type: "connected", connectMs: 1.234, ends: ENDS }),
      "Connected to [::1]:7 in 1.2 ms",
    );
    assertEquals(render(REPLY), "5 B from [::1]:7: seq=3 time=0.123 ms");
    assertEquals(
      render({ ...REPLY, connectMs: 12, endMs: 0.1 }),
      "5 B from [::1]:7: seq=3 time=0.123 ms connect=12.000 ms",
    );
  });

  it("tells why there was no reply, without the address again", () => {
    const lost = (error: Error, changes: Partial<Lost> = {}) =>
      render({ ...LOST, error, ...changes });
    const beginning = "no reply from [::1]:7: seq=2 ";
    const timeout = new Deno.errors.TimedOut("No reply from [::1]:7");
    assertEquals(
      lost(timeout, { reason: "timeout", detail: "0 of 5 B came back" }),
      `${beginning}timed out after 250ms`,
    );
    const refused = new Deno.errors.ConnectionRefused("x (os error 111)");
    assertEquals(
      lost(networkError("connect", REMOTE, refused)),
      `${beginning}connection refused`,
    );
    const short = new ShortEchoError(REMOTE, { sent: 5, received: 3 });
    assertEquals(
      lost(short, { reason: "closed", detail: short.detail }),
      `${beginning}connection closed by server, 3 of 5 B came back`,
    );
    const whole = new ShortEchoError(REMOTE, { sent: 5, received: 5 });
    assertEquals(
      lost(whole, { reason: "closed", detail: whole.detail }),
      `${beginning}connection closed by server since the last message`,
    );
    assertEquals(
      lost(new Error("x"), { reason: "unanswered", ageMs: 1234 }),
      `${beginning}unanswered after 1.23 s`,
    );
  });

  it("tells a wrong reply from none", () => {
    const error = new MismatchError(REMOTE, {
      ...{ offset: 4, sent: 0x6f, received: 0x4f },
      ...{ reply: new Uint8Array(), expected: new Uint8Array() },
    });
    const detail = "the reply to message 1 came again";
    assertEquals(
      render({ ...LOST, reason: "mismatch", error, detail }),
      "wrong reply from [::1]:7: seq=2 the reply to message 1 came again",
    );
    assertEquals(
      render({ type: "surplus", error, detail, ends: ENDS }),
      "wrong reply from [::1]:7: after the last message, " +
        "the reply to message 1 came again",
    );
  });
});

/** Makes outages of 100 ms, each a second after the one before. */
function outagesOf(count: number): Outage[] {
  return Array.from({ length: count }, (_, index) => ({
    startedAt: index * 1000,
    endedAt: index * 1000 + 100,
    messages: index + 1,
    reason: "refused",
  }));
}

const SUMMARY: Summary = {
  ...new Tally().summary(),
  ...{ sent: 3, messages: 3, durationMs: 3000, ends: ENDS },
};

const RTT_MS = {
  ...{ min: 1, mean: 2, p50: 3, p90: 4.5, p99: 5, p99_9: 6 },
  ...{ max: 7.12345, stddev: 8 },
};

describe("many irregular replies", () => {
  const event: PingEvent = {
    ...{ type: "irregular_many", withinMs: 612.3456, ends: ENDS },
    counts: { duplicated: 12_345, late: 1 },
  };

  it("are one line", () => {
    assertEquals(
      renderEvent(event, "[::1]:7/udp", 250),
      "further irregular replies from [::1]:7/udp: 12,345 duplicated, 1 late " +
        "within 612 ms",
    );
    const { irregular, counts, within_ms } = jsonEvent(event, CONTEXT);
    assertEquals(
      { irregular, counts, within_ms },
      {
        ...{ irregular: "many", within_ms: 612.346 },
        counts: { duplicated: 12_345, late: 1 },
      },
    );
  });
});

describe("renderSummary()", () => {
  const render = (changes: Partial<Summary>) =>
    renderSummary({ ...SUMMARY, ...changes }, CONTEXT).split("\n");

  it("tells totals, and no more where nothing came back", () => {
    assertEquals(
      render({ sent: 1234, messages: 0, failed: 1234 }),
      [
        "--- a:7 echo statistics ---",
        "1,234 sent, 0 verified, 1,234 lost (100%), in 3.00 s",
      ],
    );
  });

  it("names the server's limit where many datagrams got no reply", () => {
    const told = (changes: Partial<Summary>, intervalMs = 0) => {
      const target = { ...CONTEXT.target, transport: "udp" } as const;
      const summary = { ...SUMMARY, ...changes };
      const lines = renderSummary(summary, { ...CONTEXT, target, intervalMs });
      return lines.includes("--udp-rate");
    };
    assertEquals(told({ sent: 2000, failed: 1 }), true);
    assertEquals(
      told({ sent: 2000, failed: 1, failures: { mismatch: 1 } }),
      false,
    );
    assertEquals(told({ sent: 2000, failed: 1 }, 2), false);
    assertEquals(told({ sent: 20, failed: 1 }), false);
    // On loopback no server of ours has a limit, and the kernel counts what it dropped.
    const target = {
      transport: "udp",
      hostname: "127.0.0.1",
      port: 7,
    } as const;
    const local = { ...CONTEXT, target, intervalMs: 0 };
    const summary = renderSummary({ ...SUMMARY, sent: 2000, failed: 1 }, local);
    assertMatch(summary, /^likely dropped by a full socket buffer: .*nstat/m);
  });

  it("says which figures nobody can know where messages look alike", () => {
    const target = { ...CONTEXT.target, transport: "udp" } as const;
    const told = (
      message: SummaryContext["message"],
      changes: Partial<Summary>,
    ) => {
      const summary = { ...SUMMARY, sent: 1000, ...changes };
      const context = { ...CONTEXT, target, message };
      const { messages_alike } = jsonSummary(summary, context);
      const isTold = renderSummary(summary, context).includes("look alike");
      return [isTold, messages_alike];
    };
    const own = new TextEncoder().encode("a message of the user's own");
    const irregular = { ...SUMMARY.irregular, late: 1 };
    for (const message of [own, 3, 1]) {
      assertEquals(told(message, { failed: 1 }), [true, true]);
      assertEquals(told(message, { irregular }), [true, true]);
      assertEquals(told(message, {}), [false, true]);
    }
    for (const message of [4, 64]) {
      assertEquals(told(message, { failed: 1, irregular }), [false, false]);
    }
  });

  it("tells the loss, the longest outage and each outage", () => {
    const outages = { count: 2, longestMs: 1500, latest: outagesOf(2) };
    assertEquals(render({ messages: 0, failed: 3, outages }), [
      "--- a:7 echo statistics ---",
      "3 sent, 0 verified, 3 lost (100%), longest outage 1.50 s, in 3.00 s",
      "outage from 1970-01-01T00:00:00.000Z to 1970-01-01T00:00:00.100Z: " +
      "100 ms, 1 message, refused",
      "outage from 1970-01-01T00:00:01.000Z to 1970-01-01T00:00:01.100Z: " +
      "100 ms, 2 messages, refused",
    ]);
  });

  it("counts the outages that it does not show", () => {
    const outages = { count: 3, longestMs: 1, latest: outagesOf(1) };
    assertEquals(render({ outages })[2], "2 earlier outages");
    const lines = render({ outages: { ...outages, count: 2 } });
    assertEquals(lines[2], "1 earlier outage");
    assertEquals(lines.length, 4);
  });

  it("tells what is under way, not sent, or too much", () => {
    assertEquals(
      [
        render({ underWay: 2000 })[1],
        render({ unsent: 1000, tooLate: 0 })[1],
        render({ unsent: 0, tooLate: 1000 })[1],
        render({ surplus: 1 })[1],
        render({ sent: 30_000, failed: 1 })[1],
      ],
      [
        "3 sent, 3 verified, 0 lost, 2,000 under way, in 3.00 s",
        "3 sent, 3 verified, 0 lost, " +
        "1,000 not sent: too many were under way, in 3.00 s",
        "3 sent, 3 verified, 0 lost, " +
        "1,000 not sent: the client was stopped, in 3.00 s",
        "3 sent, 3 verified, 0 lost, more came back than was sent, in 3.00 s",
        "30,000 sent, 3 verified, 1 lost (0.003%), in 3.00 s",
      ],
    );
  });

  it("tells the round trips, the jitter and how late they were", () => {
    const [, counts, ...times] = render({
      ...{ latencyMs: RTT_MS, jitterMs: 0.5, lateMs: RTT_MS },
    });
    assertEquals(counts, "3 sent, 3 verified, 0 lost, in 3.00 s");
    const rtt = "rtt min/mean/p50/p90/p99/max/stddev = " +
      "1.000/2.000/3.00/4.50/5.00/7.123/8.000 ms";
    assertEquals(times, [
      `${rtt}, jitter 0.500 ms`,
      "sent late: p99 5.00 ms, max 7.123 ms",
    ]);
    // One round trip has no jitter.
    assertEquals(render({ latencyMs: RTT_MS }).slice(2), [rtt]);
  });
});

describe("jsonEvent()", () => {
  const where = {
    address: "a:7",
    transport: "tcp",
    peer: "192.0.2.1:7",
    local_port: 50_712,
  };

  it("tells a reply, with connecting if that was a part of it", () => {
    const reply = { ...where, seq: 3, bytes: 5, rtt_ms: 0.123 };
    assertEquals(jsonEvent(REPLY, CONTEXT), reply);
    assertEquals(jsonEvent({ ...REPLY, connectMs: 2.34567 }, CONTEXT), {
      ...reply,
      connect_ms: 2.346,
    });
  });

  it("tells a loss, also one without a connection", () => {
    const loss = { seq: 2, lost: "refused", error: "connection refused" };
    assertEquals(jsonEvent(LOST, CONTEXT), {
      ...where,
      ...loss,
      age_ms: 1.235,
    });
    assertEquals(jsonEvent({ ...LOST, ends: undefined }, CONTEXT), {
      ...{ address: "a:7", transport: "tcp", peer: null, local_port: null },
      ...{ ...loss, age_ms: 1.235 },
    });
  });

  it("tells what came after the last message", () => {
    const { error } = LOST;
    assertEquals(
      jsonEvent({ type: "surplus", error, detail: "why", ends: ENDS }, CONTEXT),
      { ...where, surplus: true, error: "why" },
    );
  });
});

describe("jsonSummary()", () => {
  it("tells all of it", () => {
    const summary: Summary = {
      ...SUMMARY,
      ...{ sent: 3, messages: 1, failed: 2, underWay: 0, surplus: 1 },
      ...{ unsent: 4, tooLate: 5, failures: { mismatch: 0 } },
      outages: {
        ...{ count: 7, longestMs: 1500.1234 },
        latest: outagesOf(2).slice(1),
      },
      ...{ durationMs: 3000.9999, latencyMs: RTT_MS, jitterMs: 0.12345 },
      ...{ lateMs: RTT_MS, ends: ENDS },
      irregular: noIrregularities(),
    };
    const times = {
      ...{ min: 1, mean: 2, p50: 3, p90: 4.5, p99: 5, p99_9: 6 },
      ...{ max: 7.123, stddev: 8 },
    };
    assertEquals(jsonSummary(summary, CONTEXT), {
      ...{
        address: "a:7",
        transport: "tcp",
        peer: "192.0.2.1:7",
        local_port: 50_712,
      },
      ...{ sent: 3, verified: 1, lost: 2, loss_percent: 66.67 },
      ...{ unsent: 9, unsent_too_many_under_way: 4, unsent_client_late: 5 },
      ...{ surplus: 1, outages: 7, longest_outage_ms: 1500.123 },
      latest_outages: [{
        start: "1970-01-01T00:00:01.000Z",
        end: "1970-01-01T00:00:01.100Z",
        ...{ duration_ms: 100, messages: 2, reason: "refused" },
      }],
      ...{ duration_ms: 3001, rtt_ms: times, jitter_ms: 0.123, late_ms: times },
    });
  });

  it("is null where nothing is known", () => {
    const ends = undefined;
    const { peer, local_port, rtt_ms, jitter_ms, late_ms } = jsonSummary(
      { ...SUMMARY, ends },
      CONTEXT,
    );
    assertEquals(
      [peer, local_port, rtt_ms, jitter_ms, late_ms],
      [null, null, null, null, null],
    );
  });
});
