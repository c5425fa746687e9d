import { type Address, addressOf, formatHostPort } from "../net/address.ts";
import { LOOPBACK } from "../net/datagrams.ts";
import type { IrregularCounts } from "../probe/irregularities.ts";
import type { LatencySummary } from "../probe/latency.ts";
import type { Ends } from "../probe/probe_client.ts";
import type { Summary } from "../probe/tally.ts";
import { formatNumber } from "./format.ts";
import type { Condition } from "./conditions.ts";

/**
 * Whether a run was in good order, but for the conditions: messages came back, and none
 * was lost or wrong. With a condition on the loss or on outages that condition judges
 * them, but for wrong replies.
 */
export function isGoodRun(
  { messages, failed, failures, irregular, runs, ...rest }: Summary,
  conditions: readonly Condition[],
): boolean {
  const areJudged = conditions.some(({ metric }) =>
    metric === "loss" || metric === "outage"
  );
  const losses = areJudged ? failures.mismatch ?? 0 : failed;
  const unsent = rest.unsent + rest.tooLate;
  const haveAllBegun = runs.every(({ durationMs }) => durationMs > 0);
  return messages > 0 && haveAllBegun &&
    losses + unsent + rest.surplus + irregular.corrupt === 0;
}

/**
 * Tells where messages were sent, as fields of JSON: the server's address and the local
 * port are `null` where there is no connection, or no address of a name answered.
 */
export function jsonWhere(
  target: Address,
  ends: Ends | undefined,
): Record<string, unknown> {
  const isKnown = ends && addressOf(ends.remote.hostname) !== undefined;
  return {
    address: formatHostPort(target),
    transport: target.transport,
    peer: isKnown ? formatHostPort(ends.remote) : null,
    local_port: isKnown ? ends.local.port : null,
  };
}

/** What is said where messages have the same bytes. */
const ALIKE = "the messages look alike: which were lost, late, duplicated or " +
  "reordered, and round trips after a loss, are guesses";

/** A wrong reply to a message is a corrupt datagram, too. */
function datagramsOf({ irregular, failures }: Summary): IrregularCounts {
  const corrupt = irregular.corrupt + (failures.mismatch ?? 0);
  return { ...irregular, corrupt };
}

/** Renders what is counted of datagrams: some lines, none where nothing was irregular. */
export function renderDatagrams(summary: Summary, isAlike: boolean): string[] {
  const counts = renderIrregulars(datagramsOf(summary));
  return [
    ...(counts ? [`replies: ${counts}`] : []),
    ...(isAlike && (counts || summary.failed > 0) ? [ALIKE] : []),
  ];
}

/** Renders how many replies were irregular. */
export function renderIrregulars(counts: Partial<IrregularCounts>): string {
  return Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([kind, count]) => `${formatNumber(count)} ${kind}`)
    .join(", ");
}

/**
 * Above about this many datagrams a second an `echo serve` with its own defaults
 * keeps replies back. What was sent in a second may fall into two rows of a timeline.
 */
export const UDP_RATE_PER_SECOND = 900;

/** Names what may have dropped many datagrams, the likeliest first. */
export function renderUdpDrops({ hostname }: Address): string[] {
  const limit = "the server's --udp-rate: echo serve answers " +
    "1,000 per second to one address";
  const buffer = "a full socket buffer: " +
    "see nstat -az UdpRcvbufErrors on the server's machine";
  return LOOPBACK.test(hostname)
    ? [`likely dropped by ${buffer}`]
    : [`likely dropped by ${limit}`, `or by ${buffer}`];
}

/** Renders what is counted of datagrams for JSON. */
export function jsonDatagrams(
  summary: Summary,
  isAlike: boolean,
): Record<string, unknown> {
  return { ...datagramsOf(summary), messages_alike: isAlike };
}

/** Renders a time that was measured exactly. */
export function exactMs(ms: number): string {
  return ms.toFixed(3);
}

/**
 * Renders a time of which three digits are known, as of a percentile. One with more
 * digits is exact: it is the least or the greatest.
 */
export function knownMs(ms: number): string {
  return ms.toFixed(ms < 1 ? 3 : ms < 10 ? 2 : ms < 100 ? 1 : 0);
}

/** Renders how late messages left. */
export function renderLate(lateMs: LatencySummary | undefined): string[] {
  if (!lateMs) return [];
  const { p99, max } = lateMs;
  return [`sent late: p99 ${knownMs(p99)} ms, max ${exactMs(max)} ms`];
}

/** A delayed acknowledgement takes 40 ms on Linux, and a little more to be seen. */
const DELAYED_ACK_MS = [38, 50] as const;

/** Names Nagle's algorithm where a fifth of the round trips over TLS look like it. */
export function renderNagle(
  { recorded: { latencies } }: Pick<Summary, "recorded">,
  { transport }: Address,
): string[] {
  const { count, upTo: [before = 0, until = 0] } = latencies
    .spread(DELAYED_ACK_MS);
  const isLikely = transport === "tls" && before > 0 && count > 0 &&
    until - before >= count / 5;
  if (!isLikely) return [];
  return [
    "round trips of about 40 ms: the server's end has Nagle's algorithm on " +
    "(docs/serve.md)",
  ];
}

/** Renders how long connections with TLS took to make. */
export function renderConnectTimes(
  { connectTimes }: Pick<Summary, "connectTimes">,
): string[] {
  if (!connectTimes) return [];
  const { connectMs, handshakeMs } = connectTimes;
  const times = ({ min, p50, p99, max }: LatencySummary) =>
    [exactMs(min), knownMs(p50), knownMs(p99), exactMs(max)].join("/");
  return [
    `connect min/p50/p99/max = ${times(connectMs)} ms`,
    `TLS handshake min/p50/p99/max = ${times(handshakeMs)} ms`,
  ];
}

/** Renders for JSON what was due and not sent. */
export function jsonUnsent(
  { unsent, tooLate }: Pick<Summary, "unsent" | "tooLate">,
): Record<string, unknown> {
  return {
    unsent: unsent + tooLate,
    unsent_too_many_under_way: unsent,
    unsent_client_late: tooLate,
  };
}
