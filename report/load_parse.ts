import type { IrregularKind } from "../client.ts";
import { type Address, bareHost, isTransport } from "../net/address.ts";
import { describeError } from "../net/errors.ts";
import { ALL_FAILURE_REASONS, type FailureReason } from "../probe/failure.ts";
import {
  type Digits,
  type PlainHistogram,
  toPlain,
} from "../probe/histogram.ts";
import { decodeHistogram } from "../probe/histogram_text.ts";
import {
  type IrregularCounts,
  noIrregularities,
} from "../probe/irregularities.ts";
import { DIGITS as LATENCY_DIGITS } from "../probe/latency.ts";
import type { Run } from "../probe/runs.ts";
import { type PlainLatencies, type PlainRow, Tally } from "../probe/tally.ts";
import { MOST_ROWS, ROW_DIGITS } from "../probe/timeline.ts";
import { Fields, FormatError } from "./json_fields.ts";
import { VERSION, VERSION_FIELD } from "./load_json.ts";
import type { ReportContext, RunOrigin } from "./load_text.ts";
import type { LoadResult } from "./merge.ts";

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
export function parseLoad(json: Record<string, unknown>): LoadResult {
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
  const failed = fields.count("failed");
  const { runs, origins } = readRuns(fields, target, startedAt);
  const messagesInTime = messages - fields.count("after_end");
  const latencies = readLatencies(fields, "");
  check((latencies?.count ?? 0) === messages, "messages");
  check(
    runs.reduce((n, run) => n + run.messagesInTime, 0) === messagesInTime,
    "after_end",
  );
  const failures = readReasons(fields, "failures", (it, key) => it.count(key));
  check(
    Object.values(failures).reduce((n, count) => n + count, 0) === failed,
    "failed",
  );
  const longestOutageMs = fields.number("longest_outage_ms", 0);
  const weight = runs.reduce((n, it) => n + it.durationMs * it.connections, 0);
  const tally = Tally.from({
    counts: {
      ...{ sent: messages + failed, messagesInTime },
      failedEarly: fields.count("failed_before_start"),
      failedLate: fields.count("failed_after_end"),
      unsent: isOpenLoop ? fields.count("unsent_too_many_under_way") : 0,
      tooLate: isOpenLoop ? fields.count("unsent_client_late") : 0,
      ...{ surplus: 0, connected: 0, open: 0 },
    },
    longest: {
      lastAfterMs: fields.number("last_after_end_ms", 0),
      oldestMs: 0,
    },
    failures,
    firstErrors: readReasons(fields, "first_errors", (it, key) => ({
      text: it.text(key),
      ms: readErrorMs(fields, key),
    })),
    irregular: readDatagrams(fields, target.transport),
    latencies,
    late: readLatencies(fields, isOpenLoop ? "late_" : undefined),
    rows: readTimeline(fields),
    outages: {
      count: longestOutageMs > 0 ? 1 : 0,
      ...{ longestMs: longestOutageMs, latest: [] },
    },
    ...{ runs, isPaced: isOpenLoop, processorShare: 0 },
    busyMs: fields.has("busy_share")
      ? fields.number("busy_share", 0) * weight
      : undefined,
  });
  if (fields.has("error")) tally.error = new Error(fields.text("error"));
  readDuration(fields);
  const context: ReportContext = {
    ...{ target, origins },
    connections: fields.count("connections"),
    ...(fields.has("workers") && { threads: fields.count("workers") }),
    message: fields.count("message_bytes"),
    ...(fields.has("messages_alike") && {
      isAlike: fields.flag("messages_alike"),
    }),
    ratePerSecond: isOpenLoop ? fields.number("target_rate", 0) : undefined,
    isWarm: fields.flag("warmed_up"),
    startedAt: startedAt === undefined ? undefined : new Date(startedAt),
  };
  return { tally, context };
}

function readErrorMs(fields: Fields, reason: FailureReason): number {
  const times = readReasons(
    fields,
    "first_errors_ms",
    (it, key) => it.number(key),
  );
  return times[reason] ?? 0;
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
): PlainLatencies | undefined {
  const name = `${prefix || "latency_"}exact`;
  if (prefix === undefined || !fields.has(name)) return undefined;
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
    histogram: readHistogram(histogramName, text, LATENCY_DIGITS, count),
  };
  const { min, max, mean, squares } = record;
  const most = max * (1 + ROUNDING);
  check(min <= mean * (1 + ROUNDING) && mean <= most, name);
  // No value is further from the mean than the range is wide.
  check(squares <= count * ((max - min) ** 2 + most ** 2 * ROUNDING), name);
  return record;
}

/** Reads rows, each of which begins where the one before ends, or later. */
function readTimeline(fields: Fields): PlainRow[] {
  const rows = fields.list("timeline", readRow, MOST_ROWS);
  let endMs = 0;
  for (const { startMs, durationMs } of rows) {
    check(startMs >= endMs - 2 * LEAST_MS, "timeline");
    endMs = startMs + durationMs;
  }
  return rows;
}

function readRow(fields: Fields): PlainRow {
  const messages = fields.count("messages");
  const name = "histogram_hdr";
  return {
    startMs: fields.number("start_ms", 0),
    durationMs: readDuration(fields),
    ...{ messages, failed: fields.count("failed") },
    histogram: messages === 0 ? [] : readHistogram(
      `${name} of a row of timeline`,
      fields.text(name, MOST_HISTOGRAM_TEXT),
      ROW_DIGITS,
      messages,
    ),
  };
}

function readHistogram(
  name: string,
  text: string,
  digits: Digits,
  count: number,
): PlainHistogram {
  try {
    return toPlain(decodeHistogram(text, digits, count));
  } catch (error) {
    throw new FormatError(`${name} is damaged: ${describeError(error)}`);
  }
}

function readDatagrams(
  fields: Fields,
  transport: Address["transport"],
): IrregularCounts {
  const irregular = noIrregularities();
  if (transport !== "udp") return irregular;
  for (const kind of Object.keys(irregular) as IrregularKind[]) {
    irregular[kind] = fields.count(kind);
  }
  // There a wrong reply to a message counts as corrupt, too.
  const failures = fields.fields("failures");
  if (failures.has("mismatch")) {
    irregular.corrupt -= failures.count("mismatch");
    check(irregular.corrupt >= 0, "corrupt");
  }
  return irregular;
}

/** Reads the runs of a merged load; of one that was not merged, makes its run. */
function readRuns(
  fields: Fields,
  target: Address,
  startedAt: number | undefined,
): { runs: Run[]; origins: RunOrigin[] } {
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
