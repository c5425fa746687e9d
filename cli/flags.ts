/**
 * Command lines: what a flag is, what its value may be, how a mistake reads.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { levenshteinDistance } from "@std/text/levenshtein-distance";
import { escapeText } from "./format.ts";

/** The command line is not one that the tool takes: exit status 2. */
export class UsageError extends Error {
  /** The error's name, `UsageError`. */
  override readonly name = "UsageError";
}

/** One flag of a command. */
export interface Flag<T> {
  /** Its one-letter name. */
  readonly short?: string;
  /** The placeholder for its value in the usage; a switch has none. */
  readonly value?: string;
  /** What it does, for the usage. */
  readonly help: string;
  /** Its value when it is not given, in brackets in the usage. */
  readonly default: T;
  /** The default in words, where it does not speak for itself. */
  readonly defaultText?: string;
  /**
   * Reads its value.
   *
   * @throws {UsageError} That says what is allowed.
   */
  readonly parse: (text: string) => T;
}

/**
 * Makes a flag that has no value: it is given or not.
 *
 * @param help What it does, for the usage.
 * @param short Its one-letter name, if it has one.
 * @returns The flag.
 */
export function switchFlag(help: string, short?: string): Flag<boolean> {
  return { ...(short && { short }), help, default: false, parse: () => true };
}

/** The flags of a command, by their long names. */
// deno-lint-ignore no-explicit-any -- each flag has a type of its own
export type Flags = Record<string, Flag<any>>;

/** The values of a command's flags, given or by default. */
export type Values<F extends Flags> = {
  [K in keyof F]: F[K] extends Flag<infer T> ? T : never;
};

/** A command line, taken apart. */
export interface CommandLine<F extends Flags> {
  /** The values of the flags. */
  readonly values: Values<F>;
  /** The flags that were given, by their long names. */
  readonly given: ReadonlySet<keyof F>;
  /** The words that are not flags, before any `--`. */
  readonly words: readonly string[];
  /** The words after `--`. */
  readonly rest: readonly string[];
}

/**
 * Takes the arguments of a command apart.
 *
 * @param args The arguments after the command's name.
 * @param flags The flags that the command has.
 * @param operand What its other words are, if it takes any: for an error.
 * @returns The values of all its flags, and the other words.
 * @throws {UsageError} If a flag is unknown, is given twice, or its value is
 * missing or not allowed.
 */
export function parseCommandLine<F extends Flags>(
  args: readonly string[],
  flags: F,
  operand?: string,
): CommandLine<F> {
  const names = Object.keys(flags);
  const parsed = parseArgs(canonical(args, flags, operand), {
    "--": true,
    string: ["_", ...names],
    collect: names,
  }) as Record<string, string[]>;
  const values: Record<string, unknown> = {};
  const given = new Set<keyof F>();
  for (const [name, flag] of Object.entries(flags)) {
    const texts = parsed[name] ?? [];
    if (texts.length > 1) throw new UsageError(`--${name} is given twice`);
    const [text] = texts;
    values[name] = text === undefined ? flag.default : parse(name, flag, text);
    if (text !== undefined) given.add(name);
  }
  return {
    values: values as Values<F>,
    given,
    words: parsed._ ?? [],
    rest: parsed["--"] ?? [],
  };
}

/**
 * Rewrites every flag as `--name=value`. The standard library's parser takes
 * `-p8080` for a value only when it looks like a number, `--port -1` for two
 * flags, and the word `true` after a switch for its value.
 */
function canonical(
  args: readonly string[],
  flags: Flags,
  operand: string | undefined,
): string[] {
  const result: string[] = [];
  const queue = [...args];
  const byShort = new Map(
    Object.entries(flags).map(([name, flag]) => [flag.short, name]),
  );
  const push = (name: string, attached: string | undefined, shown: string) => {
    const placeholder = flags[name]?.value;
    if (placeholder === undefined) {
      if (attached !== undefined) {
        throw new UsageError(`${shown} takes no value`);
      }
      result.push(`--${name}=true`);
    } else {
      const value = attached ?? queue.shift();
      if (value === undefined) {
        throw new UsageError(
          `${shown} needs a value: ${shown} <${placeholder}>`,
        );
      }
      result.push(`--${name}=${value}`);
    }
  };

  for (let arg = queue.shift(); arg !== undefined; arg = queue.shift()) {
    if (arg === "--") return [...result, arg, ...queue];
    if (arg.startsWith("--")) {
      const [, name = "", value] = arg.match(/^--([^=]*)(?:=(.*))?$/s) ?? [];
      if (!Object.hasOwn(flags, name)) {
        throw unknownFlag(`--${name}`, arg, flags, operand);
      }
      push(name, value, `--${name}`);
    } else if (arg.startsWith("-") && arg !== "-") {
      // A cluster of switches, of which the last may be a flag with its value.
      const letters = [...arg];
      for (let at = 1; at < letters.length; at++) {
        const letter = letters[at]!;
        const shown = `-${letter}`;
        const name = byShort.get(letter);
        if (name === undefined) {
          throw unknownFlag(shown, arg, flags, operand);
        }
        const hasValue = flags[name]?.value !== undefined;
        const after = letters.slice(at + 1).join("");
        const isAttached = after.startsWith("=") || (hasValue && after !== "");
        push(name, isAttached ? after.replace(/^=/, "") : undefined, shown);
        if (hasValue) break;
      }
    } else {
      result.push(arg);
    }
  }
  return result;
}

