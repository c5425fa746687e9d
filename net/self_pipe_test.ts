import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import { stopClock } from "../testing/clock.ts";
import { mute, noting, TestPipe, watchPipes } from "../testing/pipe.ts";
import { SelfPipe } from "./self_pipe.ts";

const HOSTNAME = "127.0.0.1";
const BYTE = new Uint8Array(1);

/** Makes a connection, of which the test has both ends. */
async function connectPair() {
  using listener = Deno.listen({ hostname: HOSTNAME, port: 0 });
  const { port } = listener.addr;
  const connecting = Deno.connect({ hostname: HOSTNAME, port });
  const far = await listener.accept();
  const near = await connecting;
  const close = () => {
    near.close();
    far.close();
  };
  return { near, far, [Symbol.dispose]: close };
}

/** Sends bytes over connections of its own, and never pauses. */
async function stream(connections: number) {
  const pairs = await Promise.all(
    Array.from({ length: connections }, connectPair),
  );
  const chunk = new Uint8Array(4096);
  let isOver = false;
  const flows = pairs.map(async (pair) => {
    using _ = pair;
    const buffer = new Uint8Array(chunk.length);
    while (!isOver) {
      await pair.near.write(chunk);
      await pair.far.read(buffer);
    }
  });
  return {
    async [Symbol.asyncDispose]() {
      isOver = true;
      await Promise.all(flows);
    },
  };
}

describe("SelfPipe.untilPolled()", () => {
  it("settles, time and again, over one connection", async () => {
    using watched = watchPipes();
    await using pipe = new TestPipe();
    for (let turn = 0; turn < 100; turn++) await pipe.untilPolled();
    assertEquals(watched.listens, 1);
  });

  it("settles for all who call it at once, in order", async () => {
    using watched = watchPipes();
    await using pipe = new TestPipe();
    for (const callers of [2, 64, 65, 200]) {
      const order: number[] = [];
      await Promise.all(Array.from({ length: callers }, async (_, caller) => {
        await pipe.untilPolled();
        order.push(caller);
      }));
      assertEquals(order, [...Array(callers).keys()]);
    }
    assertEquals(watched.listens, 1);
  });

  it("settles only after what arrived before was read, while others stream", async () => {
    await using _streams = await stream(4);
    using pair = await connectPair();
    await using pipe = new TestPipe();
    await pipe.untilPolled();
    let unread = 0;
    for (let turn = 0; turn < 50; turn++) {
      let isRead = false;
      const reading = pair.far.read(new Uint8Array(1))
        .then(() => isRead = true);
      await pair.near.write(BYTE);
      // The first poll may tell of the pipe before it tells of the other.
      await pipe.untilPolled();
      await pipe.untilPolled();
      if (!isRead) unread++;
      await reading;
    }
    assertEquals(unread, 0);
  });

  it("listens where no other machine can connect", async () => {
    const asked: unknown[] = [];
    using _ = watchPipes({ listen: (options) => asked.push(options) });
    await using pipe = new TestPipe();
    await pipe.untilPolled();
    assertEquals(asked, [{ hostname: HOSTNAME, port: 0 }]);
  });

  it("lets the process end until it is closed, and sends at once", async () => {
    const calls: string[] = [];
    const spy = (end: string) => (conn: Deno.TcpConn) => {
      const { ref, unref, setNoDelay } = conn;
      conn.ref = () => {
        calls.push(`${end} ref`);
        ref.call(conn);
      };
      conn.unref = () => {
        calls.push(`${end} unref`);
        unref.call(conn);
      };
      conn.setNoDelay = (noDelay = true) => {
        calls.push(`${end} noDelay ${noDelay}`);
        setNoDelay.call(conn, noDelay);
      };
    };
    using _ = watchPipes({ near: spy("near"), far: spy("far") });
    await using pipe = new TestPipe();
    await pipe.untilPolled();
    assertEquals(calls, ["near unref", "near noDelay true", "far unref"]);
    // To wait for the end of the pipe is to wait for something.
    await pipe.close();
    assertEquals(calls.slice(3), ["far ref"]);
  });

  it("turns away strangers who connect before it", async () => {
    using clock = stopClock();
    const strangers: Deno.TcpConn[] = [];
    const { connect } = Deno;
    using watched = watchPipes({
      async beforeConnect(port) {
        for (let count = 0; count < 3; count++) {
          strangers.push(await connect({ hostname: HOSTNAME, port }));
        }
      },
    });
    await using pipe = new TestPipe();
    await pipe.untilPolled();
    assertEquals(strangers.length, 3);
    for (const stranger of strangers) {
      using conn = stranger;
      assertEquals(await conn.read(new Uint8Array(1)), null);
    }
    await pipe.untilPolled();
    await pipe.close();
    assertEquals([watched.listens, clock.timers], [1, 0]);
  });
});

describe("SelfPipe.close()", () => {
  it("lets nothing be opened after it", async () => {
    using watched = watchPipes();
    const pipe = new SelfPipe();
    await pipe.close();
    await pipe.untilPolled();
    assertEquals(watched.listens, 0);
  });

  it("closes a connection that is still being made", async () => {
    using clock = stopClock();
    const pipe = new SelfPipe();
    const polled = pipe.untilPolled();
    await pipe.close();
    await polled;
    assertEquals(clock.timers, 0);
  });

  it("may be called twice, at once and later", async () => {
    using watched = watchPipes();
    const pipe = new SelfPipe();
    await pipe.untilPolled();
    await Promise.all([pipe.close(), pipe.close()]);
    await pipe.close();
    await pipe.untilPolled();
    assertEquals(watched.listens, 1);
  });

  it("lets all go on who wait", async () => {
    using clock = stopClock();
    using watched = watchPipes({ near: mute });
    const pipe = new SelfPipe();
    const callers = Array.from({ length: 3 }, () => pipe.untilPolled());
    while (watched.far.length === 0) await nextTurn();
    await nextTurn();
    const first = noting(callers[0]!);
    await nextTurn();
    assertEquals(first.isSettled, false);
    await pipe.close();
    await Promise.all(callers);
    assertEquals(clock.timers, 0);
  });

  it("closes both ends before it settles", async () => {
    using watched = watchPipes();
    const pipe = new SelfPipe();
    await pipe.untilPolled();
    await pipe.close();
    const ends = [...watched.near, ...watched.far];
    assertEquals(ends.length, 2);
    for (const end of ends) {
      assertThrows(() => end.close(), Deno.errors.BadResource);
    }
  });
});
