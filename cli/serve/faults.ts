import { escapeText } from "../../net/text.ts";
import { formatTime } from "../../report/format.ts";
import type { FaultKind, FaultOptions } from "../../server.ts";
import {
  type AnyFault,
  FAULT_KINDS,
  type FaultTraits,
} from "../../server/faults/options.ts";
import { nearestName, UsageError } from "../flags.ts";
import { parseSize, parseTime } from "../values.ts";

/** What there is, for an error of a name. */
const USAGE = "latency=TIME[~TIME], rate=SIZE, slice=SIZE, corrupt, stall, " +
  "cut[=SIZE]; with --udp loss, duplicate, reorder; each may have :PERCENT";

/** The shortest latency, in milliseconds. */
const MIN_LATENCY_MS = 1;

/** The parts of a fault: name, value, percentage. */
const FAULT = /^(?<kind>[^=:]*)(?:=(?<value>[^:]*))?(?::(?<percent>.*))?$/s;

/** Reads faults, for example `latency=50ms~10ms:10, cut=10k:50%`. */
export function parseFaults(text: string): FaultOptions {
  const faults: Record<string, AnyFault> = {};
  for (const part of text.split(",")) {
    const { kind = "", value, percent } = part.trim().match(FAULT)?.groups ??
      {};
    if (!Object.hasOwn(FAULT_KINDS, kind)) throw unknownFault(kind);
    if (faults[kind]) throw new UsageError(`${kind} is given twice`);
    faults[kind] = parseFault(kind as FaultKind, value, percent);
  }
  return faults;
}

function parseFault(
  kind: FaultKind,
  text: string | undefined,
  percent: string | undefined,
): AnyFault {
  const { value, needsValue } = FAULT_KINDS[kind];
  if (needsValue && text === undefined) {
    throw new UsageError(`${kind} needs a value`);
  }
  if (!value && text !== undefined) {
    throw new UsageError(`${kind} takes no value, only a percentage`);
  }
  try {
    return {
      ...(text !== undefined && parseValue(value, text)),
      ...(percent !== undefined && { percent: parsePercent(percent) }),
    };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`${kind}: ${error.message}`);
  }
}

function parseValue(value: FaultTraits["value"], text: string): AnyFault {
  if (value !== "ms") return { [value!]: parseSize(text) };
  const [latency = "", jitter] = text.split(/~(.*)/s);
  const ms = parseTime(latency, MIN_LATENCY_MS);
  if (jitter === undefined) return { ms };
  const jitterMs = parseTime(jitter);
  if (jitterMs <= ms) return { ms, jitterMs };
  throw new UsageError("a latency varies by no more than itself");
}

function parsePercent(text: string): number {
  const percent = Number(text.replace(/%$/, ""));
  if (!/^\d+(\.\d+)?%?$/.test(text) || percent > 100) {
    throw new UsageError(
      "expected a percentage such as 0.1 or 50, at most 100; 0 is never",
    );
  }
  return percent;
}

function unknownFault(kind: string): UsageError {
  const there = ` (faults: ${USAGE})`;
  if (kind === "") return new UsageError(`a fault is missing${there}`);
  const nearest = nearestName(kind, Object.keys(FAULT_KINDS));
  const hint = nearest ? `, did you mean ${nearest}?` : "";
  return new UsageError(`unknown fault ${escapeText(kind)}${hint}${there}`);
}

/** Refuses faults of datagrams where the server echoes none. */
export function checkTransport(faults: FaultOptions, isUdp: boolean): void {
  const [kind] = isUdp ? [] : kindsOfOnly("datagrams", faults);
  if (kind === undefined) return;
  throw new UsageError(`--fault ${kind} goes with --udp, a stream has none`);
}

/** The names of those faults that only connections, or only datagrams, have. */
export function kindsOfOnly(
  of: FaultTraits["only"],
  faults: FaultOptions,
): FaultKind[] {
  return happening(faults)
    .filter(([kind]) => FAULT_KINDS[kind].only === of)
    .map(([kind]) => kind);
}

/** Renders faults, for example `latency=50ms~10ms:10%, corrupt:0.1%`. */
export function formatFaults(faults: FaultOptions): string {
  return happening(faults).map(([kind, fault]) => {
    const { ms, jitterMs = 0, bytes, bytesPerSecond, percent = 100 } = fault;
    const size = bytes ?? bytesPerSecond;
    return kind +
      (ms === undefined ? "" : `=${formatTime(ms)}`) +
      (jitterMs > 0 ? `~${formatTime(jitterMs)}` : "") +
      (size === undefined ? "" : `=${formatSize(size)}`) +
      (percent === 100 ? "" : `:${percent}%`);
  }).join(", ");
}

function happening(faults: FaultOptions): [FaultKind, AnyFault][] {
  return (Object.keys(FAULT_KINDS) as FaultKind[]).flatMap((kind) => {
    const fault = faults[kind];
    return fault && fault.percent !== 0 ? [[kind, fault]] : [];
  });
}

/** Renders a SIZE as it is given on the command line. */
function formatSize(bytes: number): string {
  for (const [unit, factor] of [["G", 1 << 30], ["M", 1 << 20], ["k", 1024]]) {
    if (bytes % Number(factor) === 0) return `${bytes / Number(factor)}${unit}`;
  }
  return `${bytes}`;
}
