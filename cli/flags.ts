/**
 * Command lines: what a flag is, and how a mistake reads.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { levenshteinDistance } from "@std/text/levenshtein-distance";
import { escapeText } from "../net/text.ts";

/** The command line is not one that the tool takes: exit status 2. */
export class UsageError extends Error {
  /** The error's name, `UsageError`. */
  override readonly name = "UsageError";
}

/** One flag of a command. */
export interface Flag<T> {
  /** The flag's one-letter name. */
  readonly short?: string;
  /** The placeholder for its value in the usage; a switch has none. */
  readonly value?: string;
  /** What the flag does, for the usage. */
  readonly help: string;
  /** Its value when the flag is not given; the usage shows it in brackets. */
  readonly default: T;
  /** The default in words, where the value itself would not be understood. */
  readonly defaultText?: string;
  /**
   * Reads a value of the flag.
   *
   * @throws {UsageError} That says what is allowed.
   */
  readonly parse: (text: string) => T;
  /**
   * Whether the flag may be given again: its value is a list, and each time adds to
   * it.
   *
   * @default {false}
   */
  readonly isRepeatable?: boolean;
}

/**
 * Makes a switch: a flag without a value, which is given or not.
 *
 * @param help What the flag does, for the usage.
 * @param short The flag's one-letter name, if it has one.
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
  readonly given: ReadonlySet<string>;
  /** The arguments before any `--` that are no flags. */
  readonly operands: readonly string[];
  /** The arguments after `--`. */
  readonly afterDashes: readonly string[];
}

/** Stands before the name of each flag for the standard library's parser. */
const PREFIX = "flag-";

/**
 * Takes the arguments of a command apart.
 *
 * @param args The arguments after the command's name.
 * @param flags The flags that the command has.
 * @param operand What the command calls its operands, if it takes any: for an
 * error.
 * @param elsewhere What to say of flags that other commands have, by their names.
 * @returns The values of all its flags, and its operands.
 * @throws {UsageError} If a flag is unknown, is given twice, or its value is
 * missing or not allowed.
 */
export function parseCommandLine<F extends Flags>(
  args: readonly string[],
  flags: F,
  operand?: string,
  elsewhere: Readonly<Record<string, string>> = {},
): CommandLine<F> {
  // The parser takes a bare name that begins with "no-" for a negation.
  const names = Object.keys(flags).map((name) => PREFIX + name);
  const parsed = parseArgs(canonical(args, flags, operand, elsewhere), {
    "--": true,
    string: ["_", ...names],
    collect: names,
  }) as Record<string, string[]>;
  const values: Record<string, unknown> = {};
  const given = new Set<string>();
  for (const [name, flag] of Object.entries(flags)) {
    const texts = parsed[PREFIX + name] ?? [];
    if (texts.length > 1 && !flag.isRepeatable) {
      throw new UsageError(`--${name} is given twice`);
    }
    if (texts.length > 0) given.add(name);
    const parsedTexts = texts.map((text) => parse(name, flag, text));
    values[name] = parsedTexts.length === 0
      ? flag.default
      : flag.isRepeatable
      ? parsedTexts.flat()
      : parsedTexts[0];
  }
  return {
    values: values as Values<F>,
    given,
    operands: parsed._ ?? [],
    afterDashes: parsed["--"] ?? [],
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
  elsewhere: Readonly<Record<string, string>>,
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
      result.push(`--${PREFIX}${name}=true`);
    } else {
      const value = attached ?? queue.shift();
      if (value === undefined) {
        throw new UsageError(
          `${shown} needs a value: ${shown} <${placeholder}>`,
        );
      }
      result.push(`--${PREFIX}${name}=${value}`);
    }
  };

  for (let arg = queue.shift(); arg !== undefined; arg = queue.shift()) {
    if (arg === "--") return [...result, arg, ...queue];
    if (arg.startsWith("--")) {
      const [, name = "", value] = arg.match(/^--([^=]*)(?:=(.*))?$/s) ?? [];
      if (!Object.hasOwn(flags, name)) {
        throw unknownFlag(`--${name}`, arg, flags, operand, elsewhere);
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
          throw unknownFlag(shown, arg, flags, operand, elsewhere);
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
  elsewhere: Readonly<Record<string, string>>,
): UsageError {
  const name = shown.replace(/^-+/, "");
  if (Object.hasOwn(elsewhere, name)) {
    return new UsageError(`unknown flag ${shown}, ${elsewhere[name]}`);
  }
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
 * Finds the name that a mistyped one was meant to be.
 *
 * @param name What was typed.
 * @param names The names that exist.
 * @returns The only name that begins with what was typed, or else the nearest one;
 * `undefined` where none is near.
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
