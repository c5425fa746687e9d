import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "../testing/properties.ts";
import { parseCondition } from "../cli/conditions.ts";
import { UsageError } from "../cli/flags.ts";
import { parseTime } from "../cli/values.ts";
import {
  failedConditions,
  jsonFailed,
  type Measured,
  renderFailed,
} from "./conditions.ts";

const LATENCIES = { p50: 1, p90: 2, p99: 3, p99_9: 4, max: 5, mean: 6 };

const MEASURED: Measured = {
  ...{ sent: 1000, lost: 7, ratePerSecond: 812, longestOutageMs: 4200 },
  latencyMs: LATENCIES,
};

const OPERATORS = {
  ">": (value: number, limit: number) => value > limit,
  ">=": (value: number, limit: number) => value >= limit,
  "<": (value: number, limit: number) => value < limit,
  "<=": (value: number, limit: number) => value <= limit,
};

const operators = Object.keys(OPERATORS) as (keyof typeof OPERATORS)[];

/** Tells the message with which a condition is refused. */
function refusal(text: string): string {
  const error = assertThrows(
    () => parseCondition(text),
    UsageError,
    "",
    JSON.stringify(text),
  );
  return error.message;
}

/** Tells which of some conditions hold. */
function failing(texts: string[], changes: Partial<Measured> = {}): string[] {
  return failedConditions(texts.map(parseCondition), {
    ...MEASURED,
    ...changes,
  }).map(({ condition }) => condition.text);
}

/** Makes a condition that holds for a value. */
function failed(text: string, value: number) {
  return { condition: parseCondition(text), value };
}

describe("parseCondition()", () => {
  it("takes every metric in its units", () => {
    const latencies = ["p50", "p90", "p99", "p99.9", "max", "mean"];
    for (const metric of [...latencies, "outage"]) {
      const text = `${metric} > 20ms`;
      assertEquals<unknown>(parseCondition(text), {
        ...{ text, metric, operator: ">", limit: 20, unit: "ms" },
      });
    }
    const limits = [
      ...["p99>1.5s", "outage>1m30s", "max>0", "loss>0.1%", "loss>100%"],
      ...["loss>0%", "loss>5", "loss>0", "rate>0", "rate>0.5", "rate>10k"],
      ...["rate>1e6"],
    ].map((text) => {
      const { limit, unit } = parseCondition(text);
      return `${limit} ${unit}`;
    });
    assertEquals(limits, [
      ...["1500 ms", "90000 ms", "0 ms", "0.1 percent", "100 percent"],
      ...["0 percent", "5 messages", "0 messages", "0 per second"],
      ...["0.5 per second", "10000 per second", "1000000 per second"],
    ]);
  });

  it("takes every operator, with or without spaces", () => {
    for (const operator of operators) {
      for (const space of ["", " ", "   "]) {
        const text = `p99${space}${operator}${space}20ms`;
        assertEquals(parseCondition(`${space}${text}${space}\n`), {
          ...{ text, metric: "p99", operator, limit: 20, unit: "ms" },
        });
      }
    }
  });

  const metrics =
    "expected a metric, p50, p90, p99, p99.9, max, mean, loss, rate or outage";
  it("says which metric it does not know, and which is near", () => {
    const messages = {
      ...{ "": metrics, "> 20ms": metrics },
      "p98 > 20ms": `${metrics}, not p98, did you mean p90?`,
      "P99 > 20ms": `${metrics}, not P99, did you mean p99?`,
      "los>1%": `${metrics}, not los, did you mean loss?`,
      "outages>1s": `${metrics}, not outages, did you mean outage?`,
      "latency>1s": `${metrics}, not latency`,
      "toString>1s": `${metrics}, not toString`,
      "rate\n<1": `${metrics}, not rate\\n, did you mean rate?`,
      "20ms < p99": `${metrics}, not 20ms`,
    };
    for (const [text, message] of Object.entries(messages)) {
      assertEquals(refusal(text), message);
    }
  });

  it("says which operator it does not know", () => {
    const allowed = "expected an operator, >, >=, < or <=, after p99";
    for (const operator of ["=", "==", "!=", "=>", ">>", "<>", "≥"]) {
      assertEquals(
        refusal(`p99 ${operator} 20ms`),
        `${allowed}, not ${operator}`,
      );
    }
    for (const text of ["p99", "p99 20ms", "p99 is > 20ms"]) {
      assertEquals(
        refusal(text),
        `${allowed}, and quotes around the condition`,
      );
    }
  });

  it("says what the limit of the metric may be", () => {
    const time = "expected a time such as 250ms, 5s, 2m or 1m30s, at most 596h";
    for (
      const limit of ["", "x", "1%", "-1ms", "1 s", "597h", "1s > 2", "1k"]
    ) {
      for (const metric of ["p99.9", "outage"]) {
        const message = `the limit of ${metric}: ${time}`;
        assertEquals(refusal(`${metric} > ${limit}`), message);
      }
    }
    const losses = [
      ...["", "x", "1ms", "-1", "0.5", "1.5", "1e3", "1k", "%", ".1%", "1.%"],
      ...["100.1%", "0.1 %", "1%%", "-1%", "9007199254740992", "1%\n2"],
    ];
    for (const limit of losses) {
      assertEquals(
        refusal(`loss > ${limit}`),
        "the limit of loss: expected a percentage such as 0.1%, at most 100%, " +
          "or a whole number of messages such as 5",
      );
    }
    for (const limit of ["", "x", "1%", "1ms", "-1", "10.1M", "1g", "= 1"]) {
      assertEquals(
        refusal(`rate < ${limit}`),
        "the limit of rate: expected a rate such as 0.5, 1000, 10k or 1e6, " +
          "at least 0 and at most 10M",
      );
    }
  });
});

