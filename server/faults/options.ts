/**
 * What a server that misbehaves on purpose is asked to do.
 *
 * @module
 */

import { checkCount, checkTime } from "../../net/options.ts";

/**
 * What a server may do wrong on purpose. The last three happen to datagrams alone.
 */
export type FaultKind =
  | "latency"
  | "rate"
  | "slice"
  | "corrupt"
  | "stall"
  | "cut"
  | "loss"
  | "duplicate"
  | "reorder";

/** The greatest {@linkcode FaultOptions.seed}. */
export const MAX_FAULT_SEED: number = 2 ** 32 - 1;

/**
 * Faults that a server makes on purpose. A fault without a value and without a
 * percentage does not happen.
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
 * A percentage is a number from 0 to 100. `latency`, `slice` and `corrupt` are made
 * to so many of the replies, `rate`, `stall` and `cut` to so many of the connections.
 */
export interface FaultOptions {
  /**
   * Each reply leaves so much later than it would, in milliseconds. The server reads
   * on meanwhile: bytes that came 10 ms apart leave 10 ms apart. At most 1 MiB of a
   * connection waits, a reply counting as 256 B at least; then the server does not
   * read on.
   */
  latencyMs?: number | undefined;

  /**
   * Up to so much is added to {@linkcode FaultOptions.latencyMs} or taken from it,
   * each time as likely as less, in milliseconds. No more than the latency. A reply
   * never overtakes an earlier one of the same stream.
   *
   * @default {0}
   */
  jitterMs?: number | undefined;

  /**
   * How many of the replies are late, in percent.
   *
   * @default {100}
   */
  latencyPercent?: number | undefined;

  /**
   * A connection gets back no more than so many bytes a second, 1 or more, in a
   * steady flow. Each connection has a rate of its own.
   */
  rateBytesPerSecond?: number | undefined;

  /**
   * How many of the connections have the rate, in percent.
   *
   * @default {100}
   */
  ratePercent?: number | undefined;

  /**
   * A reply leaves in pieces of so many bytes, 1 or more, a millisecond or two apart:
   * so they also arrive apart, as a rule.
   */
  sliceBytes?: number | undefined;

  /**
   * How many of the replies leave in pieces, in percent.
   *
   * @default {100}
   */
  slicePercent?: number | undefined;

  /**
   * How many of the replies have exactly one bit flipped, in percent.
   *
   * @default {0}
   */
  corruptPercent?: number | undefined;

  /**
   * How many of the connections never get an answer, in percent. The server reads and
   * forgets what the client sends, until the client ends its stream.
   *
   * @default {0}
   */
  stallPercent?: number | undefined;

  /**
   * The server sends back so many bytes of a connection, 0 or more, and closes it in
   * place of the next one. Without a number, it does so at a byte within the first
   * reply that the seed chooses.
   */
  cutBytes?: number | undefined;

  /**
   * How many of the connections are cut, in percent.
   *
   * @default {100 with `cutBytes`, 0 without}
   */
  cutPercent?: number | undefined;

  /**
   * How many of the datagrams get no reply, in percent. Datagrams alone.
   *
   * @default {0}
   */
  lossPercent?: number | undefined;

  /**
   * How many of the datagrams are answered twice, in percent. Datagrams alone.
   *
   * @default {0}
   */
  duplicatePercent?: number | undefined;

  /**
   * How many of the replies leave after the next one to the same address, in percent.
   * Datagrams alone. A reply that no other one follows within two seconds leaves then,
   * which counts as `latency`.
   *
   * @default {0}
   */
  reorderPercent?: number | undefined;

  /**
   * Chooses the faults, a whole number from 0 to 4,294,967,295.
   *
   * @default {a random one, which `EchoServer.faultSeed` tells}
   */
  seed?: number | undefined;
}

/** Faults whose options were checked. A fault that does not happen is `undefined`. */
export interface Faults {
  /** What chooses them. */
  readonly seed: number;
  /** How many replies are late, and how much. */
  readonly latency: Fault & { ms: number; jitterMs: number } | undefined;
  /** How many connections have a rate, and which. */
  readonly rate: Fault & { bytesPerSecond: number } | undefined;
  /** How many replies leave in pieces, and how long these are. */
  readonly slice: Fault & { bytes: number } | undefined;
  /** How many replies have a wrong bit. */
  readonly corrupt: Fault | undefined;
  /** How many connections get no answer. */
  readonly stall: Fault | undefined;
  /** How many connections are cut, and where, unless the seed chooses that. */
  readonly cut: Fault & { bytes: number | undefined } | undefined;
  /** How many datagrams get no reply. */
  readonly loss: Fault | undefined;
  /** How many datagrams get two. */
  readonly duplicate: Fault | undefined;
  /** How many replies to datagrams leave after the next one. */
  readonly reorder: Fault | undefined;
}

