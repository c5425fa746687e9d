import { escapeText } from "../../net/text.ts";
import { printLine } from "../command.ts";
import { formatBytes, formatCount, formatNumber } from "../../report/format.ts";
import { FormatError, isObject, MOST_ITEMS } from "../../report/json_fields.ts";
import type { Condition } from "../../report/conditions.ts";
import { VERSION_FIELD } from "../../report/load_json.ts";
import {
  differenceOf,
  type LoadResult,
  mergeReports,
} from "../../report/merge.ts";
import { parseLoad } from "../../report/load_parse.ts";
import { hasBegun } from "../../report/load_text.ts";
import { printLoad } from "../load/result.ts";
import type { Reader } from "../../net/streams.ts";
import type { Terminal } from "../terminal.ts";

/** Text with results in it: a file that was read, or stdin. */
export interface Source {
  /** What the complaints call it, nothing for stdin. */
  readonly name: string;
  /** What it holds; stdin is read while it comes. */
  readonly bytes: Uint8Array | undefined;
}

/** What {@linkcode runReport} is asked to do. */
export interface ReportOptions {
  /** Where the results are. */
  readonly sources: readonly Source[];
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

/** The longest line that is read, in characters: a result of as many runs as may be. */
const MOST_LINE = 4 * 1024 * 1024;

/** What a line with a result has on it, or with a part of one. */
const RESULT_MARK = `"${VERSION_FIELD}"`;

/**
 * Reads the results of loads, one on a line, and prints one report. On stderr it
 * names what is not counted, with its line. The exit status is that of a load with this
 * report, but 1 at least if something that should have been counted was not.
 *
 * @throws {Error} If there is no result at all.
 */
export async function runReport(
  options: ReportOptions,
  terminal: Terminal,
): Promise<number> {
  const results = new Results();
  for (const { name, bytes } of options.sources) {
    let number = 0;
    const reader = bytes ? readerOf(bytes) : terminal.stdin;
    for await (const line of linesOf(reader)) {
      results.addLine(line, `${name && `${name} `}line ${++number}`);
    }
  }
  for (const line of results.complaints()) {
    await printLine(terminal.stderr, `echo: ${line}`);
  }
  if (results.reports.length === 0) {
    throw new Error(
      "No result of a load: the line that load --json prints is one",
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
  readonly reports: LoadResult[] = [];
  /** What is wrong with objects, the first of it. */
  readonly #named: string[] = [];
  #told = 0;
  #isComplete = true;
  /** On which line each run was counted, by its id. */
  readonly #lines = new Map<string, string>();
  /** The first line that is no JSON. */
  #text: { line: string; text: string } | undefined;
  #texts = 0;
  #runs = 0;

  /** Whether all that was found is counted, but for mere text. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** Takes the next line: an object, after whatever a log puts before it, or text. */
  addLine(text: string, line: string): void {
    const start = Math.max(0, text.indexOf("{"));
    const json = text.slice(start);
    const value = text.length > MOST_LINE ? undefined : parseObject(json);
    if (value) this.#addObject(line, value, json);
    else if (text.includes(RESULT_MARK) || /^\{\s*"/.test(json)) {
      const why = text.length > MOST_LINE
        ? `longer than ${formatBytes(MOST_LINE)}`
        : "cut off or damaged, or not one object on one line (jq -c)";
      this.#refuse(line, `${why}: ${shorten(json)}`);
    } else if (text.includes("\0")) {
      this.#refuse(line, "not in UTF-8, nor all of it in UTF-16");
    } else if (text.trim() !== "") {
      this.#texts++;
      this.#text ??= { line, text };
    }
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
          `${this.#text.line}: ${shorten(this.#text.text)}`,
        ]
        : []),
    ];
  }

  #addObject(
    line: string,
    value: Record<string, unknown>,
    json: string,
  ): void {
    if (!Object.hasOwn(value, VERSION_FIELD)) {
      return this.#refuse(line, `no result of a load: ${shorten(json)}`);
    }
    try {
      const report = parseLoad(value);
      const [first = report] = this.reports;
      const difference = differenceOf(first, report);
      if (difference) return this.#refuse(line, difference);
      const { length } = report.tally.runs;
      if (this.#runs + length > MOST_ITEMS) {
        return this.#refuse(
          line,
          `with it there are more than ${formatCount(MOST_ITEMS, "run")}`,
        );
      }
      const again = this.#again(line, report);
      if (again) return this.#refuse(line, again);
      this.reports.push(report);
      this.#runs += length;
      const { error } = report.tally;
      if (error === undefined && !hasBegun(report.tally)) {
        this.#tell(`${line}: the load was stopped before it began`);
      }
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.#refuse(line, error.message);
    }
  }

  /** Tells where runs of a result were counted already; else takes note of them. */
  #again(line: string, { context }: LoadResult): string | undefined {
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
    return `${what} was counted already, with ${lines[0]}`;
  }

  #refuse(line: string, why: string): void {
    this.#isComplete = false;
    this.#tell(`${line} is not counted: ${why}`);
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

function parseObject(json: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Reads the lines of a source; of one that is too long, a character too many. */
async function* linesOf(reader: Reader): AsyncGenerator<string> {
  const buffer = new Uint8Array(READ_BYTES);
  let decoder: TextDecoder | undefined;
  let line = "";
  const add = (text: string) => {
    line += text.slice(0, MOST_LINE + 1 - line.length);
  };
  let filled = 0;
  for (
    let more;
    (more = await reader.read(buffer.subarray(filled))) !== null;
  ) {
    filled += more;
    // Two bytes tell how the rest is encoded.
    if (!decoder && filled < 2) continue;
    decoder ??= new TextDecoder(encodingOf(buffer));
    const bytes = buffer.subarray(0, filled);
    filled = 0;
    const [end, ...lines] = decoder.decode(bytes, { stream: true }).split("\n");
    add(end!);
    for (const next of lines) {
      yield line;
      line = next;
    }
  }
  decoder ??= new TextDecoder();
  add(decoder.decode(buffer.subarray(0, filled)));
  if (line !== "") yield line;
}

/** What the `>` of Windows PowerShell writes is UTF-16, with a byte order mark. */
function encodingOf([first, second]: Uint8Array): string {
  if (first === 0xff && second === 0xfe) return "utf-16le";
  return first === 0xfe && second === 0xff ? "utf-16be" : "utf-8";
}

function readerOf(bytes: Uint8Array): Reader {
  let at = 0;
  return {
    read(p) {
      if (at === bytes.length) return Promise.resolve(null);
      const piece = bytes.subarray(at, at + p.length);
      p.set(piece);
      at += piece.length;
      return Promise.resolve(piece.length);
    },
  };
}
