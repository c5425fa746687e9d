import { format as stdFormatBytes } from "@std/fmt/bytes";
import { format as stdFormatDuration } from "@std/fmt/duration";

/** Renders a number of bytes in units of 1,024. */
export function formatBytes(bytes: number): string {
  // The standard library rounds whatever it renders to three digits.
  if (bytes < 1024) return `${Math.min(1023, Math.round(bytes))} B`;
  // IEC 80000-13 writes Ki with a capital; the standard library does not.
  return stdFormatBytes(bytes, { binary: true }).replace("kiB", "KiB");
}

/** Renders a TIME as it is given on the command line. */
export function formatTime(ms: number): string {
  return stdFormatDuration(ms, { ignoreZero: true }) || "0s";
}

/** Renders a measured duration, to two or three digits. */
export function formatDuration(ms: number): string {
  if (ms < 9.95) return `${ms.toFixed(ms < 0.995 ? 2 : 1)} ms`;
  if (ms < 999.5) return `${ms.toFixed(0)} ms`;
  if (ms < 59_995) return `${(ms / 1000).toFixed(2)} s`;
  return formatTime(Math.round(ms / 1000) * 1000);
}

/** Renders a rate, to the whole number or to three digits. */
export function formatRate(perSecond: number): string {
  return perSecond < 99.95
    ? `${Number(perSecond.toPrecision(3))}`
    : formatNumber(Math.round(perSecond));
}

/**
 * Renders a share in per cent, to two decimals, or to one digit that is not 0. Only
 * the whole is 100%.
 */
export function formatPercent(part: number, whole: number): string {
  return `${percentOf(part, whole)}%`;
}

/** Computes a share in per cent, rounded as {@linkcode formatPercent} does. */
export function percentOf(part: number, whole: number): number {
  if (part === 0) return 0;
  const percent = part * 100 / whole;
  if (percent < 0.01) return Math.max(1e-6, Number(percent.toPrecision(1)));
  const rounded = Math.round(percent * 100) / 100;
  return part < whole ? Math.min(rounded, 99.99) : rounded;
}

/** Rounds a duration to the microsecond, for JSON. */
export function roundMs(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

/** Renders a number with its thousands apart. */
export function formatNumber(number: number): string {
  return number.toLocaleString("en-US");
}

/** Renders a count with its noun. */
export function formatCount(count: number, noun: string): string {
  return `${formatNumber(count)} ${noun}${count === 1 ? "" : "s"}`;
}
