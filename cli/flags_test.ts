import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "../testing/properties.ts";
import {
  type Flags,
  nearestName,
  parseCommandLine,
  renderFlags,
  switchFlag,
  UsageError,
} from "./flags.ts";

/** A flag that takes any text. */
function textFlag(short: string) {
  return {
    short,
    value: "TEXT",
    help: `the text ${short}`,
    default: "none",
    parse: (text: string) => text,
  };
}

const FLAGS = {
  host: textFlag("H"),
  port: {
    ...textFlag("p"),
    parse(text: string) {
      if (text.endsWith("bad")) throw new UsageError("expected a good one");
      return text;
    },
  },
  json: switchFlag("as JSON", "j"),
  quiet: switchFlag("nothing", "q"),
  "drain-timeout": { ...textFlag("d"), defaultText: "" },
} satisfies Flags;

function parse(...args: string[]) {
  return parseCommandLine(args, FLAGS, "MESSAGE");
}

/** Checks that a command line is refused, in exactly these words. */
function assertRefused(args: string[], message: string): void {
  const error = assertThrows(() => parse(...args), UsageError);
  assertEquals([args, error.message], [args, message]);
}

/** How a flag may be given its value. */
const SPELLINGS = {
  "--name=value": (name: string, _: string, text: string) => [
    `--${name}=${text}`,
  ],
  "--name value": (name: string, _: string, text: string) => [
    `--${name}`,
    text,
  ],
  "-n=value": (_: string, short: string, text: string) => [`-${short}=${text}`],
  "-n value": (_: string, short: string, text: string) => [`-${short}`, text],
  "-nvalue": (_: string, short: string, text: string) =>
    // Without a value the flag would take the next argument.
    text === "" || text.startsWith("=")
      ? [`-${short}=${text}`]
      : [`-${short}${text}`],
} as const;

const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 20, size: "max" }),
  fc.constantFrom("true", "-1", "--", "-", "--host", "-q", "1e3", "0x10", "\n"),
);
const spelling = fc.constantFrom(...Object.values(SPELLINGS));
const values = fc.record({
  host: fc.option(text, { nil: undefined }),
  port: fc.option(text.filter((text) => !text.endsWith("bad")), {
    nil: undefined,
  }),
  "drain-timeout": fc.option(text, { nil: undefined }),
});
const operands = fc.array(
  text.map((text) => text.replace(/^-+/, "") || "-"),
  { maxLength: 5, size: "max" },
);

