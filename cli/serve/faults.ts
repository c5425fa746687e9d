/**
 * Faults on the command line: `latency=50ms~10ms:10,corrupt:0.1`.
 *
 * @module
 */

import { escapeText } from "../../net/text.ts";
import type { FaultKind, FaultOptions } from "../../server.ts";
import { nearestName, UsageError } from "../flags.ts";
import { formatTime } from "../../report/format.ts";
import { parseSize, parseTime } from "../values.ts";

/** What there is, for an error of a name. */
const FAULTS = "latency=TIME[~TIME], rate=SIZE, slice=SIZE, corrupt, stall, " +
  "cut[=SIZE]; with --udp loss, duplicate, reorder; each may have :PERCENT";

/** The shortest latency, in milliseconds. */
const MIN_LATENCY_MS = 1;

/** How a fault is read and rendered. */
interface Syntax {
  /** Whether it takes a value. */
  readonly value: "needed" | "optional" | "none";
  /** What alone has it, if not both connections and datagrams do. */
  readonly only?: "connections" | "datagrams";
  /** Makes options of its value and its percentage. */
  read(value: string | undefined, percent: number): FaultOptions;
  /** Renders its options; `undefined` if there is no such fault among them. */
  render(options: FaultOptions): Rendered | undefined;
}

/** What is rendered of a fault: its value, if any, and its percentage. */
interface Rendered {
  readonly value?: string;
  readonly percent: number;
}

const SYNTAX: Record<FaultKind, Syntax> = {
  latency: {
    value: "needed",
    read(value = "", latencyPercent) {
      const [latency = "", jitter] = value.split(/~(.*)/s);
      const latencyMs = parseTime(latency, MIN_LATENCY_MS);
      if (jitter === undefined) return { latencyMs, latencyPercent };
      const jitterMs = parseTime(jitter);
      if (jitterMs > latencyMs) {
        throw new UsageError("a latency varies by no more than itself");
      }
      return { latencyMs, jitterMs, latencyPercent };
    },
    render({ latencyMs, jitterMs = 0, latencyPercent = 100 }) {
      if (latencyMs === undefined || latencyPercent === 0) return;
      const jitter = jitterMs > 0 ? `~${formatTime(jitterMs)}` : "";
      const value = formatTime(latencyMs) + jitter;
      return { value, percent: latencyPercent };
    },
  },
  rate: {
    value: "needed",
    only: "connections",
    read: (value = "", ratePercent) => ({
      rateBytesPerSecond: parseSize(value),
      ratePercent,
    }),
    render: ({ rateBytesPerSecond, ratePercent }) =>
      renderSized(rateBytesPerSecond, ratePercent),
  },
  slice: {
    value: "needed",
    only: "connections",
    read: (value = "", slicePercent) => ({
      sliceBytes: parseSize(value),
      slicePercent,
    }),
    render: ({ sliceBytes, slicePercent }) =>
      renderSized(sliceBytes, slicePercent),
  },
  corrupt: withoutValue("corruptPercent"),
  stall: { ...withoutValue("stallPercent"), only: "connections" },
  cut: {
    value: "optional",
    only: "connections",
    read: (value, cutPercent) =>
      value === undefined
        ? { cutPercent }
        : { cutBytes: parseSize(value), cutPercent },
    render: ({ cutBytes, cutPercent }) =>
      cutBytes === undefined
        ? renderPercent(cutPercent)
        : renderSized(cutBytes, cutPercent),
  },
  loss: { ...withoutValue("lossPercent"), only: "datagrams" },
  duplicate: { ...withoutValue("duplicatePercent"), only: "datagrams" },
  reorder: { ...withoutValue("reorderPercent"), only: "datagrams" },
};

function withoutValue(
  option:
    & {
      [K in keyof FaultOptions]: K extends `${string}Percent` ? K : never;
    }[keyof FaultOptions]
    & string,
): Syntax {
  return {
    value: "none",
    read: (_value, percent) => ({ [option]: percent }),
    render: (options) => renderPercent(options[option]),
  };
}

function renderPercent(percent = 0): Rendered | undefined {
  return percent > 0 ? { percent } : undefined;
}

function renderSized(
  bytes: number | undefined,
  percent = 100,
): Rendered | undefined {
  return bytes === undefined || percent === 0
    ? undefined
    : { value: formatSize(bytes), percent };
}

