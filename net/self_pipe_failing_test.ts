import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import { type FakeClock, stopClock } from "../testing/clock.ts";
import {
  mute,
  noting,
  TestPipe,
  type WatchedPipes,
  watchPipes,
} from "../testing/pipe.ts";
import { replace } from "../testing/replace.ts";
import { SelfPipe } from "./self_pipe.ts";

/** Fails unless both ends of a pipe were closed. */
function assertClosed({ near, far }: WatchedPipes): void {
  assertEquals([near.length, far.length], [1, 1]);
  for (const end of [...near, ...far]) {
    assertThrows(() => end.close(), Deno.errors.BadResource);
  }
}

describe("SelfPipe without a connection", () => {
  let hasFailed = false;
  const fail = () => {
    hasFailed = true;
    throw new Deno.errors.NotCapable("no");
  };

  /** Calls a pipe that cannot connect; lets it connect a second later. */
  async function tryTwice(clock: FakeClock, failing: () => Disposable) {
    await using pipe = new TestPipe();
    hasFailed = false;
    {
      using _ = failing();
      for (let turn = 0; turn < 3; turn++) {
        const polled = noting(pipe.untilPolled());
        do await nextTurn(); while (!hasFailed);
        await clock.pass(1);
        assertEquals(polled.isSettled, false);
        await clock.pass(1);
        assertEquals(polled.isSettled, true);
      }
    }
    using watched = watchPipes();
    await clock.pass(1000 - 3 * 2 - 1);
    const blind = pipe.untilPolled();
    await clock.pass(1);
    assertEquals(watched.listens, 0, "a second is not over");
    await pipe.untilPolled();
    assertEquals(watched.listens, 1);
    await clock.pass(1);
    await blind;
    await pipe.close();
    assertEquals(clock.timers, 0);
  }

  it("waits for 2 ms, and connects a second later", async () => {
    for (
      const steps of [{ listen: fail }, { beforeConnect: fail }]
    ) {
      using clock = stopClock();
      await tryTwice(clock, () => {
        const watched = watchPipes(steps);
        const end = () => {
          watched[Symbol.dispose]();
          assertEquals(watched.listens, 1, "it tried once");
        };
        return { [Symbol.dispose]: end };
      });
    }
  });

  it("does not ask the user for the right to connect", async () => {
    using clock = stopClock();
    using watched = watchPipes();
    const asked: unknown[] = [];
    const querySync = (right: Deno.PermissionDescriptor) => {
      asked.push(right);
      hasFailed = true;
      return { state: "prompt" } as Deno.PermissionStatus;
    };
    await tryTwice(
      clock,
      () => replace(Deno.permissions, "querySync", querySync),
    );
    assertEquals(asked, [{ name: "net", host: "127.0.0.1" }]);
    assertEquals(watched.listens, 1);
  });

  it("leaves nothing behind when accepting fails", async () => {
    using clock = stopClock();
    await tryTwice(clock, () => watchPipes({ beforeAccept: fail }));
  });

  it("lets those go on who wait, when it is closed", async () => {
    using clock = stopClock();
    using _ = watchPipes({ listen: fail });
    const pipe = new SelfPipe();
    const polled = pipe.untilPolled();
    while (clock.timers === 0) await nextTurn();
    await pipe.close();
    await polled;
    assertEquals(clock.timers, 0);
  });
});

