/**
 * Values of flags: what they may be, and how a mistake reads.
 *
 * @module
 */

import { bareHost, canonicalIPv6, isIPv4, ZONE } from "../net/address.ts";
import { escapeText } from "../net/text.ts";
import { type Flag, UsageError } from "./flags.ts";
import { formatTime } from "../report/format.ts";

/** Options for {@linkcode timeFlag}. */
export interface TimeFlagOptions {
  /** The flag's one-letter name. */
  readonly short?: string;
  /** What the flag does, for the usage. */
  readonly help: string;
  /** The time when the flag is not given, in milliseconds. */
  readonly default: number;
  /** The default in words, where the time itself would not be understood. */
  readonly defaultText?: string;
  /** The shortest time allowed, in milliseconds. */
  readonly min?: number;
}

/**
 * Makes a flag whose value is a TIME.
 *
 * @param options What the flag does, and its default, which the usage shows as a
 * TIME.
 * @returns The flag.
 */
export function timeFlag(
  { min = 0, ...options }: TimeFlagOptions,
): Flag<number> {
  return {
    defaultText: options.default === 0 ? "0" : formatTime(options.default),
    ...options,
    value: "TIME",
    parse: (text) => parseTime(text, min),
  };
}

/** The longest TIME, in milliseconds: 2^31 - 1, nearly 597 hours. */
const MAX_TIME_MS = 2 ** 31 - 1;

/** Milliseconds in each unit of a TIME. */
const TIME_UNITS: Record<string, number> = {
  us: 0.001,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

const INSTANT =
  /^(\d{4}-\d\d-\d\d)(T\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d:?\d\d)$/;

/** Bytes in each unit of a SIZE. */
const SIZE_UNITS: Record<string, number> = {
  "": 1,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
};

/**
 * Reads a whole number: digits and nothing else.
 *
 * @param text The digits.
 * @param min The smallest number allowed.
 * @param max The largest number allowed.
 * @returns The number.
 * @throws {UsageError} If it is anything else.
 */
export function parseWhole(text: string, min: number, max: number): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || number < min || number > max) {
    throw new UsageError(`expected a whole number from ${min} to ${max}`);
  }
  return number;
}

/**
 * Reads a TIME: a number with an optional unit, seconds by default, or whole numbers
 * of several units from the longest to the shortest.
 *
 * @param text For example `250ms`, `5s`, `2m`, `1h`, `1.5` or `1m30s`.
 * @param min The shortest time allowed, in milliseconds.
 * @returns The time in milliseconds.
 * @throws {UsageError} If it is anything else, or longer than 596 hours.
 */
export function parseTime(text: string, min = 0): number {
  const ms = readTime(text);
  if (ms === undefined || ms < min || ms > MAX_TIME_MS) {
    const least = min > 0 ? `at least ${min}ms and ` : "";
    throw new UsageError(
      `expected a time such as 250ms, 5s, 2m or 1m30s, ${least}at most 596h`,
    );
  }
  return ms;
}

/** Reads an instant of ISO 8601, also as `date -Ins` and `date +%FT%T%z` print it. */
export function parseInstant(text: string): Date {
  // ISO 8601 has both marks, and `date` writes the one of its locale.
  const [, day = "", time, zone = ""] = text.replace(",", ".").match(INSTANT) ??
    [];
  const colonZone = zone.replace(/(\d\d)(\d\d)$/, "$1:$2");
  const instant = new Date(`${day}${time}${colonZone}`);
  // Of a day that its month does not have, Date makes one of the next month.
  const isGood = !Number.isNaN(instant.getTime()) &&
    new Date(day).toISOString().startsWith(day);
  if (isGood) return instant;
  throw new UsageError(
    "expected an instant such as 2026-11-24T14:05:00Z or " +
      "2026-11-24T15:05:00+01:00",
  );
}

const SINGLE_TIME = /^(\d+(?:\.\d+)?|\.\d+)(us|ms|s|m|h|d)?$/;

const COMPOUND_TIME =
  /^(?:(?<d>\d+)d)?(?:(?<h>\d+)h)?(?:(?<m>\d+)m)?(?:(?<s>\d+)s)?(?:(?<ms>\d+)ms)?$/;

function readTime(text: string): number | undefined {
  const [, number, unit = "s"] = text.match(SINGLE_TIME) ?? [];
  if (number !== undefined) {
    // To the nanosecond: 1.001 * 1000 is 1000.9999999999999.
    return Math.round(Number(number) * TIME_UNITS[unit]! * 1e6) / 1e6;
  }
  // Every part may be absent, but not all of them.
  const parts = text === "" ? undefined : text.match(COMPOUND_TIME)?.groups;
  return parts && Object.entries(TIME_UNITS).reduce(
    (sum, [unit, ms]) => sum + Number(parts[unit] ?? 0) * ms,
    0,
  );
}

/** The highest rate, in messages a second. */
const MAX_RATE = 10_000_000;

