import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { processTerminal } from "./cli/terminal.ts";
import config from "./deno.json" with { type: "json" };
import { main } from "./main.ts";
import type { Address } from "./net/address.ts";
import { describeError, networkError, type Operation } from "./net/errors.ts";
import { serve } from "./server.ts";
import { freePort } from "./testing/peer.ts";
import { CLOSED_STDOUT, outcome, run } from "./testing/terminal.ts";

const ADDRESS: Address = { transport: "tcp", hostname: "::1", port: 7 };

/** Runs a command that fails with an error, and returns what it says. */
async function told(error: unknown): Promise<string> {
  const stdout = { write: () => Promise.reject(error) };
  const { status, stderr } = await outcome(run(["--version"], { stdout }));
  assertEquals(status, 1);
  return stderr;
}

describe("main()", () => {
  it("prints its commands and flags on --help", async () => {
    for (const flag of ["--help", "-h"]) {
      const { status, stdout, stderr } = await outcome(run([flag]));
      assertEquals([status, stderr], [0, ""]);
      assertMatch(stdout, /^Usage: .\/echo <COMMAND> \[OPTIONS\]$/m);
      assertMatch(stdout, /^ {2}serve {3}send back every byte$/m);
      assertMatch(stdout, /^ {2}report {2}make one report .*$/m);
      assertMatch(stdout, /^ {2}-h, --help {5}print this help$/m);
      assertMatch(stdout, /^ {2}-V, --version {2}print the version$/m);
    }
  });

  it("has a help of one screen for each command", async () => {
    for (const command of ["serve", "send", "ping", "load", "report"]) {
      const { status, stdout } = await outcome(run(["help", command]));
      assertEquals(status, 0);
      const again = await outcome(run([command, "--help"]));
      assertEquals(again.stdout, stdout);
      const lines = stdout.trimEnd().split("\n");
      assert(lines.length <= 45, `${command}: ${lines.length}`);
      assertEquals(lines.filter((line) => line.length > 80), []);
      assertMatch(stdout, /\nMore: docs\/\w+\.md\n$/);
    }
  });

  it("names what became of a command", async () => {
    assertEquals(
      (await outcome(run(["merge"]))).stderr,
      'echo: unknown command "merge", it is ./echo report now\n',
    );
  });

  it("prints its version", async () => {
    for (const args of [["-V"], ["version"], ["send", "-V"]]) {
      assertEquals(await outcome(run(args)), {
        status: 0,
        stdout: `echo ${config.version}\n`,
        stderr: "",
      });
    }
  });

  it("prints its usage on stderr when no command is given", async () => {
    const { status, stdout, stderr } = await outcome(run([]));
    assertEquals([status, stdout], [2, ""]);
    assertMatch(stderr, /^Usage: .\/echo <COMMAND>/m);
  });

  const mistakes: [args: string[], message: string][] = [
    [["sned"], 'unknown command "sned", did you mean send?'],
    [
      ["hello", "-p80"],
      'unknown command "hello", expected serve, send, ping, load or report',
    ],
    [
      ["\x1b[2J"],
      'unknown command "\\x1b[2J", expected serve, send, ping, load or report',
    ],
    [[""], 'unknown command "", expected serve, send, ping, load or report'],
    [
      ["--"],
      'unknown command "--", expected serve, send, ping, load or report',
    ],
    [["--prot"], "unknown flag --prot"],
    [["--hepl"], "unknown flag --hepl, did you mean --help?"],
    [["-hV=1"], "-V takes no value"],
    [["-p", "80", "serve"], "flags go after the command: ./echo serve"],
    [["-q", "send", "hi"], "flags go after the command: ./echo send"],
    [["send", "--prot"], "unknown flag --prot, did you mean --port?"],
    [
      ["serve", "8080"],
      'serve takes no argument "8080", ' +
      "did you mean --port 8080?",
    ],
  ];
  for (const [args, message] of mistakes) {
    it(`refuses ${JSON.stringify(args.join(" "))} in one line`, async () => {
      const stderr = `echo: ${message}\n`;
      assertEquals(await outcome(run(args)), { status: 2, stdout: "", stderr });
    });
  }

  it("says in one line that no server is there", async () => {
    const port = freePort();
    assertEquals(await outcome(run(["send", `-p${port}`])), {
      status: 1,
      stdout: "",
      stderr:
        `echo: Cannot connect to 127.0.0.1:${port}: connection refused, ` +
        "is a server running there? start one with: " +
        `./echo serve -p ${port}\n`,
    });
  });

  it("says in one line that the port is in use", async () => {
    await using server = serve({ port: 0 });
    const { port } = server.addr;
    assertEquals(await outcome(run(["serve", `--port=${port}`])), {
      status: 1,
      stdout: "",
      stderr: `echo: Cannot listen on 127.0.0.1:${port}: ` +
        "address already in use, choose another with --port\n",
    });
  });

  const { errors } = Deno;
  const lookUp = new Error("failed to lookup address information");
  type Attempt = Exclude<Operation, "echo">;
  const hints: [operation: Attempt, cause: Error, hint: string][] = [
    [
      "connect",
      new errors.ConnectionRefused("refused"),
      ", is a server running there? start one with: ./echo serve -H ::1 -p 7",
    ],
    [
      "connect",
      new errors.TimedOut("timed out"),
      ", check the host and the port, or wait longer with --timeout",
    ],
    ["connect", lookUp, ", check the name"],
    ["connect", new errors.PermissionDenied("denied"), ""],
    [
      "listen",
      new errors.AddrInUse("in use"),
      ", choose another with --port",
    ],
    [
      "listen",
      new errors.AddrNotAvailable("no such"),
      ", choose one of its own with --host",
    ],
    [
      "listen",
      new errors.PermissionDenied("denied"),
      ", ports below 1024 need privileges, choose another with --port",
    ],
    ["listen", lookUp, ", check the name"],
    ["listen", new errors.ConnectionRefused("refused"), ""],
    ["accept", new errors.TimedOut("timed out"), ""],
  ];
  for (const [operation, cause, hint] of hints) {
    const why = describeError(cause);
    it(`says what to try when it cannot ${operation}: ${why}`, async () => {
      const error = networkError(operation, ADDRESS, cause);
      assertEquals(await told(error), `echo: ${error.message}${hint}\n`);
    });
  }

  it("tells any error in one line", async () => {
    assertEquals(
      await told(new Error("one\ntwo\nthree \x1b[2J\x9b")),
      "echo: one two three \\x1b[2J\\u{9b}\n",
    );
    assertEquals(await told("no error"), "echo: no error\n");
    assertEquals(await told(undefined), "echo: undefined\n");
    assertEquals(await told(new errors.TimedOut("x")), "echo: x\n");
  });

  it("ends quietly when the reader of its output is gone", async () => {
    const session = run(["--help"], { stdout: CLOSED_STDOUT });
    assertEquals(await outcome(session), { status: 1, stdout: "", stderr: "" });
  });

  it("exits as ever when nobody can read what went wrong", async () => {
    const broken = { write: () => Promise.reject(new Error("closed")) };
    const terminal = { ...processTerminal(), stderr: broken };
    assertEquals(await main(["--prot"], terminal), 2);
    assertEquals(await main(["send", `-p${freePort()}`], terminal), 1);
  });
});