describe("failedConditions()", () => {
  it("compares at the limit, below it and above it", () => {
    const around = (operator: string) =>
      failing(["2.9ms", "3ms", "3.1ms"].map((ms) => `p99 ${operator} ${ms}`))
        .map((text) => text.split(" ")[2]);
    assertEquals(around(">"), ["2.9ms"]);
    assertEquals(around(">="), ["2.9ms", "3ms"]);
    assertEquals(around("<"), ["3.1ms"]);
    assertEquals(around("<="), ["3ms", "3.1ms"]);
  });

  it("finds the value of each metric, in the order of the conditions", () => {
    const conditions = [
      ...["mean > 0", "max > 0", "p99.9 > 0", "p99 > 0", "p90 > 0", "p50 > 0"],
      ...["outage > 0", "rate > 0", "loss > 0", "loss > 0%"],
    ].map(parseCondition);
    const found = failedConditions(conditions, MEASURED);
    assertEquals(found.map(({ condition }) => condition), conditions);
    assertEquals(
      found.map(({ value }) => value),
      [6, 5, 4, 3, 2, 1, 4200, 812, 7, 0.7],
    );
  });

  it("holds none without conditions, or when none is met", () => {
    assertEquals(failing([]), []);
    assertEquals(failing(["p50 > 1s", "rate < 1", "loss > 7"]), []);
  });

  it("holds no condition on a latency without any latency", () => {
    for (const operator of operators) {
      const metrics = ["p50", "p90", "p99", "p99.9", "max", "mean"];
      const conditions = metrics.map((metric) => `${metric} ${operator} 1s`);
      assertEquals(failing(conditions, { latencyMs: undefined }), []);
      assertEquals(
        failing(conditions, {
          latencyMs: {
            p50: 1e3,
            p90: 1e3,
            p99: 1e3,
            p99_9: 1e3,
            max: 1e3,
            mean: 1e3,
          },
        }),
        operator.endsWith("=") ? conditions : [],
      );
    }
  });

  it("has no loss when nothing was sent", () => {
    const conditions = ["loss > 0%", "loss > 0", "loss <= 0%", "loss <= 0"];
    assertEquals(
      failing(conditions, { sent: 0, lost: 0 }),
      ["loss <= 0%", "loss <= 0"],
    );
    assertEquals(failing(["loss >= 100%"], { sent: 3, lost: 3 }), [
      "loss >= 100%",
    ]);
  });

  it("takes a loss of exactly the percentage for no more than it", () => {
    const hundredths = fc.integer({ min: 0, max: 10_000 });
    fc.assert(fc.property(hundredths, fc.nat(1000), (lost, factor) => {
      const measured = {
        sent: 10_000 * (factor + 1),
        lost: lost * (factor + 1),
      };
      const limit = `${(lost / 100).toFixed(2)}%`;
      const conditions = operators.map((operator) =>
        `loss ${operator} ${limit}`
      );
      assertEquals(
        failing(conditions, measured),
        [`loss >= ${limit}`, `loss <= ${limit}`],
      );
    }));
  });
});