describe("parseCommandLine()", () => {
  it("takes flags in any order and spelling, among operands", () => {
    const switches = fc.subarray(["json", "quiet"] as const);
    const afterDashes = fc.option(fc.array(text), { nil: undefined });
    const order = fc.infiniteStream(fc.nat());
    fc.assert(fc.property(
      ...[values, spelling, switches, operands, afterDashes, order] as const,
      (values, spell, switches, operands, afterDashes, order) => {
        const groups: string[][] = switches.map((name) => [`--${name}`]);
        for (const [name, text] of Object.entries(values)) {
          if (text === undefined) continue;
          const { short } = FLAGS[name as keyof typeof values];
          groups.push(spell(name, short, text));
        }
        const all = operands.map((operand) => [operand]);
        for (const group of groups) {
          all.splice(order.next().value % (all.length + 1), 0, group);
        }
        const line = parse(
          ...all.flat(),
          ...(afterDashes ? ["--", ...afterDashes] : []),
        );
        const { host = "none", port = "none" } = values;
        assertEquals(line.values, {
          host,
          port,
          json: switches.includes("json"),
          quiet: switches.includes("quiet"),
          "drain-timeout": values["drain-timeout"] ?? "none",
        });
        assertEquals(line.operands, operands);
        assertEquals(line.afterDashes, afterDashes ?? []);
        assertEquals(line.given.size, groups.length);
      },
    ));
  });

  it("tells which flags were given, also those with their default", () => {
    assertEquals(parse().given, new Set());
    assertEquals(parse("-H", "none", "-j").given, new Set(["host", "json"]));
  });

  it("takes a flag whose name begins with no-", () => {
    const flags = { ...FLAGS, "no-color": switchFlag("no colors") };
    const { values, given } = parseCommandLine(["--no-color"], flags);
    assertEquals([values["no-color"], given], [true, new Set(["no-color"])]);
    assertEquals(parseCommandLine([], flags).values["no-color"], false);
  });

  it("takes switches in a cluster, whose last may have a value", () => {
    for (const args of [["-jqpx"], ["-jqp", "x"], ["-jqp=x"], ["-jq", "-px"]]) {
      const { json, quiet, port } = parse(...args).values;
      assertEquals([json, quiet, port], [true, true, "x"]);
    }
    assertEquals(parse("-pjq").values.port, "jq");
    assertEquals(parse("-pj=q").values.port, "j=q");
    assertEquals(parse("-p=").values.port, "");
    assertEquals(parse("-p==").values.port, "=");
  });

  it("takes everything after -- as it is", () => {
    const { operands, afterDashes, values } = parse("a", "--", "-q", "--", "-");
    assertEquals([operands, afterDashes], [["a"], ["-q", "--", "-"]]);
    assertEquals(values.quiet, false);
  });

  it("refuses a flag that is given twice", () => {
    assertRefused(["-px", "--port=y"], "--port is given twice");
    assertRefused(["-q", "--quiet"], "--quiet is given twice");
    assertRefused(["-qq"], "--quiet is given twice");
  });

  it("refuses a flag without its value, and a switch with one", () => {
    assertRefused(["-p"], "-p needs a value: -p <TEXT>");
    assertRefused(["-qp"], "-p needs a value: -p <TEXT>");
    assertRefused(["--port"], "--port needs a value: --port <TEXT>");
    assertRefused(["--json=yes"], "--json takes no value");
    assertRefused(["--json="], "--json takes no value");
    assertRefused(["-q=1"], "-q takes no value");
    assertRefused(["-jq=1"], "-q takes no value");
  });

  it("refuses an unknown flag, and names the nearest", () => {
    const near: [arg: string, message: string][] = [
      ["--prot", "unknown flag --prot, did you mean --port?"],
      ["--prot=80", "unknown flag --prot, did you mean --port?"],
      ["--PORT", "unknown flag --PORT, did you mean --port?"],
      ["--drain", "unknown flag --drain, did you mean --drain-timeout?"],
      ["-host", "unknown flag -h in -host, did you mean --host?"],
      ["-jsno", "unknown flag -s in -jsno, did you mean --json?"],
    ];
    for (const [arg, message] of near) assertRefused([arg], message);
  });

  it("says how to send what looks like a flag and is near to none", () => {
    const after = "a MESSAGE that starts with a dash goes after --";
    const far: [arg: string, message: string][] = [
      ["-5", "unknown flag -5"],
      ["-qx", "unknown flag -x in -qx"],
      ["-q😀", "unknown flag -😀 in -q😀"],
      ["---", "unknown flag ---"],
      ["--=x", "unknown flag --"],
      ["--toString", "unknown flag --toString"],
      ["--__proto__", "unknown flag --__proto__"],
      ["--\x1b[2J", "unknown flag --\\x1b[2J"],
      ["-\x07q", "unknown flag -\\x07 in -\\x07q"],
    ];
    for (const [arg, message] of far) {
      assertRefused([arg], `${message}, ${after}`);
    }
    const error = assertThrows(() => parseCommandLine(["-5"], FLAGS));
    assertEquals((error as Error).message, "unknown flag -5");
  });

  it("names the flag and the value that is not allowed", () => {
    assertRefused(["-p", "bad"], '--port "bad": expected a good one');
    assertRefused(
      ["-p=\n\x1b bad"],
      '--port "\\n\\x1b bad": expected a good one',
    );
    assertEquals(new UsageError("").name, "UsageError");
  });

  describe("with a flag that may come again", () => {
    const tag = {
      ...{ short: "t", value: "TAG", help: "a tag", isRepeatable: true },
      default: [] as readonly string[],
      parse(text: string) {
        if (text === "bad") throw new UsageError("expected a good one");
        return [text];
      },
    };
    const flags = { ...FLAGS, tag };
    const tags = (...args: string[]) => {
      const { values, given } = parseCommandLine(args, flags);
      return { tags: values.tag, isGiven: given.has("tag") };
    };

    it("makes a list of its values, in their order", () => {
      assertEquals(tags("-q"), { tags: [], isGiven: false });
      assertEquals(tags("-ta"), { tags: ["a"], isGiven: true });
      assertEquals(
        tags("--tag=b", "-q", "-t", "a", "--tag", "b").tags,
        ["b", "a", "b"],
      );
    });

    it("refuses any of its values, and other flags that come again", () => {
      for (
        const [args, message] of [
          [["-ta", "-tbad"], '--tag "bad": expected a good one'],
          [["-ta", "-q", "-tb", "-q"], "--quiet is given twice"],
        ] as const
      ) {
        const error = assertThrows(() => tags(...args), UsageError);
        assertEquals(error.message, message);
      }
    });

    it("leaves its default as it is", () => {
      tags("-ta", "-tb");
      assertEquals(tag.default, []);
    });
  });

  it("does not take a bug for a mistake of the user's", () => {
    const bug = new TypeError("bug");
    const parse = (): string => {
      throw bug;
    };
    const flags = { port: { ...textFlag("p"), parse } };
    const error = assertThrows(() => parseCommandLine(["-p1"], flags));
    assert(error === bug);
  });
});

