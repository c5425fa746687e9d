import {
  assertEquals,
  assertInstanceOf,
  assertStrictEquals,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { Barrier } from "../net/fairness.ts";
import { patternOf } from "../testing/peer.ts";
import fc from "../testing/properties.ts";
import { BufferPool } from "./buffer_pool.ts";
import type { Connection, LoopContext } from "./connection.ts";
import { echoLoop } from "./echo_loop.ts";

/** A barrier that is always open. */
const OPEN: Barrier = {
  readBytes: Infinity,
  addRead: () => false,
  pass() {
    throw new Error("waits at an open barrier");
  },
};

/** More reads and writes than any test here takes. */
const MOST_CALLS = 100_000;

/** What a test's connection does besides what a socket does. */
interface Script {
  /** What each read brings at most; the stream ends after them. */
  reads: Uint8Array[];
  /** How many bytes each write takes at most. */
  writeSize?: number;
  /** Called at the beginning of each read and write. */
  onCall?: (call: "read" | "write") => void;
}

/** Makes a connection that is no socket, and keeps what was done with it. */
function scripted({ reads, writeSize = Infinity, onCall }: Script) {
  const written: number[] = [];
  const roomOfReads: number[] = [];
  const rest = [...reads];
  let calls = 0;
  const called = (call: "read" | "write") => {
    if (++calls > MOST_CALLS) throw new Error("the loop does not end");
    onCall?.(call);
  };
  const conn = {
    read(p: Uint8Array): Promise<number | null> {
      called("read");
      roomOfReads.push(p.length);
      const bytes = rest.shift();
      if (!bytes) return Promise.resolve(null);
      const taken = bytes.subarray(0, p.length);
      if (taken.length < bytes.length) {
        rest.unshift(bytes.subarray(taken.length));
      }
      p.set(taken);
      return Promise.resolve(taken.length);
    },
    write(p: Uint8Array): Promise<number> {
      called("write");
      const taken = p.subarray(0, writeSize);
      written.push(...taken);
      return Promise.resolve(taken.length);
    },
  };
  const connection: Connection = {
    conn: conn as unknown as Deno.Conn,
    ...{ openedAt: 0, bytes: 0, idleSweeps: 0 },
  };
  return { connection, written, roomOfReads };
}

/** Serves a connection, and returns what the loop said of its end. */
async function serve(
  connection: Connection,
  options: Partial<LoopContext> = {},
): Promise<unknown[]> {
  const ends: unknown[] = [];
  using pool = new BufferPool();
  await echoLoop(connection, {
    barrier: OPEN,
    pool,
    onFirstBytes() {},
    onEnd(of, error) {
      assertStrictEquals(of, connection);
      ends.push(error);
    },
    ...options,
  });
  return ends;
}

describe("echoLoop()", () => {
  it("writes back all that it reads, however few bytes a write takes", async () => {
    await fc.assert(fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 3000 }), { maxLength: 8 }),
      fc.constantFrom(1, 7, 512, Infinity),
      async (lengths, writeSize) => {
        const reads = lengths.map((length, seed) => patternOf(length, seed));
        const { connection, written } = scripted({ reads, writeSize });
        assertEquals(await serve(connection), [undefined]);
        assertEquals(written, reads.flatMap((bytes) => [...bytes]));
        assertEquals(connection.bytes, written.length);
      },
    ));
  });

  it("reads again only when all is written, and counts each write", async () => {
    const calls: unknown[] = [];
    const { connection } = scripted({
      reads: [patternOf(3), patternOf(1)],
      writeSize: 1,
      onCall: (call) => calls.push([call, connection.bytes]),
    });
    await serve(connection);
    assertEquals(calls, [
      ["read", 0],
      ["write", 0],
      ["write", 1],
      ["write", 2],
      ["read", 3],
      ["write", 3],
      ["read", 4],
    ]);
  });

  it("takes each read and each write for a byte that moved", async () => {
    const before: unknown[] = [];
    const { connection } = scripted({
      reads: [patternOf(2)],
      writeSize: 1,
      onCall(call) {
        before.push([call, connection.idleSweeps]);
        connection.idleSweeps = 3;
      },
    });
    connection.idleSweeps = 3;
    await serve(connection);
    assertEquals(before, [["read", 3], ["write", 0], ["write", 0], [
      "read",
      0,
    ]]);
  });

  it("tells the first bytes once, before it echoes them", async () => {
    const calls: unknown[] = [];
    const { connection } = scripted({
      reads: [patternOf(3), patternOf(4), patternOf(5)],
      onCall: (call) => calls.push(call),
    });
    const onFirstBytes = (of: Connection, bytes: Uint8Array) => {
      assertStrictEquals(of, connection);
      calls.push(bytes.slice());
    };
    await serve(connection, { onFirstBytes });
    const turns = ["write", "read"];
    const expected = ["read", patternOf(3), ...turns, ...turns, ...turns];
    assertEquals(calls, expected);
  });

  it("tells nothing of a client that sends nothing", async () => {
    const { connection, written } = scripted({ reads: [] });
    let isTold = false;
    await serve(connection, { onFirstBytes: () => isTold = true });
    assertEquals([isTold, written.length], [false, 0]);
  });

  it("gives a stream a larger buffer", async () => {
    const { connection, roomOfReads } = scripted({
      reads: [patternOf(20_000)],
    });
    await serve(connection);
    assertEquals(roomOfReads, [512, 8192, 524_288, 32_768]);
  });

  it("reads no more at once than the barrier says", async () => {
    const rest = [512, 100, 300, 2000, 3000];
    const barrier = {
      ...OPEN,
      get readBytes() {
        return rest.shift() ?? 50;
      },
    };
    const bytes = patternOf(6000);
    const { connection, written, roomOfReads } = scripted({ reads: [bytes] });
    await serve(connection, { barrier });
    // The buffer is large as soon as a read filled its 512 B.
    assertEquals(roomOfReads.slice(0, 7), [512, 100, 300, 2000, 3000, 50, 50]);
    assertEquals(written, [...bytes]);
  });

  it("tells the barrier what each read brought, once it is written", async () => {
    const lengths = [3, 600, 1];
    const calls: unknown[] = [];
    const { connection } = scripted({
      reads: lengths.map((length) => patternOf(length)),
      writeSize: 500,
      onCall: (call) => calls.push(call),
    });
    const addRead = (bytes: number) => {
      calls.push(bytes);
      return false;
    };
    await serve(connection, { barrier: { ...OPEN, addRead } });
    assertEquals(calls, [
      ...["read", "write", 3],
      ...["read", "write", "write", 512],
      ...["read", "write", 88],
      ...["read", "write", 1],
      "read",
    ]);
  });

  it("does not read again until it passed the barrier", async () => {
    const calls: unknown[] = [];
    let opening = Promise.withResolvers<void>();
    let reached = Promise.withResolvers<void>();
    // The barrier holds the connection after its first two reads.
    const held = [true, true, false];
    const barrier = {
      ...OPEN,
      addRead: () => held.shift()!,
      pass() {
        calls.push("pass");
        reached.resolve();
        return opening.promise;
      },
    };
    const { connection } = scripted({
      reads: [patternOf(1), patternOf(1), patternOf(1)],
      onCall: (call) => calls.push(call),
    });
    const looping = serve(connection, { barrier });
    for (let turn = 0; turn < 2; turn++) {
      await reached.promise;
      // Whatever the loop would do instead of waiting, it does now.
      await new Promise((resolve) => setTimeout(resolve, 0));
      assertEquals(calls.splice(0), ["read", "write", "pass"]);
      const { resolve } = opening;
      opening = Promise.withResolvers();
      reached = Promise.withResolvers();
      resolve();
    }
    await looping;
    assertEquals(calls, ["read", "write", "read"]);
  });

  it("tells that a read failed", async () => {
    const error = new Deno.errors.ConnectionReset("no");
    const { connection } = scripted({
      reads: [patternOf(1)],
      onCall(call) {
        if (call === "read") throw error;
      },
    });
    assertEquals(await serve(connection), [error]);
  });

  it("tells that a write failed, and counts what was written before", async () => {
    const error = new Deno.errors.BrokenPipe("no");
    const { connection, written } = scripted({
      reads: [patternOf(10)],
      writeSize: 4,
      onCall(call) {
        if (call === "write" && connection.bytes === 8) throw error;
      },
    });
    assertEquals(await serve(connection), [error]);
    assertEquals([connection.bytes, written.length], [8, 8]);
  });

  it("tells once that there is no memory", async () => {
    const { connection } = scripted({ reads: [patternOf(1)] });
    using pool = new BufferPool();
    pool.take = () => {
      throw new RangeError("Array buffer allocation failed");
    };
    const [error, ...others] = await serve(connection, { pool });
    assertInstanceOf(error, RangeError);
    assertEquals(others, []);
  });
});
