import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { LatencySummary } from "../probe/latency.ts";
import { LOCAL, REMOTE } from "../testing/socket.ts";
import { judge, printApart } from "../cli/verdict.ts";
import { processTerminal, type Terminal } from "../cli/terminal.ts";
import type { Measured } from "./conditions.ts";
import { parseCondition } from "../cli/conditions.ts";
import { Latencies } from "../probe/latency.ts";
import {
  exactMs,
  jsonWhere,
  knownMs,
  renderLate,
  renderNagle,
} from "./common.ts";

const LATENCY: LatencySummary = {
  ...{ min: 0.12345, mean: 0.2, p50: 0.15, p90: 0.18, p99: 0.19 },
  ...{ p99_9: 0.5, max: 1.23456, stddev: 0.1 },
};

const MEASURED: Measured = {
  ...{ sent: 100, lost: 5, ratePerSecond: 50, longestOutageMs: 0 },
  latencyMs: LATENCY,
};

/** A terminal that keeps what is written to stderr. */
function testTerminal() {
  const written = { stderr: "" };
  const terminal: Terminal = {
    ...processTerminal(),
    stderr: {
      write(p: Uint8Array) {
        written.stderr += new TextDecoder().decode(p);
        return Promise.resolve(p.length);
      },
    },
  };
  return { terminal, written };
}

function verdictOf(isGood: boolean, ...conditions: string[]) {
  return judge(isGood, conditions.map(parseCondition), MEASURED);
}

describe("judge()", () => {
  it("says nothing of conditions where there are none", () => {
    assertEquals(verdictOf(true), { status: 0, json: {}, lines: [] });
    assertEquals(verdictOf(false), { status: 1, json: {}, lines: [] });
  });

  it("passes when no condition holds", () => {
    const json = { failed_conditions: [] };
    assertEquals(verdictOf(true, "max>2ms", "loss>5"), {
      ...{ status: 0, json, lines: [] },
    });
    assertEquals(verdictOf(false, "max>2ms"), {
      ...{ status: 1, json, lines: [] },
    });
  });

  it("tells each condition that holds, and exits with 3", () => {
    const conditions = ["loss > 1%", "max>2ms", "rate<60"];
    const failed = {
      json: {
        failed_conditions: [
          { condition: "loss > 1%", value: 5 },
          { condition: "rate<60", value: 50 },
        ],
      },
      lines: [
        "echo: loss > 1%: it was 5%",
        "echo: rate<60: it was 50 messages/s",
      ],
    };
    assertEquals(verdictOf(true, ...conditions), {
      ...{ status: 3, ...failed },
    });
    // What was wrong besides counts for more.
    assertEquals(verdictOf(false, ...conditions), {
      ...{ status: 1, ...failed },
    });
  });
});

describe("printApart()", () => {
  it("begins a line of its own on a terminal alone", async () => {
    for (const [isTerminal, start] of [[true, "\n"], [false, ""]] as const) {
      const { terminal, written } = testTerminal();
      await printApart({ ...terminal, isStderrTerminal: isTerminal }, "a\nb");
      assertEquals(written.stderr, `${start}a\nb\n`);
    }
  });
});

describe("jsonWhere()", () => {
  const target = { transport: "udp", hostname: "::1", port: 7 } as const;

  it("tells the server's name and address and the client's port", () => {
    assertEquals(jsonWhere(target, { local: LOCAL, remote: REMOTE }), {
      ...{ address: "[::1]:7", transport: "udp" },
      ...{ peer: "192.0.2.1:7", local_port: 50_712 },
    });
  });

  it("is null without a connection, or an address of a name that answered", () => {
    const remote = { ...REMOTE, hostname: "localhost" };
    for (const ends of [undefined, { local: LOCAL, remote }]) {
      assertEquals(jsonWhere(target, ends), {
        ...{ address: "[::1]:7", transport: "udp" },
        ...{ peer: null, local_port: null },
      });
    }
  });
});

describe("the times of a report", () => {
  it("have three decimals, or three digits", () => {
    assertEquals([0, 1.23456, 20].map(exactMs), ["0.000", "1.235", "20.000"]);
    assertEquals([0, 0.3, 1.2, 20, 608, 2070, 0.0123].map(knownMs), [
      ...["0.000", "0.300", "1.20", "20.0", "608", "2070", "0.012"],
    ]);
    assertEquals([100.34, 2065.933].map(knownMs), ["100", "2066"]);
  });

  it("tell how late messages left, if they were due at times", () => {
    assertEquals(renderLate(undefined), []);
    assertEquals(renderLate(LATENCY), [
      "sent late: p99 0.190 ms, max 1.235 ms",
    ]);
  });
});

describe("renderNagle()", () => {
  it("names it where round trips over TLS look like it, and only there", () => {
    const told = (allMs: number[], transport: "tcp" | "tls" = "tls") => {
      const latencies = new Latencies();
      for (const ms of allMs) latencies.record(ms);
      const late = new Latencies();
      const recorded = { latencies, late, rows: [] };
      return renderNagle({ recorded }, { ...LOCAL, transport }).length === 1;
    };
    assertEquals(told([1, 1, 1, 1, 41]), true);
    assertEquals(told([1, 1, 1, 1, 1, 41]), false);
    assertEquals(told([1, 1, 41], "tcp"), false);
    // A path that takes 40 ms takes no less.
    assertEquals(told([40, 41, 42]), false);
    assertEquals(told([1, 1, 60]), false);
    assertEquals(told([]), false);
  });
});
