import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Buffer } from "node:buffer";
import { deflateSync } from "node:zlib";
import fc from "../testing/properties.ts";
import type { JsHistogram } from "hdr-histogram-js";
import { type Histogram, newHistogram } from "./histogram.ts";
import { decodeHistogram, encodeHistogram } from "./histogram_text.ts";

/** What a test writes into an encoding, in the place of what is right. */
interface Fields {
  cookie?: number;
  digits?: number;
  least?: bigint;
  /** How long the counts are, as the header says. */
  length?: number;
  counts?: number[];
}

/** Writes a histogram of three digits, of which the value 0 is there once. */
function encoded(fields: Fields): string {
  const { cookie = 0x1c849313, digits = 3, least = 1n, counts = [2] } = fields;
  const bytes = Buffer.alloc(40 + counts.length);
  bytes.writeInt32BE(cookie, 0);
  bytes.writeUInt32BE(fields.length ?? counts.length, 4);
  bytes.writeInt32BE(digits, 12);
  bytes.writeBigInt64BE(least, 16);
  bytes.writeBigInt64BE(3_600_000_000_000n, 24);
  bytes.writeDoubleBE(1, 32);
  bytes.set(counts, 40);
  return compressed(bytes);
}

function compressed(bytes: Uint8Array): string {
  const deflated = deflateSync(bytes);
  const header = Buffer.alloc(8);
  header.writeInt32BE(0x1c849314, 0);
  header.writeInt32BE(deflated.length, 4);
  return Buffer.concat([header, deflated]).toString("base64");
}

function countOf(histogram: Histogram, value: number): number {
  const it = histogram as JsHistogram;
  return it.getCountAtIndex(it.countsArrayIndex(value));
}

describe("decodeHistogram()", () => {
  it("reads what was encoded, exactly", () => {
    fc.assert(fc.property(
      fc.constantFrom(2 as const, 3 as const),
      fc.array(fc.tuple(
        fc.oneof(fc.nat(3000), fc.maxSafeNat()),
        fc.oneof(
          fc.integer({ min: 1, max: 9 }),
          fc.integer({ min: 1, max: 1e12 }),
        ),
      )),
      (digits, values) => {
        const histogram = newHistogram(digits);
        for (const it of values) histogram.recordValueWithCount(...it);
        const text = encodeHistogram(histogram);
        const read = decodeHistogram(text, digits, histogram.totalCount);
        for (const [value] of values) {
          assertEquals(
            countOf(read, value),
            countOf(histogram, value),
          );
        }
        assertEquals(read.totalCount, histogram.totalCount);
        // It grows with its values.
        read.recordValue(Number.MAX_SAFE_INTEGER);
      },
    ));
    assertEquals(countOf(decodeHistogram(encoded({}), 3, 1), 0), 1);
  });

  it("refuses what is none of so many digits and values", () => {
    for (
      const [text, why] of [
        ["", "not in HdrHistogram's V2 encoding"],
        ["HISTFAAAAAB4", ""],
        [encoded({}).slice(0, 40), ""],
        [compressed(new Uint8Array(39)), "no histogram"],
        [encoded({ cookie: 0x1c849314 }), "no histogram"],
        [encoded({ digits: 5 }), "a histogram of other than 3 digits"],
        [encoded({ least: 2n }), "a histogram of other than 3 digits"],
        [encoded({ counts: [] }), "a histogram of other than 1 values"],
        [encoded({ counts: [2, 2] }), "a histogram of other than 1 values"],
      ] as const
    ) {
      assertThrows(() => decodeHistogram(text, 3, 1), Error, why);
    }
  });

  it("refuses soon what would take long, or much memory", () => {
    const far = Array(8).fill(0xff);
    for (
      const [text, why] of [
        [compressed(new Uint8Array(2 ** 26)), "larger than 524288 bytes"],
        // After some 10^16 counts of zero, which none has.
        [
          encoded({ counts: [...far, 0x3f, 2] }),
          "its values or counts are too great",
        ],
        // More than a counter can hold.
        [
          encoded({ counts: [...far.with(0, 0xfe), 0x7f] }),
          "its values or counts",
        ],
      ] as const
    ) {
      assertThrows(() => decodeHistogram(text, 3, 1), Error, why);
    }
    // It is as long as it is, whatever its header says.
    const text = encoded({ length: 2 ** 32 - 1 });
    assertEquals(decodeHistogram(text, 3, 1).totalCount, 1);
    // A count that does not end.
    assertThrows(() =>
      decodeHistogram(encoded({ counts: Array(9999).fill(0xff) }), 3, 1)
    );
  });
});
