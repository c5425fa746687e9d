import { assertEquals, assertLessOrEqual } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "../testing/properties.ts";
import { escapeText, escapeUnprintable } from "./text.ts";

const encode = (text: string) => new TextEncoder().encode(text);

describe("escapeText()", () => {
  it("leaves what a terminal can show", () => {
    assertEquals(escapeText("héllo, 世界 😀 /"), "héllo, 世界 😀 /");
  });

  it("escapes a backslash, so that it is not taken for an escape", () => {
    assertEquals(escapeText("a\\nb\n"), "a\\\\nb\\n");
  });

  it("escapes controls and invisible characters", () => {
    assertEquals(
      escapeText("\0\t\r\n\x1b\x7f\x80\u2028\u202e\ufeff"),
      "\\x00\\t\\r\\n\\x1b\\x7f\\u{80}\\u{2028}\\u{202e}\\u{feff}",
    );
  });

  it("escapes bytes that are not UTF-8, and those alone", () => {
    const bytes = [0x68, 0xff, 0xe2, 0x82, 0xac, 0xc0, 0x80, 0xe2, 0x82];
    assertEquals(
      escapeText(new Uint8Array(bytes)),
      "h\\xff€\\xc0\\x80\\xe2\\x82",
    );
    // Surrogates, what is beyond Unicode, and a character that says "invalid".
    const others = [0xed, 0xa0, 0x80, 0xf5, 0xef, 0xbf, 0xbd];
    assertEquals(
      escapeText(new Uint8Array(others)),
      "\\xed\\xa0\\x80\\xf5\ufffd",
    );
  });

  it("ends in an ellipsis where it is cut, and never within an escape", () => {
    assertEquals(escapeText("x".repeat(8), 8), "xxxxxxxx");
    assertEquals(escapeText("x".repeat(9), 8), "xxxxxxx…");
    assertEquals(escapeText("xxxxx\x1bxx", 8), "xxxxx…");
    assertEquals(escapeText("😀".repeat(9), 8), "😀".repeat(7) + "…");
    assertEquals(escapeText("x".repeat(65)), "x".repeat(63) + "…");
  });

  const text = fc.string({ unit: "binary", maxLength: 40, size: "max" });

  it("never lets a control character or an override through", () => {
    const bytes = fc.uint8Array({ maxLength: 100, size: "max" });
    const limit = fc.integer({ min: 1, max: 100 });
    fc.assert(fc.property(fc.oneof(text, bytes), limit, (input, limit) => {
      const shown = escapeText(input, limit);
      assertEquals(shown.match(/[\p{C}\p{Zl}\p{Zp}]/u), null);
      assertLessOrEqual([...shown].length, limit);
    }));
  });

  it("shows text and its bytes alike", () => {
    fc.assert(fc.property(text, (text) => {
      assertEquals(escapeText(encode(text)), escapeText(text));
    }));
    // Characters of two, three and four bytes, the first and last of each.
    const ends = "\x80\u07ff\u0800\uffff\u{10000}\u{10ffff}\ufeffa";
    assertEquals(escapeText(encode(ends)), escapeText(ends));
  });
});

describe("escapeUnprintable()", () => {
  it("escapes what is not printable, once", () => {
    const text = "é\\n\x1b[2J\x9b1m\u202e\n\t\ud800 \u2028";
    const escaped = "é\\n\\x1b[2J\\u{9b}1m\\u{202e}\\n\\t\\u{d800} \\u{2028}";
    assertEquals(escapeUnprintable(text), escaped);
    assertEquals(escapeUnprintable(escaped), escaped);
  });
});
