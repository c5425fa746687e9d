import { escapeText } from "../net/text.ts";
import {
  COMPARE,
  type Condition,
  type Metric,
  type Operator,
} from "../report/conditions.ts";
import { nearestName, UsageError } from "./flags.ts";
import { parseRate, parseTime } from "./values.ts";

const METRICS: readonly Metric[] = [
  ...["p50", "p90", "p99", "p99.9", "max", "mean"] as const,
  ...["loss", "rate", "outage"] as const,
];

/**
 * Characters of an operator, also of those that other languages have, so that an
 * error can name the operator.
 */
const PARTS = /^([^ <>=!≤≥]*) *([<>=!≤≥]*) *(.*)$/s;

/**
 * Reads a condition: a metric, an operator and a limit, with or without spaces
 * between them.
 *
 * @param text For example `p99 > 20ms`, `loss>0.1%`, `loss > 5`, `rate < 10k` or
 * `outage >= 1m30s`.
 * @returns The condition.
 * @throws {UsageError} If it is anything else.
 */
export function parseCondition(text: string): Condition {
  const trimmed = text.trim();
  const [, metricText = "", operatorText = "", limitText = ""] =
    trimmed.match(PARTS) ?? [];
  const metric = parseMetric(metricText);
  const operator = parseOperator(operatorText, metric);
  return { text: trimmed, metric, operator, ...parseLimit(limitText, metric) };
}

function parseMetric(text: string): Metric {
  const metric = METRICS.find((metric) => metric === text);
  if (metric === undefined) {
    const nearest = nearestName(text, METRICS);
    const names = `${METRICS.slice(0, -1).join(", ")} or ${METRICS.at(-1)}`;
    throw new UsageError(
      `expected a metric, ${names}` +
        (text === "" ? "" : `, not ${escapeText(text)}`) +
        (nearest ? `, did you mean ${nearest}?` : ""),
    );
  }
  return metric;
}

function parseOperator(text: string, metric: Metric): Operator {
  if (!Object.hasOwn(COMPARE, text)) {
    throw new UsageError(
      `expected an operator, >, >=, < or <=, after ${metric}` +
        // A shell takes p99>20ms for p99 with its output to the file 20ms.
        (text === "" ? ", and quotes around the condition" : `, not ${text}`),
    );
  }
  return text as Operator;
}

function parseLimit(
  text: string,
  metric: Metric,
): Pick<Condition, "limit" | "unit"> {
  try {
    if (metric === "loss") return parseLoss(text);
    if (metric === "rate") {
      return { limit: parseRate(text, 0), unit: "per second" };
    }
    const limit = parseTime(text);
    // Every figure is printed in milliseconds, and a plain number means seconds.
    if (/^[\d.]+$/.test(text) && limit > 0) {
      throw new UsageError(`${text} needs a unit: ${text}ms or ${text}s`);
    }
    return { limit, unit: "ms" };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`the limit of ${metric}: ${error.message}`);
  }
}

function parseLoss(text: string): Pick<Condition, "limit" | "unit"> {
  const [, number, sign] = text.match(/^(\d+|\d+\.\d+(?=%))(%)?$/) ?? [];
  const limit = Number(number);
  const most = sign ? 100 : Number.MAX_SAFE_INTEGER;
  if (number === undefined || limit > most) {
    throw new UsageError(
      "expected a percentage such as 0.1%, at most 100%, " +
        "or a whole number of messages such as 5",
    );
  }
  return { limit, unit: sign ? "percent" : "messages" };
}
