import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { stopClock } from "../testing/clock.ts";
import config from "../deno.json" with { type: "json" };
import {
  type Command,
  type CommandSpec,
  makeCommand,
  printLine,
  StoppedError,
  untilStopped,
} from "./command.ts";
import { switchFlag, UsageError } from "./flags.ts";
import { processTerminal, type Terminal } from "./terminal.ts";

/** A terminal whose signals a test sends, and whose stdout it reads. */
function testTerminal() {
  const listeners = new Set<() => void>();
  const output = { text: "" };
  const decoder = new TextDecoder();
  const terminal: Terminal = {
    ...processTerminal(),
    stdout: {
      // A byte at a time, as a writer may.
      write(p) {
        output.text += decoder.decode(p.subarray(0, 1), { stream: true });
        return Promise.resolve(1);
      },
    },
    onStopSignal(listener) {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
  };
  const interrupt = () => listeners.forEach((listener) => listener());
  return { terminal, listeners, output, interrupt };
}

const FLAGS = { loud: switchFlag("say it loud", "l") };

type Spec = CommandSpec<typeof FLAGS, boolean>;

function commandOf(parts: Partial<Spec> = {}): Command {
  return makeCommand<typeof FLAGS, boolean>({
    name: "say",
    about: "Say something.",
    synopsis: "[OPTIONS]",
    examples: ["./echo say -l"],
    page: "say.md",
    flags: FLAGS,
    options: ({ values }) => values.loud,
    run: (isLoud) => Promise.resolve(isLoud ? 42 : 7),
    ...parts,
  });
}

describe("makeCommand()", () => {
  it("runs with the options that it makes of the flags", async () => {
    const { terminal, output } = testTerminal();
    const command = commandOf();
    assertEquals(command.name, "say");
    assertEquals(await command.run([], terminal), 7);
    assertEquals(await command.run(["-l"], terminal), 42);
    assertEquals(output.text, "");
  });

  const help = `\
Usage: ./echo say [OPTIONS]
Say something.

  ./echo say -l

  -l, --loud     say it loud
  -h, --help     print this help
  -V, --version  print the version
`;
  const more = "More: docs/say.md";

  it("prints its help, and does nothing else", async () => {
    const notes = "Louder is better.";
    for (
      const [parts, text] of [
        [{}, `${help}\n${more}`],
        [{ notes }, `${help}\n${notes}\n${more}`],
      ] as const
    ) {
      const { terminal, output } = testTerminal();
      const options = () => {
        throw new UsageError("there are no options");
      };
      const command = commandOf({ ...parts, options });
      assertEquals(await command.run(["-lhV"], terminal), 0);
      assertEquals(output.text, `${text}\n`);
    }
  });

  it("prints the version", async () => {
    const { terminal, output } = testTerminal();
    assertEquals(await commandOf().run(["-V"], terminal), 0);
    assertEquals(output.text, `echo ${config.version}\n`);
  });

  it("names its operand where a flag is unknown", async () => {
    const { terminal } = testTerminal();
    const error = await assertRejects(
      () => commandOf({ operand: "WORD" }).run(["-5"], terminal),
      UsageError,
    );
    assert(error.message.includes("a WORD that starts with a dash"));
  });
});

describe("printLine()", () => {
  it("writes all of a line, in UTF-8", async () => {
    const { terminal, output } = testTerminal();
    await printLine(terminal.stdout, "héllo 😀");
    await printLine(terminal.stdout, "");
    assertEquals(output.text, "héllo 😀\n\n");
  });
});

/** Work that ends with 4 when it is told to, and keeps the reason. */
function untilReason() {
  const reason = {
    given: undefined as unknown,
    work: (signal: AbortSignal) => {
      const { promise, resolve } = Promise.withResolvers<number>();
      const end = () => {
        reason.given = signal.reason;
        resolve(4);
      };
      if (signal.aborted) end();
      else signal.addEventListener("abort", end);
      return promise;
    },
  };
  return reason;
}

/** Checks why the work was told to end. */
function assertStopped(
  { given }: { given: unknown },
  message: string,
  status: number,
): void {
  const error = assertThrows(() => {
    throw given;
  }, StoppedError);
  assertEquals(
    [error.name, error.message, error.status],
    ["StoppedError", message, status],
  );
}

describe("untilStopped()", () => {
  it("returns the status of the work, and listens no more", async () => {
    const { terminal, listeners } = testTerminal();
    const work = (signal: AbortSignal) => {
      assertEquals([signal.aborted, listeners.size], [false, 1]);
      return Promise.resolve(3);
    };
    assertEquals(await untilStopped(terminal, Infinity, work), 3);
    assertEquals(listeners.size, 0);
    const bug = new Error("bug");
    const fail = () => Promise.reject(bug);
    const failing = untilStopped(terminal, Infinity, fail);
    assert(await failing.catch((error) => error) === bug);
    assertEquals(listeners.size, 0);
  });

  it("lets the work end in good order at the first Ctrl-C", async () => {
    const { terminal, listeners, interrupt } = testTerminal();
    const reason = untilReason();
    const result = untilStopped(terminal, Infinity, reason.work);
    interrupt();
    assertEquals(await result, 4);
    assertEquals(listeners.size, 0);
    assertStopped(reason, "interrupted", 130);
  });

  it("ends the work when its time is over", async () => {
    using clock = stopClock();
    const { terminal, listeners } = testTerminal();
    const reason = untilReason();
    const result = untilStopped(terminal, 90_000, reason.work);
    clock.passAtOnce(89_999);
    assertEquals(reason.given, undefined);
    clock.passAtOnce(1);
    assertEquals(await result, 4);
    assertEquals([listeners.size, clock.timers], [0, 0]);
    assertStopped(reason, "the deadline of 1m 30s is over", 1);
  });

  it("forgets the deadline when the work is done", async () => {
    using clock = stopClock();
    const { terminal } = testTerminal();
    const work = () => Promise.resolve(clock.timers);
    assertEquals(await untilStopped(terminal, 1000, work), 2);
    assertEquals(clock.timers, 0);
  });

  it("ends some seconds after the deadline when the work does not", async () => {
    using clock = stopClock();
    const { terminal } = testTerminal();
    const result = untilStopped(terminal, 1000, () => new Promise(() => {}));
    let isOver = false;
    result.then(() => isOver = true);
    await clock.pass(3999);
    assertEquals(isOver, false);
    await clock.pass(1);
    assertEquals(await result, 1);
  });

  it("tells which of Ctrl-C and the deadline came first", async () => {
    using clock = stopClock();
    const { terminal, interrupt } = testTerminal();
    const reason = untilReason();
    const result = untilStopped(terminal, 1000, (signal) => {
      interrupt();
      clock.passAtOnce(1000);
      return reason.work(signal);
    });
    assertEquals(await result, 4);
    assertStopped(reason, "interrupted", 130);
  });

  it("begins the time when all is prepared", async () => {
    using clock = stopClock();
    const { terminal } = testTerminal();
    const reason = untilReason();
    const prepared = Promise.withResolvers<void>();
    const result = untilStopped(
      terminal,
      1000,
      reason.work,
      () => prepared.promise,
    );
    assertEquals(clock.timers, 0);
    clock.passAtOnce(5000);
    prepared.resolve();
    await clock.pass(999);
    assertEquals(reason.given, undefined);
    await clock.pass(1);
    assertEquals(await result, 4);
    assertStopped(reason, "the deadline of 1s is over", 1);
    const bug = new Error("bug");
    const failing = untilStopped(terminal, 1000, reason.work, () => {
      return Promise.reject(bug);
    });
    assert(await failing.catch((error) => error) === bug);
  });

  it("does not wait for what is prepared at a Ctrl-C", async () => {
    const { terminal, listeners, interrupt } = testTerminal();
    const reason = untilReason();
    const result = untilStopped(
      ...[terminal, Infinity, reason.work] as const,
      (signal) =>
        new Promise((_, reject) =>
          signal.addEventListener("abort", () => reject(signal.reason))
        ),
    );
    interrupt();
    assertEquals(await result, 4);
    assertEquals(listeners.size, 0);
    assertStopped(reason, "interrupted", 130);
  });

  it("ends at once with 130 at the second Ctrl-C", async () => {
    const { terminal, listeners, interrupt } = testTerminal();
    const forEver = () => new Promise<number>(() => {});
    const result = untilStopped(terminal, Infinity, forEver);
    interrupt();
    interrupt();
    assertEquals(await result, 130);
    assertEquals(listeners.size, 0);
  });

  it("ends at once at a Ctrl-C after the deadline's end", async () => {
    using clock = stopClock();
    const { terminal, interrupt } = testTerminal();
    const forEver = () => new Promise<number>(() => {});
    const result = untilStopped(terminal, 1000, forEver);
    clock.passAtOnce(1000);
    interrupt();
    interrupt();
    assertEquals(await result, 130);
  });
});
