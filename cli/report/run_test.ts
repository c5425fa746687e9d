import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { decodeFromCompressedBase64 } from "hdr-histogram-js";
import { serve } from "../../server.ts";
import type { Reader } from "../../net/streams.ts";
import { startPeer } from "../../testing/peer.ts";
import { changing } from "../../testing/socket.ts";
import { outcome, run } from "../../testing/terminal.ts";

/** A result as JSON. */
// deno-lint-ignore no-explicit-any -- it is what JSON.parse() returns
type Json = any;

/** Loads a server for a moment. */
async function load(port: number, ...args: string[]): Promise<Json> {
  const all = ["load", `-p${port}`, "-d50ms", "--json", ...args];
  return JSON.parse((await outcome(run(all))).stdout);
}

/** Merges what stdin holds. */
function merge(stdin: string | Uint8Array, ...args: string[]) {
  const bytes = typeof stdin === "string"
    ? new TextEncoder().encode(stdin)
    : stdin;
  return outcome(run(["report", ...args], { stdin: bytes }));
}

/** Merges results, and returns the result as JSON. */
async function merged(...results: Json[]): Promise<Json> {
  const lines = results.map((it) => `${JSON.stringify(it)}\n`).join("");
  const { status, stdout, stderr } = await merge(lines, "--json");
  assertEquals([status, stderr], [0, ""]);
  return JSON.parse(stdout);
}

/**
 * Takes what is of the one connection out of a result, and makes two encodings of the
 * same histogram equal: an encoding tells how far the histogram may grow, too.
 */
function comparable(result: Json): Json {
  const text = JSON.stringify({ ...result, peer: null, local_port: null });
  return JSON.parse(text, (name, value) => {
    if (!name.endsWith("histogram_hdr") || value === null) return value;
    const histogram = decodeFromCompressedBase64(value);
    const percentiles = Array.from(
      { length: 1000 },
      (_, at) => histogram.getValueAtPercentile(at / 10),
    );
    return [histogram.totalCount, ...percentiles];
  });
}

const START = "2026-11-24T21:05:00.000Z";

/** Makes a result another one of the same figures. */
function another(result: Json): Json {
  return { ...result, id: crypto.randomUUID() };
}

/** Makes another result with another start, some seconds after {@linkcode START}. */
function startedAfter(result: Json, seconds: number): Json {
  const start = new Date(Date.parse(START) + seconds * 1000).toISOString();
  return { ...another(result), start };
}

/** Finds the paths of all values within a result, but of the rows and runs after the first. */
function pathsOf(value: Json, path: string[] = []): string[][] {
  if (typeof value !== "object" || value === null) return [path];
  const below = Object.entries(Array.isArray(value) ? value.slice(0, 1) : value)
    .flatMap(([key, value]) => pathsOf(value, [...path, key]));
  return path.length > 0 ? [path, ...below] : below;
}

/** Copies an object with another key or value at a path. */
function changed(
  object: Json,
  [key, ...rest]: string[],
  isKey: boolean,
  evil: string,
): Json {
  const copy = structuredClone(object);
  if (rest.length > 0) {
    copy[key!] = changed(copy[key!], rest, isKey, evil);
  } else if (!isKey) copy[key!] = evil;
  else if (!Array.isArray(copy)) copy[evil] = copy[key!];
  return copy;
}

