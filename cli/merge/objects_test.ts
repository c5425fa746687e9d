import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "../../testing/properties.ts";
import { type Found, ObjectFinder } from "./objects.ts";

/** Finds objects in a text; those with a field `ours` are known. */
function find(text: string): Found[] {
  const found: Found[] = [];
  const finder = new ObjectFinder("ours", (it) => found.push(it));
  for (const line of text.split("\n")) finder.addLine(line);
  finder.end();
  return found;
}

/** Tells what is found in a few words, for example `2: {"ours":1}`. */
function told(text: string): string[] {
  return find(text).map((it) =>
    it.kind === "object"
      ? `${it.line}: ${JSON.stringify(it.value)}`
      : `${it.line}: ${it.kind} ${it.text}`
  );
}

const POD = "[pod/load-0-abc/echo] ";
const OTHER_POD = "[pod/load-1-def/echo] ";

describe("ObjectFinder", () => {
  it("finds objects one a line, and several on one", () => {
    assertEquals(told('{"ours":1}\n{"ours":2}{"ours":3} {"a":{}}\n\n'), [
      '1: {"ours":1}',
      '2: {"ours":2}',
      '2: {"ours":3}',
      '2: {"a":{}}',
    ]);
  });

  it("finds whatever was printed, however it was laid out", () => {
    fc.assert(fc.property(
      fc.array(fc.dictionary(fc.string(), fc.jsonValue())),
      fc.constantFrom(undefined, 1, 2, "\t"),
      fc.constantFrom("\n", "\n\n", " \n"),
      (objects, indent, between) => {
        const texts = objects.map((it) => JSON.stringify(it, null, indent));
        const all = find(texts.join(between));
        assertEquals(
          all.map((it) => it.kind === "object" && it.value),
          // What JSON makes of -0, for one.
          objects.map((it) => JSON.parse(JSON.stringify(it))),
        );
        const list = JSON.stringify(objects, null, indent);
        if (indent === undefined) {
          assertEquals(
            find(list).map((it) => it.kind),
            objects.map(() => "object"),
          );
        }
      },
    ));
  });

  it("finds those of a list", () => {
    const list =
      '[\n  {\n    "ours": 1,\n    "a": [{}]\n  },\n  {\n    "ours": 2\n  }\n]\n';
    assertEquals(told(list), ['2: {"ours":1,"a":[{}]}', '6: {"ours":2}']);
  });

  it("finds them among the lines of a log", () => {
    const time = "2026-11-24T21:05:00.123456789Z ";
    const log = [
      `${POD}echo: p99>20ms: it was 34 ms`,
      `${POD}{"ours":1}`,
      `${POD}${time}{"ours":2}`,
      `${time}{"ours":3}`,
      'load-1  | {"ours":4}',
      "INFO {request} took {5} ms",
      "func main() {",
    ];
    assertEquals(
      told(log.join("\n")),
      [
        "1: text echo: p99>20ms: it was 34 ms",
        ...['2: {"ours":1}', '3: {"ours":2}', '4: {"ours":3}', '5: {"ours":4}'],
        "6: text INFO {request} took {5} ms",
        "7: text func main() {",
      ].map((line) => line.replace("7: text func main() {", "7: text {")),
    );
  });

  it("puts the lines of each pod together", () => {
    const log = [
      ...[
        `${POD}{`,
        `${OTHER_POD}{`,
        `${POD}  "ours": 1`,
        `${OTHER_POD}  "ours": 2`,
      ],
      ...[`${OTHER_POD}}`, `${POD}}`],
    ];
    assertEquals(told(log.join("\n")), ['2: {"ours":2}', '1: {"ours":1}']);
  });

  it("names what is cut off, and finds what comes after it", () => {
    assertEquals(told('{"ours":1,"a":"b\n{"ours":2}'), [
      '1: broken {"ours":1,"a":"b',
      '2: {"ours":2}',
    ]);
    assertEquals(told('{"ours":1,"a":\n{"ours":2}'), [
      '1: broken {"ours":1,"a":',
      '2: {"ours":2}',
    ]);
    // Two files, of which the first has no end, in one line.
    assertEquals(told('{"ours":1,"a":[{"b":2}{"ours":2}'), [
      '1: broken {"ours":1,"a":[{"b":2}{"ours":2}',
      '1: {"ours":2}',
    ]);
    assertEquals(told('{"ours":1,"a{"ours":2}\n{"ours":3}'), [
      '1: broken {"ours":1,"a{"ours":2}',
      '1: {"ours":2}',
      '2: {"ours":3}',
    ]);
    assertEquals(told('{\n  "ours": 1,\n{\n  "ours": 2\n}\n{\n  "a": "b'), [
      '1: broken {\n  "ours": 1,',
      '3: {"ours":2}',
      '6: broken {\n  "a": "b',
    ]);
    assertEquals(told('{\n  "ours": 1,\n  "a": "b\nbye\n  "c": 1\n}'), [
      '1: broken {\n  "ours": 1,\n  "a": "b',
      "4: text bye",
      '5: text   "c": 1',
      "6: text }",
    ]);
    assertEquals(told('{"'), ['1: broken {"']);
  });

  it("names a known object that is no JSON", () => {
    assertEquals(told('{"ours":1,}\n{ours:1}'), [
      '1: broken {"ours":1,}',
      "2: text {ours:1}",
    ]);
  });

  it("does not take braces and quotes in a text for its end", () => {
    const value = { ours: 1, a: '}"{\\', "}": '\\"}' };
    assertEquals(find(JSON.stringify(value)), [
      { kind: "object", line: 1, value },
    ]);
  });
});
