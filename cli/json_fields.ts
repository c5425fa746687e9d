/**
 * Reading objects that came as JSON, and that anybody may have written.
 *
 * @module
 */

/** An object has not the fields that it should have. */
export class FormatError extends Error {
  /** The error's name, `FormatError`. */
  override readonly name = "FormatError";
}

/** The fields of an object, each of which is checked when it is read. */
export class Fields {
  readonly #object: Record<string, unknown>;
  readonly #path: string;

  /**
   * Wraps an object.
   *
   * @param value What should be an object.
   * @param path Where it stands, for errors, for example `timeline[3].`.
   * @throws {FormatError} If it is no object.
   */
  constructor(value: unknown, path = "") {
    if (!isObject(value)) {
      throw new FormatError(`${path.replace(/\.$/, "") || "it"} is no object`);
    }
    this.#object = value;
    this.#path = path;
  }

  /**
   * Tells whether a field has a value.
   *
   * @param name The field's name.
   * @returns Whether it is there, and not `null`.
   */
  has(name: string): boolean {
    return (this.#object[name] ?? undefined) !== undefined;
  }

  /**
   * Reads a number.
   *
   * @param name The field's name.
   * @param min The least that it may be.
   * @returns The number.
   * @throws {FormatError} If it is no finite number, or less.
   */
  number(name: string, min = -Infinity): number {
    const value = this.#object[name];
    const isGood = typeof value === "number" && Number.isFinite(value) &&
      value >= min;
    return isGood ? value : this.#refuse(name, value, "a number");
  }

  /**
   * Reads a count.
   *
   * @param name The field's name.
   * @returns The whole number, 0 or more.
   * @throws {FormatError} If it is anything else.
   */
  count(name: string): number {
    const value = this.#object[name];
    const isGood = Number.isSafeInteger(value) && (value as number) >= 0;
    return isGood ? value as number : this.#refuse(name, value, "a count");
  }

  /**
   * Reads a text.
   *
   * @param name The field's name.
   * @returns The text.
   * @throws {FormatError} If it is anything else.
   */
  text(name: string): string {
    const value = this.#object[name];
    return typeof value === "string"
      ? value
      : this.#refuse(name, value, "a text");
  }

  /**
   * Reads an instant.
   *
   * @param name The field's name.
   * @returns The instant, in milliseconds since 1970.
   * @throws {FormatError} If it is no text of ISO 8601.
   */
  instant(name: string): number {
    const ms = Date.parse(this.text(name));
    return Number.isNaN(ms)
      ? this.#refuse(name, this.#object[name], "a time")
      : ms;
  }

  /**
   * Reads a switch.
   *
   * @param name The field's name.
   * @returns Whether it is on.
   * @throws {FormatError} If it is neither `true` nor `false`.
   */
  flag(name: string): boolean {
    const value = this.#object[name];
    return typeof value === "boolean"
      ? value
      : this.#refuse(name, value, "true or false");
  }

  /**
   * Reads an object.
   *
   * @param name The field's name.
   * @returns Its fields.
   * @throws {FormatError} If it is none.
   */
  fields(name: string): Fields {
    return new Fields(this.#object[name], `${this.#path}${name}.`);
  }

  /**
   * Reads an object of which all fields are read in the same way.
   *
   * @param name The field's name.
   * @param read Reads a field of the object.
   * @returns What was read, by name.
   * @throws {FormatError} If it is no object.
   */
  entries<T>(
    name: string,
    read: (fields: Fields, key: string) => T,
  ): Record<string, T> {
    const fields = this.fields(name);
    const keys = Object.keys(fields.#object);
    return Object.fromEntries(keys.map((key) => [key, read(fields, key)]));
  }

  /**
   * Reads a list of objects.
   *
   * @param name The field's name.
   * @param read Reads an object.
   * @returns What was read.
   * @throws {FormatError} If it is no list of objects.
   */
  list<T>(name: string, read: (fields: Fields) => T): T[] {
    const value = this.#object[name];
    if (!Array.isArray(value)) return this.#refuse(name, value, "a list");
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

/**
 * Tells whether a value of JSON is an object.
 *
 * @param value The value.
 * @returns Whether it is one, and no list.
 */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
