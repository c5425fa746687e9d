/**
 * Finding JSON objects in text: one a line, over several lines, or among the lines of
 * a log.
 *
 * @module
 */

import { isObject } from "../json_fields.ts";

/** An object that was found in a text. */
export interface FoundObject {
  /** That it is one. */
  readonly kind: "object";
  /** The number of the line on which it begins, from 1. */
  readonly line: number;
  /** The object. */
  readonly value: Record<string, unknown>;
}

/** What was found in a text besides. */
export interface FoundText {
  /**
   * `broken`: an object that does not end, or is no JSON. `text`: a line with
   * something else on it.
   */
  readonly kind: "broken" | "text";
  /** The number of the line, from 1. */
  readonly line: number;
  /** What stands there. */
  readonly text: string;
}

/** What was found in a text. */
export type Found = FoundObject | FoundText;

/**
 * What `kubectl logs` puts before a line, with `--prefix` and with `--timestamps`:
 * `[pod/load-0/echo] 2026-11-24T21:05:00.123456789Z `.
 */
const LOG_PREFIX =
  /^(\[(?:pod|container)\/[^\]]+\] )?(?:\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d) )?/;

/** What may stand between objects and means nothing: the marks of a list. */
const BETWEEN = /^[\s,[\]]*$/;

/** At how many braces a known object is looked for within a broken one. */
const MOST_TRIES = 1000;

/** An object of which some lines were read. */
interface Open {
  /** The number of the line on which it begins. */
  readonly line: number;
  /** What was read of it. */
  text: string;
  readonly scan: Scan;
}

/** Finds objects in the lines of a text, given one after the other. */
export class ObjectFinder {
  readonly #known: string;
  readonly #found: (found: Found) => void;
  /** The objects that are not whole yet, by the prefix of their lines. */
  readonly #open = new Map<string, Open>();
  #line = 0;

  /**
   * Begins with the first line.
   *
   * @param known The name of a field by which objects are known. What stands in
   * braces, is no JSON, and has not this name, is text.
   * @param found Called with all that is found, in about the order of the lines.
   */
  constructor(known: string, found: (found: Found) => void) {
    this.#known = `"${known}"`;
    this.#found = found;
  }

  /**
   * Takes the next line.
   *
   * @param text The line, without its end.
   */
  addLine(text: string): void {
    this.#line++;
    const [prefix = "", pod = ""] = text.match(LOG_PREFIX) ?? [];
    let rest = text.slice(prefix.length);
    const open = this.#open.get(pod);
    // Within an object that is whole, no line but the first begins with a brace.
    if (open && rest.startsWith("{")) this.#giveUp(pod, open);
    else if (open) {
      const end = open.scan.endIn(rest);
      open.text += `${rest.slice(0, end)}\n`;
      // No text of JSON goes on on the next line.
      if (open.scan.isBroken) return this.#giveUp(pod, open);
      if (end === undefined) return;
      this.#open.delete(pod);
      this.#parse(open.line, open.text);
      rest = rest.slice(end);
    }
    this.#addObjects(pod, rest);
  }

  /** Takes note that there are no more lines. */
  end(): void {
    for (const [pod, open] of this.#open) this.#giveUp(pod, open);
  }

  /** Finds the objects that begin on a line. */
  #addObjects(pod: string, text: string): void {
    let rest = text;
    let other = "";
    while (rest !== "") {
      const at = rest.indexOf("{");
      if (at < 0) {
        other += rest;
        break;
      }
      other += rest.slice(0, at);
      rest = rest.slice(at);
      const scan = new Scan();
      const end = scan.endIn(rest);
      if (end === undefined) {
        // An object over several lines has the rest of its first line to itself.
        const isBegun = !scan.isBroken && BETWEEN.test(other) &&
          /^\{\s*("|$)/.test(rest);
        if (isBegun) {
          this.#open.set(pod, { line: this.#line, text: `${rest}\n`, scan });
        } else this.#break(this.#line, rest);
        return;
      }
      if (!this.#parse(this.#line, rest.slice(0, end))) {
        other += rest.slice(0, end);
      }
      rest = rest.slice(end);
    }
    const isPrefix = other.length < text.length;
    if (!isPrefix && !BETWEEN.test(other)) {
      this.#found({ kind: "text", line: this.#line, text });
    }
  }

  #giveUp(pod: string, { line, text }: Open): void {
    this.#open.delete(pod);
    this.#break(line, text);
  }

  /**
   * Tells of what is no whole object, as broken only if it was meant to be one, and
   * finds a known object in it: the next file begins where the one before was cut.
   */
  #break(line: number, text: string): void {
    const isKnown = text.includes(this.#known);
    const kind = isKnown || /^\{\s*"/.test(text) ? "broken" : "text";
    this.#found({ kind, line, text: text.trim() });
    if (!isKnown) return;
    let at = 0;
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      at = text.indexOf("{", at + 1);
      if (at < 0) return;
      const end = new Scan().endIn(text.slice(at));
      const whole = text.slice(at, end === undefined ? at : at + end);
      const value = whole.includes(this.#known) && parseObject(whole);
      if (!value) continue;
      const before = text.slice(0, at).split("\n").length - 1;
      return this.#found({ kind: "object", line: line + before, value });
    }
  }

  /** Tells of what stands between braces; returns whether that is no mere text. */
  #parse(line: number, text: string): boolean {
    const value = parseObject(text);
    if (value) this.#found({ kind: "object", line, value });
    else if (text.includes(this.#known)) {
      this.#found({ kind: "broken", line, text });
    } else return false;
    return true;
  }
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Looks for the brace that closes the first one. */
class Scan {
  #depth = 0;
  #isInText = false;

  /** Whether a line ended within a text, which JSON does not allow. */
  get isBroken(): boolean {
    return this.#isInText;
  }

  /**
   * Looks through the next line.
   *
   * @param line The line.
   * @returns Where what follows the last brace begins, `undefined` if it is not on
   * the line.
   */
  endIn(line: string): number | undefined {
    // A text is skipped at once, as some are long.
    const marks = /["{}]|\\./g;
    for (let match; (match = marks.exec(line));) {
      const [mark] = match;
      if (mark === '"') this.#isInText = !this.#isInText;
      if (this.#isInText) continue;
      if (mark === "{") this.#depth++;
      if (mark === "}" && --this.#depth === 0) return marks.lastIndex;
    }
    return undefined;
  }
}