describe("nearestName()", () => {
  const names = ["serve", "send", "--drain-timeout", "--drag"];

  it("finds the only name that begins so", () => {
    assertEquals(nearestName("drain", names), "--drain-timeout");
    assertEquals(nearestName("--DRAIN-", names), "--drain-timeout");
    assertEquals(nearestName("ser", names), "serve");
    assertEquals(nearestName("a-b", ["a-bc", "abd"]), "a-bc");
    // Both begin so; the second one is near.
    assertEquals(nearestName("dra", names), "--drag");
    assertEquals(nearestName("dr", ["--drag"]), "--drag");
    // One letter says nothing.
    assertEquals(nearestName("d", ["--drag"]), undefined);
    assertEquals(nearestName("--", ["--drag"]), undefined);
  });

  it("finds the name with the fewest letters to change, two at most", () => {
    assertEquals(nearestName("sned", names), "send");
    assertEquals(nearestName("SERVR", names), "serve");
    assertEquals(nearestName("abcdef", ["abxxef"]), "abxxef");
    assertEquals(nearestName("abcdef", ["abxxxf"]), undefined);
    assertEquals(nearestName("cart", ["cats", "card", "mart"]), "card");
    // Of names that are equally near it is the first.
    assertEquals(nearestName("cap", ["car", "cat"]), "car");
  });

  it("changes half of a short name at most", () => {
    assertEquals(nearestName("ab", ["xb"]), "xb");
    assertEquals(nearestName("tcp", ["tip"]), "tip");
    assertEquals(nearestName("tcp", ["udp"]), undefined);
    assertEquals(nearestName("x", ["y"]), undefined);
  });
});

describe("renderFlags()", () => {
  it("shows names, values and defaults in columns", () => {
    assertEquals(
      renderFlags({
        ...FLAGS,
        count: { value: "N", help: "so many", default: 0, parse: Number },
        rate: { ...textFlag("r"), defaultText: "no limit" },
        once: switchFlag("one alone"),
      }),
      `\
  -H, --host <TEXT>           the text H [none]
  -p, --port <TEXT>           the text p [none]
  -j, --json                  as JSON
  -q, --quiet                 nothing
  -d, --drain-timeout <TEXT>  the text d
      --count <N>             so many [0]
  -r, --rate <TEXT>           the text r [no limit]
      --once                  one alone`,
    );
  });
});
