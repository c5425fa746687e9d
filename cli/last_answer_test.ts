import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { stopClock } from "../testing/clock.ts";
import { LastAnswer } from "./last_answer.ts";

describe("LastAnswer", () => {
  it("waits for the answer", async () => {
    using clock = stopClock();
    const answer = new LastAnswer(0);
    const updated = answer.update(() => {}).then(() => answer.value);
    await clock.pass(999);
    assertEquals(answer.value, 0);
    answer.take(7);
    assertEquals([await updated, clock.timers], [7, 0]);
  });

  it("asks once while an answer is due, and again after it", async () => {
    const answer = new LastAnswer(0);
    let asked = 0;
    const update = () => answer.update(() => void asked++);
    const many = [update(), update()];
    assertEquals(asked, 1);
    answer.take(7);
    await Promise.all(many);
    const next = update();
    assertEquals(asked, 2);
    answer.take(8);
    await next;
    assertEquals(answer.value, 8);
  });

  it("stays as it was if none comes for a second", async () => {
    using clock = stopClock();
    const answer = new LastAnswer(5);
    let asked = 0;
    const update = () => answer.update(() => void asked++);
    const late = update();
    await clock.pass(1000);
    await late;
    // The first answer is still due: nobody waits for it any more.
    await update();
    assertEquals([answer.value, asked, clock.timers], [5, 1, 0]);
    answer.take(6);
    assertEquals(answer.value, 6);
  });

  it("waits for nothing when the thread is over", async () => {
    using clock = stopClock();
    const answer = new LastAnswer(5);
    const asking = answer.update(() => {});
    answer.end();
    await asking;
    let asked = 0;
    await answer.update(() => void asked++);
    assertEquals([answer.value, asked, clock.timers], [5, 0, 0]);
  });
});
