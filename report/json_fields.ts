import { escapeText, escapeUnprintable } from "../net/text.ts";

/** An object has not the fields that it should have. */
export class FormatError extends Error {
  /** The error's name, `FormatError`. */
  override readonly name = "FormatError";
}

/** The greatest number that is read: as milliseconds, 31 years. */
const MOST_NUMBER = 1e12;

/** The most items of a list. */
export const MOST_ITEMS = 10_000;

/** The greatest count: as many of them as a list may have are a safe integer, too. */
const MOST_COUNT = Math.floor(Number.MAX_SAFE_INTEGER / MOST_ITEMS);

/** The longest text, in characters. */
const MOST_TEXT = 4096;

/** The fields of an object, each of which is checked when it is read. */
export class Fields {
  readonly #object: Record<string, unknown>;
  readonly #path: string;

  /** Wraps what should be an object; `path` names it in errors: `timeline[3].`. */
  constructor(value: unknown, path = "") {
    if (!isObject(value)) {
      throw new FormatError(`${path.replace(/\.$/, "") || "it"} is no object`);
    }
    this.#object = value;
    this.#path = path;
  }

  /** Tells whether a field is there, and not `null`. */
  has(name: string): boolean {
    return (this.#object[name] ?? undefined) !== undefined;
  }

  number(name: string, min = -MOST_NUMBER, max = MOST_NUMBER): number {
    const value = this.#object[name];
    const isGood = typeof value === "number" && Number.isFinite(value) &&
      value >= min && value <= max;
    return isGood ? value : this.#refuse(name, value, "a number in range");
  }

  /** Reads a whole number, 0 or more. */
  count(name: string): number {
    const value = this.#object[name];
    const isGood = Number.isSafeInteger(value) && (value as number) >= 0 &&
      (value as number) <= MOST_COUNT;
    return isGood ? value as number : this.#refuse(name, value, "a count");
  }

  /** Reads a text, which may be printed: what a terminal must not get is escaped. */
  text(name: string, most = MOST_TEXT): string {
    const value = this.#object[name];
    return typeof value === "string" && value.length <= most
      ? escapeUnprintable(value)
      : this.#refuse(name, value, `a text of at most ${most} characters`);
  }

  /** Reads an instant, written as `toISOString()` does, in milliseconds since 1970. */
  instant(name: string): number {
    const text = this.text(name);
    const date = new Date(text);
    const ms = date.getTime();
    return ms >= 0 && ms < Date.UTC(10_000, 0) && date.toISOString() === text
      ? ms
      : this.#refuse(name, text, "a time");
  }

  /** Reads a switch, which is `true` or `false`. */
  flag(name: string): boolean {
    const value = this.#object[name];
    return typeof value === "boolean"
      ? value
      : this.#refuse(name, value, "true or false");
  }

  /** Reads the fields of an object. */
  fields(name: string): Fields {
    return new Fields(this.#object[name], `${this.#path}${name}.`);
  }

  /** Reads an object of which all fields are known, and are read in the same way. */
  entries<K extends string, T>(
    name: string,
    known: readonly K[],
    read: (fields: Fields, key: K) => T,
  ): Partial<Record<K, T>> {
    const fields = this.fields(name);
    const entries = Object.keys(fields.#object).map((text) => {
      const key = known.find((it) => it === text);
      if (key !== undefined) return [key, read(fields, key)];
      throw new FormatError(
        `${this.#path}${name} has an unknown field "${escapeText(text)}"`,
      );
    });
    return Object.fromEntries(entries);
  }

  /** Reads a list of objects. */
  list<T>(name: string, read: (fields: Fields) => T, most = MOST_ITEMS): T[] {
    const value = this.#object[name];
    if (!Array.isArray(value)) return this.#refuse(name, value, "a list");
    if (value.length > most) {
      return this.#refuse(name, value, `a list of at most ${most}`);
    }
    return value.map((item, at) =>
      read(new Fields(item, `${this.#path}${name}[${at}].`))
    );
  }

  #refuse(name: string, value: unknown, expected: string): never {
    throw new FormatError(
      value === undefined
        ? `${this.#path}${name} is missing`
        : `${this.#path}${name} is not ${expected}`,
    );
  }
}

/** Tells whether a value of JSON is an object, and no list. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
