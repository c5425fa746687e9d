import { assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { run } from "../../testing/terminal.ts";

/** Runs `echo serve` with arguments with which it does not serve. */
async function outcome(...args: string[]) {
  const session = run(["serve", ...args]);
  const status = await session.status;
  return { status, stdout: session.stdout, stderr: session.stderr };
}

async function assertRefused(args: string[], message: RegExp): Promise<void> {
  const { status, stdout, stderr } = await outcome(...args);
  assertEquals([args, status, stdout], [args, 2, ""]);
  assertMatch(stderr, /^echo: [^\n]+\n$/);
  assertMatch(stderr.trimEnd(), message);
}

describe("echo serve", () => {
  it("describes its flags with their defaults", async () => {
    const { status, stdout } = await outcome("--help");
    assertEquals(status, 0);
    assertMatch(
      stdout,
      /^Usage: .\/echo serve \[OPTIONS\]\nSend back every byte, over TCP, TLS and UDP\.\n/,
    );
    assertMatch(
      stdout,
      /\nTIME is 250ms, .*\n {2}cut\[=SIZE\] .*\n\n.* 130 when a second [^\n]+\nMore: docs\/serve.md\n$/s,
    );
    const rows = stdout.matchAll(
      /^ {2}(-\w| {2}).*?--([\w-]+)(?: .*\[([^\]]*)\]$)?/gm,
    );
    assertEquals(
      Array.from(rows, ([, short, name, shown]) => [short, name, shown]),
      [
        ["-H", "host", "127.0.0.1"],
        ["-p", "port", "12345"],
        ["  ", "udp", undefined],
        ["  ", "udp-rate", "1000"],
        ["  ", "tls", undefined],
        ["  ", "tls-cert", undefined],
        ["  ", "tls-key", undefined],
        ["  ", "tls-name", undefined],
        ["  ", "once", undefined],
        ["  ", "max-connections", "no limit"],
        ["  ", "idle-timeout", "never"],
        ["  ", "drain-timeout", "5s"],
        ["  ", "workers", "1"],
        ["  ", "fault", undefined],
        ["  ", "fault-seed", "random"],
        ["  ", "metrics", undefined],
        ["  ", "json", undefined],
        ["-q", "quiet", undefined],
        ["-h", "help", undefined],
        ["-V", "version", undefined],
      ],
    );
  });

  const limits: [taken: string, refused: string][] = [
    ["--port=0", "--port=-1"],
    ["--port=65535", "--port=65536"],
    ["--max-connections=1", "--max-connections=0"],
    ["--max-connections=1000000", "--max-connections=1000001"],
    ["--udp-rate=1", "--udp-rate=0"],
    ["--udp-rate=10000000", "--udp-rate=10000001"],
    ["--idle-timeout=10ms", "--idle-timeout=9ms"],
    ["--idle-timeout=596h", "--idle-timeout=597h"],
    ["--drain-timeout=0", "--drain-timeout=-1"],
    ["--workers=0", "--workers=-1"],
    ["--workers=256", "--workers=257"],
    ["--host=[::1]", "--host=[localhost]"],
    ["--fault-seed=0", "--fault-seed=-1"],
    ["--fault-seed=4294967295", "--fault-seed=4294967296"],
  ];
  it("takes the limits of its flags, and nothing beyond them", async () => {
    for (const [taken, refused] of limits) {
      assertEquals((await outcome(taken, "--help")).status, 0, taken);
      await assertRefused([refused, "--help"], /^echo: --.*": expected /);
    }
  });

  const mistakes: [args: string[], message: RegExp][] = [
    [["8080"], /takes no argument "8080", did you mean --port 8080\?$/],
    [["80a"], /serve takes no argument "80a"$/],
    [["a80"], /serve takes no argument "a80"$/],
    [["--", "-x"], /serve takes no argument "-x"$/],
    [["\x1b[2J"], /serve takes no argument "\\x1b\[2J"$/],
    [["-5"], /unknown flag -5$/],
    [["--udp-rate=5"], /^echo: --udp-rate goes with --udp$/],
    [
      ["--udp", "--workers=2"],
      /^echo: --udp and --workers exclude each other: only one .* a UDP port$/,
    ],
    [["--udp=yes"], /--udp/],
    [["--udp-rat=5"], /unknown flag --udp-rat, did you mean --udp-rate\?$/],
    [["--hots=x"], /unknown flag --hots, did you mean --host\?$/],
    [["--fault", "x"], /--fault "x": unknown fault x \(faults: latency=.*\)$/],
    [["--fault=stall", "--fault=cut"], /--fault/],
    [["--fault", "loss:5"], /--fault loss goes with --udp, a stream has none$/],
    [["--fault-seed", "5"], /--fault-seed goes with --fault$/],
    [
      ["--fault=stall", "--workers=2"],
      /--fault takes one thread, leave out --w/,
    ],
  ];
  it("refuses what it cannot serve with, in one line", async () => {
    for (const [args, message] of mistakes) await assertRefused(args, message);
  });

  // What they need they do not have here: see checkWorkers().
  const isNeeded = Deno.permissions.querySync({ name: "read" }).state !==
    "granted";
  const itRefuses = isNeeded ? it : it.skip;
  itRefuses("says what --workers needs", async () => {
    await assertRefused(["--workers", "2"], /^echo: --workers needs /);
    // No limit is in their way.
    for (const limit of ["--once", "--max-connections=5"]) {
      await assertRefused(["--workers=2", limit], /^echo: --workers needs /);
    }
    // One a core.
    if (navigator.hardwareConcurrency > 1) {
      await assertRefused(["--workers", "0"], /^echo: --workers needs /);
    }
  });
});
