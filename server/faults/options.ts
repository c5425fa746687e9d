import { checkCount, checkTime } from "../../net/options.ts";

/** How often a fault happens. */
export interface FaultShare {
  /**
   * To how many of the replies or connections it happens, in percent, from 0 to 100.
   *
   * @default {100}
   */
  percent?: number | undefined;
}

/** Replies leave later: see {@linkcode FaultOptions.latency}. */
export interface LatencyFault extends FaultShare {
  /** How much later, in milliseconds. */
  ms: number;

  /**
   * Up to so much is added to `ms` or taken from it, each time as likely as less, in
   * milliseconds. No more than `ms`.
   *
   * @default {0}
   */
  jitterMs?: number | undefined;
}

/** A connection gets back few bytes: see {@linkcode FaultOptions.rate}. */
export interface RateFault extends FaultShare {
  /** How many bytes per second, 1 or more. */
  bytesPerSecond: number;
}

/** Replies leave in pieces: see {@linkcode FaultOptions.slice}. */
export interface SliceFault extends FaultShare {
  /** How many bytes a piece has, 1 or more. */
  bytes: number;
}

/** Connections are closed early: see {@linkcode FaultOptions.cut}. */
export interface CutFault extends FaultShare {
  /**
   * How many bytes are sent back before, 0 or more.
   *
   * @default {so many that it happens within the first reply; the seed chooses}
   */
  bytes?: number | undefined;
}

/**
 * Faults that a server makes on purpose. `{}` is a fault that always happens:
 * `{ corrupt: {}, latency: { ms: 50, percent: 10 } }`.
 *
 * On a stream a reply is what one read of the server brought, 16 KiB at most: for a
 * client that waits for each reply before it sends the next message a reply is a
 * message, on loopback if that is no longer, over a network if it fits a packet. A
 * fault happens, or does not, because of three numbers alone: the seed, the number of
 * the connection in the order in which the server accepted them, and the offset in
 * the stream of the connection at which the reply begins. So the same client meets
 * the same faults again, whatever the timing; one more fault changes nothing about
 * the others; and where messages arrive together, a reply that begins at the same
 * byte as before has the same faults as before, and if it has the same length, the
 * same wrong bit.
 *
 * `latency`, `slice` and `corrupt` happen to a share of the replies, `rate`, `stall`
 * and `cut` to a share of the connections. `latency` and `corrupt` happen to datagrams
 * too; `loss`, `duplicate` and `reorder` to datagrams alone.
 */
export interface FaultOptions {
  /**
   * Chooses the faults, a whole number from 0 to 4,294,967,295.
   *
   * @default {a random one: see `EchoServer.faultSeed`}
   */
  seed?: number | undefined;

  /**
   * Replies leave later. The server reads on meanwhile: bytes that came 10 ms apart
   * leave 10 ms apart. At most 1 MiB of a connection waits, a reply counting as 256 B
   * at least; then the server does not read on. A reply never overtakes an earlier one
   * of the same stream.
   */
  latency?: LatencyFault | undefined;

  /** Each connection gets its bytes back at most at this rate, in a steady flow. */
  rate?: RateFault | undefined;

  /**
   * Replies leave in pieces, a millisecond or two apart: so they also arrive apart, as
   * a rule.
   */
  slice?: SliceFault | undefined;

  /** Replies have exactly one bit flipped. */
  corrupt?: FaultShare | undefined;

  /**
   * Connections never get an answer. The server reads and forgets what the client
   * sends, until the client ends its stream.
   */
  stall?: FaultShare | undefined;

  /** Connections are closed in place of the next byte. */
  cut?: CutFault | undefined;

  /** Datagrams get no reply. */
  loss?: FaultShare | undefined;

  /** Datagrams are answered twice. */
  duplicate?: FaultShare | undefined;

  /**
   * Replies leave after the next one to the same address. A reply that no other one
   * follows within two seconds leaves then, which counts as `latency`.
   */
  reorder?: FaultShare | undefined;
}

/** What a server may do wrong on purpose. */
export type FaultKind = Exclude<keyof FaultOptions, "seed">;

/** Any fault, with the values that some of them have. */
export type AnyFault =
  & FaultShare
  & Partial<Omit<LatencyFault & RateFault & CutFault, "percent">>;

