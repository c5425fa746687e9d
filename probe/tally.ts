import type { IrregularKind } from "../client.ts";
import {
  detailOf,
  type FailureReason,
  failureReason,
  isCut,
} from "./failure.ts";
import { type PlainHistogram, toHistogram, toPlain } from "./histogram.ts";
import { type IrregularCounts, noIrregularities } from "./irregularities.ts";
import {
  type Bucket,
  DIGITS,
  Latencies,
  type LatencyRecord,
  type LatencySummary,
} from "./latency.ts";
import { endsOf } from "./link.ts";
import { overlapOf, type Run } from "./runs.ts";
import type { Sent } from "./open_loop.ts";
import { MOST_OUTAGES, Outages, type OutageSummary } from "./outages.ts";
import type { Ends, ProbeClient } from "./probe_client.ts";
import {
  addTimelines,
  type PlacedRows,
  type RecordedRow,
  ROW_DIGITS,
  summaryOf,
  Timeline,
  type TimelineRow,
} from "./timeline.ts";

/**
 * What is only counted. A counter that stands here is added up, goes to other threads,
 * and is in each summary.
 */
const NO_COUNTS = {
  /** Messages that were sent, or could not be for want of a connection. */
  sent: 0,
  /** Those that came back, verified, in the time of the run. */
  messagesInTime: 0,
  /** Connections that failed before the start: they are in no row. */
  failedEarly: 0,
  /** Failures that were found after the time of a load: they are in no row. */
  failedLate: 0,
  /** Messages that were due and not sent, as too many were under way. */
  unsent: 0,
  /** Messages that were due and not sent, as the client was late. */
  tooLate: 0,
  /** How often more came back to a ping than was sent, after the last message. */
  surplus: 0,
  /** Connections that were made. */
  connected: 0,
  /** Connections that are open. */
  open: 0,
};

/** Of these the greatest counts, in milliseconds. */
const NO_LONGEST = {
  /** How long after the time of a load its last message came back. */
  lastAfterMs: 0,
  /** How long ago the oldest message was sent that is under way. */
  oldestMs: 0,
};

type Counts = typeof NO_COUNTS;
type Longest = typeof NO_LONGEST;

/** The first failure of a reason: what it said, and when, from the start of the run. */
interface FirstError {
  readonly text: string;
  /** Below 0 before the start. */
  readonly ms: number;
}

type FirstErrors = Partial<Record<FailureReason, FirstError>>;

/** Latencies as plain data. */
export type PlainLatencies = Omit<LatencyRecord, "histogram"> & {
  readonly histogram: PlainHistogram;
};

/** A row of a timeline as plain data. */
export type PlainRow = Omit<RecordedRow, "histogram"> & {
  readonly histogram: PlainHistogram;
};

/** How long connections with TLS took to make; others have no handshake. */
export interface ConnectSummary {
  /** How long connecting took, before the handshake. */
  readonly connectMs: LatencySummary;
  /** How long the TLS handshake took after that. */
  readonly handshakeMs: LatencySummary;
}

/** A {@linkcode Tally} as plain data, which may be posted to a thread or written as JSON. */
export interface TallyRecord {
  readonly counts: Counts;
  readonly longest: Longest;
  readonly failures: Partial<Record<FailureReason, number>>;
  readonly firstErrors: FirstErrors;
  readonly irregular: IrregularCounts;
  readonly latencies?: PlainLatencies | undefined;
  readonly late?: PlainLatencies | undefined;
  readonly connect?: PlainLatencies | undefined;
  readonly handshake?: PlainLatencies | undefined;
  readonly rows: readonly PlainRow[];
  readonly lastSecond?: PlainRow | undefined;
  /** Their times are from the start of the run. */
  readonly outages: OutageSummary;
  readonly runs: readonly Run[];
  readonly isPaced: boolean;
  readonly busyMs?: number | undefined;
  readonly processorShare: number;
  readonly ends?: Ends | undefined;
}

