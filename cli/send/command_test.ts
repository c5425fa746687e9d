import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import config from "../../deno.json" with { type: "json" };
import { writeAll } from "../../net/streams.ts";
import { startPeer } from "../../testing/peer.ts";
import { run } from "../../testing/terminal.ts";
import { readExactly } from "../../testing/visitor.ts";
import { FLAGS, NOTES } from "./flags.ts";

describe("echo send", () => {
  it("describes its flags, and what they do together, on --help", async () => {
    const session = run(["send", "--help"]);
    assertEquals(await session.status, 0);
    const { stdout } = session;
    assert(stdout.startsWith(
      "Usage: ./echo send [OPTIONS] [MESSAGE...]\n\n" +
        "Send bytes and check that exactly those bytes come back.\n\nOptions:\n",
    ));
    for (const name of Object.keys(FLAGS)) assert(stdout.includes(`--${name}`));
    assert(stdout.endsWith(`\n\n${NOTES}\n`));
  });

  it("may start threads as a task, which read their own code", () => {
    const { send, merge } = config.tasks;
    assert(send.command.includes(" --allow-read=. "));
    assert(merge.command.endsWith(" main.ts merge"));
  });

  it("says how to send what looks like a flag", async () => {
    const session = run(["send", "-5"]);
    assertEquals(await session.status, 2);
    assertEquals(
      session.stderr,
      "echo: unknown flag -5, a MESSAGE that starts with a dash goes after --\n",
    );
  });

  it("generates bytes that nothing on the way can guess", async () => {
    for (const flag of ["-c1", "-d1h"]) {
      const received = Promise.withResolvers<Uint8Array>();
      using peer = startPeer(async (conn) => {
        received.resolve(await readExactly(conn, 1064));
        conn.close();
      });
      const session = run(["send", `-p${peer.port}`, flag, "-s1064"]);
      const values = new Set((await received.promise).subarray(64));
      // Of 1,000 random bytes it takes luck beyond reason to have so few.
      assert(values.size > 200, `${values.size}`);
      session.interrupt();
      await session.status;
    }
  });

  it("numbers what it generates, in a line of text", async () => {
    for (const flags of [["-c2", "-i0"], ["-d1h"]]) {
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
      const session = run(["send", `-p${peer.port}`, ...flags]);
      await received.promise;
      session.interrupt();
      await session.status;
      const [, id] = lines[0]!.match(/^echo run ([\da-f]{8}) /) ?? [];
      assertEquals(lines.slice(0, 2).map((line) => line.slice(0, -6)), [
        `echo run ${id} connection 0000001 message 000000000001 `,
        `echo run ${id} connection 0000001 message 000000000002 `,
      ]);
    }
  });
});
