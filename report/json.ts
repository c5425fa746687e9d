import { roundMs } from "./format.ts";

/**
 * Makes an object of JSON of one of ours: `rttMs` is `rtt_ms`, times are rounded to the
 * microsecond, and what is `undefined` is left out.
 */
export function toJson(
  object: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const fields = Object.entries(object)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => [snakeCase(name), valueOf(value, isTime(name))]);
  return Object.fromEntries(fields);
}

function valueOf(value: unknown, isTime: boolean): unknown {
  if (typeof value === "number") return isTime ? roundMs(value) : value;
  if (Array.isArray(value)) return value.map((item) => valueOf(item, isTime));
  if (value?.constructor !== Object) return value;
  if (!isTime) return toJson(value as Record<string, unknown>);
  // All that a time's object holds are times: statistics, or one for each reason.
  return Object.fromEntries(
    Object.entries(value).map(([name, value]) => [name, valueOf(value, true)]),
  );
}

function isTime(name: string): boolean {
  return name.endsWith("Ms");
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
