import { assert, assertEquals, assertLess, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { ALL_FAILURE_REASONS } from "../probe/failure.ts";
import { noIrregularities } from "../probe/irregularities.ts";
import { Latencies } from "../probe/latency.ts";
import type { Summary } from "../probe/tally.ts";
import { Timeline, type TimelineRow } from "../probe/timeline.ts";
import fc from "../testing/properties.ts";
import { LOCAL, REMOTE } from "../testing/socket.ts";
import { renderHistogram, renderTimeline, sparkline } from "./charts.ts";
import { jsonLoad } from "./load_json.ts";
import {
  clientLimit,
  rateOf,
  renderLoad,
  type ReportContext,
} from "./load_text.ts";

const HISTOGRAM = [
  { uptoMs: 0.1, count: 12 },
  { uptoMs: 0.2, count: 1200 },
  { uptoMs: 0.5, count: 0 },
  { uptoMs: 1, count: 1 },
];

const TIMES = {
  ...{ min: 0.1, mean: 0.2, stddev: 0.1, p50: 0.15, p90: 0.18, p99: 0.19 },
  ...{ p99_9: 0.5, max: 1 },
};

const SUMMARY: Summary = {
  ...{ messages: 1214, messagesInTime: 1213, lastAfterMs: 99 },
  ...{ failed: 3, failures: { refused: 1, timeout: 2000 }, error: undefined },
  firstErrors: { refused: "cannot connect", timeout: "no reply" },
  ...{ durationMs: 2000, unsent: 0, tooLate: 0, surplus: 0 },
  outages: { count: 1, longestMs: 12.34567, latest: [] },
  ...{ sent: 1217, connected: 2, open: 0, jitterMs: undefined },
  ...{ latencyMs: TIMES, histogram: HISTOGRAM, lateMs: undefined },
  ...{ timeline: [], busyShare: 1, processorShare: 0.5 },
  ...{ underWay: 0, oldestMs: 0 },
  ends: { local: LOCAL, remote: REMOTE },
  ...{
    irregular: noIrregularities(),
    failedEarly: 0,
    failedLate: 0,
    firstErrorsMs: {},
  },
  runs: [{
    ...{ startMs: 0, durationMs: 2000, connections: 2 },
    ...{ messagesInTime: 1213, ratePerSecond: undefined },
  }],
  recorded: { latencies: new Latencies(), late: new Latencies(), rows: [] },
};

/** The runs of a load that never began. */
const NO_RUNS = runsOf(0).map((run) => ({ ...run, durationMs: 0 }));

const CONTEXT: ReportContext = {
  ...{ connections: 2, message: 64, isWarm: true },
  target: { transport: "tcp", hostname: "::1", port: 7 },
};

/** The run of a load of two seconds. */
function runsOf(messagesInTime: number): Summary["runs"] {
  return [{ ...SUMMARY.runs[0]!, messagesInTime }];
}

/** A second in which so many messages came back. */
function rowOf(messages: number): TimelineRow {
  return {
    ...{ startMs: 0, durationMs: 1000, messages, failed: 0 },
    ...{ p50Ms: 1, p99Ms: 1 },
  };
}

const GOOD = {
  ...{ failed: 0, failures: {}, firstErrors: {}, histogram: [] },
  outages: { count: 0, longestMs: 0, latest: [] },
};

/** Makes the rows of a timeline, each a second long. */
function rowsOf(
  ...rows: [messages: number, p99Ms?: number, durationMs?: number][]
): TimelineRow[] {
  return rows.map(([messages, p99Ms, durationMs = 1000], index) => ({
    ...{ startMs: index * 1000, durationMs, messages, failed: 0 },
    ...{ p50Ms: p99Ms, p99Ms },
  }));
}

describe("rateOf()", () => {
  it("counts what came back in the time of the load", () => {
    assertEquals(rateOf(SUMMARY), 606.5);
    assertEquals(rateOf({ runs: NO_RUNS }), 0);
  });
});

describe("renderLoad()", () => {
  const render = (
    changes: Partial<Summary> = {},
    context: Partial<ReportContext> = {},
  ) =>
    renderLoad({
      summary: { ...SUMMARY, ...changes },
      context: { ...CONTEXT, ...context },
    }, 40).split("\n");

  it("names the server's limit where many datagrams got no reply", () => {
    const told = (changes: Partial<Summary>, transport: "tcp" | "udp") => {
      const target = { ...CONTEXT.target, hostname: "a", transport };
      const summary = { ...SUMMARY, ...changes };
      return renderLoad({ summary, context: { ...CONTEXT, target } }, 80)
        .includes("--udp-rate");
    };
    const timeline = [rowOf(1000), rowOf(0)];
    assertEquals(told({ timeline }, "udp"), true);
    assertEquals(told({ timeline }, "tcp"), false);
    assertEquals(told({ timeline, failures: { mismatch: 1 } }, "udp"), false);
    assertEquals(told({ timeline: [rowOf(500)] }, "udp"), false);
  });

  it("tells totals, rates, failures and latencies", () => {
    assertEquals(render(), [
      "--- [::1]:7 echo load ---",
      "1,214 messages of 64 B verified, 3 failed, over 2 connections in 2.00 s",
      "607 messages/s, 37.9 KiB/s each way",
      "failed: 1 refused, the first: cannot connect",
      "failed: 2,000 timeout, the first: no reply",
      "longest outage 12 ms",
      "latency p50/p90/p99/p99.9/max = 0.150/0.180/0.190/0.500/1.000 ms",
      ...renderHistogram(HISTOGRAM, 40),
    ]);
  });

  it("has no latencies when nothing came back", () => {
    const nothing = {
      ...{ messages: 0, messagesInTime: 0, runs: runsOf(0) },
      latencyMs: undefined,
    };
    assertEquals(
      render({ ...GOOD, ...nothing }, { connections: 1 }).slice(1),
      [
        "0 messages of 64 B verified, 0 failed, over 1 connection in 2.00 s",
        "0 messages/s, 0 B/s each way",
      ],
    );
  });

  it("tells the size of a message that was given", () => {
    const message = new Uint8Array(2048);
    assertEquals(
      render({ messages: 1, messagesInTime: 1, runs: runsOf(1) }, { message })
        .slice(1, 3),
      [
        "1 message of 2 KiB verified, 3 failed, over 2 connections in 2.00 s",
        "0.5 messages/s, 1 KiB/s each way",
      ],
    );
  });

  it("tells what came back late after the end, but not a little late", () => {
    const after = (messagesInTime: number, lastAfterMs: number) =>
      render({ ...GOOD, messagesInTime, lastAfterMs })[3];
    assertEquals(
      [after(1212, 100), after(1213, 3456)],
      [
        "2 messages came back after that time, the last 100 ms after it",
        "1 message came back after that time, the last 3.46 s after it",
      ],
    );
    const [none, little] = [after(1214, 3456), after(1212, 99)];
    assert(none?.startsWith("latency ") && little?.startsWith("latency "));
  });

  it("says when the rate was not reached, and why", () => {
    const rate = (unsent: number, tooLate: number, failed: number) =>
      render({ unsent, tooLate, failed }, { ratePerSecond: 1000 })[3];
    const asked = "1,000 messages/s asked for";
    const missed = `${asked}, not reached: `;
    assertEquals(
      [
        rate(0, 0, 0),
        rate(1234, 0, 0),
        rate(0, 1234, 0),
        rate(0, 0, 3),
        rate(1, 2, 3),
      ],
      [
        asked,
        `${missed}1,234 not sent: too many were under way`,
        `${missed}1,234 not sent in time by the client`,
        `${missed}3 failed`,
        `${missed}1 not sent: too many were under way, ` +
        "2 not sent in time by the client, 3 failed",
      ],
    );
    const [, , , slow] = render(GOOD, { ratePerSecond: 0.5 });
    assertEquals(slow, "0.5 messages/s asked for");
  });

  it("tells how late messages left, and what it did over the time", () => {
    const timeline = rowsOf([10, 1], [20, 2]);
    const context = { ratePerSecond: 20 };
    const lines = render({ ...GOOD, lateMs: TIMES, timeline }, context);
    assertEquals(lines.slice(5), [
      "sent late: p99 0.190 ms, max 1.000 ms",
      ...renderTimeline(timeline),
    ]);
  });

  it("ends with what the numbers are not the server's fault for", () => {
    const lines = render({ ...GOOD, processorShare: 1 }, { isWarm: false });
    assertEquals(lines.slice(4), [
      "the client was the limit: it was busy for all of the time; " +
      "load from several machines, or with fewer connections",
      "the first calls of the client are in this",
    ]);
  });
});

describe("clientLimit()", () => {
  const limit = (changes: Partial<Summary>, connections = 2) =>
    clientLimit({ ...SUMMARY, ...GOOD, ...changes }, { connections });
  const advice = "; load from several machines, or with fewer connections";

  it("is none where the server was the limit", () => {
    assertEquals(limit({}), undefined);
    assertEquals(limit({ busyShare: 0.8, processorShare: 0.949 }), undefined);
    // Its replies took far longer than its messages were late, or its timers.
    const latencyMs = { ...TIMES, p99: 40 };
    const lateMs = { ...TIMES, p99: 9.99, max: 50 };
    assertEquals(limit({ latencyMs, lateMs }), undefined);
    const open = { busyShare: undefined };
    assertEquals(limit({ ...open, latencyMs, lateMs }), undefined);
    // What is that short says nothing, whatever the latency.
    assertEquals(
      limit({ ...open, lateMs: { ...TIMES, p99: 0.49 } }),
      undefined,
    );
    assertEquals(limit({ lateMs: { ...TIMES, p99: 1.99 } }), undefined);
  });

  it("is found where connections were idle", () => {
    const idle = "a connection had nothing under way for 21% of the time";
    assertEquals(limit({ busyShare: 0.79 }), idle + advice);
    assertEquals(limit({ busyShare: 0.79 }, 1), idle);
    // A connection that failed waits before the next one.
    assertEquals(limit({ busyShare: 0.5, failed: 1 }), undefined);
  });

  it("is found where a processor was busy all the time", () => {
    const busy = "it was busy for all of the time";
    assertEquals(limit({ processorShare: 0.95 }), busy + advice);
    assertEquals(limit({ processorShare: 0.95 }, 1), busy);
    const summary = { ...SUMMARY, ...GOOD, processorShare: 1.8 };
    const threads = { connections: 2, threads: 2 };
    assertEquals(clientLimit(summary, threads), undefined);
    summary.processorShare = 1.9;
    assertEquals(clientLimit(summary, threads), busy + advice);
    assertEquals(
      clientLimit(summary, { connections: 2, canHaveMoreThreads: true }),
      busy + advice.replace("load", "load with --workers 0,"),
    );
    // With a rate the client polls, and is busy however little it does.
    assertEquals(limit({ processorShare: 1, busyShare: undefined }), undefined);
  });

  it("is found where messages left late, or not at all", () => {
    const late = "it sent messages late; ask for a lower rate, " +
      "or for fewer connections";
    const open = { busyShare: undefined };
    const latencyMs = { ...TIMES, p99: 40 };
    const lateMs = { ...TIMES, p99: 10 };
    assertEquals(limit({ ...open, latencyMs, lateMs }), late);
    assertEquals(
      limit({ latencyMs, lateMs }),
      "its timers were late by up to 10.0 ms (p99): something else took its " +
        "processor" + advice,
    );
    assertEquals(limit({ ...open, tooLate: 1 }), late);
    // Too many were under way: that is the server's doing.
    assertEquals(limit({ ...open, unsent: 1 }), undefined);
  });
});

describe("renderHistogram()", () => {
  for (const columns of [40, 80, 200]) {
    it(`fits into ${columns} columns, and fills them`, () => {
      const rows = renderHistogram(HISTOGRAM, columns);
      const widths = rows.map((row) => row.length);
      assert(Math.max(...widths) <= columns, `${widths}`);
      assert(Math.max(...widths) > columns - 4, `${widths}`);
    });
  }

  it("shows every range, and the least of counts", () => {
    assertEquals(renderHistogram(HISTOGRAM, 36), [
      "<= 0.1 ms    12 #",
      "<= 0.2 ms 1,200 ####################",
      "<= 0.5 ms     0",
      "<=   1 ms     1 #",
    ]);
    assertEquals(renderHistogram([], 80), []);
    // However narrow it is, it does not fail.
    assertEquals(renderHistogram(HISTOGRAM, 1).length, 4);
  });
});

describe("sparkline()", () => {
  it("draws the greatest number highest", () => {
    assertEquals(sparkline([0, 1, 2, 3, 4, 5, 6, 7]), "▁▂▃▄▅▆▇█");
    assertEquals(sparkline([700, 0, 350]), "█▁▅");
    assertEquals(sparkline([3, 3]), "██");
  });

  it("draws nothing as a space, and nothing but zeros as the lowest", () => {
    assertEquals(sparkline([undefined, 7, undefined, 1]), " █ ▂");
    assertEquals(sparkline([0, 0]), "▁▁");
    assertEquals(sparkline([]), "");
  });
});

describe("renderTimeline()", () => {
  it("draws the rate and the 99th percentile", () => {
    assertEquals(renderTimeline(rowsOf([700, 0.5], [1400, 4], [0], [200, 1])), [
      "rate ▅█▁▂ up to 1,400/s, each mark is 1.00 s",
      "p99  ▂█ ▃ up to 4 ms",
    ]);
  });

  it("draws the rate of a row that is shorter", () => {
    // 50 messages in 100 ms are as many a second as 500 in a second.
    const rows = rowsOf([500, 1], [50, 1, 100]);
    assertEquals(renderTimeline(rows)[0]?.slice(0, 7), "rate ██");
  });

  it("shows no latency where nothing came back in time", () => {
    // All that came back came in what is left out.
    const rows = rowsOf([0], [0], [1, 2050, 50]);
    assert(!renderTimeline(rows).join("\n").includes("Infinity"));
  });

  it("leaves out what is too short for a rate", () => {
    assertEquals(
      renderTimeline(rowsOf([10, 1], [20, 2], [1000, 9, 99])),
      renderTimeline(rowsOf([10, 1], [20, 2])),
    );
    assertEquals(renderTimeline(rowsOf([10, 1], [1000, 9, 99])), []);
    assertEquals(renderTimeline(rowsOf([10, 1])), []);
    assertEquals(renderTimeline([]), []);
  });
});

describe("jsonLoad()", () => {
  const jsonOf = (
    changes: Partial<Summary> = {},
    context: Partial<ReportContext> = {},
  ) =>
    jsonLoad({
      summary: { ...SUMMARY, ...changes },
      context: { ...CONTEXT, ...context },
    });
  const times = {
    ...{ min: 0.1, mean: 0.2, p50: 0.15, p90: 0.18, p99: 0.19 },
    ...{ p99_9: 0.5, max: 1, stddev: 0.1 },
  };
  const json = {
    ...{ address: "[::1]:7", transport: "tcp", peer: "192.0.2.1:7" },
    local_port: 50_712,
    ...{ messages: 1214, failed: 3, messages_per_second: 606.5 },
    ...{ bytes_per_second: 38_816, message_bytes: 64, duration_ms: 2000 },
    ...{ after_end: 1, last_after_end_ms: 99, connections: 2 },
    latency_ms: times,
    histogram: HISTOGRAM.map(({ uptoMs, count }) => ({
      ...{ upto_ms: uptoMs, count },
    })),
    ...{ failures: SUMMARY.failures, first_errors: SUMMARY.firstErrors },
    ...{ longest_outage_ms: 12.346, timeline: [] as unknown[] },
    ...{ client_limit: null, warmed_up: true, busy_share: 1, echo_load: 2 },
    workers: 1,
    ...{
      first_errors_ms: {},
      failed_before_start: 0,
      failed_after_end: 0,
      start: null,
    },
    ...{ histogram_hdr: null, latency_exact: null },
  };

  it("tells all of it", () => {
    assertEquals(jsonOf(), json);
  });

  it("has a row for each second", () => {
    const timeline = new Timeline(0);
    for (let n = 0; n < 10; n++) timeline.addVerified(0, 1.5);
    const rows = timeline.recorded(2000);
    const recorded = { ...SUMMARY.recorded, rows };
    const [first, second] = jsonOf({ recorded }).timeline as [
      Record<string, unknown>,
      Record<string, unknown>,
    ];
    const { histogram_hdr, ...row } = first;
    assertMatch(histogram_hdr as string, /^HISTFAAA/);
    assertEquals(row, {
      ...{ start_ms: 0, duration_ms: 1000, messages: 10, failed: 0 },
      ...{ p50_ms: 1.5, p99_ms: 1.5 },
    });
    assertEquals(second, {
      ...{ start_ms: 1000, duration_ms: 1000, messages: 0, failed: 0 },
      ...{ p50_ms: null, p99_ms: null, histogram_hdr: null },
    });
  });

  it("fits a line of 16 KiB whatever the load, and keeps its sums", () => {
    const load = fc.record({
      messages: fc.integer({ min: 0, max: 5000 }),
      rows: fc.integer({ min: 1, max: 200 }),
      spread: fc.constantFrom(0, 3, 7),
      isTalkative: fc.boolean(),
    });
    const property = fc.property(load, (load) => {
      const { messages, rows, spread, isTalkative } = load;
      const timeline = new Timeline(0);
      const [latencies, late] = [new Latencies(), new Latencies()];
      for (let n = 0; n < messages; n++) {
        // As far apart as a histogram can tell.
        const ms = 10 ** (Math.sin(n) * spread);
        timeline.addVerified(n / messages * rows * 1000, ms);
        latencies.record(ms);
        late.record(ms);
      }
      const text = isTalkative ? "ä".repeat(4000) : "short";
      const firstErrors = Object.fromEntries(
        ALL_FAILURE_REASONS.map((reason) => [reason, text]),
      );
      const recorded = {
        ...{ latencies, late },
        rows: timeline.recorded(rows * 1000),
      };
      const json = jsonOf({ ...GOOD, firstErrors, recorded }, {
        ratePerSecond: 7,
      });
      const bytes = new TextEncoder().encode(JSON.stringify(json)).length;
      assertLess(bytes, 16_000);
      const found = json.timeline as { messages: number; start_ms: number }[];
      assertEquals(found.reduce((n, row) => n + row.messages, 0), messages);
      assertEquals(found[0]!.start_ms, 0);
    });
    fc.assert(property, { numRuns: 25 });
  });

  it("tells with a rate what was not sent, and how late the rest was", () => {
    const summary = { ...SUMMARY, unsent: 4, tooLate: 5, lateMs: TIMES };
    assertEquals(jsonOf(summary, { ratePerSecond: 0.5 }), {
      ...{ ...json, client_limit: clientLimit(summary, CONTEXT) },
      ...{ target_rate: 0.5, unsent: 9, unsent_too_many_under_way: 4 },
      ...{ unsent_client_late: 5, late_ms: times },
      ...{ late_histogram_hdr: null, late_exact: null },
    });
  });

  it("tells why there was no connection at all", () => {
    const nothing: Partial<Summary> = {
      ...{ messages: 0, messagesInTime: 0, lastAfterMs: 0, histogram: [] },
      ...{ durationMs: 0, latencyMs: undefined, ends: undefined },
      ...{ error: new Error("Cannot connect"), runs: NO_RUNS },
    };
    assertEquals(
      jsonOf(nothing, { isWarm: false }),
      {
        ...{ ...json, peer: null, local_port: null, messages: 0, after_end: 0 },
        ...{ messages_per_second: 0, bytes_per_second: 0, duration_ms: 0 },
        ...{ last_after_end_ms: 0, latency_ms: null, histogram: [] },
        ...{ warmed_up: false, error: "Cannot connect" },
      },
    );
  });
});
