import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { stopClock } from "../testing/clock.ts";
import { oncePerPress } from "./terminal.ts";

describe("oncePerPress()", () => {
  it("takes a signal that comes twice at once for one", () => {
    using clock = stopClock();
    let calls = 0;
    const listener = oncePerPress(() => calls++);
    listener();
    clock.passAtOnce(49);
    listener();
    assertEquals(calls, 1);
    // The time counts from the call, not from the repetition.
    clock.passAtOnce(1);
    listener();
    assertEquals(calls, 2);
  });
});
