import type { LatencySummary } from "../probe/latency.ts";
import { formatCount, formatDuration, formatNumber } from "./format.ts";

/** What a condition compares with its limit. */
export type Metric =
  | "p50"
  | "p90"
  | "p99"
  | "p99.9"
  | "max"
  | "mean"
  | "loss"
  | "rate"
  | "outage";

/** How a condition compares what was measured with its limit. */
export type Operator = ">" | ">=" | "<" | "<=";

/** A condition on which the command fails. */
export interface Condition {
  /** The condition as it was typed, without spaces around it. */
  readonly text: string;
  /** What is compared: a latency, the loss, the rate or the longest outage. */
  readonly metric: Metric;
  /** How it is compared: the measured value stands on the left. */
  readonly operator: Operator;
  /** What it is compared with, in `unit`. */
  readonly limit: number;
  /** The unit of the limit and of the measured value. */
  readonly unit: "ms" | "percent" | "messages" | "per second";
}

/** What a condition may ask for. */
export interface Measured {
  /** How many messages were sent. */
  readonly sent: number;
  /** How many of them were lost. */
  readonly lost: number;
  /** How many messages came back a second. */
  readonly ratePerSecond: number | undefined;
  /** The longest outage, in milliseconds; 0 without one. */
  readonly longestOutageMs: number;
  /** Latencies in milliseconds; `undefined` if no message came back. */
  readonly latencyMs:
    | Readonly<
      Pick<LatencySummary, "p50" | "p90" | "p99" | "p99_9" | "max" | "mean">
    >
    | undefined;
}

/** A condition that holds. */
export interface FailedCondition {
  /** The condition. */
  readonly condition: Condition;
  /** The measured value, in the unit of the condition. */
  readonly value: number;
}

/** The operators, and what they mean. */
export const COMPARE: Record<
  Operator,
  (value: number, limit: number) => boolean
> = {
  ">": (value, limit) => value > limit,
  ">=": (value, limit) => value >= limit,
  "<": (value, limit) => value < limit,
  "<=": (value, limit) => value <= limit,
};

/** Finds the conditions that hold. */
export function failedConditions(
  conditions: readonly Condition[],
  measured: Measured,
): FailedCondition[] {
  return conditions.flatMap((condition) => {
    const value = valueOf(condition, measured);
    return value !== undefined && holds(condition, value)
      ? [{ condition, value }]
      : [];
  });
}

function valueOf(
  { metric, unit }: Condition,
  { sent, lost, ratePerSecond, longestOutageMs, latencyMs }: Measured,
): number | undefined {
  switch (metric) {
    case "loss":
      if (unit === "messages") return lost;
      // In this order, because 7 / 1000 * 100 is more than 0.7.
      return sent === 0 ? 0 : lost * 100 / sent;
    case "rate":
      return ratePerSecond;
    case "outage":
      return longestOutageMs;
    case "p99.9":
      return latencyMs?.p99_9;
    default:
      return latencyMs?.[metric];
  }
}

function holds(
  { operator, limit }: Pick<Condition, "operator" | "limit">,
  value: number,
): boolean {
  return COMPARE[operator](value, limit);
}

/**
 * Renders a condition that holds, and what was measured: rounded, but never so far
 * that the condition does not hold for what is shown.
 */
export function renderFailed({ condition, value }: FailedCondition): string {
  return `${condition.text}: it was ${renderValue(condition, value)}`;
}

function renderValue(condition: Condition, value: number): string {
  switch (condition.unit) {
    case "ms":
      return renderMs(condition, value);
    case "percent":
      return `${round(condition, value, 2)}%`;
    case "messages":
      return formatCount(value, "message");
    case "per second": {
      const rate = round(condition, value, decimalsOf(value));
      // With a fraction formatNumber() rounds, to three decimals.
      const text = Number.isInteger(rate) ? formatNumber(rate) : rate;
      return `${text} messages/s`;
    }
  }
}

function renderMs(condition: Condition, ms: number): string {
  // In seconds, as 1.001 * 1000 is less than 1001, but 1001 / 1000 is 1.001.
  const { operator, limit } = condition;
  const inSeconds = { operator, limit: limit / 1000 };
  if (ms >= 60_000 && holds(inSeconds, Math.round(ms / 1000))) {
    return formatDuration(ms);
  }
  const seconds = (ms / 1000).toFixed(2);
  if (ms >= 1000 && holds(inSeconds, Number(seconds))) return `${seconds} s`;
  return `${round(condition, ms, decimalsOf(ms))} ms`;
}

/** How many decimals make three digits, and at most three decimals. */
function decimalsOf(value: number): number {
  return [1, 10, 100].filter((power) => value < power).length;
}

/**
 * Rounds a value for which a condition holds to the fewest decimals, but at least
 * to `decimals`, with which the condition still holds.
 */
function round(condition: Condition, value: number, decimals: number): number {
  for (; decimals <= 9; decimals++) {
    const rounded = Number(value.toFixed(decimals));
    if (holds(condition, rounded)) return rounded;
  }
  return value;
}

/** Describes a condition that holds, for JSON. */
export function jsonFailed(
  { condition, value }: FailedCondition,
): { condition: string; value: number } {
  return { condition: condition.text, value: round(condition, value, 3) };
}