describe("renderFailed()", () => {
  it("tells the condition and the value", () => {
    const lines = [
      failed("p99 > 20ms", 34.2),
      failed("p99>20ms", 345.678),
      failed("p50 > 0", 0.31234),
      failed("p50 < 1s", 0),
      failed("mean > 1ms", 1.2345),
      failed("outage > 1s", 4200),
      failed("outage >= 1s", 1000),
      failed("outage > 1s", 64_400),
      failed("outage > 1m", 3_661_000),
      failed("loss > 0.1%", 2.5),
      failed("loss > 0.1%", 100 / 3),
      failed("loss >= 100%", 100),
      failed("loss > 0", 1),
      failed("loss > 5", 12_345),
      failed("rate < 1000", 812),
      failed("rate < 1000", 0),
      failed("rate < 10k", 9123.4),
      failed("rate < 10", 9.12345),
    ].map(renderFailed);
    assertEquals(lines, [
      "p99 > 20ms: it was 34.2 ms",
      "p99>20ms: it was 346 ms",
      "p50 > 0: it was 0.312 ms",
      "p50 < 1s: it was 0 ms",
      "mean > 1ms: it was 1.23 ms",
      "outage > 1s: it was 4.20 s",
      "outage >= 1s: it was 1.00 s",
      "outage > 1s: it was 1m 4s",
      "outage > 1m: it was 1h 1m 1s",
      "loss > 0.1%: it was 2.5%",
      "loss > 0.1%: it was 33.33%",
      "loss >= 100%: it was 100%",
      "loss > 0: it was 1 message",
      "loss > 5: it was 12,345 messages",
      "rate < 1000: it was 812 messages/s",
      "rate < 1000: it was 0 messages/s",
      "rate < 10k: it was 9,123 messages/s",
      "rate < 10: it was 9.12 messages/s",
    ]);
  });

  it("has enough digits to tell the value from the limit", () => {
    const lines = [
      failed("p99 > 20ms", 20.0004),
      failed("p99 < 1s", 999.7),
      failed("outage > 1s", 1002),
      failed("outage > 1.001s", 1001.2),
      failed("outage > 1m", 60_020),
      failed("outage > 1m", 60_000.4),
      failed("loss > 0%", 0.0001),
      failed("loss < 100%", 99.9999),
      failed("rate < 1000", 999.96),
      failed("rate > 1000", 1000.0004),
      failed("p99 > 20ms", 20.000000000000004),
    ].map(renderFailed);
    assertEquals(lines, [
      "p99 > 20ms: it was 20.0004 ms",
      "p99 < 1s: it was 999.7 ms",
      "outage > 1s: it was 1002 ms",
      "outage > 1.001s: it was 1001.2 ms",
      "outage > 1m: it was 60.02 s",
      "outage > 1m: it was 60000.4 ms",
      "loss > 0%: it was 0.0001%",
      "loss < 100%: it was 99.9999%",
      "rate < 1000: it was 999.96 messages/s",
      "rate > 1000: it was 1000.0004 messages/s",
      "p99 > 20ms: it was 20.000000000000004 ms",
    ]);
  });

  it("shows a value that meets the condition, however near the limit", () => {
    const metric = fc.constantFrom("p99", "outage", "loss", "rate");
    const operator = fc.constantFrom(...operators);
    const thousandths = fc.nat(100_000);
    // From far away down to the next number that there is.
    const distance = fc.tuple(fc.constantFrom(-1, 0, 1), fc.nat(16));
    fc.assert(
      fc.property(
        fc.tuple(metric, operator, thousandths, distance),
        ([metric, operator, thousandths, [sign, exponent]]) => {
          const unit = { p99: "s", outage: "s", loss: "%", rate: "" }[metric];
          const text = `${metric} ${operator} ${thousandths / 1000}${unit}`;
          const condition = parseCondition(text);
          const { limit } = condition;
          const value = Math.max(
            0,
            limit + sign * (limit + 1) / 10 ** exponent,
          );
          if (!OPERATORS[operator](value, limit)) return;

          const line = renderFailed({ condition, value });
          const [, shown = "", shownUnit = ""] =
            line.match(/: it was ([\d.,e-]+)(%| ms| s| messages\/s)$/) ??
              line.match(/: it was ((?:\d+[hms] ?)+)$/) ?? [];
          assert(shown !== "", line);
          const number = shownUnit === ""
            ? parseTime(shown.replaceAll(" ", ""))
            : Number(shown.replaceAll(",", ""));
          const scale = shownUnit === " s" ? 1000 : 1;
          assert(OPERATORS[operator](number, limit / scale), line);

          const json = jsonFailed({ condition, value });
          assert(OPERATORS[operator](json.value, limit), JSON.stringify(json));
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe("jsonFailed()", () => {
  it("has the condition and the value, to three decimals", () => {
    const objects = [
      failed(" p99>20ms ", 34.20049),
      failed("outage > 1s", 64_400.1239),
      failed("loss > 0.1%", 100 / 3),
      failed("loss > 5", 12_345),
      failed("rate < 10k", 9123.4),
    ].map(jsonFailed);
    assertEquals(objects, [
      { condition: "p99>20ms", value: 34.2 },
      { condition: "outage > 1s", value: 64_400.124 },
      { condition: "loss > 0.1%", value: 33.333 },
      { condition: "loss > 5", value: 12_345 },
      { condition: "rate < 10k", value: 9123.4 },
    ]);
  });

  it("has more decimals where three would be the limit", () => {
    const values = [
      failed("p99 > 20ms", 20.0004),
      failed("rate < 1000", 999.99996),
      failed("p99 > 20ms", 20.000000000000004),
    ].map((failed) => jsonFailed(failed).value);
    assertEquals(values, [20.0004, 999.99996, 20.000000000000004]);
  });
});
