import { assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { GrowingText } from "./waiting.ts";

describe("GrowingText", () => {
  it("waits for a match that comes in pieces", async () => {
    const text = new GrowingText();
    const matching = text.untilMatch(/port (\d+)\n/);
    text.append("port 12");
    text.append("345\n");
    assertEquals((await matching)[1], "12345");
  });

  it("says what was there when it ends without a match", async () => {
    const text = new GrowingText();
    text.append("something else");
    const matching = text.untilMatch(/port/);
    text.ended("the command ended with 1");
    const message =
      "the command ended with 1, without /port/ in:\nsomething else";
    await assertRejects(() => matching, Error, message);
    await assertRejects(() => text.untilMatch(/port/), Error, message);
  });

  it("finds what was there before it ended", async () => {
    const text = new GrowingText();
    text.append("port 5");
    text.ended("the command ended");
    assertEquals((await text.untilMatch(/\d/))[0], "5");
  });
});
