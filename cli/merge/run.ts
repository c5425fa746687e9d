/**
 * Merging: from what stdin holds to one report.
 *
 * @module
 */

import { escapeText } from "../../net/text.ts";
import { printLine } from "../command.ts";
import { formatCount, formatNumber } from "../format.ts";
import { FormatError } from "../json_fields.ts";
import type { Condition } from "../send/conditions.ts";
import { VERSION_FIELD } from "../send/load_json.ts";
import { differenceOf, mergeReports } from "../send/load_merge.ts";
import { parseLoad } from "../send/load_parse.ts";
import { hasBegun, type LoadReport } from "../send/load_report.ts";
import { printLoad } from "../send/load_result.ts";
import type { Terminal } from "../terminal.ts";
import { type Found, ObjectFinder } from "./objects.ts";

/** What {@linkcode runMerge} is asked to do. */
export interface MergeOptions {
  /** Whether the report is printed as JSON. */
  readonly json: boolean;
  /** On what the command fails besides. */
  readonly conditions: readonly Condition[];
}

/** How many of the things that were not counted are named one by one. */
const MOST_NAMED = 10;

/** How many characters of a line are shown. */
const SHOWN_TEXT = 40;

/** How many bytes are read at once. */
const READ_BYTES = 65_536;

/**
 * Reads the results of loads from stdin, and prints one report. On stderr it names
 * what is not counted, with its line.
 *
 * @param options How the report is printed and judged.
 * @param terminal Where the results come from, and where the report goes.
 * @returns The exit status: that of a load with this report, but 1 at least if
 * something that should have been counted was not.
 * @throws {Error} If there is no result at all.
 */
export async function runMerge(
  options: MergeOptions,
  terminal: Terminal,
): Promise<number> {
  const results = new Results();
  const finder = new ObjectFinder(VERSION_FIELD, (it) => results.add(it));
  for await (const line of linesOf(terminal)) finder.addLine(line);
  finder.end();
  for (const line of results.complaints()) {
    await printLine(terminal.stderr, `echo: ${line}`);
  }
  if (results.reports.length === 0) {
    throw new Error(
      "No result of a load on stdin: send --json prints one with " +
        "--connections, --duration or --rate",
    );
  }
  const report = mergeReports(results.reports);
  const status = await printLoad(
    report,
    { ...options, isStopped: false },
    terminal,
  );
  return results.isComplete ? status : 1;
}

/** The results, and what was found besides. */
class Results {
  /** The results that are counted. */
  readonly reports: LoadReport[] = [];
  /** What is wrong with objects, the first of it. */
  readonly #named: string[] = [];
  #told = 0;
  #isComplete = true;
  /** On which line each run was counted, by its id. */
  readonly #lines = new Map<string, number>();
  /** The first line that is no JSON. */
  #text: { line: number; text: string } | undefined;
  #texts = 0;

  /** Whether all that was found is counted, but for mere text. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  add(found: Found): void {
    if (found.kind === "object") {
      return this.#addObject(found.line, found.value);
    }
    if (found.kind === "broken") {
      const text = shorten(found.text);
      return this.#refuse(found.line, `cut off or damaged: ${text}`);
    }
    this.#texts++;
    this.#text ??= found;
  }

  /** What is to be said of what is not counted. */
  complaints(): string[] {
    const more = this.#told - this.#named.length;
    return [
      ...this.#named,
      ...(more > 0
        ? [`${formatNumber(more)} more are not counted, or never began`]
        : []),
      ...(this.#text
        ? [
          `${formatCount(this.#texts, "other line")} skipped, the first is ` +
          `line ${this.#text.line}: ${shorten(this.#text.text)}`,
        ]
        : []),
    ];
  }

  #addObject(line: number, value: Record<string, unknown>): void {
    if (!(VERSION_FIELD in value)) {
      const text = shorten(JSON.stringify(value));
      return this.#refuse(line, `no result of a load: ${text}`);
    }
    try {
      const report = parseLoad(value);
      const [first = report] = this.reports;
      const difference = differenceOf(first, report);
      if (difference) return this.#refuse(line, difference);
      const again = this.#again(line, report);
      if (again) return this.#refuse(line, again);
      this.reports.push(report);
      const { error } = report.summary;
      if (error === undefined && !hasBegun(report.summary)) {
        this.#tell(`line ${line}: the load was stopped before it began`);
      }
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.#refuse(line, error.message);
    }
  }

  /** Tells where runs of a result were counted already; else takes note of them. */
  #again(line: number, { context }: LoadReport): string | undefined {
    const { origins = [] } = context;
    const ids = origins.flatMap(({ id }) => id === undefined ? [] : [id]);
    const lines = ids.flatMap((id) => this.#lines.get(id) ?? []);
    if (lines.length === 0) {
      for (const id of ids) this.#lines.set(id, line);
      return undefined;
    }
    const what = origins.length === 1
      ? "the same result"
      : `${lines.length} of its ${formatCount(origins.length, "run")}`;
    return `${what} was counted already, with line ${lines[0]}`;
  }

  #refuse(line: number, why: string): void {
    this.#isComplete = false;
    this.#tell(`line ${line} is not counted: ${why}`);
  }

  #tell(what: string): void {
    this.#told++;
    if (this.#named.length < MOST_NAMED) this.#named.push(what);
  }
}

function shorten(text: string): string {
  const shown = text.slice(0, SHOWN_TEXT);
  return escapeText(shown) + (text.length > shown.length ? "..." : "");
}

/** Reads the lines of stdin. */
async function* linesOf({ stdin }: Terminal): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(READ_BYTES);
  // Joined when its end came: a long line comes in many pieces.
  let pieces: string[] = [];
  for (let length; (length = await stdin.read(buffer)) !== null;) {
    const text = decoder.decode(buffer.subarray(0, length), { stream: true });
    const [end, ...lines] = text.split("\n");
    pieces.push(end!);
    for (const line of lines) {
      yield withoutReturn(pieces.join(""));
      pieces = [line];
    }
  }
  const last = pieces.join("") + decoder.decode();
  if (last !== "") yield withoutReturn(last);
}

function withoutReturn(line: string): string {
  return line.endsWith("\r") ? line.slice(0, -1) : line;
}
