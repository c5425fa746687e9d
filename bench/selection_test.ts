import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { UsageError } from "../cli/flags.ts";
import type { RunnableContest } from "./measure.ts";
import { quickly, select, type Selection } from "./selection.ts";

function contest(
  name: string,
  table: RunnableContest["table"],
  ...entrants: string[]
): RunnableContest {
  const prepare = () => Promise.reject(new Error("not prepared here"));
  return {
    ...{ name, table, unit: "ms", turns: 1 },
    entrants: new Map(entrants.map((entrant) => [entrant, prepare])),
  };
}

const ALL = [
  contest("speed", "servers", "echo", "echo with log", "other"),
  contest("waits", "latency", "echo", "other"),
  contest("start", "startup", "deno run"),
];

/** Selects, and returns the names of the contests with their entrants. */
function names(selection: Partial<Selection>, added?: string) {
  const words = { contests: [""], entrants: [""], ...selection };
  return select(ALL, words, added).map(({ name, entrants }) =>
    [name, ...entrants.keys()].join(": ")
  );
}

describe("quickly()", () => {
  const all = ALL.map((contest) =>
    contest.name === "start" ? contest : { ...contest, isQuick: true }
  );
  const targets = ["speed", "start"].map((contest) => ({
    ...{ contest, entrant: "echo", beside: "deno run" },
  }));
  const namesOf = (added?: string) =>
    quickly(all, targets, added).map(({ name, entrants }) =>
      [name, ...entrants.keys()].join(": ")
    );

  it("keeps what targets compare, in the contests of a quick run", () => {
    assertEquals(namesOf(), ["speed: echo"]);
  });

  it("keeps the entrant that was added, beside what targets compare", () => {
    assertEquals(namesOf("other"), ["speed: echo: other", "waits: other"]);
  });
});

describe("select()", () => {
  it("selects all by the empty word", () => {
    assertEquals(names({}), [
      "speed: echo: echo with log: other",
      "waits: echo: other",
      "start: deno run",
    ]);
  });

  it("takes a part of the name of a contest or a table, in any case", () => {
    const expected = ["waits: echo: other", "start: deno run"];
    assertEquals(names({ contests: ["Wait", "startup"] }), expected);
  });

  it("takes a whole name for that entrant alone", () => {
    const expected = ["speed: echo", "waits: echo"];
    assertEquals(names({ entrants: ["echo"] }), expected);
    assertEquals(names({ entrants: ["log"] }), ["speed: echo with log"]);
  });

  it("keeps the entrant that was added", () => {
    assertEquals(names({ entrants: ["log"] }, "other"), [
      "speed: echo with log: other",
      "waits: other",
    ]);
  });

  it("refuses a word that names nothing, and a selection of nothing", () => {
    const entrants = ["deno run"];
    assertThrows(() => names({ contests: ["sped"] }), UsageError, '"sped"');
    assertThrows(() => names({ entrants: ["nobody"] }), UsageError, "nobody");
    assertThrows(() => names({ contests: ["speed"], entrants }), UsageError);
  });
});
