import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { stopClock } from "../testing/clock.ts";
import { replace } from "../testing/replace.ts";
import {
  OutputClosedError,
  processTerminal,
  type Terminal,
} from "./terminal.ts";

const BYTES = new Uint8Array(5);
const { errors } = Deno;

/** Makes a method that fails some times before it succeeds. */
function failing<T>(failures: Error[], result: T): () => Promise<T> {
  const left = [...failures];
  return () => {
    const error = left.shift();
    return error ? Promise.reject(error) : Promise.resolve(result);
  };
}

describe("processTerminal()", () => {
  it("reads stdin, also where it is not ready at first", async () => {
    const busy = [new errors.WouldBlock("11"), new errors.WouldBlock("11")];
    using _ = replace(Deno.stdin, "read", failing(busy, 3));
    assertEquals(await processTerminal().stdin.read(BYTES), 3);
  });

  it("writes to stdout, also where it is not ready at first", async () => {
    const busy = [new errors.WouldBlock("11"), new errors.WouldBlock("11")];
    using _ = replace(Deno.stdout, "write", failing(busy, 5));
    assertEquals(await processTerminal().stdout.write(BYTES), 5);
  });

  it("says which stream failed, and why", async () => {
    const error = new Error("Is a directory (os error 21)");
    using _in = replace(Deno.stdin, "read", failing([error], 0));
    using _out = replace(Deno.stdout, "write", failing([error], 0));
    const { stdin, stdout } = processTerminal();
    await assertRejects(
      () => stdin.read(BYTES),
      Error,
      "Cannot read stdin: is a directory",
    );
    const rejected = await assertRejects(
      () => stdout.write(BYTES),
      Error,
      "Cannot write to stdout: is a directory",
    );
    assertEquals(rejected instanceof OutputClosedError, false);
  });

  it("tells a stdout whose reader is gone from one that fails", async () => {
    const broken = new errors.BrokenPipe("Broken pipe (os error 32)");
    using _ = replace(Deno.stdout, "write", failing([broken], 0));
    const error = await assertRejects(
      () => processTerminal().stdout.write(BYTES),
      OutputClosedError,
      "Cannot write to stdout: it was closed",
    );
    assertEquals(error.name, "OutputClosedError");
  });

  it("never fails to write to stderr", async () => {
    const broken = new errors.BrokenPipe("Broken pipe (os error 32)");
    using _ = replace(Deno.stderr, "write", failing([broken], 3));
    const { stderr } = processTerminal();
    assertEquals(await stderr.write(BYTES), 5);
    assertEquals(await stderr.write(BYTES), 3);
  });

  it("knows how wide a terminal is, and that others have 80 columns", () => {
    using _size = replace(Deno, "consoleSize", () => ({ columns: 7, rows: 9 }));
    for (const isTerminal of [true, false]) {
      using _out = replace(Deno.stdout, "isTerminal", () => isTerminal);
      using _err = replace(Deno.stderr, "isTerminal", () => !isTerminal);
      const { columns, stderrColumns } = processTerminal();
      assertEquals([columns, stderrColumns], isTerminal ? [7, 80] : [80, 7]);
    }
  });

  it("has no colors with NO_COLOR, nor where TERM is dumb and may be read", () => {
    for (
      const [noColor, state, term, hasColor] of [
        [false, "granted", "xterm", true],
        [true, "granted", "xterm", false],
        [false, "granted", "dumb", false],
        [false, "granted", undefined, true],
        [false, "prompt", "dumb", true],
      ] as const
    ) {
      const status = { ...new EventTarget(), state } as Deno.PermissionStatus;
      using _color = replace(Deno, "noColor", noColor);
      using _query = replace(Deno.permissions, "querySync", () => status);
      using _get = replace(Deno.env, "get", () => term);
      assertEquals(processTerminal().hasColor, hasColor);
    }
  });

  it("takes a terminal that has no size for one of 80 columns", () => {
    using _out = replace(Deno.stdout, "isTerminal", () => true);
    using _err = replace(Deno.stderr, "isTerminal", () => true);
    using _size = replace(Deno, "consoleSize", () => ({ columns: 0, rows: 0 }));
    const { columns, stderrColumns } = processTerminal();
    assertEquals([columns, stderrColumns], [80, 80]);
  });

  it("tells which of stdout and stderr is a terminal", () => {
    for (const [out, err] of [[true, false], [false, true]] as const) {
      using _out = replace(Deno.stdout, "isTerminal", () => out);
      using _err = replace(Deno.stderr, "isTerminal", () => err);
      const { isStdoutTerminal, isStderrTerminal } = processTerminal();
      assertEquals([isStdoutTerminal, isStderrTerminal], [out, err]);
    }
  });

  it("tells the time of day", () => {
    const before = Date.now();
    const now = processTerminal().now().getTime();
    assert(before <= now && now <= Date.now());
  });

  /** Plays the signals of the process while a listener is there. */
  function playSignals(
    listener: () => void,
    on: keyof Terminal & `on${string}` = "onStopSignal",
  ) {
    const handlers = new Map<Deno.Signal, () => void>();
    using _add = replace(Deno, "addSignalListener", (signal, handler) => {
      handlers.set(signal, handler);
    });
    const { [Symbol.dispose]: stop } = processTerminal()[on](listener);
    return {
      handlers,
      stop() {
        using _remove = replace(
          Deno,
          "removeSignalListener",
          (signal, handler) => {
            if (handlers.get(signal) === handler) handlers.delete(signal);
          },
        );
        stop();
      },
    };
  }

  it("listens for signals until it is told to stop", () => {
    let calls = 0;
    const { handlers, stop } = playSignals(() => calls++);
    const expected = Deno.build.os === "windows"
      ? ["SIGINT", "SIGBREAK"]
      : ["SIGINT", "SIGTERM", "SIGHUP"];
    assertEquals([...handlers.keys()], expected);
    for (const handler of handlers.values()) handler();
    assertEquals(calls, expected.length);
    stop();
    assertEquals(handlers.size, 0);
  });

  it("listens for Ctrl-\\ until it is told to stop", () => {
    let calls = 0;
    const { handlers, stop } = playSignals(() => calls++, "onStatusSignal");
    const expected = Deno.build.os === "windows" ? [] : ["SIGQUIT", "SIGUSR1"];
    assertEquals([...handlers.keys()], expected);
    for (const handler of handlers.values()) handler();
    assertEquals(calls, expected.length);
    stop();
    assertEquals(handlers.size, 0);
  });

  it("takes a signal that is repeated within 50 ms for the same one", async () => {
    using clock = stopClock();
    let calls = 0;
    const { handlers } = playSignals(() => calls++);
    const interrupt = handlers.get("SIGINT")!;
    interrupt();
    interrupt();
    await clock.pass(49);
    interrupt();
    assertEquals(calls, 1);
    await clock.pass(49);
    interrupt();
    assertEquals(calls, 1, "each repetition begins the time anew");
    await clock.pass(50);
    interrupt();
    assertEquals(calls, 2);
  });
});
