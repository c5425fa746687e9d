import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { writeAll } from "../../net/streams.ts";
import { startPeer } from "../../testing/peer.ts";
import { run } from "../../testing/terminal.ts";
import { readExactly } from "../../testing/visitor.ts";
import { encode } from "../command.ts";
import { parseCommandLine, UsageError } from "../flags.ts";
import { FLAGS, pingOptions } from "./command.ts";

const MEBIBYTE = 1024 ** 2;

function optionsOf(...args: string[]) {
  return pingOptions(parseCommandLine(args, FLAGS, "HOST"));
}

describe("pingOptions()", () => {
  it("goes on until Ctrl-C, once a second, by default", () => {
    const { target, task, style, conditions } = optionsOf();
    assertEquals([target.hostname, target.port], ["127.0.0.1", 12345]);
    assertEquals<unknown>(task, {
      ...{ message: 64, count: Infinity, intervalMs: 1000, reconnect: false },
    });
    assertEquals<unknown>(style, {
      ...{ json: false, quiet: false, timestamps: false, color: true },
    });
    assertEquals(conditions, []);
  });

  it("takes the server from its argument, and the port from either", () => {
    const servers: [args: string[], hostname: string, port: number][] = [
      [["a.example"], "a.example", 12345],
      [["a.example:7"], "a.example", 7],
      [["-p8", "a.example"], "a.example", 8],
      [["-p8", "a.example:7"], "a.example", 7],
      [["[::1]:7"], "::1", 7],
      [["::1"], "::1", 12345],
      [["--", "127.0.0.2:7"], "127.0.0.2", 7],
    ];
    for (const [args, hostname, port] of servers) {
      const { target } = optionsOf(...args);
      assertEquals([target.hostname, target.port], [hostname, port]);
    }
  });

  it("sends what it is told to, as often", () => {
    const { task } = optionsOf("-c3", "-i0", "--reconnect", "-mhi");
    assertEquals<unknown>(task, {
      ...{ message: encode("hi"), count: 3, intervalMs: 0, reconnect: true },
    });
    assertEquals(optionsOf("-c0").task.count, Infinity);
    assertEquals(optionsOf("-s100").task.message, 100);
    assertEquals(optionsOf("-s256M").task.message, 256 * MEBIBYTE);
  });

  it("takes conditions, in their order", () => {
    const { conditions } = optionsOf(
      ...["--fail-if=p99 > 20ms", "--fail-if", "loss>0.1%"],
    );
    assertEquals(conditions, [
      {
        ...{ text: "p99 > 20ms", metric: "p99", operator: ">" } as const,
        ...{ limit: 20, unit: "ms" } as const,
      },
      {
        ...{ text: "loss>0.1%", metric: "loss", operator: ">" } as const,
        ...{ limit: 0.1, unit: "percent" } as const,
      },
    ]);
  });

  const mistakes: [args: string[], message: string][] = [
    [["-s1", "-mhi"], "--size and --message exclude each other"],
    [["-m", ""], "an empty --message proves nothing"],
    [["-s1G"], "--size is at most 256 MiB"],
    [
      ["a", "b"],
      "one server at a time, HOST[:PORT]; a text to send goes to --message",
    ],
    [["a:0"], '"a:0": expected a whole number from 1 to 65535'],
    [
      ["a_b..c"],
      '"a_b..c": expected an IPv4 or IPv6 address or a name',
    ],
    [
      ["--udp", "-s65508"],
      "--size with --udp is at most 65507 B, as a datagram is: it has 65508",
    ],
    [
      ["--fail-if=p99"],
      '--fail-if "p99": expected an operator, >, >=, < or <=, after p99, ' +
      "and quotes around the condition",
    ],
  ];
  for (const [args, message] of mistakes) {
    it(`refuses ${JSON.stringify(args.join(" "))}`, () => {
      const error = assertThrows(() => optionsOf(...args), UsageError);
      assertEquals(error.message, message);
    });
  }
});

describe("echo ping", () => {
  it("says where the server is named", async () => {
    const session = run(["ping", "-Hx"]);
    assertEquals(await session.status, 2);
    assertEquals(
      session.stderr,
      "echo: unknown flag -H, name the server as an argument: HOST[:PORT]\n",
    );
  });

  it("numbers what it generates, in a line of text", async () => {
    const lines: string[] = [];
    const received = Promise.withResolvers<void>();
    using peer = startPeer(async (conn) => {
      while (true) {
        const bytes = await readExactly(conn, 64);
        lines.push(new TextDecoder().decode(bytes));
        if (lines.length === 2) received.resolve();
        await writeAll(conn, bytes);
      }
    });
    const session = run(["ping", `-p${peer.port}`, "-c2", "-i0"]);
    await received.promise;
    await session.status;
    const [, id] = lines[0]!.match(/^echo run ([\da-f]{8}) /) ?? [];
    assertEquals(lines.slice(0, 2).map((line) => line.slice(0, -6)), [
      `echo run ${id} connection 0000001 message 000000000001 `,
      `echo run ${id} connection 0000001 message 000000000002 `,
    ]);
  });
});
