import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import config from "../../deno.json" with { type: "json" };
import { startPeer } from "../../testing/peer.ts";
import { run } from "../../testing/terminal.ts";
import { readExactly } from "../../testing/visitor.ts";
import { encode } from "../command.ts";
import { parseCommandLine, UsageError } from "../flags.ts";
import { FLAGS, loadOptions } from "./command.ts";

const MEBIBYTE = 1024 ** 2;

function taskOf(...args: string[]) {
  return loadOptions(parseCommandLine(args, FLAGS, "HOST")).task;
}

describe("loadOptions()", () => {
  it("loads over one connection for ten seconds by default", () => {
    assertEquals<unknown>(taskOf(), {
      ...{ message: 64, connections: 1, durationMs: 10_000, threads: 1 },
      ...{ ratePerSecond: undefined, startAt: undefined },
    });
  });

  it("takes what to send, how fast and since when from flags", () => {
    const startAt = "2026-11-24T14:05:00Z";
    assertEquals<unknown>(
      taskOf("-C9", "-d1s", "-r50", "-mhi", "--start-at", startAt, "a:7"),
      {
        ...{ message: encode("hi"), connections: 9, durationMs: 1000 },
        ...{ ratePerSecond: 50, threads: 1, startAt: new Date(startAt) },
      },
    );
    const rates = ["0.5", "10k", "1e6"].map((text) => taskOf(`-r${text}`));
    assertEquals(rates.map((task) => task.ratePerSecond), [0.5, 10_000, 1e6]);
  });

  it("has a thread for each core, where there are so many connections", () => {
    const cores = navigator.hardwareConcurrency;
    const threads = [
      ["-C9", "--workers=9"],
      ["-C9", "--workers=1"],
      ["-C1", "--workers=0"],
      ["-C300", "--workers=0"],
    ].map((args) => taskOf(...args).threads);
    assertEquals(threads, [9, 1, 1, cores]);
  });

  it("keeps up to 1 GiB for all connections", () => {
    const most: [connections: number, size: number][] = [
      [4, 256 * MEBIBYTE],
      [5, 214_748_364],
      [1024, MEBIBYTE],
      [1_000_000, 1073],
    ];
    for (const [connections, size] of most) {
      const { message } = taskOf(`-C${connections}`, `-s${size}`);
      assertEquals(message, size);
      assertThrows(
        () => taskOf(`-C${connections}`, `-s${size + 1}`),
        UsageError,
        "--size ",
      );
    }
  });

  const mistakes: [args: string[], message: string][] = [
    [["-C3", "-s1G"], "--size is at most 256 MiB"],
    [["-C2048", "-s1M"], "--size with 2048 connections is at most 512 KiB"],
    [
      ["-C2", "--workers=3"],
      "--workers 3 needs as many --connections at least: there are 2",
    ],
    [
      ["--start-at=14:05"],
      '--start-at "14:05": expected an instant such as 2026-11-24T14:05:00Z ' +
      "or 2026-11-24T15:05:00+01:00",
    ],
  ];
  for (const [args, message] of mistakes) {
    it(`refuses ${JSON.stringify(args.join(" "))}`, () => {
      const error = assertThrows(() => taskOf(...args), UsageError);
      assertEquals(error.message, message);
    });
  }

  it("takes flags to their limits, and not beyond", () => {
    const limits: [taken: string, refused: string][] = [
      ["-p1", "-p0"],
      ["-p65535", "-p65536"],
      ["-t1ms", "-t0"],
      ["-t596h", "-t597h"],
      ["-d1ms", "-d0"],
      ["-C1", "-C0"],
      ["-C1000000", "-C1000001"],
      ["-r0.001", "-r0.0009"],
      ["-r10M", "-r10000001"],
      ["-w1ms", "-w0"],
    ];
    for (const [taken, refused] of limits) {
      taskOf(taken);
      assertThrows(() => taskOf(refused), UsageError, "expected ", refused);
    }
  });
});

describe("echo load", () => {
  it("may start threads as a task, which read their own code", () => {
    const { load, report } = config.tasks;
    assert(load.command.includes(" --allow-read=. "));
    assert(report.command.endsWith(" main.ts report"));
  });

  it("generates bytes that nothing on the way can guess", async () => {
    for (const flags of [["ping", "-c1"], ["load", "-d1h"]]) {
      const received = Promise.withResolvers<Uint8Array>();
      using peer = startPeer(async (conn) => {
        received.resolve(await readExactly(conn, 1064));
        conn.close();
      });
      const session = run([...flags, `-p${peer.port}`, "-s1064"]);
      const values = new Set((await received.promise).subarray(64));
      // Of 1,000 random bytes it takes luck beyond reason to have so few.
      assert(values.size > 200, `${values.size}`);
      session.interrupt();
      await session.status;
    }
  });
});
