import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { startPeer } from "../../testing/peer.ts";
import { readOnce } from "../../testing/socket.ts";
import { run } from "../../testing/terminal.ts";
import { FLAGS, NOTES } from "./flags.ts";

describe("echo send", () => {
  it("describes its flags, and what they do together, on --help", async () => {
    const session = run(["send", "--help"]);
    assertEquals(await session.status, 0);
    const { stdout } = session;
    assert(stdout.startsWith(
      "Usage: echo send [OPTIONS] [MESSAGE...]\n\n" +
        "Send bytes and check that exactly those bytes come back.\n\nOptions:\n",
    ));
    for (const name of Object.keys(FLAGS)) assert(stdout.includes(`--${name}`));
    assert(stdout.endsWith(`\n\n${NOTES}\n`));
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
        received.resolve(await readOnce(conn));
        conn.close();
      });
      const session = run(["send", `-p${peer.port}`, flag, "-s100"]);
      const values = new Set(await received.promise);
      // Of 100 random bytes it takes luck beyond reason to have so few.
      assert(values.size > 30, `${values.size}`);
      session.interrupt();
      await session.status;
    }
  });
});
