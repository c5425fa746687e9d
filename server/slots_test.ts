import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { releaseSlots, Slots } from "./slots.ts";

/** Makes the counters of some servers. */
function countsOf(servers: number) {
  const [total, ...own] = Array.from(
    { length: 1 + servers },
    () => new Int32Array(new SharedArrayBuffer(4)),
  );
  return {
    shared: (index: number) => ({ total: total!, own: own[index - 1]! }),
    get counts() {
      return [total!, ...own].map((counter) => counter[0]);
    },
  };
}

describe("Slots", () => {
  it("are taken and given back, no more than there are", () => {
    const slots = new Slots(2);
    assertEquals([slots.take(), slots.hasFree, slots.taken], [true, true, 1]);
    assertEquals([slots.take(), slots.hasFree, slots.taken], [true, false, 2]);
    assertEquals([slots.take(), slots.taken], [false, 2]);
    slots.release();
    assertEquals([slots.hasFree, slots.taken], [true, 1]);
    assertEquals([slots.take(), slots.take(), slots.taken], [true, false, 2]);
  });

  it("are without a limit", () => {
    const slots = new Slots(Infinity);
    for (let turn = 0; turn < 1000; turn++) slots.take();
    assertEquals([slots.taken, slots.hasFree], [1000, true]);
  });

  it("are apart from those of another server", () => {
    const [first, second] = [new Slots(1), new Slots(1)];
    assertEquals([first.take(), second.take()], [true, true]);
    assertEquals([first.isShared, second.isShared], [false, false]);
  });

  it("are those of all servers that share the counters", () => {
    const all = countsOf(2);
    const { shared } = all;
    const [first, second] = [new Slots(3, shared(1)), new Slots(3, shared(2))];
    assertEquals([first.take(), second.take(), first.take()], [
      true,
      true,
      true,
    ]);
    assertEquals([first.taken, second.taken], [3, 3]);
    assertEquals([second.take(), second.hasFree], [false, false]);
    assertEquals([first.isShared, all.counts], [true, [3, 2, 1]]);
    first.release();
    assertEquals([second.take(), all.counts], [true, [3, 1, 2]]);
  });

  it("of a dead server are freed, and no others", () => {
    const all = countsOf(2);
    const { shared } = all;
    const [first, second] = [new Slots(3, shared(1)), new Slots(3, shared(2))];
    for (const slots of [first, first, second]) slots.take();
    releaseSlots(shared(1));
    assertEquals([second.hasFree, second.taken], [true, 1]);
    assertEquals(all.counts[2], 1);
  });

  it("of a dead server are freed once, though its thread runs on", () => {
    const { shared } = countsOf(2);
    const [dying, other] = [new Slots(3, shared(1)), new Slots(3, shared(2))];
    for (const slots of [dying, dying, other]) slots.take();
    releaseSlots(shared(1));
    dying.release();
    assertEquals(other.taken, 1);
    assertEquals(dying.take(), false);
    dying.release();
    assertEquals(other.taken, 1);
    other.release();
    assertEquals(other.taken, 0);
  });

  it("are taken by one of several threads at a time", async () => {
    const all = countsOf(2);
    const { shared } = all;
    // A worker may read no file here, so it gets the code of the class itself.
    const code = `${Slots}
      onmessage = ({ data: { shared, ready } }) => {
        const slots = new Slots(1, shared);
        // Both begin at once.
        if (Atomics.add(ready, 0, 1) === 1) Atomics.notify(ready, 0);
        else Atomics.wait(ready, 0, 1, 10_000);
        let overlaps = 0;
        let refusals = 0;
        for (let turn = 0; turn < 10_000_000 && refusals < 1000; turn++) {
          if (!slots.take()) {
            refusals++;
            continue;
          }
          if (slots.taken !== 1) overlaps++;
          slots.release();
        }
        postMessage({ overlaps, refusals });
      };`;
    const ready = new Int32Array(new SharedArrayBuffer(4));
    const script = `data:text/javascript,${encodeURIComponent(code)}`;
    const found = await Promise.all([1, 2].map(async (index) => {
      const worker = new Worker(script, { type: "module" });
      const { promise, resolve } = Promise.withResolvers<
        { overlaps: number; refusals: number }
      >();
      worker.onmessage = ({ data }) => resolve(data);
      worker.postMessage({ shared: shared(index), ready });
      const found = await promise;
      worker.terminate();
      return found;
    }));
    assertEquals(found.every(({ overlaps }) => overlaps === 0), true);
    assertEquals(found.some(({ refusals }) => refusals > 0), true);
    assertEquals(all.counts, [0, 0, 0]);
  });
});
