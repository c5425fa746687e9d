import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { stopClock } from "../testing/clock.ts";
import { News } from "./news.ts";

describe("News", () => {
  it("are what did not happen in the last ten seconds", async () => {
    using clock = stopClock();
    const news = new News();
    assertEquals(news.has("full"), true);
    assertEquals(news.has("full"), false);
    await clock.pass(10_000);
    assertEquals(news.has("full"), true);
    // It is not told as long as it goes on.
    for (let turn = 0; turn < 5; turn++) {
      await clock.pass(9999);
      assertEquals(news.has("full"), false);
    }
    await clock.pass(10_000);
    assertEquals(news.has("full"), true);
  });

  it("are told of each thing by itself", () => {
    const news = new News();
    const told = ["a", "b", "a", "b", "c"].map((what) => news.has(what));
    assertEquals(told, [true, true, false, false, true]);
  });
});
