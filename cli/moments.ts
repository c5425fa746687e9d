/**
 * Moments on a command line: what they may be, and when they are.
 *
 * @module
 */

import { UsageError } from "./flags.ts";

/** A moment at which something begins: a time of day, or an instant. */
export type Moment =
  | {
    /** That it is a time of day, where this process is. */
    readonly kind: "time of day";
    /** The time, in milliseconds since midnight on a clock. */
    readonly ms: number;
    /** The time as it was typed. */
    readonly text: string;
  }
  | {
    /** That it is an instant. */
    readonly kind: "instant";
    /** The instant, in milliseconds since 1970. */
    readonly ms: number;
    /** The instant as it was typed. */
    readonly text: string;
  };

const TIME_OF_DAY = /^([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d(?:\.\d{1,3})?))?$/;

const INSTANT =
  /^(\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d:?\d\d)?$/;

/**
 * Reads a moment: a time of day, or an instant (ISO 8601), also as `date -Ins` and
 * `date +%FT%T%z` print it.
 *
 * @param text For example `14:05`, `14:05:00`, `2026-11-24T14:05:00Z`,
 * `2026-11-24T15:05:00,5+0100` or, where this process is, `2026-11-24T14:05:00`.
 * @returns The moment.
 * @throws {UsageError} If it is anything else.
 */
export function parseMoment(text: string): Moment {
  // ISO 8601 has both marks, and `date` writes the one of its locale.
  const dotted = text.replace(",", ".");
  const [, hours, minutes, seconds = "0"] = dotted.match(TIME_OF_DAY) ?? [];
  if (hours !== undefined) {
    const wholeMinutes = Number(hours) * 60 + Number(minutes);
    const ms = wholeMinutes * 60_000 + Math.round(Number(seconds) * 1000);
    return { kind: "time of day", ms, text };
  }
  const [, local, zone = ""] = dotted.match(INSTANT) ?? [];
  const ms = local === undefined
    ? NaN
    : Date.parse(local + zone.replace(/(\d\d)(\d\d)$/, "$1:$2"));
  if (!Number.isNaN(ms)) return { kind: "instant", ms, text };
  throw new UsageError(
    "expected a time of day such as 14:05:00, or an instant such as " +
      "2026-11-24T14:05:00Z",
  );
}

/** Half a day, in milliseconds. */
const HALF_DAY_MS = 12 * 3_600_000;

/**
 * Finds when a moment is. A time of day is that of today. If that is past for more
 * than half a day, it is that of tomorrow: at 23:59 a minute past midnight is near.
 *
 * @param moment The moment.
 * @param now The time.
 * @returns When it is. It may be past.
 */
export function whenIs(moment: Moment, now: Date): Date {
  if (moment.kind === "instant") return new Date(moment.ms);
  const on = (days: number) => {
    const date = new Date(now);
    date.setDate(date.getDate() + days);
    // Hours and minutes apart, as a day may have 23 or 25 hours.
    const minutes = Math.floor(moment.ms / 60_000);
    date.setHours(
      Math.floor(minutes / 60),
      minutes % 60,
      0,
      moment.ms % 60_000,
    );
    return date;
  };
  const today = on(0);
  return now.getTime() - today.getTime() > HALF_DAY_MS ? on(1) : today;
}
