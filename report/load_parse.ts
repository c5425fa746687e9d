/**
 * Reading the result of a load that was written as JSON.
 *
 * @module
 */

import type { IrregularKind } from "../client.ts";
import { type Address, bareHost, isTransport } from "../net/address.ts";
import { describeError } from "../net/errors.ts";
import { ALL_FAILURE_REASONS, type FailureReason } from "../probe/failure.ts";
import { newHistogram } from "../probe/histogram.ts";
import { decodeHistogram } from "../probe/histogram_text.ts";
import { noIrregularities } from "../probe/irregularities.ts";
import { DIGITS as LATENCY_DIGITS, Latencies } from "../probe/latency.ts";
import type { LoadSummary } from "../probe/load.ts";
import type { LoadRun } from "../probe/load_runs.ts";
import { statisticsOf } from "../probe/load_summary.ts";
import { MOST_ROWS, type RecordedRow, ROW_DIGITS } from "../probe/timeline.ts";
import { Fields, FormatError } from "./json_fields.ts";
import { VERSION, VERSION_FIELD } from "./load_json.ts";
import type { LoadReport, ReportContext, RunOrigin } from "./load_text.ts";

/** The shortest time that the format has, but for none: it is rounded to this. */
const LEAST_MS = 0.001;

/** What rounding may do to a sum or a mean. */
const ROUNDING = 1e-6;

/** The longest text of a histogram: as long as what it is inflated to may be. */
const MOST_HISTOGRAM_TEXT = 512 * 1024;

/**
 * Reads a report that `jsonLoad()` wrote, and that anybody may have changed: what it
 * returns can be added and printed, in little time and memory. Where its connection was,
 * and how much processor time it took, is not in it.
 *
 * @throws {FormatError} If the object is of another version, or not as it was
 * written.
 */
export function parseLoad(json: Record<string, unknown>): LoadReport {
  const fields = new Fields(json);
  if (json[VERSION_FIELD] !== VERSION) {
    throw new FormatError(
      `of ${describeVersion(json[VERSION_FIELD])} of the format, ` +
        `this echo knows version ${VERSION}`,
    );
  }
  const isOpenLoop = fields.has("target_rate");
  const startedAt = fields.has("start") ? fields.instant("start") : undefined;
  const target = readAddress(fields, fields.text("transport"));
  const messages = fields.count("messages");
  const recorded = {
    latencies: readLatencies(fields, ""),
    late: readLatencies(fields, isOpenLoop ? "late_" : undefined),
    rows: readTimeline(fields),
  };
  const { runs, origins } = readRuns(fields, target, startedAt);
  const messagesInTime = messages - fields.count("after_end");
  check(recorded.latencies.count === messages, "messages");
  check(
    runs.reduce((n, run) => n + run.messagesInTime, 0) === messagesInTime,
    "after_end",
  );
  const summary: LoadSummary = {
    ...{ messages, messagesInTime, failed: fields.count("failed") },
    lastAfterMs: fields.number("last_after_end_ms", 0),
    failures: readReasons(fields, "failures", (it, name) => it.count(name)),
    firstErrors: readReasons(
      fields,
      "first_errors",
      (it, name) => it.text(name),
    ),
    firstErrorsMs: readReasons(
      fields,
      "first_errors_ms",
      (it, name) => it.number(name),
    ),
    ...readDatagrams(fields, target.transport),
    error: fields.has("error") ? new Error(fields.text("error")) : undefined,
    ...{ underWay: 0, oldestMs: 0, processorShare: 0, ends: undefined },
    durationMs: readDuration(fields),
    unsent: isOpenLoop ? fields.count("unsent_too_many_under_way") : 0,
    tooLate: isOpenLoop ? fields.count("unsent_client_late") : 0,
    longestOutageMs: fields.number("longest_outage_ms", 0),
    failedEarly: fields.count("failed_before_start"),
    failedLate: fields.count("failed_after_end"),
    busyShare: fields.has("busy_share")
      ? fields.number("busy_share", 0)
      : undefined,
    ...{ runs, recorded, ...statisticsOf(recorded) },
  };
  const context: ReportContext = {
    ...{ target, origins },
    connections: fields.count("connections"),
    ...(fields.has("workers") && { threads: fields.count("workers") }),
    message: fields.count("message_bytes"),
    ratePerSecond: isOpenLoop ? fields.number("target_rate", 0) : undefined,
    isWarm: fields.flag("warmed_up"),
    startedAt: startedAt === undefined ? undefined : new Date(startedAt),
  };
  return { summary, context };
}

function describeVersion(version: unknown): string {
  return typeof version === "number" ? `version ${version}` : "another version";
}

function readDuration(fields: Fields): number {
  const ms = fields.number("duration_ms", 0);
  check(ms === 0 || ms >= LEAST_MS, "duration_ms");
  return ms;
}

function readReasons<T>(
  fields: Fields,
  name: string,
  read: (fields: Fields, reason: FailureReason) => T,
): Partial<Record<FailureReason, T>> {
  return fields.entries(name, ALL_FAILURE_REASONS, read);
}