/**
 * Reads faults.
 *
 * @param text The faults, for example `latency=50ms~10ms:10,cut=10k:50%`. Spaces
 * around each of them are left out.
 * @returns The faults, as options of `serve()`.
 * @throws {UsageError} If one of them is unknown, is given twice, or has a value or a
 * percentage that it cannot have.
 */
export function parseFaults(text: string): FaultOptions {
  const seen = new Set<string>();
  let options: FaultOptions = {};
  for (const fault of text.split(",")) {
    const [kind, read] = parseFault(fault.trim());
    if (seen.has(kind)) throw new UsageError(`${kind} is given twice`);
    seen.add(kind);
    options = { ...options, ...read };
  }
  return options;
}

/** The parts of a fault: name, value, percentage. */
const FAULT = /^(?<kind>[^=:]*)(?:=(?<value>[^:]*))?(?::(?<percent>.*))?$/s;

function parseFault(fault: string): [kind: string, options: FaultOptions] {
  const { kind = "", value, percent } = fault.match(FAULT)?.groups ?? {};
  if (!Object.hasOwn(SYNTAX, kind)) throw unknownFault(kind);
  const syntax = SYNTAX[kind as FaultKind];
  if (syntax.value === "needed" && value === undefined) {
    throw new UsageError(`${kind} needs a value`);
  }
  if (syntax.value === "none" && value !== undefined) {
    throw new UsageError(`${kind} takes no value, only a percentage`);
  }
  try {
    return [kind, syntax.read(value, parsePercent(percent))];
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`${kind}: ${error.message}`);
  }
}

function unknownFault(kind: string): UsageError {
  const there = ` (faults: ${FAULTS})`;
  if (kind === "") return new UsageError(`a fault is missing${there}`);
  const nearest = nearestName(kind, Object.keys(SYNTAX));
  const hint = nearest ? `, did you mean ${nearest}?` : "";
  return new UsageError(`unknown fault ${escapeText(kind)}${hint}${there}`);
}

function parsePercent(text = "100"): number {
  const percent = Number(text.replace(/%$/, ""));
  if (!/^\d+(\.\d+)?%?$/.test(text) || percent > 100) {
    throw new UsageError(
      "expected a percentage such as 0.1 or 50, at most 100; 0 is never",
    );
  }
  return percent;
}

/**
 * Refuses faults that a server of streams alone cannot make.
 *
 * @param faults The faults.
 * @param isUdp Whether the server echoes datagrams, too.
 * @throws {UsageError} If one of them needs datagrams.
 */
export function checkTransport(faults: FaultOptions, isUdp: boolean): void {
  if (isUdp) return;
  const [kind] = kindsOfOnly("datagrams", faults);
  if (kind === undefined) return;
  throw new UsageError(`--fault ${kind} goes with --udp, a stream has none`);
}

/**
 * Tells which faults datagrams do not have.
 *
 * @param faults The faults.
 * @returns The names of those that only connections have.
 */
export function faultsOfConnections(faults: FaultOptions): FaultKind[] {
  return kindsOfOnly("connections", faults);
}

function kindsOfOnly(
  of: "connections" | "datagrams",
  faults: FaultOptions,
): FaultKind[] {
  return Object.entries(SYNTAX)
    .filter(([, { only, render }]) => only === of && render(faults))
    .map(([kind]) => kind as FaultKind);
}

/**
 * Renders faults.
 *
 * @param options The faults.
 * @returns For example `latency=50ms~10ms:10%, corrupt:0.1%`.
 */
export function formatFaults(options: FaultOptions): string {
  return Object.entries(SYNTAX).flatMap(([kind, { render }]) => {
    const rendered = render(options);
    if (!rendered) return [];
    const { value, percent } = rendered;
    return kind + (value === undefined ? "" : `=${value}`) +
      (percent === 100 ? "" : `:${percent}%`);
  }).join(", ");
}

/** Renders a SIZE as it is given on the command line. */
function formatSize(bytes: number): string {
  for (const [unit, factor] of [["G", 1 << 30], ["M", 1 << 20], ["k", 1024]]) {
    if (bytes % Number(factor) === 0) return `${bytes / Number(factor)}${unit}`;
  }
  return `${bytes}`;
}
