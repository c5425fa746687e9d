import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "../testing/properties.ts";
import { distanceOf, LatestHeads } from "./datagram_heads.ts";

/** Bytes of which some are the same. */
const bytes = fc.uint8Array({ maxLength: 100, max: 1 });

describe("distanceOf()", () => {
  it("counts the first 64 bytes that differ, and another length as 64", () => {
    fc.assert(fc.property(bytes, bytes, (message, reply) => {
      const both = Math.min(message.length, reply.length, 64);
      const differing = [...message.subarray(0, both)]
        .filter((byte, at) => byte !== reply[at]);
      assertEquals(
        distanceOf(message, message.length, reply),
        differing.length + (message.length === reply.length ? 0 : 64),
      );
    }));
  });
});

describe("LatestHeads", () => {
  it("knows no distance without a message", () => {
    assertEquals(new LatestHeads().leastDistance(new Uint8Array()), Infinity);
  });

  it("finds the least distance of the last 256 messages", () => {
    const many = fc.array(bytes, { minLength: 1, maxLength: 600, size: "max" });
    fc.assert(
      fc.property(many, bytes, (messages, reply) => {
        const heads = new LatestHeads();
        for (const message of messages) heads.add(message);
        const distances = messages.slice(-256)
          .filter((it) => {
            const both = Math.min(it.length, reply.length, 64);
            const same = it.subarray(0, both)
              .filter((byte, at) => byte === reply[at]);
            return same.length >= both / 2;
          })
          .map((it) => distanceOf(it, it.length, reply));
        assertEquals(heads.leastDistance(reply), Math.min(...distances));
      }),
      { numRuns: 30 },
    );
  });

  it("keeps a copy", () => {
    const heads = new LatestHeads();
    const message = Uint8Array.of(1, 2, 3);
    heads.add(message);
    message.fill(0);
    assertEquals(heads.leastDistance(Uint8Array.of(1, 2, 3)), 0);
  });
});