function parse(name: string, flag: Flag<unknown>, text: string): unknown {
  try {
    return flag.parse(text);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`--${name} "${escapeText(text)}": ${error.message}`);
  }
}

function unknownFlag(
  shown: string,
  arg: string,
  flags: Flags,
  operand: string | undefined,
): UsageError {
  // In a cluster the whole of it may be a long name with a dash too few.
  const typed = arg.startsWith("--") ? shown : arg;
  const nearest = nearestName(typed, Object.keys(flags).map((n) => `--${n}`));
  const where = arg.startsWith("--") || arg === shown
    ? ""
    : ` in ${escapeText(arg)}`;
  let message = `unknown flag ${escapeText(shown)}${where}`;
  if (nearest) message += `, did you mean ${nearest}?`;
  else if (operand) {
    message += `, a ${operand} that starts with a dash goes after --`;
  }
  return new UsageError(message);
}

/**
 * Finds what a mistyped name was meant to be.
 *
 * @param name What was typed.
 * @param names The names that there are.
 * @returns The one that it begins or is nearest to, or `undefined` where none is
 * near.
 */
export function nearestName(
  name: string,
  names: readonly string[],
): string | undefined {
  const bare = (text: string) => text.toLowerCase().replace(/^-+/, "");
  const typed = bare(name);
  const begun = names.filter((candidate) => bare(candidate).startsWith(typed));
  if (typed.length > 1 && begun.length === 1) return begun[0];
  let nearest: string | undefined;
  // Two letters exchanged are two edits; of a short word they leave nothing.
  let limit = Math.min(2, Math.floor(typed.length / 2));
  for (const candidate of names) {
    const distance = levenshteinDistance(typed, bare(candidate));
    if (distance > limit) continue;
    nearest = candidate;
    limit = distance - 1;
  }
  return nearest;
}

/**
 * Describes flags for a usage text.
 *
 * @param flags The flags.
 * @returns One line a flag.
 */
export function renderFlags(flags: Flags): string {
  const rows = Object.entries(flags).map(([name, flag]) => {
    const short = flag.short ? `-${flag.short}, ` : "    ";
    const value = flag.value ? ` <${flag.value}>` : "";
    const byDefault = flag.defaultText ?? (flag.value ? flag.default : "");
    return [
      `  ${short}--${name}${value}`,
      flag.help + (byDefault === "" ? "" : ` [${byDefault}]`),
    ] as const;
  });
  const width = Math.max(...rows.map(([left]) => left.length)) + 2;
  return rows.map(([left, right]) => left.padEnd(width) + right).join("\n");
}

/** The longest that a timer of the runtime waits: 2^31 - 1 ms. */
const MAX_TIME_MS = 2 ** 31 - 1;

/** Milliseconds in each unit of a TIME. */
const TIME_UNITS: Record<string, number> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

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
 * Reads a TIME: a number with an optional unit, seconds by default.
 *
 * @param text For example `250ms`, `5s`, `2m`, `1h` or `1.5`.
 * @param min The shortest time allowed, in milliseconds.
 * @returns The time in milliseconds.
 * @throws {UsageError} If it is anything else, or longer than 24 days.
 */
export function parseTime(text: string, min = 0): number {
  const [, number, unit = "s"] = text.match(/^(\d+(?:\.\d+)?)(ms|s|m|h)?$/) ??
    [];
  const ms = Number(number) * TIME_UNITS[unit]!;
  if (number === undefined || ms < min || ms > MAX_TIME_MS) {
    const least = min > 0 ? `at least ${min}ms and ` : "";
    throw new UsageError(
      `expected a time such as 250ms, 5s, 2m or 1h, ${least}at most 596h`,
    );
  }
  return ms;
}

/**
 * Reads a SIZE: a whole number with an optional unit, bytes by default.
 *
 * @param text For example `64`, `64k`, `1M` or `2G`, in units of 1,024.
 * @returns The size in bytes.
 * @throws {UsageError} If it is anything else, or 0.
 */
export function parseSize(text: string): number {
  const [, digits, unit = ""] = text.match(/^(\d+)([kmg]?)$/i) ?? [];
  const size = Number(digits) * SIZE_UNITS[unit.toLowerCase()]!;
  if (digits === undefined || size < 1 || !Number.isSafeInteger(size)) {
    throw new UsageError("expected a size such as 64, 64k or 1M, at least 1");
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
  const bare = text.replace(/^\[(.+)\]$/, "$1");
  const isName = bare === text && HOST_NAME.test(text);
  if (!isName && !isIPv6(bare)) {
    throw new UsageError(
      "expected an IPv4 or IPv6 address or a name" +
        (/^[^:]*:\d+$/.test(text) ? ", the port goes to --port" : ""),
    );
  }
  return bare;
}

/** Labels of up to 63 letters, digits, hyphens and, in practice, underscores. */
const HOST_NAME =
  /^(?=.{1,253}$)[a-z\d_]([a-z\d_-]{0,61}[a-z\d_])?(\.[a-z\d_]([a-z\d_-]{0,61}[a-z\d_])?)*\.?$/i;

function isIPv6(text: string): boolean {
  // A zone, as in fe80::1%eth0, is not a part of a URL's address.
  const address = text.replace(/%\w+$/, "");
  return address.includes(":") && URL.canParse(`http://[${address}]/`);
}
