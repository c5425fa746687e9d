import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { stopClock } from "../testing/clock.ts";
import { IrregularFlow } from "./irregular_flow.ts";
import type { IrregularEvent } from "./ping_events.ts";

/** Makes what is told of a reply. */
function eventOf(kind: IrregularEvent["kind"]): IrregularEvent {
  return {
    ...{ type: "irregular", kind, seq: 1 },
    ...{ ageMs: undefined, from: undefined, ends: undefined },
  };
}

/** Makes a flow, and a list of what it tells. */
function record() {
  const told: unknown[] = [];
  const flow = new IrregularFlow((event) =>
    told.push(
      event.type === "irregular" ? event.kind : [event.counts, event.withinMs],
    )
  );
  const add = (times: number, kind: IrregularEvent["kind"]) => {
    for (let n = 0; n < times; n++) flow.add(eventOf(kind));
  };
  return { flow, told, add };
}

describe("IrregularFlow", () => {
  it("tells of a few a second one by one", () => {
    using clock = stopClock();
    const { flow, told, add } = record();
    for (let second = 0; second < 10; second++) {
      add(5, "late");
      clock.passAtOnce(1000);
    }
    flow[Symbol.dispose]();
    assertEquals(told, Array(50).fill("late"));
    assertEquals(clock.timers, 0);
  });

  it("tells of the others in one event, and loses none", () => {
    using clock = stopClock();
    const { flow, told, add } = record();
    add(4, "stray");
    clock.passAtOnce(400);
    add(100_001, "duplicated");
    add(2, "late");
    clock.passAtOnce(599);
    assertEquals(told.length, 5);
    clock.passAtOnce(1);
    const five = [...Array(4).fill("stray"), "duplicated"];
    const many = [{ duplicated: 100_000, late: 2 }, 600];
    assertEquals(told, [...five, many]);
    add(7, "corrupt");
    clock.passAtOnce(10);
    flow[Symbol.dispose]();
    const rest = [...Array(5).fill("corrupt"), [{ corrupt: 2 }, 10]];
    assertEquals(told, [...five, many, ...rest]);
    flow[Symbol.dispose]();
    assertEquals([told.length, clock.timers], [12, 0]);
  });
});
