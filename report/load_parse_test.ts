import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Tally } from "../probe/tally.ts";
import { failure } from "../testing/probe.ts";
import fc from "../testing/properties.ts";
import { FormatError } from "./json_fields.ts";
import { jsonLoad } from "./load_json.ts";
import { mergeReports } from "./merge.ts";
import { parseLoad } from "./load_parse.ts";
import { type LoadReport, renderLoad } from "./load_text.ts";

/** Makes the report of a load over UDP at a rate, which has all fields. */
function makeReport(): LoadReport {
  const tally = new Tally({ connections: 3, ratePerSecond: 50 });
  tally.start(2000);
  for (let ms = 1; ms <= 100; ms++) {
    tally.addVerified(undefined, ms);
    tally.addLate(ms / 1000);
  }
  tally.addFailed(failure("timeout"), performance.now());
  tally.addFailed(failure("mismatch"), performance.now());
  tally.addIrregular("corrupt");
  tally.addUnsent();
  tally.addTooLate(2);
  tally.end(0);
  return {
    summary: tally.summary(),
    context: {
      ...{ connections: 3, message: 64, ratePerSecond: 50, isWarm: true },
      target: { transport: "udp", hostname: "::1", port: 7 },
      startedAt: new Date("2026-11-24T21:05:00.123Z"),
      ...{ id: "1a2b", threads: 2 },
    },
  };
}

/** Sends an object through JSON. */
function written(report: LoadReport): Record<string, unknown> {
  return JSON.parse(JSON.stringify(jsonLoad(report)));
}

/** What nobody measures, and would take long to add, or have no sense in a report. */
const HOSTILE: [path: string, value: unknown, why: string][] = [
  ["duration_ms", 1e308, "duration_ms is not a number in range"],
  ["duration_ms", 5e-324, "duration_ms does not fit the other fields"],
  ["start", "2026-02-30T00:00:00.000Z", "start is not a time"],
  ["start", "+275760-09-13T00:00:00.000Z", "start is not a time"],
  ["start", "1", "start is not a time"],
  ["failed", 9e15, "failed is not a count"],
  ["target_rate", 1e308, "target_rate is not a number in range"],
  ["address", "h:99999", "address has no port"],
  [
    "first_errors.timeout",
    "a".repeat(5000),
    "first_errors.timeout is not a text of at most 4096 characters",
  ],
  ["failures.constructor", 1, 'failures has an unknown field "constructor"'],
  ["latency_exact.min", 101, "latency_exact does not fit the other fields"],
  ["latency_exact.mean", 1e6, "latency_exact does not fit the other fields"],
  ["latency_exact.mean", 0.5, "latency_exact does not fit the other fields"],
  [
    "latency_exact.squares",
    1e300,
    "latency_exact does not fit the other fields",
  ],
  ["late_exact.max", 0, "late_exact does not fit the other fields"],
  [
    "timeline.0.start_ms",
    1e13,
    "timeline[0].start_ms is not a number in range",
  ],
  ["timeline", Array(61).fill({}), "timeline is not a list of at most 60"],
  ["runs", Array(10_001).fill({}), "runs is not a list of at most 10000"],
  ["runs", [], "runs does not fit the other fields"],
];

describe("parseLoad()", () => {
  it("reads what was written", () => {
    const json = written(makeReport());
    const read = parseLoad(json);
    const { id, ...context } = makeReport().context;
    assertEquals(read.context, {
      ...{ ...context, isAlike: false },
      origins: [{
        ...{ target: context.target, id },
        limit: json.client_limit as string ?? undefined,
      }],
    });
    const summary = read.tally.summary();
    const { failures, irregular, unsent, tooLate } = summary;
    assertEquals(failures, { timeout: 1, mismatch: 1 });
    // The wrong reply is counted as a failure here, and as corrupt in JSON.
    assertEquals([irregular.corrupt, json.corrupt], [1, 2]);
    assertEquals([unsent, tooLate], [1, 2]);
    const { latencies, late } = read.tally;
    assertEquals([latencies.count, late.count], [100, 100]);
    // But for how far the histograms may grow, and the end of the connection.
    const again = written({ summary, context: read.context });
    const names = Object.keys(json).filter((name) =>
      !/hdr|timeline/.test(name)
    );
    for (const name of names) assertEquals(again[name], json[name], name);
  });

  it("reads a load that was stopped at once, which has numbers all the same", () => {
    for (const hasBegun of [false, true]) {
      const tally = new Tally({ connections: 3, ratePerSecond: undefined });
      if (hasBegun) {
        tally.start(2000);
        tally.end(0);
      }
      const { context } = makeReport();
      const json = written({
        summary: tally.summary(),
        context: { ...context, ratePerSecond: undefined },
      });
      assertEquals(
        [json.messages, json.messages_per_second, json.bytes_per_second],
        [0, 0, 0],
      );
      assertEquals(typeof json.duration_ms, "number");
      assertEquals(json.latency_ms, null);
      assertEquals(parseLoad(json).tally.latencies.count, 0);
    }
  });

  it("refuses what nobody measures", () => {
    const json = written(makeReport());
    for (const [path, value, why] of HOSTILE) {
      const hostile = changed(json, path.split("."), value);
      assertThrows(() => parseLoad(hostile), FormatError, why, path);
    }
    const [row] = json.timeline as unknown[];
    const twice = { ...json, timeline: [row, row] };
    assertThrows(() => parseLoad(twice), FormatError, "timeline does not fit");
  });

  it("refuses what is damaged in words, whatever it is", () => {
    const json = written(makeReport());
    const good = parseLoad(json);
    const paths = pathsOf(json);
    fc.assert(
      fc.property(
        fc.constantFrom(...paths),
        fc.oneof(
          fc.jsonValue({ maxDepth: 1 }),
          fc.constantFrom(
            undefined,
            -1,
            0,
            1e13,
            1e300,
            5e-324,
            "",
            "HISTFAAA",
            "a:1",
          ),
        ),
        (path, value) => {
          try {
            const report = parseLoad(changed(json, path, value));
            // What is not refused can be added, printed, and read again.
            const sum = mergeReports([report, good]);
            assert(!/NaN|∞|undefined/.test(renderLoad(sum, 80)));
            parseLoad(written(sum));
          } catch (error) {
            if (!(error instanceof FormatError)) throw error;
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});

/** Finds the paths of all values within a value. */
function pathsOf(value: unknown, path: string[] = []): string[][] {
  if (typeof value !== "object" || value === null) return [path];
  const below = Object.entries(value)
    .flatMap(([key, value]) => pathsOf(value, [...path, key]));
  return path.length > 0 ? [path, ...below] : below;
}

/** Copies an object with another value at a path. */
function changed(
  object: Record<string, unknown>,
  [key, ...rest]: string[],
  value: unknown,
): Record<string, unknown> {
  const copy = structuredClone(object);
  const child = copy[key!] as Record<string, unknown>;
  copy[key!] = rest.length > 0 ? changed(child, rest, value) : value;
  return copy;
}
