import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { patternOf } from "../testing/peer.ts";
import fc from "../testing/properties.ts";
import { fingerprint } from "./fingerprint.ts";

describe("fingerprint()", () => {
  it("is a whole number of 53 bits, the same for the same bytes", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const print = fingerprint(bytes);
      assert(Number.isSafeInteger(print) && print >= 0, `${print}`);
      assertEquals(fingerprint(bytes.slice()), print);
    }));
  });

  it("depends on each bit of the first 64 bytes, and on no other", () => {
    const bytes = patternOf(100);
    const print = fingerprint(bytes);
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const other = bytes.slice();
      other[bit >> 3]! ^= 1 << (bit & 7);
      assertEquals(fingerprint(other) === print, bit >= 8 * 64, `bit ${bit}`);
    }
  });

  it("depends on the length", () => {
    const prints = new Set<number>();
    for (let length = 0; length <= 1500; length++) {
      prints.add(fingerprint(new Uint8Array(length)));
    }
    assertEquals(prints.size, 1501);
    assertNotEquals(
      fingerprint(patternOf(64)),
      fingerprint(patternOf(65)),
    );
  });

  it("tells a million numbered messages apart", () => {
    const prints = new Set<number>();
    const bytes = new Uint8Array(12);
    const view = new DataView(bytes.buffer);
    for (let n = 0; n < 1_000_000; n++) {
      view.setUint32(4, n);
      prints.add(fingerprint(bytes));
    }
    assertEquals(prints.size, 1_000_000);
  });
});