/** What there is to know of a kind of fault. */
export interface FaultTraits {
  /** What alone has it, if not both connections and datagrams do. */
  readonly only?: "connections" | "datagrams";
  /** Its value, apart from the percentage. */
  readonly value?: "ms" | "bytesPerSecond" | "bytes";
  readonly needsValue?: true;
}

/** All kinds of faults, in the order in which they are shown. */
export const FAULT_KINDS: Readonly<Record<FaultKind, FaultTraits>> = {
  latency: { value: "ms", needsValue: true },
  rate: { only: "connections", value: "bytesPerSecond", needsValue: true },
  slice: { only: "connections", value: "bytes", needsValue: true },
  corrupt: {},
  stall: { only: "connections" },
  cut: { only: "connections", value: "bytes" },
  loss: { only: "datagrams" },
  duplicate: { only: "datagrams" },
  reorder: { only: "datagrams" },
};

/** The greatest seed. */
export const MAX_FAULT_SEED = 2 ** 32 - 1;

type Checked<Fault> = Fault & { readonly percent: number };

/** Faults that were checked. One that never happens is not there. */
export interface Faults {
  readonly seed: number;
  readonly latency?: Checked<LatencyFault> & { readonly jitterMs: number };
  readonly rate?: Checked<RateFault>;
  readonly slice?: Checked<SliceFault>;
  readonly corrupt?: Checked<FaultShare>;
  readonly stall?: Checked<FaultShare>;
  readonly cut?: Checked<CutFault>;
  readonly loss?: Checked<FaultShare>;
  readonly duplicate?: Checked<FaultShare>;
  readonly reorder?: Checked<FaultShare>;
}

/** Checks faults, and takes a random seed if there is none. */
export function checkFaults(
  { seed, ...options }: FaultOptions,
  isUdp: boolean,
): Faults {
  const faults: Record<string, AnyFault> = {};
  for (const [kind, fault] of Object.entries(options)) {
    if (fault === undefined) continue;
    if (!Object.hasOwn(FAULT_KINDS, kind)) {
      throw new RangeError(`faults.${kind} is unknown`);
    }
    const checked = checkFault(kind as FaultKind, fault);
    if (checked.percent === 0) continue;
    if (!isUdp && FAULT_KINDS[kind as FaultKind].only === "datagrams") {
      throw new RangeError(
        `faults.${kind} goes with datagrams, a stream has none`,
      );
    }
    faults[kind] = checked;
  }
  return { seed: checkSeed(seed), ...faults };
}

function checkFault(kind: FaultKind, fault: AnyFault): Checked<AnyFault> {
  const { percent = 100, ms = NaN, jitterMs = 0 } = fault;
  const name = `faults.${kind}`;
  const { value, needsValue } = FAULT_KINDS[kind];
  if (!(typeof percent === "number" && percent >= 0 && percent <= 100)) {
    throw new RangeError(
      `${name}.percent must be a number from 0 to 100: ${percent}`,
    );
  }
  if (value === "ms") {
    checkTime(`${name}.ms`, ms);
    const isGood = typeof jitterMs === "number" && jitterMs >= 0 &&
      jitterMs <= ms && jitterMs < Infinity;
    if (!isGood) {
      throw new RangeError(
        `${name}.jitterMs must be a time in milliseconds, 0 or more, and no ` +
          `more than the latency: ${jitterMs}`,
      );
    }
    return { ms, jitterMs, percent };
  }
  const number = value && fault[value];
  if (needsValue) checkCount(`${name}.${value}`, number ?? NaN);
  else if (number !== undefined) checkWhole(`${name}.${value}`, number);
  return { ...fault, percent };
}

function checkWhole(name: string, number: number): void {
  if (Number.isSafeInteger(number) && number >= 0) return;
  throw new RangeError(`${name} must be a whole number, 0 or more: ${number}`);
}

function checkSeed(seed?: number): number {
  if (seed === undefined) return crypto.getRandomValues(new Uint32Array(1))[0]!;
  if (Number.isInteger(seed) && seed >= 0 && seed <= MAX_FAULT_SEED) {
    return seed;
  }
  throw new RangeError(
    `faults.seed must be a whole number from 0 to ${MAX_FAULT_SEED}: ${seed}`,
  );
}