describe("SelfPipe where packets get lost", () => {
  it("waits 250 ms for a connection, then guesses while it tries again", async () => {
    using clock = stopClock();
    const lost = ({ signal }: Deno.ConnectOptions) =>
      new Promise<never>((_, reject) =>
        signal!.addEventListener("abort", () => reject(signal!.reason))
      );
    using _lost = replace(
      Deno,
      "connect",
      lost as unknown as typeof Deno.connect,
    );
    using watched = watchPipes();
    await using pipe = new TestPipe();
    const first = noting(pipe.untilPolled());
    await clock.pass(249);
    assertEquals(first.isSettled, false);
    await clock.pass(1);
    await nextTurn();
    await clock.pass(2);
    assertEquals(first.isSettled, true);
    await clock.pass(1000);
    for (const listens of [2, 2]) {
      const polled = noting(pipe.untilPolled());
      await clock.pass(4);
      assertEquals([polled.isSettled, watched.listens], [true, listens]);
    }
    await pipe.close();
    assertEquals(clock.timers, 0);
  });

  it("waits 250 ms for a byte, then goes on without the connection", async () => {
    using clock = stopClock();
    using watched = watchPipes({ near: mute });
    await using pipe = new TestPipe();
    const polled = noting(pipe.untilPolled());
    while (watched.far.length === 0) await nextTurn();
    await nextTurn();
    await clock.pass(249);
    assertEquals(polled.isSettled, false);
    await clock.pass(1);
    while (!polled.isSettled) await nextTurn();
    assertClosed(watched);
    const blind = noting(pipe.untilPolled());
    await clock.pass(2);
    assertEquals([blind.isSettled, clock.timers], [true, 0]);
  });

  it("waits for each byte, whatever came before", async () => {
    using clock = stopClock();
    let isMute = false;
    using watched = watchPipes({
      near(near) {
        const write = near.write.bind(near);
        near.write = (bytes) => isMute ? Promise.resolve(1) : write(bytes);
      },
    });
    await using pipe = new TestPipe();
    for (let turn = 0; turn < 10; turn++) {
      await pipe.untilPolled();
      await clock.pass(100);
    }
    isMute = true;
    const polled = noting(pipe.untilPolled());
    await clock.pass(249);
    assertEquals([polled.isSettled, watched.listens], [false, 1]);
    await clock.pass(250);
    while (!polled.isSettled) await nextTurn();
    assertClosed(watched);
  });

  it("closes a connection whose end gets lost", async () => {
    using watched = watchPipes({
      near: (near) => near[Symbol.dispose] = () => {},
    });
    const pipe = new SelfPipe();
    await pipe.untilPolled();
    await pipe.close();
    watched.near[0]!.close();
  });
});

describe("SelfPipe whose connection breaks", () => {
  /** Breaks a muted connection; calls the pipe then, and a second later. */
  async function breakBy(breakEnds: (pipes: WatchedPipes) => unknown) {
    using clock = stopClock();
    await using pipe = new TestPipe();
    {
      using watched = watchPipes({ near: mute });
      const callers = [pipe.untilPolled(), pipe.untilPolled()];
      while (watched.far.length === 0) await nextTurn();
      await nextTurn();
      breakEnds(watched);
      await Promise.all(callers);
      assertClosed(watched);
    }
    using watched = watchPipes();
    await clock.pass(999);
    const blind = noting(pipe.untilPolled());
    await clock.pass(1);
    assertEquals([watched.listens, blind.isSettled], [0, false]);
    await pipe.untilPolled();
    assertEquals(watched.listens, 1);
    await clock.pass(1);
    await pipe.close();
    assertEquals([blind.isSettled, clock.timers], [true, 0]);
  }

  it("lets those go on who wait, and makes another a second later", async () => {
    await breakBy(({ near }) => near[0]!.close());
    await breakBy(({ near }) => near[0]!.closeWrite());
    await breakBy(({ far }) => far[0]!.close());
  });

  it("takes a write that fails for a broken connection", async () => {
    using clock = stopClock();
    using watched = watchPipes({
      near(near) {
        if (watched.listens > 1) return;
        near.write = () => Promise.reject(new Deno.errors.BrokenPipe("no"));
      },
    });
    await using pipe = new TestPipe();
    await Promise.all([pipe.untilPolled(), pipe.untilPolled()]);
    while (watched.listens === 1) {
      const polled = pipe.untilPolled();
      await clock.pass(1000);
      await polled;
    }
  });

  it("lets those go on who call in that moment", async () => {
    const broken = Promise.withResolvers<number | null>();
    using _ = watchPipes({
      far(far) {
        const read = far.read.bind(far);
        far.read = (p) => {
          far.read = () => broken.promise;
          return read(p);
        };
      },
    });
    await using pipe = new TestPipe();
    await pipe.untilPolled();
    broken.resolve(null);
    const callers: Promise<void>[] = [];
    for (let job = 0; job < 20; job++) {
      callers.push(pipe.untilPolled());
      await Promise.resolve();
    }
    await Promise.all(callers);
  });
});
