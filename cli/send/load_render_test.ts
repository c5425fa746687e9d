import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { LoadSummary } from "../../probe/load.ts";
import { renderHistogram, renderLoad, renderProgress } from "./load.ts";

const HISTOGRAM = [
  { uptoMs: 0.1, count: 12 },
  { uptoMs: 0.2, count: 1200 },
  { uptoMs: 0.5, count: 0 },
  { uptoMs: 1, count: 1 },
];

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

describe("renderLoad()", () => {
  const task = {
    ...{ connections: 2, message: new Uint8Array(64), durationMs: 2000 },
    ratePerSecond: undefined,
  };
  const summary: LoadSummary = {
    messages: 1213,
    failed: 3,
    failures: { refused: 1, timeout: 2000 },
    firstErrors: { refused: "cannot connect", timeout: "no reply" },
    bytes: 1213 * 64,
    durationMs: 2000,
    unsent: 5,
    latencyMs: {
      ...{ min: 0.1, mean: 0.2, stddev: 0.1 },
      ...{ p50: 0.15, p90: 0.18, p99: 0.19, p99_9: 0.5, max: 1 },
    },
    histogram: HISTOGRAM,
  };
  const render = (changes: Partial<LoadSummary>, ratePerSecond?: number) =>
    renderLoad(
      { ...summary, ...changes },
      { hostname: "::1", port: 7 },
      { ...task, ratePerSecond },
      40,
    ).split("\n");

  it("tells totals, rates, failures and latencies", () => {
    assertEquals(render({}), [
      "--- [::1]:7 echo load ---",
      "1,213 messages of 64 B verified, 3 failed, over 2 connections in 2.00 s",
      "607 messages/s, 37.9 KiB/s each way",
      "failed: 1 refused, the first: cannot connect",
      "failed: 2,000 timeout, the first: no reply",
      "latency p50/p90/p99/p99.9/max = 0.150/0.180/0.190/0.500/1.000 ms",
      ...renderHistogram(HISTOGRAM, 40),
    ]);
  });

  it("has no latencies when nothing came back", () => {
    const nothing = { messages: 0, bytes: 0, latencyMs: undefined };
    assertEquals(
      render({ ...nothing, failed: 0, failures: {}, histogram: [] }).slice(1),
      [
        "0 messages of 64 B verified, 0 failed, over 2 connections in 2.00 s",
        "0 messages/s, 0 B/s each way",
      ],
    );
  });

  it("says when the rate was not reached", () => {
    const rate = (unsent: number, failed: number) =>
      render({ unsent, failed }, 1000)[3];
    const asked = "1,000 messages/s asked for";
    const missed = `${asked}, not reached: `;
    assertEquals(rate(0, 0), asked);
    assertEquals(
      [rate(1234, 0), rate(0, 3)],
      [
        `${missed}1,234 due and not sent in time, 0 failed`,
        `${missed}0 due and not sent in time, 3 failed`,
      ],
    );
  });
});

describe("renderProgress()", () => {
  it("tells the time, the rate and the failures", () => {
    const counters = { startedAt: 1000, messages: 5000, failed: 2 };
    assertEquals(
      renderProgress(counters, 3000),
      "2.00 s: 2,500 messages/s, 2 failed",
    );
    assertEquals(
      renderProgress({ startedAt: 1000, messages: 0, failed: 0 }, 1000),
      "0.00 ms: 0 messages/s, 0 failed",
    );
  });
});
