import {
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertRejects,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { connect } from "../../client.ts";
import { stopClock } from "../../testing/clock.ts";
import { freePort } from "../../testing/peer.ts";
import { replace } from "../../testing/replace.ts";
import { CLOSED_STDOUT, run, type Session } from "../../testing/terminal.ts";
import { encode } from "../command.ts";
import { OutputClosedError } from "../terminal.ts";
import { logWriter } from "./run.ts";

const HELLO = encode("hello");

/** Starts `echo serve` on a free port, and tells the port. */
async function startServe(...args: string[]): Promise<[Session, number]> {
  const session = run(["serve", "-p0", ...args]);
  const [, port] = await session.untilStdout(/127\.0\.0\.1:(\d+)/);
  return [session, Number(port)];
}

/** Sends a message, with a connection of its own. */
async function visit(port: number, message = HELLO): Promise<void> {
  using client = await connect({ port, retryMs: 10_000 });
  await client.echo(message);
  await client.end();
}

/** Presses Ctrl-C, and waits for the end. */
async function end(session: Session) {
  session.interrupt();
  const status = await session.status;
  return { status, stdout: session.stdout, stderr: session.stderr };
}

describe("echo serve", () => {
  it("logs in the words of the example", async () => {
    const [session, port] = await startServe();
    await visit(port);
    await session.untilStdout(/closed/);
    const { status, stdout, stderr } = await end(session);
    assertEquals([status, stderr], [0, ""]);
    assertMatch(
      stdout,
      new RegExp(
        `^Server listening on 127\\.0\\.0\\.1:${port}\\.\\.\\.\n` +
          "Connection established with (127\\.0\\.0\\.1:\\d+)\n" +
          "Received: hello\n" +
          "Connection closed with \\1: 5 B echoed in [\\d.]+ m?s\n" +
          "Shutting down\n" +
          "Served 1 connection, echoed 5 B in [\\d.]+ m?s\n$",
      ),
    );
  });

  it("has echoed to itself, which counts nowhere, when it listens", async () => {
    const { connect } = Deno;
    const ports: number[] = [];
    const record = (options: Deno.ConnectOptions) => {
      ports.push(options.port);
      return connect(options);
    };
    using _ = replace(Deno, "connect", record as unknown as typeof connect);
    const [session, port] = await startServe();
    assertEquals(ports.length, 1);
    assertNotEquals(ports[0], port);
    const { stdout } = await end(session);
    assertMatch(
      stdout,
      /^.* listening on .*\nShutting down\nServed 0 connections, echoed 0 B in .*\n$/,
    );
  });

  it("listens all the same where loopback drops packets", async () => {
    const hang = ({ signal }: Deno.ConnectOptions) =>
      new Promise<never>((_, reject) => {
        signal!.addEventListener("abort", () => reject(signal!.reason));
      });
    using _ = replace(Deno, "connect", hang as unknown as typeof Deno.connect);
    const [session] = await startServe();
    assertEquals((await end(session)).status, 0);
  });

  it("listens where --host says", async () => {
    const session = run(["serve", "-p0", "-H", "[::1]", "--once"]);
    const [, port] = await session.untilStdout(/ listening on \[::1\]:(\d+)/);
    using client = await connect({ hostname: "::1", port: Number(port) });
    await client.end();
    assertEquals(await session.status, 0);
  });

  it("never prints what a client sends raw, nor much of it", async () => {
    const [session, port] = await startServe();
    const nasty = "\x1b[2J\r\n\u202eabc\x7f" + "é".repeat(100);
    await visit(port, new TextEncoder().encode(nasty));
    const [, received] = await session.untilStdout(/^Received: (.*)\n/m);
    assertEquals(
      received,
      "\\x1b[2J\\r\\n\\u{202e}abc\\x7f" + "é".repeat(37) + "…",
    );
    await end(session);
  });

  it("logs JSON lines", async () => {
    const [session, port] = await startServe("--json");
    await visit(port);
    await session.untilStdout(/"close"/);
    const { status, stdout } = await end(session);
    assertEquals(status, 0);
    const lines = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
    assertEquals(
      lines.map(({ time, event }) => [time, event]),
      ["listening", "open", "data", "close", "shutdown", "stopped"]
        .map((event) => ["2001-02-03T04:05:06.789Z", event]),
    );
    const { connections, bytes } = lines[5];
    assertEquals([connections, bytes], [1, 5]);
  });

  it("with --quiet logs nothing, and serves all the same", async () => {
    const port = freePort();
    const session = run(["serve", "--quiet", "--json", `--port=${port}`]);
    await visit(port);
    assertEquals(await end(session), { status: 0, stdout: "", stderr: "" });
  });

  it("with --once ends after one connection", async () => {
    const [session, port] = await startServe("--once");
    await visit(port);
    assertEquals(await session.status, 0);
    assertMatch(
      session.stdout,
      /\nServed 1 connection, echoed 5 B in .*\n$/,
    );
    assertEquals(session.stdout.includes("Shutting down"), false);
  });

  it("prints a certificate that it made once it listens, not before", async () => {
    const [session, port] = await startServe("--tls");
    assertMatch(session.stderr, /^-----BEGIN CERT[^]*-----END CERT.*-----\n$/);
    const second = run(["serve", "--tls", "-p", `${port}`]);
    assertEquals(await second.status, 1);
    assertMatch(second.stderr, /^echo: Cannot listen on .*\n$/);
    assertEquals((await end(session)).status, 0);
  });

  it("holds clients back with --max-connections", async () => {
    const [session, port] = await startServe("--max-connections", "1");
    {
      using _ = await connect({ port });
      await session.untilStdout(/established/);
      await assertRejects(async () => {
        using waiting = await connect({ port, timeoutMs: 100 });
        await waiting.echo(HELLO);
      }, Deno.errors.TimedOut);
    }
    await visit(port);
    assertEquals((await end(session)).status, 0);
  });

  it("closes an idle client with --idle-timeout", async () => {
    const [session, port] = await startServe("--idle-timeout", "20ms");
    using conn = await Deno.connect({ port });
    assertEquals(await conn.read(new Uint8Array(1)), null);
    await session.untilStdout(/^Connection closed with .* \(idle\)$/m);
    assertEquals((await end(session)).status, 0);
  });
});

describe("echo serve, whose log cannot be written", () => {
  /** Serves clients until it wrote so often, and ends. */
  async function outcome(write: () => Promise<void>, mostWrites: number) {
    const port = freePort();
    let writes = 0;
    const stdout = {
      async write(p: Uint8Array) {
        writes++;
        await write();
        return p.length;
      },
    };
    const session = run(["serve", "-p", `${port}`], { stdout });
    for (let visits = 0; visits < 3 || writes < mostWrites; visits++) {
      await visit(port);
    }
    return { ...await end(session), writes };
  }

  it("goes on when its reader is gone, and asks it no more", async () => {
    const closed = () => Promise.reject(new OutputClosedError("closed"));
    assertEquals(await outcome(closed, 1), {
      ...{ status: 0, stdout: "", stderr: "", writes: 1 },
    });
  });

  it("says once that the disk is full, and logs again when it is not", async () => {
    const full = "Cannot write to stdout: no space left on device";
    let left = 3;
    const { status, stdout, stderr } = await outcome(
      () => left-- > 0 ? Promise.reject(new Error(full)) : Promise.resolve(),
      4,
    );
    assertEquals([status, stderr], [0, `echo: ${full}\n`]);
    assertMatch(stdout, /^Server listening on /);
    const [, connections] =
      stdout.match(/\nServed (\d+) connections, echoed \d+ B in .*\n$/) ?? [];
    // Of each connection three lines tell, and either come or are counted.
    const kept = stdout.match(/^(Connection|Received)/gm)?.length ?? 0;
    const leftOut = stdout.matchAll(/^(\d+) lines? left out/gm)
      .reduce((sum, [, lines]) => sum + Number(lines), 0);
    assertEquals(kept + leftOut, 3 * Number(connections));
  });
});

/** A disk that has room for so many bytes, and a standard error. */
function diskOf(room: number) {
  const file = (room: number) => ({
    room,
    text: "",
    write(p: Uint8Array): Promise<number> {
      if (this.room === 0) return Promise.reject(new Error("full"));
      const bytes = p.subarray(0, this.room);
      this.room -= bytes.length;
      this.text += new TextDecoder().decode(bytes);
      return Promise.resolve(bytes.length);
    },
  });
  return Object.assign(file(room), { stderr: file(Infinity) });
}

describe("logWriter()", () => {
  it("writes one batch after the other, whole", async () => {
    const texts: string[] = [];
    // A terminal that takes a byte at a time, and others have their turn meanwhile.
    const stdout = {
      async write(p: Uint8Array) {
        await Promise.resolve();
        texts.push(new TextDecoder().decode(p.subarray(0, 1)));
        return 1;
      },
    };
    const writer = logWriter({ stdout, stderr: stdout });
    const batches = ["first\n", "second\n", "third\n"];
    const lost = await Promise.all(
      batches.map((batch) => writer.write(encode(batch))),
    );
    assertEquals(texts.join(""), "first\nsecond\nthird\n");
    assertEquals(lost, [0, 0, 0]);
  });

  it("writes so few lines at a time that a pipe takes them whole", async () => {
    const writes: string[] = [];
    const stdout = {
      write(p: Uint8Array) {
        writes.push(new TextDecoder().decode(p));
        return Promise.resolve(p.length);
      },
    };
    const line = "x".repeat(299) + "\n";
    const writer = logWriter({ stdout, stderr: stdout });
    await writer.write(encode(line.repeat(25)));
    const most = line.repeat(11);
    assertEquals(writes, [most, most, line.repeat(3)]);
  });

  it("tells how many lines a full disk lost, and ends a torn one", async () => {
    const disk = diskOf(9);
    const writer = logWriter({ stdout: disk, stderr: disk.stderr });
    assertEquals(await writer.write(encode("one\ntwo\nthree\n")), 1);
    assertEquals(await writer.write(encode("four\nfive\n")), 2);
    // The next try has room for the end of the torn line alone.
    disk.room = 1;
    assertEquals(await writer.write(encode("six\n")), 1);
    disk.room = 4;
    assertEquals(await writer.write(encode("ten\nsix\n")), 1);
    // This time the disk was full between two lines.
    disk.room = 100;
    assertEquals(await writer.write(encode("two\nsix\n")), 0);
    assertEquals(await writer.write(encode("ten\n")), 0);
    assertEquals(disk.text, "one\ntwo\nt\nten\ntwo\nsix\nten\n");
    assertEquals(disk.stderr.text, "echo: full\n");
  });

  it("says again that the disk is full after ten seconds of room", async () => {
    using clock = stopClock();
    const disk = diskOf(0);
    const writer = logWriter({ stdout: disk, stderr: disk.stderr });
    await writer.write(encode("one\n"));
    await clock.pass(9_999);
    await writer.write(encode("two\n"));
    assertEquals(disk.stderr.text, "echo: full\n");
    await clock.pass(10_000);
    await writer.write(encode("six\n"));
    assertEquals(disk.stderr.text, "echo: full\necho: full\n");
  });

  it("passes on that the reader is gone, without a word", async () => {
    const { stderr } = diskOf(0);
    const writer = logWriter({ stdout: CLOSED_STDOUT, stderr });
    for (let times = 0; times < 2; times++) {
      await assertRejects(() => writer.write(encode("x\n")), OutputClosedError);
    }
    assertEquals(stderr.text, "");
  });
});