/** What a probe found. */
export interface Summary extends Counts, Longest {
  /** How many messages came back, every byte verified. */
  messages: number;
  /** How many did not, and how many connections could not be made. */
  failed: number;
  /** How many failures there were, by reason. */
  failures: Partial<Record<FailureReason, number>>;
  /** What the first failure of each reason said. */
  firstErrors: Partial<Record<FailureReason, string>>;
  /** When that was, in milliseconds from the start; before it, the time is below 0. */
  firstErrorsMs: Partial<Record<FailureReason, number>>;
  /** How many replies were irregular, by kind. */
  irregular: IrregularCounts;
  /** What made the first connection impossible, if anything did. */
  error: unknown;
  /** How many messages are under way, before the end. */
  underWay: number;
  /** For how long messages were sent: of a load as asked, or until a stop. */
  durationMs: number;
  /** How the latencies are spread, if any message came back. */
  latencyMs: LatencySummary | undefined;
  /** How many latencies lie in which range. */
  histogram: Bucket[];
  /** The mean difference of a ping's round trip and the one before it. */
  jitterMs: number | undefined;
  /** How late messages left, or timers were: the client's own doing. */
  lateMs: LatencySummary | undefined;
  /** The times during which nothing came back. */
  outages: OutageSummary;
  /** What a load did in each second. */
  timeline: TimelineRow[];
  /**
   * How much of the time a connection had a message under way, from 0 to 1 (by
   * Little's law); `undefined` with a rate, and before the end.
   */
  busyShare: number | undefined;
  /** How much of a processor's time this process used, from 0, for all its threads. */
  processorShare: number;
  /** The first connection of a load, the latest of a ping. */
  ends: Ends | undefined;
  /** The runs of which this is the sum: one, unless loads were merged. */
  runs: Run[];
  /** What the statistics are made of. */
  recorded: {
    readonly latencies: Latencies;
    readonly late: Latencies;
    readonly rows: RecordedRow[];
  };
  /** How long connecting and the TLS handshakes took, if connections spoke TLS. */
  connectTimes?: ConnectSummary;
}

/** What a run does at the moment, in one thread or several. */
export interface LoadProgress {
  /** When the clock started, as `performance.now()`. */
  readonly startedAt: number;
  /** When it ends, as `performance.now()`. */
  readonly endsAt: number;
  /** How many messages or connections failed so far. */
  readonly failed: number;
  /** The latest second that is over, or the first one. */
  lastSecond(): TimelineRow;
  /** How many messages are under way, and when the oldest of them was sent. */
  underWayNow(): { messages: number; sinceAt: number | undefined };
  /** What the load found so far. */
  summary(): Summary | Promise<Summary>;
}

/** The run that a tally counts. */
export interface TallyOptions {
  /** How many connections there are. */
  readonly connections: number;
  /** How many messages are due a second, if they are due at times. */
  readonly ratePerSecond?: number | undefined;
  /** Of a ping: the time between two messages, which may be 0. */
  readonly intervalMs?: number | undefined;
}

/** The most rows that the histogram has. */
const MOST_BUCKETS = 12;

/** What a run found, or several together: it counts, and others can be added. */
export class Tally implements LoadProgress {
  /** The run that is counted here, if one is. */
  readonly #run: TallyOptions | undefined;
  readonly #counts: Counts = { ...NO_COUNTS };
  readonly #longest: Longest = { ...NO_LONGEST };
  readonly #failures: Partial<Record<FailureReason, number>> = {};
  /** Their times are those of `performance.now()`. */
  readonly #firstErrors: FirstErrors = {};
  readonly #irregular = noIrregularities();
  #connect: Latencies | undefined;
  #handshake: Latencies | undefined;
  readonly #outages = new Outages();
  /** When each connection's message was sent; 0 if none is under way. */
  readonly #sentAt: Float64Array;
  #timeline: Timeline | undefined;
  /** For how long messages were under way in the time of the run, all together. */
  #busyMs: number | undefined = 0;
  #processorShare = 0;
  #endedAt: number | undefined;
  /** Not the difference of two times, which would be rounded. */
  #durationMs = 0;
  #isStarted = false;
  #lastLatencyMs: number | undefined;
  /** The sum of the differences between neighbouring latencies of a ping. */
  #differencesMs = 0;
  /** When the last message was sent that was lost. */
  #lostSentAt = -Infinity;