function check(isGood: boolean, name: string): void {
  if (!isGood) throw new FormatError(`${name} does not fit the other fields`);
}

function readAddress(fields: Fields, transport: string): Address {
  const text = fields.text("address");
  const [, hostname, port] = text.match(/^(.+):(\d+)$/) ?? [];
  if (!isTransport(transport)) {
    throw new FormatError("transport is none of tcp, tls and udp");
  }
  if (hostname === undefined || Number(port) > 65535) {
    throw new FormatError("address has no port");
  }
  return {
    ...{ transport, port: Number(port) },
    hostname: bareHost(hostname),
  };
}

function readLatencies(
  fields: Fields,
  prefix: "" | "late_" | undefined,
): Latencies {
  const name = `${prefix || "latency_"}exact`;
  if (prefix === undefined || !fields.has(name)) return new Latencies();
  const exact = fields.fields(name);
  const histogramName = `${prefix}histogram_hdr`;
  const count = exact.count("count");
  const text = fields.text(histogramName, MOST_HISTOGRAM_TEXT);
  const record = {
    count,
    min: exact.number("min", 0),
    max: exact.number("max", 0),
    mean: exact.number("mean", 0),
    squares: exact.number("squares", 0, Infinity),
    histogram: readHistogram(
      histogramName,
      () => decodeHistogram(text, LATENCY_DIGITS, count),
    ),
  };
  const { min, max, mean, squares } = record;
  const most = max * (1 + ROUNDING);
  check(min <= mean * (1 + ROUNDING) && mean <= most, name);
  // No value is further from the mean than the range is wide.
  check(squares <= count * ((max - min) ** 2 + most ** 2 * ROUNDING), name);
  return Latencies.fromRecord(record);
}

/** Reads rows, each of which begins where the one before ends, or later. */
function readTimeline(fields: Fields): RecordedRow[] {
  const rows = fields.list("timeline", readRow, MOST_ROWS);
  let endMs = 0;
  for (const { startMs, durationMs } of rows) {
    check(startMs >= endMs - 2 * LEAST_MS, "timeline");
    endMs = startMs + durationMs;
  }
  return rows;
}

function readRow(fields: Fields): RecordedRow {
  const messages = fields.count("messages");
  const text = messages > 0
    ? fields.text("histogram_hdr", MOST_HISTOGRAM_TEXT)
    : undefined;
  return {
    startMs: fields.number("start_ms", 0),
    durationMs: readDuration(fields),
    ...{ messages, failed: fields.count("failed") },
    // Decoded when it is needed, for the first time by the statistics of the load: those of
    // a thousand results would take a gigabyte.
    get histogram() {
      return text === undefined ? newHistogram(ROW_DIGITS) : readHistogram(
        "histogram_hdr of a row of timeline",
        () => decodeHistogram(text, ROW_DIGITS, messages),
      );
    },
  };
}

function readHistogram<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new FormatError(`${name} is damaged: ${describeError(error)}`);
  }
}

function readDatagrams(
  fields: Fields,
  transport: Address["transport"],
): Pick<LoadSummary, "irregular"> {
  const irregular = noIrregularities();
  if (transport !== "udp") return { irregular };
  for (const kind of Object.keys(irregular) as IrregularKind[]) {
    irregular[kind] = fields.count(kind);
  }
  // There a wrong reply to a message counts as corrupt, too.
  const failures = fields.fields("failures");
  if (failures.has("mismatch")) {
    irregular.corrupt -= failures.count("mismatch");
    check(irregular.corrupt >= 0, "corrupt");
  }
  return { irregular };
}

/** Reads the runs of a merged load; of one that was not merged, makes its run. */
function readRuns(
  fields: Fields,
  target: Address,
  startedAt: number | undefined,
): { runs: LoadRun[]; origins: RunOrigin[] } {
  const limitOf = (it: Fields) =>
    it.has("client_limit") ? it.text("client_limit") : undefined;
  const idOf = (it: Fields) => it.has("id") ? it.text("id") : undefined;
  const rateOf = (it: Fields) =>
    it.has("target_rate") ? it.number("target_rate", 0) : undefined;
  if (!fields.has("runs")) {
    return {
      runs: [{
        startMs: 0,
        durationMs: readDuration(fields),
        connections: fields.count("connections"),
        messagesInTime: fields.count("messages") - fields.count("after_end"),
        ratePerSecond: rateOf(fields),
      }],
      origins: [{ target, limit: limitOf(fields), id: idOf(fields) }],
    };
  }
  const read = fields.list("runs", (it) => ({
    run: {
      startMs: it.has("start") ? it.instant("start") - (startedAt ?? 0) : 0,
      durationMs: readDuration(it),
      connections: it.count("connections"),
      messagesInTime: it.count("messages_in_time"),
      ratePerSecond: rateOf(it),
    },
    origin: {
      target: readAddress(it, target.transport),
      ...{ limit: limitOf(it), id: idOf(it) },
    },
  }));
  check(read.length > 0, "runs");
  return {
    runs: read.map(({ run }) => run),
    origins: read.map(({ origin }) => origin),
  };
}