describe("echo report", () => {
  it("prints the report of one load as the load did", async () => {
    await using server = serve({ port: 0, udp: true });
    const { port } = server.addr;
    for (const args of [["-C2"], ["-r500"], ["--udp", "-C2", "-s100"]]) {
      const result = await load(port, ...args);
      assertEquals(comparable(await merged(result)), comparable(result));
    }
  });

  it("says so where the messages of a load looked alike", async () => {
    await using server = serve({ port: 0, udp: true });
    const { port } = server.addr;
    const [alike, other] = [
      await load(port, "--udp", "-r200", "--message", "x".repeat(64)),
      await load(port, "--udp", "-r200"),
    ];
    assertEquals([alike.messages_alike, other.messages_alike], [true, false]);
    for (const results of [[alike], [alike, other], [other, alike]]) {
      assertEquals((await merged(...results)).messages_alike, true);
    }
    const lossy = { ...alike, failed: 1, failures: { timeout: 1 } };
    const { stdout } = await merge(JSON.stringify(lossy));
    assertMatch(stdout, /the messages look alike/);
  });

  it("adds loads that went on at once", async () => {
    await using server = serve({ port: 0 });
    const { port } = server.addr;
    const [one, other] = [await load(port, "-C2"), await load(port, "-C3")];
    const both = await merged(startedAfter(one, 0.02), startedAfter(other, 0));
    assertEquals(both.messages, one.messages + other.messages);
    assertEquals(both.connections, 5);
    assertEquals(both.start, START);
    assertEquals(both.duration_ms, 70);
    const { mean, min, max } = both.latency_ms;
    const parts = [one.latency_ms, other.latency_ms];
    assertEquals(min, Math.min(...parts.map((it) => it.min)));
    assertEquals(max, Math.max(...parts.map((it) => it.max)));
    assert(parts[0].mean <= mean === mean <= parts[1].mean);
    const rate = one.messages_per_second + other.messages_per_second;
    assertEquals(both.messages_per_second, Math.round(rate * 1000) / 1000);
    assertEquals(
      both.runs.map((it: Json) => [it.start, it.connections, it.client_limit]),
      [
        ["2026-11-24T21:05:00.020Z", 2, one.client_limit],
        [START, 3, other.client_limit],
      ],
    );
    // What is merged can be merged again.
    assertEquals(comparable(await merged(both)), comparable(both));
    const again = await merged(both, startedAfter(one, 0));
    assertEquals([again.runs.length, again.connections], [3, 7]);
  });

  it("tells of runs that did not overlap", async () => {
    await using server = serve({ port: 0 });
    const result = await load(server.addr.port);
    const told = async (...starts: number[]) => {
      const results = starts.map((seconds) =>
        JSON.stringify(startedAfter(result, seconds))
      );
      const { stdout } = await merge(results.join("\n"));
      return stdout.split("\n").slice(3, 5);
    };
    const [first, second] = await told(0, 3, 3);
    assertEquals(
      first,
      "3 runs merged, which began within 3.00 s of each other",
    );
    assertEquals(
      second,
      "the runs did not all overlap: at most 2 of 3 went on at once; the rate " +
        "is theirs, the percentiles are those of all messages, not of one load",
    );
    assertEquals(
      (await told(0, 0.02))[1],
      "all 2 runs went on at once for 30 ms of 70 ms",
    );
    assertMatch((await told(0, 0))[1]!, /^(latency|.* came back after)/);
  });

  it("reads a log, and tells what it skipped", async () => {
    await using server = serve({ port: 0 });
    const result = JSON.stringify(await load(server.addr.port));
    const next = () => JSON.stringify(another(JSON.parse(result)));
    const { status, stdout, stderr } = await merge([
      "all \x1b[31mstarting",
      `[pod/load-0-abc/echo] ${result}`,
      `[pod/load-1-def/echo] 2026-11-24T21:05:00.123456789Z ${next()}`,
      `2026-11-24T21:05:00.123456789Z ${next()}\r`,
      `load-1  | ${next()}  `,
      ...["", "null", "42", "[1,2]", "{", "INFO {request} took {5} ms"],
    ].join("\n"));
    assertEquals(status, 0);
    assertMatch(stdout, /^4 runs merged, /m);
    assertEquals(
      stderr,
      "echo: 6 other lines skipped, the first is line 1: " +
        "all \\x1b[31mstarting\n",
    );
  });

  it("names a result that is not one object on one line", async () => {
    await using server = serve({ port: 0 });
    const result = await load(server.addr.port);
    const text = JSON.stringify(result);
    const why = "cut off or damaged, or not one object on one line (jq -c): ";
    const pretty = JSON.stringify({ echo_load: 2, ...result }, null, 2);
    for (
      const [stdin, line, shown] of [
        [text.slice(0, 100), 1, text.slice(0, 40) + "..."],
        // How `docker logs -t` cut it.
        [`at ${text.slice(0, 100)}\nat ${text.slice(100)}`, 1],
        [text + text, 1, text.slice(0, 40) + "..."],
        [`[${text},${text}]`, 1, text.slice(0, 40) + "..."],
        [pretty, 2, '  "echo_load": 2,'],
        ['{"', 1, '{"'],
        ['{"a":'.repeat(100_000), 1, '{"a":'.repeat(8) + "..."],
        [`{app} ${text}`, 1, `{app} ${text.slice(0, 34)}...`],
      ] as const
    ) {
      const { status, stderr } = await merge(`${stdin}\n`);
      assertEquals(status, 1);
      const expected = `echo: line ${line} is not counted: ${why}`;
      assertEquals(stderr.slice(0, expected.length), expected);
      if (shown) assertEquals(stderr.split("\n")[0], expected + shown);
    }
  });

  it("reads UTF-16, and names it where stdin does not begin with it", async () => {
    await using server = serve({ port: 0 });
    const text = JSON.stringify(await load(server.addr.port)) + "\r\n";
    const encode = (text: string, isLittle: boolean) => {
      const bytes = new DataView(new ArrayBuffer(text.length * 2));
      for (let at = 0; at < text.length; at++) {
        bytes.setUint16(at * 2, text.charCodeAt(at), isLittle);
      }
      return new Uint8Array(bytes.buffer);
    };
    for (const isLittle of [true, false]) {
      const bytes = encode("\ufeff" + text, isLittle);
      const { status, stdout, stderr } = await merge(bytes);
      assertEquals([status, stderr], [0, ""]);
      assertMatch(stdout, /verified, 0 failed, over 1 connection /);
      const later = new Blob([text, new Uint8Array(bytes)]);
      const mixed = await merge(await later.bytes());
      assertEquals(mixed.status, 1);
      assertMatch(
        mixed.stderr,
        /^echo: line 2 is not counted: not in UTF-8, nor all of it in UTF-16$/m,
      );
    }
  });

  it("reads the rest of what holds a line of any length, and names it", async () => {
    await using server = serve({ port: 0 });
    const text = JSON.stringify(await load(server.addr.port));
    const piece = new TextEncoder().encode("x".repeat(65_536));
    const parts = [
      new TextEncoder().encode('at 12:00 {"echo_load":2,"a":"'),
      // No string is that long.
      ...Array(2 ** 29 / piece.length).fill(piece),
      new TextEncoder().encode(`"}\n${text}`),
    ];
    const stdin: Reader = {
      read(p) {
        const part = parts.shift();
        if (!part) return Promise.resolve(null);
        if (part.length > p.length) parts.unshift(part.subarray(p.length));
        p.set(part.subarray(0, p.length));
        return Promise.resolve(Math.min(p.length, part.length));
      },
    };
    const { status, stdout, stderr } = await outcome(
      run(["report"], { stdin }),
    );
    assertEquals([status, stderr], [
      1,
      'echo: line 1 is not counted: longer than 4 MiB: {"echo_load":2,"a":"' +
      `${"x".repeat(20)}...\n`,
    ]);
    assertMatch(stdout, /verified, 0 failed, over 1 connection /);
  });

  it("adds at most 10,000 runs, soon", async () => {
    await using server = serve({ port: 0 });
    const one = await load(server.addr.port);
    const runOf = (at: number) => ({
      ...{ id: `${at}`, address: "127.0.0.1:7", start: one.start },
      ...{ duration_ms: 1000 + at, connections: 1, target_rate: null },
      messages_in_time: at === 0 ? one.messages - one.after_end : 0,
    });
    const many = {
      ...one,
      runs: Array.from({ length: 10_000 }, (_, at) => runOf(at)),
    };
    const lines = [many, one].map((it) => JSON.stringify(it)).join("\n");
    const { status, stdout, stderr } = await merge(lines);
    assertEquals([status, stderr], [
      1,
      "echo: line 2 is not counted: with it there are more than 10,000 runs\n",
    ]);
    assertMatch(stdout, /^10,000 runs merged, /m);
    assertMatch(stdout, /, over 10,000 connections in /);
  });

  it("lets nothing from a result reach the terminal raw", async () => {
    await using server = serve({ port: 0, udp: true });
    using liar = startPeer(changing((bytes) => bytes.fill(0)));
    const both = [await load(liar.port), await load(server.addr.port)]
      .map((it) => JSON.stringify(it)).join("\n");
    const results = [
      JSON.parse((await merge(both, "--json")).stdout),
      await merged(
        await load(server.addr.port, "-r500"),
        await load(server.addr.port, "-r500"),
      ),
      await load(server.addr.port, "--udp"),
    ];
    // ESC, two of C1, overrides of the direction of text, line ends, half a character.
    const evil = "\x1b]0;a\x07\x9b2J\x85\u202e\u2066\u2028\r\n\0\ud800";
    const inText = /[^\n -~▁-█…]/;
    let shown = "";
    for (const result of results) {
      for (const path of [...pathsOf(result), ["error"]]) {
        for (const isKey of [true, false]) {
          const line = JSON.stringify(changed(result, path, isKey, evil));
          for (const stdin of [line, `${evil}${line}`, line.slice(0, -9)]) {
            const { stdout, stderr } = await merge(stdin);
            assertEquals((stdout + stderr).match(inText), null);
            shown += stdout;
          }
          const { stdout, stderr } = await merge(line, "--json");
          assertEquals((stdout + stderr).match(inText), null);
        }
      }
    }
    const escaped = "\\x1b]0;a\\x07\\u{9b}2J\\u{85}\\u{202e}\\u{2066}";
    assert(shown.includes(` mismatch, the first: ${escaped}`));
    assert(shown.includes(`the client was the limit: ${escaped}`));
  });

  it("names what it does not count, and exits with 1", async () => {
    await using server = serve({ port: 0 });
    const { port } = server.addr;
    const result = await load(port);
    const text = JSON.stringify(result);
    const other = await load(port, "-s1k");
    const damaged = { ...result, latency_exact: null, messages: 7 };
    const hdr = "HISTFAAAAB14nJNpmSzMwMDAxAABzFCaEUoz2X+AMIAAA==";
    const { status, stdout, stderr } = await merge([
      "{",
      text,
      JSON.stringify({ ...result, echo_load: 3 }),
      JSON.stringify({ ...result, connections: "\x1b[2J" }),
      JSON.stringify({ seq: 1, rtt_ms: 0.5 }),
      JSON.stringify(other),
      JSON.stringify(damaged),
      JSON.stringify({ ...result, histogram_hdr: hdr }),
      '{"echo_load":2}',
      JSON.stringify({ ...result, failures: { "\x1b": 1 } }),
      `{"echo_load":${"[".repeat(50_000)}${"]".repeat(50_000)}}`,
    ].join("\n"));
    assertEquals(status, 1);
    // Of the whole one the report is there all the same.
    assertMatch(stdout, /verified, 0 failed, over 1 connection in 50 ms/);
    const lines = stderr.split("\n");
    assertEquals(lines.slice(0, 5), [
      "echo: line 3 is not counted: of version 3 of the format, this echo knows version 2",
      "echo: line 4 is not counted: connections is not a count",
      'echo: line 5 is not counted: no result of a load: {"seq":1,"rtt_ms":0.5}',
      "echo: line 6 is not counted: messages of 1 KiB over TCP without --rate, " +
      "not messages of 64 B over TCP without --rate",
      "echo: line 7 is not counted: messages does not fit the other fields",
    ]);
    assertMatch(
      lines[5]!,
      /^echo: line 8 is not counted: histogram_hdr is damaged: /,
    );
    assertEquals(lines.slice(6), [
      "echo: line 9 is not counted: transport is missing",
      'echo: line 10 is not counted: failures has an unknown field "\\x1b"',
      "echo: line 11 is not counted: of another version of the format, this echo " +
      "knows version 2",
      "echo: 1 other line skipped, the first is line 1: {",
      "",
    ]);
  });

  it("names the first ten of many", async () => {
    const { status, stderr } = await merge('{"a":1}\n'.repeat(1012));
    assertEquals(status, 1);
    const lines = stderr.split("\n");
    assertMatch(
      lines[9]!,
      /^echo: line 10 is not counted: no result of a load/,
    );
    assertEquals(lines[10], "echo: 1,002 more are not counted, or never began");
    assertMatch(lines[11]!, /^echo: No result of a load: /);
    assertEquals(lines.length, 13);
  });

  it("exits with 1 when there is nothing", async () => {
    const { status, stdout, stderr } = await merge("");
    assertEquals([status, stdout], [1, ""]);
    assertMatch(stderr, /^echo: No result of a load: .*\n$/);
  });

  it("exits with 1 for what failed, and when a load could not begin", async () => {
    await using server = serve({ port: 0 });
    using liar = startPeer(changing((bytes) => bytes.fill(0)));
    const good = await load(server.addr.port);
    const wrong = await load(liar.port);
    const both = `${JSON.stringify(good)}\n${JSON.stringify(wrong)}`;
    const { status, stdout } = await merge(both, "--fail-if=loss>50%");
    assertEquals(status, 1);
    const others = [server.addr.port, liar.port].map((it) => `127.0.0.1:${it}`);
    assertEquals(
      stdout.split("\n")[0],
      `--- ${others.join(", ")} echo load ---`,
    );
    assertMatch(stdout, /^failed: \d+ mismatch, the first: /m);

    const error = "Cannot connect to 127.0.0.1:1: connection refused";
    const none = {
      ...another(good),
      ...{ messages: 0, after_end: 0, duration_ms: 0, start: null, error },
      ...{ latency_exact: null, histogram_hdr: null, timeline: [], failed: 1 },
      ...{ failures: { refused: 1 }, first_errors: { refused: error } },
    };
    const all = `${JSON.stringify(good)}\n${JSON.stringify(none)}`;
    const refused = await merge(all, "--fail-if=loss>50%");
    assertEquals(refused.status, 1);
    assertEquals(refused.stderr, `echo: 1 of 2 loads failed: ${error}\n`);
    assertMatch(refused.stdout, /^2 runs merged, 1 of which sent nothing$/m);
    const nobody = await merge(JSON.stringify(none));
    assertEquals(
      [nobody.status, nobody.stdout, nobody.stderr],
      [1, "", `echo: ${error}\n`],
    );
  });

  it("tells of a load that was stopped before it began, and exits with 1", async () => {
    await using server = serve({ port: 0 });
    const good = await load(server.addr.port);
    const session = run([
      ...["load", `-p${server.addr.port}`, "-d50ms", "--json"],
      `--start-at=${new Date(Date.now() + 3_600_000).toISOString()}`,
    ], { now: () => new Date(), isTerminal: "stderr" });
    await session.untilStderr(/the load begins in/);
    session.interrupt();
    await session.status;
    const all = `${JSON.stringify(good)}\n${session.stdout}`;
    const { status, stdout, stderr } = await merge(all);
    assertEquals(
      [status, stderr],
      [1, "echo: line 2: the load was stopped before it began\n"],
    );
    assertMatch(stdout, /^2 runs merged, 1 of which sent nothing$/m);
    const alone = await merge(session.stdout);
    assertEquals(alone.status, 1);
    assertMatch(alone.stdout, /^stopped before the load began: /m);
  });

  it("counts no result twice, and exits with 1", async () => {
    await using server = serve({ port: 0 });
    const one = await load(server.addr.port);
    const other = another(one);
    const told = async (...results: Json[]) => {
      const lines = results.map((it) => JSON.stringify(it)).join("\n");
      const { status, stdout, stderr } = await merge(lines, "--json");
      return [status, JSON.parse(stdout).runs?.length ?? 1, stderr];
    };
    const refusal = (what: string) =>
      `echo: line ${what} was counted already, with line 1\n`;
    // The time at which it was printed tells nothing.
    assertEquals(await told(one, other, { ...one, time: START }), [
      ...[1, 2, refusal("3 is not counted: the same result")],
    ]);
    const sum = await merged(one, other);
    assertEquals(await told(sum, other), [
      ...[1, 2, refusal("2 is not counted: the same result")],
    ]);
    assertEquals(await told(one, sum), [
      ...[1, 1, refusal("2 is not counted: 1 of its 2 runs")],
    ]);
    assertEquals(await told(sum, another(one)), [0, 3, ""]);
    // Without an id that cannot be known.
    const { id: _, ...unknown } = one;
    assertEquals(await told(unknown, unknown), [0, 2, ""]);
  });

  it("judges the sum with --fail-if", async () => {
    await using server = serve({ port: 0 });
    const result = await load(server.addr.port);
    const both = [result, another(result)].map((it) => JSON.stringify(it))
      .join("\n");
    const { status, stderr, stdout } = await merge(
      both,
      ...["--json", "--fail-if=rate<10M", "--fail-if=loss>0"],
    );
    assertEquals(status, 3);
    assertMatch(stderr, /^echo: rate<10M: it was .* messages\/s\n$/);
    const { failed_conditions } = JSON.parse(stdout);
    assertEquals(failed_conditions.map((it: Json) => it.condition), [
      "rate<10M",
    ]);
  });

  it("reads files, and names the line of each", async () => {
    await using server = serve({ port: 0 });
    const { port } = server.addr;
    const [one, other] = [await load(port), await load(port)];
    const files = {
      "a.json": `${JSON.stringify(one)}\n`,
      "b.json": `noise\n${JSON.stringify(other)}\n`,
    };
    const read = await outcome(
      run(["report", "a.json", "b.json", "--json"], { files }),
    );
    const { messages } = JSON.parse(read.stdout);
    assertEquals(messages, one.messages + other.messages);
    assertMatch(
      read.stderr,
      /^echo: 1 other line skipped.* b.json line 1: noise$/m,
    );
    const missing = await outcome(
      run(["report", "a.json", "no.json"], { files }),
    );
    assertEquals([missing.status, missing.stdout], [1, ""]);
    assertMatch(missing.stderr, /^echo: Cannot read no\.json: /);
  });
});
