import type { Bucket } from "../probe/latency.ts";
import type { TimelineRow } from "../probe/timeline.ts";
import { formatDuration, formatNumber, formatRate, roundMs } from "./format.ts";

/** The marks of a sparkline, from the least to the greatest. */
const SPARKS = "▁▂▃▄▅▆▇█";

/** Draws a histogram, a row for each range. */
export function renderHistogram(
  buckets: readonly Bucket[],
  columns: number,
): string[] {
  const labels = buckets.map(({ uptoMs }) => `${uptoMs}`);
  const counts = buckets.map((bucket) => formatNumber(bucket.count));
  const labelWidth = Math.max(0, ...labels.map((label) => label.length));
  const countWidth = Math.max(0, ...counts.map((text) => text.length));
  const most = Math.max(1, ...buckets.map((bucket) => bucket.count));
  const room = Math.max(1, columns - labelWidth - countWidth - 8);
  return buckets.map((bucket, row) => {
    const length = Math.ceil(bucket.count / most * room);
    return `<= ${labels[row]!.padStart(labelWidth)} ms ` +
      `${counts[row]!.padStart(countWidth)} ${"#".repeat(length)}`.trimEnd();
  });
}

/** Draws what the load did over the time: the rate, and the 99th percentile. */
export function renderTimeline(rows: readonly TimelineRow[]): string[] {
  const eachMs = rows[0]?.durationMs ?? 0;
  // What is left of the time at the end is too short for a rate.
  const shown = rows.filter(({ durationMs }) => durationMs >= eachMs / 10);
  if (shown.length < 2) return [];
  const rates = shown.map(({ messages, durationMs }) =>
    messages * 1000 / durationMs
  );
  const p99s = shown.map(({ p99Ms }) => p99Ms);
  const known = p99s.filter((ms) => ms !== undefined);
  return [
    `rate ${sparkline(rates)} up to ${formatRate(Math.max(...rates))}/s, ` +
    `each mark is ${formatDuration(eachMs)}`,
    ...(known.length > 0
      ? [`p99  ${sparkline(p99s)} up to ${roundMs(Math.max(...known))} ms`]
      : []),
  ];
}

/** Draws numbers as a row of bars. */
export function sparkline(numbers: readonly (number | undefined)[]): string {
  const most = Math.max(...numbers.map((number) => number ?? 0));
  return numbers.map((number) => {
    if (number === undefined) return " ";
    const height = most === 0 ? 0 : number / most * (SPARKS.length - 1);
    return SPARKS[Math.round(height)]!;
  }).join("");
}