/** The power of ten of each unit of a rate. */
const RATE_EXPONENTS: Record<string, number> = { "": 0, k: 3, m: 6 };

/**
 * Reads a rate: a number with an optional unit or exponent.
 *
 * @param text For example `0.5`, `1000`, `10k`, `2M` or `1e6`, in units of 1,000.
 * @param min The lowest rate allowed, in messages a second.
 * @returns The rate in messages a second.
 * @throws {UsageError} If it is anything else, or above 10,000,000.
 */
export function parseRate(text: string, min = 0.001): number {
  const [, number, unit = "", exponent] =
    text.match(/^(\d+(?:\.\d+)?)(?:([km])|e([+-]?\d+))?$/i) ?? [];
  // As an exponent, because 1.001 * 1000 is 1000.9999999999999.
  const power = exponent ?? RATE_EXPONENTS[unit.toLowerCase()];
  const rate = Number(`${number}e${power}`);
  if (number === undefined || rate < min || rate > MAX_RATE) {
    throw new UsageError(
      "expected a rate such as 0.5, 1000, 10k or 1e6, " +
        `at least ${min} and at most 10M`,
    );
  }
  return rate;
}

/**
 * Reads a SIZE: a number with an optional unit of 1,024, bytes by default, for example
 * `64`, `64k`, `1.5M`, `1KiB` or `2GB`.
 *
 * @throws {UsageError} If it is anything else, or no whole number of bytes above 0.
 */
export function parseSize(text: string): number {
  const [, digits, unit = ""] =
    text.match(/^(\d+(?:\.\d+)?|\.\d+)(?:([kmg])(?:i?b)?|b)?$/i) ?? [];
  const size = Number(digits) * SIZE_UNITS[unit.toLowerCase()]!;
  if (digits === undefined || size < 1 || !Number.isSafeInteger(size)) {
    throw new UsageError(
      "expected a size such as 64, 64k, 1.5M or 1KiB, at least 1",
    );
  }
  return size;
}

/**
 * Reads a host: an IPv4 or IPv6 address or a name, which is not looked up.
 *
 * @param text For example `127.0.0.1`, `::1`, `[::1]` or `localhost`.
 * @returns The host, without brackets.
 * @throws {UsageError} If it cannot be one.
 */
export function parseHost(text: string): string {
  const bare = bareHost(text);
  const isName = bare === text && HOST_NAME.test(text);
  const isBadIPv4 = isName && ENDS_IN_NUMBER.test(text) && !isIPv4(text);
  if (isBadIPv4 || !isName && !canonicalIPv6(bare)) {
    const hasPort = /^([^:]*|\[.*\]):\d+$/.test(text);
    let message = "expected an IPv4 or IPv6 address or a name";
    if (hasPort) message += ", the port goes to --port";
    if (isBadIPv4) {
      message += ", an IPv4 address is four numbers from 0 to 255 " +
        "without leading zeros";
    }
    throw new UsageError(message);
  }
  const [, zone] = bare.match(ZONE) ?? [];
  if (zone !== undefined && !LINK_LOCAL.test(bare)) {
    throw new UsageError(
      `only a link-local address (fe80::/10) has a zone, leave out %${zone}`,
    );
  }
  return bare;
}

/** Addresses that are good within one network alone: fe80::/10, and multicast. */
const LINK_LOCAL = /^f(e[89ab]|f)[\da-f]{0,2}:/i;

/** Reads HOST[:PORT]; an IPv6 address with a port stands in brackets. */
export function parseHostPort(
  text: string,
): { hostname: string; port: number | undefined } {
  const [, host = text, port] = text.match(/^(\[.*\]|[^:]*):(\d+)$/) ?? [];
  try {
    return {
      hostname: parseHost(host),
      port: port === undefined ? undefined : parseWhole(port, 1, 65535),
    };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`"${escapeText(text)}": ${error.message}`);
  }
}

/**
 * Labels of up to 63 letters, digits, hyphens and, in practice, underscores, 253
 * characters in all ({@link https://www.rfc-editor.org/rfc/rfc1123#section-2.1 |
 * RFC 1123}).
 */
const HOST_NAME =
  /^(?=.{1,253}$)[a-z\d_]([a-z\d_-]{0,61}[a-z\d_])?(\.[a-z\d_]([a-z\d_-]{0,61}[a-z\d_])?)*\.?$/i;

/**
 * The last label of what the URL standard takes for an IPv4 address
 * ({@link https://url.spec.whatwg.org/#ends-in-a-number-checker | WHATWG URL}).
 */
const ENDS_IN_NUMBER = /(^|\.)(\d+|0x[\da-f]*)\.?$/i;

/**
 * Reads the name of a file, which is not opened.
 *
 * @param text For example `ca.pem`.
 * @returns The same.
 * @throws {UsageError} If it is empty.
 */
export function parseFile(text: string): string {
  if (text !== "") return text;
  throw new UsageError("expected the name of a file");
}
