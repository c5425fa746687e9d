/**
 * Metrics in Prometheus' text format, version 0.0.4
 * ({@link https://prometheus.io/docs/instrumenting/exposition_formats/ | exposition
 * formats}).
 *
 * @module
 */

/** The media type of what {@linkcode renderMetrics} returns. */
export const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** One value of a metric. */
export interface Sample {
  /** What tells it from the metric's other values. */
  readonly labels?: Readonly<Record<string, string>>;
  /** The value. */
  readonly value: number;
}

/** How many values lie below each of some bounds. */
export interface Distribution {
  /** The bounds, in the metric's unit, in ascending order, without infinity. */
  readonly bounds: readonly number[];
  /** How many values are at most as great as each bound. */
  readonly upTo: readonly number[];
  /** How many values there are. */
  readonly count: number;
  /** The sum of all values, in the metric's unit. */
  readonly sum: number;
}

/** A metric whose values are numbers. */
export interface NumberMetric {
  /** The name, which a counter ends in `_total`. */
  readonly name: string;
  /** What it measures, in a sentence without its end. */
  readonly help: string;
  /** Whether it only grows, or may fall, too. */
  readonly type: "counter" | "gauge";
  /** Its values; no two have the same labels. */
  readonly samples: readonly Sample[];
}

/** A metric whose value is a distribution. */
export interface HistogramMetric {
  /** The name, which ends in the unit. */
  readonly name: string;
  /** What it measures, in a sentence without its end. */
  readonly help: string;
  /** That it is a histogram. */
  readonly type: "histogram";
  /** How its values are spread. */
  readonly distribution: Distribution;
}

/** Any metric. */
export type Metric = NumberMetric | HistogramMetric;

/**
 * Makes a metric that has a single value.
 *
 * @param type Whether it only grows, or may fall, too.
 * @param name Its name.
 * @param help What it measures.
 * @param value Its value.
 * @returns The metric.
 */
export function single(
  type: NumberMetric["type"],
  name: string,
  help: string,
  value: number,
): NumberMetric {
  return { name, help, type, samples: [{ value }] };
}

/**
 * Makes a counter that one label splits up.
 *
 * @param name Its name.
 * @param help What it counts.
 * @param label The label's name.
 * @param counts How many there are, by the label's value.
 * @returns The counter.
 */
export function countedBy(
  name: string,
  help: string,
  label: string,
  counts: Readonly<Record<string, number>>,
): NumberMetric {
  const samples = Object.entries(counts)
    .map(([text, value]) => ({ labels: { [label]: text }, value }));
  return { name, help, type: "counter", samples };
}

/**
 * Renders metrics.
 *
 * @param metrics The metrics; no two have the same name.
 * @returns The lines of all of them, each with its end.
 */
export function renderMetrics(metrics: readonly Metric[]): string {
  return metrics.map(renderMetric).join("");
}

function renderMetric(metric: Metric): string {
  const { name, help, type } = metric;
  const lines = metric.type === "histogram"
    ? histogramLines(metric)
    : metric.samples.map(({ labels, value }) => line(name, value, labels));
  return `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n` +
    lines.join("");
}

function histogramLines({ name, distribution }: HistogramMetric): string[] {
  const { bounds, upTo, count, sum } = distribution;
  return [
    ...bounds.map((bound, index) =>
      line(`${name}_bucket`, upTo[index]!, { le: renderNumber(bound) })
    ),
    line(`${name}_bucket`, count, { le: renderNumber(Infinity) }),
    line(`${name}_sum`, sum),
    line(`${name}_count`, count),
  ];
}

function line(
  name: string,
  value: number,
  labels: Readonly<Record<string, string>> = {},
): string {
  const pairs = Object.entries(labels)
    .map(([label, text]) => `${label}="${escapeLabel(text)}"`);
  const braces = pairs.length > 0 ? `{${pairs.join(",")}}` : "";
  return `${name}${braces} ${renderNumber(value)}\n`;
}

/** The format writes infinity as Go does. */
function renderNumber(value: number): string {
  if (Math.abs(value) === Infinity) return value > 0 ? "+Inf" : "-Inf";
  return String(value);
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}
