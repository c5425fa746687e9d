import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import config from "../deno.json" with { type: "json" };
import {
  type Command,
  type CommandSpec,
  makeCommand,
  printLine,
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
    about: "Say something",
    synopsis: "[OPTIONS]",
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
    assertEquals([command.name, command.about], ["say", "Say something"]);
    assertEquals(await command.run([], terminal), 7);
    assertEquals(await command.run(["-l"], terminal), 42);
    assertEquals(output.text, "");
  });

  const help = `\
Usage: echo say [OPTIONS]

Say something.

Options:
  -l, --loud     say it loud
  -h, --help     print this help
  -V, --version  print the version`;

  it("prints its help, and does nothing else", async () => {
    const notes = "Louder is better.";
    for (
      const [parts, text] of [[{}, help], [
        { notes },
        `${help}\n\n${notes}`,
      ]] as const
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

describe("untilStopped()", () => {
  it("returns the status of the work, and listens no more", async () => {
    const { terminal, listeners } = testTerminal();
    const work = (signal: AbortSignal) => {
      assertEquals([signal.aborted, listeners.size], [false, 1]);
      return Promise.resolve(3);
    };
    assertEquals(await untilStopped(terminal, work), 3);
    assertEquals(listeners.size, 0);
    const bug = new Error("bug");
    const failing = untilStopped(terminal, () => Promise.reject(bug));
    assert(await failing.catch((error) => error) === bug);
    assertEquals(listeners.size, 0);
  });

  it("lets the work end in good order at the first Ctrl-C", async () => {
    const { terminal, listeners, interrupt } = testTerminal();
    const result = untilStopped(terminal, (signal) => {
      const aborted = Promise.withResolvers<number>();
      signal.addEventListener("abort", () => aborted.resolve(4));
      return aborted.promise;
    });
    interrupt();
    assertEquals(await result, 4);
    assertEquals(listeners.size, 0);
  });

  it("ends at once with 130 at the second Ctrl-C", async () => {
    const { terminal, listeners, interrupt } = testTerminal();
    const result = untilStopped(terminal, () => new Promise(() => {}));
    interrupt();
    interrupt();
    assertEquals(await result, 130);
    assertEquals(listeners.size, 0);
  });
});