  // What was added of others.
  #runs: Run[] = [];
  readonly #rows: PlacedRows[] = [];
  #lastSecond: RecordedRow | undefined;
  #addedOutages: OutageSummary = { count: 0, longestMs: 0, latest: [] };

  readonly latencies: Latencies = new Latencies();
  readonly late: Latencies = new Latencies();
  /** Whether messages were due at times. */
  isPaced: boolean;
  startedAt: number;
  endsAt: number;
  failed = 0;
  /** What made the first connection impossible. */
  error: unknown;
  /** With a rate: the messages under way, the oldest first. */
  underWay: ReadonlySet<Sent> = new Set();
  ends: Ends | undefined;
  /** Counts the connections that are open. */
  countOpen: () => number = () => 0;

  /** Counts a run; without one it is there to add others. */
  constructor(run?: TallyOptions) {
    this.#run = run;
    this.#sentAt = new Float64Array(run?.connections ?? 0);
    const { ratePerSecond, intervalMs } = run ?? {};
    this.isPaced = ratePerSecond !== undefined || intervalMs !== undefined;
    this.startedAt = this.endsAt = run ? performance.now() : 0;
  }

  /** Makes a tally of what {@linkcode Tally.toRecord} returned. */
  static from(record: TallyRecord): Tally {
    const tally = new Tally();
    addCounts(tally.#counts, record.counts);
    Object.assign(tally.#longest, record.longest);
    addCounts(tally.#failures, record.failures);
    for (const count of Object.values(record.failures)) tally.failed += count;
    Object.assign(tally.#firstErrors, record.firstErrors);
    addCounts(tally.#irregular, record.irregular);
    tally.latencies.add(latenciesOf(record.latencies));
    tally.late.add(latenciesOf(record.late));
    const { connect, handshake, ends, lastSecond } = record;
    if (connect) tally.#connect = latenciesOf(connect);
    if (handshake) tally.#handshake = latenciesOf(handshake);
    tally.#rows.push({ startMs: 0, rows: record.rows.map(rowOf) });
    tally.#lastSecond = lastSecond && rowOf(lastSecond);
    tally.#addedOutages = record.outages;
    tally.#runs = [...record.runs];
    tally.isPaced = record.isPaced;
    tally.#busyMs = record.busyMs;
    tally.#processorShare = record.processorShare;
    tally.ends = ends;
    return tally;
  }

  /** Takes it out as plain data, but for `error`; the rows only if they are asked for. */
  toRecord(withRows = true): TallyRecord {
    const last = this.#lastRecorded();
    return {
      counts: this.counts,
      longest: this.#longestNow(),
      failures: { ...this.#failures },
      firstErrors: this.#errorsFromStart(),
      irregular: { ...this.#irregular },
      latencies: plainOf(this.latencies),
      late: plainOf(this.late),
      connect: plainOf(this.#connect),
      handshake: plainOf(this.#handshake),
      rows: withRows ? this.rows().map(plainRow) : [],
      lastSecond: last && plainRow(last),
      outages: this.#outagesFromStart(),
      runs: this.runs,
      isPaced: this.isPaced,
      busyMs: this.#busyMsKnown(),
      processorShare: this.#processorShare,
      ends: this.ends && { local: this.ends.local, remote: this.ends.remote },
    };
  }

  /**
   * Adds what another one counted, which started so long after this one. Of outages, and
   * of what came after the end, the longest is taken.
   */
  add(other: Tally, startMs = 0): void {
    const before = weightOf(this.runs);
    const otherWeight = weightOf(other.runs);
    const [busyMs, otherBusyMs] = [this.#busyMsKnown(), other.#busyMsKnown()];
    // What has no weight does not say that the rest is unknown.
    if (before === 0) this.#busyMs = otherBusyMs;
    else if (otherWeight > 0) {
      this.#busyMs = busyMs === undefined || otherBusyMs === undefined
        ? undefined
        : busyMs + otherBusyMs;
    }
    addCounts(this.#counts, other.counts);
    const longest = other.#longestNow();
    for (const name of Object.keys(longest) as (keyof Longest)[]) {
      this.#longest[name] = Math.max(this.#longest[name], longest[name]);
    }
    this.failed += other.failed;
    addCounts(this.#failures, other.#failures);
    for (
      const [key, { text, ms }] of Object.entries(other.#errorsFromStart())
    ) {
      const reason = key as FailureReason;
      const at = this.startedAt + startMs + ms;
      if (at >= (this.#firstErrors[reason]?.ms ?? Infinity)) continue;
      this.#firstErrors[reason] = { text, ms: at };
    }
    addCounts(this.#irregular, other.#irregular);
    this.latencies.add(other.latencies);
    this.late.add(other.late);
    if (other.#connect) (this.#connect ??= new Latencies()).add(other.#connect);
    if (other.#handshake) {
      (this.#handshake ??= new Latencies()).add(other.#handshake);
    }
    for (const { startMs: rowsStartMs, rows } of other.#placedRows()) {
      this.#rows.push({ startMs: startMs + rowsStartMs, rows });
    }
    const last = other.#lastRecorded();
    if (last) this.#lastSecond = addSeconds(this.#lastSecond, last);
    this.#addedOutages = addOutages(
      this.#addedOutages,
      other.#outagesFromStart(),
      startMs,
    );
    this.#runs.push(
      ...other.runs.map((run) => ({ ...run, startMs: startMs + run.startMs })),
    );
    this.isPaced ||= other.isPaced;
    this.error ??= other.error;
    this.ends ??= other.ends;
    this.#processorShare += other.#processorShare;
  }

  /** Makes one run of those that began at the same moment, in threads of one process. */
  asOneRun(processorShare: number): void {
    this.#processorShare = processorShare;
    const { runs } = this;
    if (runs.length === 0) return;
    const sum = (countOf: (run: Run) => number) =>
      runs.reduce((total, run) => total + countOf(run), 0);
    this.#runs = [{
      startMs: 0,
      durationMs: Math.max(...runs.map((run) => run.durationMs)),
      connections: sum((run) => run.connections),
      messagesInTime: sum((run) => run.messagesInTime),
      ratePerSecond: runs.some((run) => run.ratePerSecond === undefined)
        ? undefined
        : sum((run) => run.ratePerSecond!),
    }];
  }

  /** Starts the clock of a run of so many milliseconds; a ping goes on until its end. */
  start(durationMs = Infinity): void {
    this.#isStarted = true;
    this.startedAt = performance.now();
    this.endsAt = this.startedAt + durationMs;
    this.#durationMs = durationMs;
    if (durationMs < Infinity) this.#timeline = new Timeline(this.startedAt);
  }

  /** Ends the time of a load: it was told to stop. */
  stop(): void {
    const now = performance.now();
    if (now >= this.endsAt) return;
    this.endsAt = now;
    this.#durationMs = now - this.startedAt;
  }

  /** Takes note that the last message is settled, and of the processor time it all took. */
  end(processorMs = 0): void {
    this.#endedAt = performance.now();
    const elapsedMs = this.#endedAt - this.startedAt;
    if (this.#durationMs === Infinity) this.#durationMs = elapsedMs;
    this.#processorShare = elapsedMs > 0 ? processorMs / elapsedMs : 0;
  }

  /** Counts a connection that was made, at any time. */
  addConnection(): void {
    this.#counts.connected++;
  }

  /** Takes note of where a connection is, and how long it took to make. */
  addConnected(client: ProbeClient): void {
    this.ends ??= endsOf(client);
    const { connectMs, handshakeMs } = client;
    if (handshakeMs === undefined) return;
    (this.#connect ??= new Latencies()).record(connectMs);
    (this.#handshake ??= new Latencies()).record(handshakeMs);
  }

  /** Takes note that the message of a connection, numbered from 0, is sent. */
  begin(connection: number, sentAt: number): void {
    this.#sentAt[connection] = sentAt;
    this.#counts.sent++;
  }

  /** Takes note that a connection has no message under way. */
  settle(connection: number): void {
    this.#sentAt[connection] = 0;
  }

  /**
   * Counts a message that came back, the only one of its connection if that has a number.
   * Returns the time.
   */
  addVerified(connection: number | undefined, latencyMs: number): number {
    const now = performance.now();
    if (connection !== undefined) this.#sentAt[connection] = 0;
    this.latencies.record(latencyMs);
    this.#outages.addReply(now);
    const afterMs = now - this.endsAt;
    if (afterMs < 0) {
      this.#counts.messagesInTime++;
      this.#timeline?.addVerified(now, latencyMs);
    } else this.#longest.lastAfterMs = afterMs;
    this.#busyMs! += Math.max(0, latencyMs - Math.max(0, afterMs));
    if (this.#run?.intervalMs !== undefined) this.#addJitter(latencyMs);
    return now;
  }

  #addJitter(latencyMs: number): void {
    if (this.#lastLatencyMs !== undefined) {
      this.#differencesMs += Math.abs(latencyMs - this.#lastLatencyMs);
    }
    this.#lastLatencyMs = latencyMs;
  }

  /**
   * Counts a message that failed, or a connection that could not be made. `why` is said of
   * it, where the error itself does not.
   */
  addFailed(error: unknown, sentAt: number, why?: string): void {
    const reason = failureReason(error);
    this.#failures[reason] = (this.#failures[reason] ?? 0) + 1;
    const now = performance.now();
    this.#firstErrors[reason] ??= { text: why ?? detailOf(error), ms: now };
    this.failed++;
    // What failed before the start or after the end was no message that was begun.
    if (!this.#isStarted || this.#endedAt !== undefined) this.#counts.sent++;
    if (!this.#isStarted) {
      this.#counts.failedEarly++;
      return;
    }
    if (now < this.endsAt) this.#timeline?.addFailed(now);
    else this.#counts.failedLate++;
    this.#busyMs! += Math.max(0, Math.min(now, this.endsAt) - sentAt);
    this.#lostSentAt = Math.max(this.#lostSentAt, sentAt);
    if (reason === "mismatch") this.#outages.addReply(now);
    else this.#outages.addLost(sentAt, reason, isCut(error));
  }

  /** Counts a reply that is irregular. */
  addIrregular(kind: IrregularKind): void {
    this.#irregular[kind]++;
    if (kind === "corrupt") this.#outages.addReply(performance.now());
  }

  /** Counts a message that was due and is on its way. */
  addSent(): void {
    this.#counts.sent++;
  }

  /** Counts how late a message left, or a timer was, in milliseconds. */
  addLate(ms: number): void {
    this.late.record(ms);
  }

  /** Counts a message that was due and not sent, as too many were under way. */
  addUnsent(): void {
    this.#counts.unsent++;
  }

  /** Counts messages that were due and not sent, as the client was late. */
  addTooLate(messages = 1): void {
    this.#counts.tooLate += messages;
  }

  /** Takes note that more came back than was sent. */
  addSurplus(): void {
    this.#counts.surplus++;
  }

  /** The longest latency, in milliseconds. */
  get longestMs(): number {
    return this.latencies.longestMs;
  }

  /** All counts, as they are now. */
  get counts(): Counts {
    const open = this.#counts.open + this.countOpen();
    return { ...this.#counts, open };
  }

  get failures(): Readonly<Partial<Record<FailureReason, number>>> {
    return this.#failures;
  }

  get irregular(): Readonly<IrregularCounts> {
    return this.#irregular;
  }

  /** The runs of which this is the sum. */
  get runs(): Run[] {
    if (!this.#run) return this.#runs;
    const { connections, ratePerSecond } = this.#run;
    const now = this.#endedAt ?? performance.now();
    // The last message may be settled before the time is over.
    const isOver = this.#endedAt !== undefined || now >= this.endsAt;
    const durationMs = isOver ? this.#durationMs : now - this.startedAt;
    const { messagesInTime } = this.#counts;
    const run = { startMs: 0, durationMs, connections, messagesInTime };
    return [{ ...run, ratePerSecond }, ...this.#runs];
  }

  /** The rows of the timeline so far. */
  rows(): RecordedRow[] {
    const placed = this.#placedRows();
    const [first] = placed;
    return placed.length === 1 && first!.startMs === 0
      ? [...first!.rows]
      : addTimelines(placed);
  }

  #placedRows(): PlacedRows[] {
    if (!this.#timeline) return this.#rows;
    const rows = this.#timeline.recorded(this.#rowsEndAt());
    return [{ startMs: 0, rows }, ...this.#rows];
  }

  /** The time, but for the end of a load: the rows cover all of it, and no more. */
  #rowsEndAt(): number {
    if (this.#endedAt !== undefined) return this.endsAt;
    return Math.min(performance.now(), this.endsAt);
  }

  lastSecond(): TimelineRow {
    return summaryOf(
      this.#lastRecorded() ?? rowOf({
        ...{ startMs: 0, durationMs: performance.now() - this.startedAt },
        ...{ messages: 0, failed: 0, histogram: [] },
      }),
    );
  }

  #lastRecorded(): RecordedRow | undefined {
    return this.#timeline?.lastRecorded(this.#rowsEndAt()) ?? this.#lastSecond;
  }

  underWayNow(): { messages: number; sinceAt: number | undefined } {
    if (!this.#run) {
      const messages = this.#unsettled;
      const sinceAt = performance.now() - this.#longest.oldestMs;
      return { messages, sinceAt: messages > 0 ? sinceAt : undefined };
    }
    if (this.isPaced) {
      const [oldest] = this.underWay;
      return { messages: this.underWay.size, sinceAt: oldest?.sentAt };
    }
    const sentAt = this.#sentAt.filter((at) => at > 0);
    const sinceAt = sentAt.reduce((a, b) => Math.min(a, b), Infinity);
    return {
      messages: sentAt.length,
      sinceAt: sentAt.length > 0 ? sinceAt : undefined,
    };
  }

  get #unsettled(): number {
    const settled = this.latencies.count + this.failed;
    return Math.max(0, this.#counts.sent - settled);
  }

  #longestNow(): Longest {
    const now = this.#endedAt ?? performance.now();
    const { sinceAt = now } = this.underWayNow();
    const oldestMs = Math.max(this.#longest.oldestMs, now - sinceAt);
    return { ...this.#longest, oldestMs };
  }

  #errorsFromStart(): FirstErrors {
    return Object.fromEntries(
      Object.entries(this.#firstErrors).map((
        [reason, { text, ms }],
      ) => [reason, { text, ms: ms - this.startedAt }]),
    );
  }

  #busyMsKnown(): number | undefined {
    const isKnown = !this.#run || !this.isPaced && this.#endedAt !== undefined;
    return isKnown ? this.#busyMs : undefined;
  }

  /** The outage of a ping's last message ends when the next one would have been due. */
  #outagesNow(): OutageSummary {
    const now = this.#endedAt ?? performance.now();
    const { intervalMs = 0 } = this.#run ?? {};
    const isPingOver = this.#endedAt !== undefined && intervalMs > 0;
    const nextAt = isPingOver ? this.#lostSentAt + intervalMs : Infinity;
    return this.#outages.summary(Math.min(now, this.endsAt, nextAt));
  }

  #outagesFromStart(): OutageSummary {
    if (!this.#run) return this.#addedOutages;
    const nothing = { count: 0, longestMs: 0, latest: [] };
    const own = addOutages(nothing, this.#outagesNow(), -this.startedAt);
    return addOutages(own, this.#addedOutages, 0);
  }

  /** Sums up what was found so far. */
  summary(): Summary {
    const { latencies, late, failed, counts, runs } = this;
    const rows = this.rows();
    const errors = Object.entries(this.#errorsFromStart());
    const messages = latencies.count;
    const busyMs = this.#busyMsKnown();
    const weight = weightOf(runs);
    const outages = this.#outagesFromStart();
    const connectMs = this.#connect?.summary();
    const handshakeMs = this.#handshake?.summary();
    return {
      ...counts,
      ...this.#longestNow(),
      ...{ messages, failed, failures: { ...this.#failures } },
      firstErrors: Object.fromEntries(
        errors.map(([reason, { text }]) => [reason, text]),
      ),
      firstErrorsMs: Object.fromEntries(
        errors.map(([reason, { ms }]) => [reason, ms]),
      ),
      irregular: { ...this.#irregular },
      error: this.error,
      underWay: this.#unsettled,
      durationMs: overlapOf(runs).coveredMs,
      latencyMs: latencies.summary(),
      histogram: latencies.buckets(MOST_BUCKETS),
      jitterMs: this.#run?.intervalMs !== undefined && messages > 1
        ? this.#differencesMs / (messages - 1)
        : undefined,
      lateMs: late.summary(),
      // As of `performance.now()`, like the events of a ping.
      outages: addOutages(
        { count: 0, longestMs: 0, latest: [] },
        outages,
        this.startedAt,
      ),
      timeline: rows.map(summaryOf),
      busyShare: busyMs === undefined || weight === 0
        ? undefined
        : busyMs / weight,
      processorShare: this.#processorShare,
      ends: this.ends,
      runs,
      recorded: { latencies, late, rows },
      ...(connectMs && handshakeMs
        ? { connectTimes: { connectMs, handshakeMs } }
        : {}),
    };
  }
}

/** Adds counts to others, name by name. */
function addCounts<K extends string>(
  counts: Partial<Record<K, number>>,
  more: Readonly<Partial<Record<K, number>>>,
): void {
  for (const name of Object.keys(more) as K[]) {
    counts[name] = (counts[name] ?? 0) + more[name]!;
  }
}

/** Connections and times of different runs count by their length. */
function weightOf(runs: readonly Run[]): number {
  return runs.reduce((sum, run) => sum + run.durationMs * run.connections, 0);
}

function addOutages(
  one: OutageSummary,
  other: OutageSummary,
  startMs: number,
): OutageSummary {
  const placed = other.latest.map((outage) => ({
    ...outage,
    startedAt: startMs + outage.startedAt,
    endedAt: startMs + outage.endedAt,
  }));
  return {
    count: one.count + other.count,
    longestMs: Math.max(one.longestMs, other.longestMs),
    latest: [...one.latest, ...placed]
      .sort((one, other) => one.startedAt - other.startedAt)
      .slice(-MOST_OUTAGES),
  };
}

/** Adds what threads did in their latest seconds, which need not be the same. */
function addSeconds(
  one: RecordedRow | undefined,
  other: RecordedRow,
): RecordedRow {
  const histogram = toHistogram([], ROW_DIGITS);
  if (one) histogram.add(one.histogram);
  histogram.add(other.histogram);
  return {
    startMs: Math.max(one?.startMs ?? 0, other.startMs),
    durationMs: Math.max(one?.durationMs ?? 0, other.durationMs),
    messages: (one?.messages ?? 0) + other.messages,
    failed: (one?.failed ?? 0) + other.failed,
    histogram,
  };
}

function plainOf(latencies?: Latencies): PlainLatencies | undefined {
  const record = latencies?.toRecord();
  return record && { ...record, histogram: toPlain(record.histogram) };
}

function latenciesOf(plain: PlainLatencies | undefined): Latencies {
  return Latencies.fromRecord(
    plain && { ...plain, histogram: toHistogram(plain.histogram, DIGITS) },
  );
}

function plainRow(
  { startMs, durationMs, messages, failed, histogram }: RecordedRow,
): PlainRow {
  const counts = { startMs, durationMs, messages, failed };
  return { ...counts, histogram: toPlain(histogram) };
}

/** The histogram is made when it is read: those of a thousand results take a gigabyte. */
function rowOf({ histogram: plain, ...counts }: PlainRow): RecordedRow {
  return {
    ...counts,
    get histogram() {
      return toHistogram(plain, ROW_DIGITS);
    },
  };
}