/** How often a fault happens. */
export interface Fault {
  /** To how many of the replies or connections, in percent. */
  readonly percent: number;
}

/**
 * Checks the options of faults.
 *
 * @param options The options.
 * @param isUdp Whether the server echoes datagrams, too.
 * @returns The faults, with a random seed if there was none.
 * @throws {RangeError} If a number is none that the option takes, or an option is of
 * no use without another one.
 */
export function checkFaults(options: FaultOptions, isUdp: boolean): Faults {
  const { latencyMs, jitterMs, latencyPercent } = options;
  const { rateBytesPerSecond, ratePercent } = options;
  const { sliceBytes, slicePercent, cutBytes, cutPercent } = options;
  needs("jitterMs", jitterMs, "latencyMs", latencyMs);
  needs("latencyPercent", latencyPercent, "latencyMs", latencyMs);
  needs("ratePercent", ratePercent, "rateBytesPerSecond", rateBytesPerSecond);
  needs("slicePercent", slicePercent, "sliceBytes", sliceBytes);
  if (rateBytesPerSecond !== undefined) {
    checkCount("faults.rateBytesPerSecond", rateBytesPerSecond);
  }
  if (sliceBytes !== undefined) checkCount("faults.sliceBytes", sliceBytes);
  if (cutBytes !== undefined) checkWhole("cutBytes", cutBytes);
  return {
    seed: checkSeed(options.seed),
    latency: withPercent("latencyPercent", latencyPercent, latencyMs, {
      ...checkLatency(latencyMs, jitterMs),
    }),
    rate: withPercent("ratePercent", ratePercent, rateBytesPerSecond, {
      bytesPerSecond: rateBytesPerSecond ?? Infinity,
    }),
    slice: withPercent("slicePercent", slicePercent, sliceBytes, {
      bytes: sliceBytes ?? Infinity,
    }),
    corrupt: withPercent("corruptPercent", options.corruptPercent),
    stall: withPercent("stallPercent", options.stallPercent),
    cut: withPercent("cutPercent", cutPercent, cutBytes, { bytes: cutBytes }),
    ...checkDatagramFaults(options, isUdp),
  };
}

function checkDatagramFaults(options: FaultOptions, isUdp: boolean) {
  const check = (
    name: "lossPercent" | "duplicatePercent" | "reorderPercent",
  ) => {
    const fault = withPercent(name, options[name]);
    if (!fault || isUdp) return fault;
    throw new RangeError(
      `faults.${name} goes with datagrams, a stream has none`,
    );
  };
  return {
    loss: check("lossPercent"),
    duplicate: check("duplicatePercent"),
    reorder: check("reorderPercent"),
  };
}

/** Makes a fault, which happens always if it has a value and no percentage. */
function withPercent<Value extends object = object>(
  name: string,
  percent: number | undefined,
  given?: number,
  value?: Value,
): Fault & Value | undefined {
  const often = percent ?? (given === undefined ? 0 : 100);
  if (!(typeof often === "number" && often >= 0 && often <= 100)) {
    throw new RangeError(
      `faults.${name} must be a number from 0 to 100: ${often}`,
    );
  }
  return often > 0 ? { percent: often, ...value as Value } : undefined;
}

function checkLatency(latencyMs = 0, jitterMs = 0) {
  checkTime("faults.latencyMs", latencyMs);
  if (
    !(typeof jitterMs === "number" && jitterMs >= 0 &&
      jitterMs <= latencyMs && jitterMs < Infinity)
  ) {
    throw new RangeError(
      "faults.jitterMs must be a time in milliseconds, 0 or more, and no more " +
        `than the latency: ${jitterMs}`,
    );
  }
  return { ms: latencyMs, jitterMs };
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

function checkWhole(name: string, number: number): void {
  if (Number.isSafeInteger(number) && number >= 0) return;
  throw new RangeError(
    `faults.${name} must be a whole number, 0 or more: ${number}`,
  );
}

function needs(
  name: string,
  value: number | undefined,
  needed: string,
  neededValue: number | undefined,
): void {
  if (value === undefined || neededValue !== undefined) return;
  throw new RangeError(`faults.${name} goes with faults.${needed}`);
}
