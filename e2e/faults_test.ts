import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { itRuns, start, startServe } from "../testing/process.ts";

/** A line of JSON of either end. */
type Line = Record<string, unknown>;

/** What a client and its server said of a run. */
interface Run {
  /** What the client said of each message that it lost. */
  readonly lost: Line[];
  /** The client's summary. */
  readonly summary: Line;
  /** The faults that the server told. */
  readonly faults: Line[];
  /** How often the server counted each kind. */
  readonly counts: Line;
}

function linesOf(text: string): Line[] {
  return text.trimEnd().split("\n").map((line) => JSON.parse(line));
}

/** Runs a client against a server with faults, both to their ends. */
async function run(faults: string, ...args: string[]): Promise<Run> {
  const [server, port] = await startServe(
    ...["--json", "--fault", faults, "--fault-seed", "7"],
    ...args.filter((arg) => arg === "--udp"),
  );
  await using _ = server;
  const command = args.some((arg) => arg.startsWith("-c")) ? "ping" : "load";
  await using client = start(command, "-p", port, "--json", ...args);
  const status = await client.status;
  server.kill("SIGTERM");
  assertEquals(await server.status, 0);
  const results = linesOf(client.stdout);
  const summary = results.at(-1)!;
  const log = linesOf(server.stdout);
  const counts = log.at(-1)!["faults"] as Line;
  const hasLost = summary["lost"] !== 0 && summary["failed"] !== 0;
  assertEquals([status, server.stderr], [hasLost ? 1 : 0, ""]);
  return {
    lost: results.filter((line) => "lost" in line && "seq" in line),
    summary,
    faults: log.filter(({ event }) => event === "fault"),
    counts,
  };
}

/** Counts the reasons why messages were lost. */
function reasonsOf(lost: Line[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { lost: reason } of lost) {
    counts[`${reason}`] = (counts[`${reason}`] ?? 0) + 1;
  }
  return counts;
}

/** The size of the client's messages. */
const MESSAGE_BYTES = 64;

/** Tells where in its connection's stream each wrong byte was. */
function wrongOffsets(lost: Line[]): number[] {
  // The client begins a new connection after a wrong reply.
  let first = 1;
  return lost.map(({ seq, error }) => {
    const [, offset] = `${error}`.match(/^byte at offset (\d+) differs/)!;
    const at = (Number(seq) - first) * MESSAGE_BYTES + Number(offset);
    first = Number(seq) + 1;
    return at;
  });
}

describe("./echo serve --fault", () => {
  itRuns(
    "corrupts as many replies as the client finds wrong, and where",
    async () => {
      const args = ["-c20000", "-i0"];
      const { lost, summary, faults, counts } = await run(
        "corrupt:1%",
        ...args,
      );
      const corrupt = counts["corrupt"] as number;
      assert(corrupt > 100 && corrupt < 300, `${corrupt}`);
      assertEquals(counts, { corrupt });
      assertEquals(reasonsOf(lost), { mismatch: corrupt });
      assertEquals([summary["sent"], summary["lost"]], [20_000, corrupt]);
      assertEquals(wrongOffsets(lost), faults.map(({ offset }) => offset));
      // The seed makes the same faults again, at another time.
      const again = await run("corrupt:1%", ...args);
      const offsets = (lines: Line[]) => lines.map(({ offset }) => offset);
      assertEquals(offsets(again.faults), offsets(faults));
    },
  );

  itRuns("cuts as many connections as the client finds closed", async () => {
    const args = ["-c200", "-i0", "-s2000", "--reconnect"];
    const { lost, faults, counts } = await run("cut=1000:50%", ...args);
    const cut = counts["cut"] as number;
    assert(cut > 50 && cut < 150, `${cut}`);
    assertEquals(counts, { cut });
    assertEquals(reasonsOf(lost), { closed: cut });
    assert(faults.every(({ offset }) => offset === 1000));
  });

  itRuns(
    "answers as few connections as the client waits for in vain",
    async () => {
      const args = ["-c100", "-i0", "-t1s", "--reconnect"];
      const { lost, faults, counts } = await run("stall:10%", ...args);
      const stall = counts["stall"] as number;
      assert(stall > 1 && stall < 30, `${stall}`);
      assertEquals([counts, faults.length], [{ stall }, stall]);
      assertEquals(reasonsOf(lost), { timeout: stall });
    },
  );

  itRuns(
    "does several things at once, each as often as the client sees it",
    async () => {
      const faults =
        "corrupt:2,cut=2000:10%,slice=10:20,latency=3ms~2ms:30,rate=1M";
      const { lost, counts } = await run(faults, "-c1000", "-i0");
      const { corrupt, cut, slice, latency, rate, ...others } = counts;
      assertEquals(others, {});
      assertEquals<unknown>(reasonsOf(lost), {
        mismatch: corrupt,
        closed: cut,
      });
      for (
        const [count, least, most] of [
          [slice, 100, 300],
          [latency, 200, 400],
          [rate, 1, 1000],
        ] as const
      ) {
        assert(Number(count) >= least && Number(count) <= most, `${count}`);
      }
    },
  );

  itRuns(
    "loses, repeats, reorders and corrupts as many datagrams as the client sees",
    async () => {
      const { summary, counts } = await run(
        "loss:2,duplicate:1,reorder:1,corrupt:1",
        ...["--udp", "-r1000", "-d3s", "-t1s"],
      );
      const { failures, duplicated, reordered, corrupt } = summary;
      assertEquals({ duplicated, reordered, corrupt }, {
        duplicated: counts["duplicate"],
        reordered: counts["reorder"],
        corrupt: counts["corrupt"],
      });
      // Whose a damaged reply is is known of a socket's first message alone.
      const { mismatch = 0, timeout } = failures as Record<string, number>;
      const loss = Number(counts["loss"]);
      assertEquals(mismatch + timeout!, loss + Number(corrupt));
      assert(loss > 20 && loss < 120, `${loss}`);
    },
  );

  itRuns("says what it does, first and last", async () => {
    const faults = "latency=1ms:10,stall:100";
    const [server, port] = await startServe("--fault", faults);
    await using _ = server;
    const [, seed] = await server.untilStdout(
      /^Server .*, with faults: latency=1ms:10%, stall, seed (\d+)\.\.\.\n/,
    );
    assert(Number(seed) < 2 ** 32);
    await using client = start("send", "-p", port, "-t", "100ms", "hello");
    assertEquals(await client.status, 1);
    assertMatch(client.stderr, /timed out|no reply|within/i);
    await server.untilStdout(/^Fault: never answers 127\.0\.0\.1:\d+$/m);
    server.kill("SIGTERM");
    assertEquals(await server.status, 0);
    assertMatch(server.stdout, /\nServed 1 connection, .*, faults: 1 stall\n$/);
  });
});
