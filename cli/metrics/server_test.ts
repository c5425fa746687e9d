import {
  assertEquals,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { deadline } from "@std/async/deadline";
import { describe, it } from "@std/testing/bdd";
import { stopClock } from "../../testing/clock.ts";
import { replace } from "../../testing/replace.ts";
import { readToEnd } from "../../testing/visitor.ts";
import { encode } from "../command.ts";
import { type Metric, single } from "./exposition.ts";
import { type Health, type MetricsServer, startMetrics } from "./server.ts";

/** A wait of a test that would not end if the code were broken, in milliseconds. */
const LONG_MS = 10_000;

const ADDRESS = { hostname: "127.0.0.1", port: 0 };

/** Starts a server that counts how often it was asked. */
function start(health: () => Health = () => "up") {
  let asked = 0;
  const collect = () => [single("counter", "asked_total", "Asked", ++asked)];
  return startMetrics({ address: ADDRESS, collect, health });
}

function urlOf({ addr }: MetricsServer, path: string): string {
  return `http://127.0.0.1:${addr.port}${path}`;
}

/** Asks, and returns the status, a header and the text. */
async function ask(
  server: MetricsServer,
  path: string,
  method = "GET",
  header = "content-type",
) {
  const response = await fetch(urlOf(server, path), { method });
  return [response.status, response.headers.get(header), await response.text()];
}

/** Sends bytes over a connection of its own, and returns the first answer. */
async function sendRaw(
  { addr: { port } }: MetricsServer,
  text: string,
): Promise<string> {
  const conn = await Deno.connect({ port });
  await conn.write(encode(text));
  return new TextDecoder().decode(await readToEnd(conn));
}

describe("startMetrics()", () => {
  it("serves metrics in the text format, asked for once for a moment", async () => {
    await using server = start();
    const scrape = () => ask(server, "/metrics");
    const scraped = (asked: number) => [
      200,
      "text/plain; version=0.0.4; charset=utf-8",
      "# HELP asked_total Asked\n# TYPE asked_total counter\n" +
      `asked_total ${asked}\n`,
    ];
    const [one, other] = await Promise.all([scrape(), scrape()]);
    assertEquals([one, other], [scraped(1), scraped(1)]);
    let later = one;
    while (later[2] === one[2]) later = await scrape();
    assertEquals(later, scraped(2));
    assertEquals((await ask(server, "/metrics?x=1"))[0], 200);
  });

  it("answers HEAD without a body", async () => {
    await using server = start();
    for (const path of ["/metrics", "/healthz"]) {
      const [, type] = await ask(server, path);
      assertEquals(await ask(server, path, "HEAD"), [200, type, ""]);
    }
  });

  it("tells the health by status and in a word", async () => {
    let health: Health = "up";
    await using server = start(() => health);
    const asked = async () => await ask(server, "/healthz");
    const type = "text/plain; charset=utf-8";
    assertEquals(await asked(), [200, type, "up\n"]);
    health = "draining";
    assertEquals(await asked(), [503, type, "draining\n"]);
    assertEquals((await ask(server, "/metrics"))[0], 200);
    health = "starting";
    assertEquals(await asked(), [503, type, "starting\n"]);
    assertEquals((await ask(server, "/metrics"))[0], 503);
  });

  it("says 404 to another path, whatever the method", async () => {
    await using server = start();
    const paths = ["/", "/metric", "/metrics/", "/Metrics", "//metrics", "/x"];
    for (const path of paths) {
      for (const method of ["GET", "POST"]) {
        const [status, , text] = await ask(server, path, method);
        assertEquals([path, status, text], [
          ...[path, 404, "not found: there are /metrics and /healthz\n"],
        ]);
      }
    }
  });

  it("says 405 to another method, and names those that it takes", async () => {
    await using server = start();
    for (const path of ["/metrics", "/healthz"]) {
      for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"]) {
        assertEquals(await ask(server, path, method, "allow"), [
          ...[405, "GET, HEAD", "method not allowed: GET, HEAD\n"],
        ]);
      }
    }
  });

  it("prints nothing and goes on, whatever it is sent", async () => {
    const printed: string[] = [];
    const record = (...data: unknown[]) => void printed.push(data.join(" "));
    using _log = replace(console, "log", record);
    using _error = replace(console, "error", record);
    await using server = start();
    const end = "Connection: close\r\n\r\n";
    const answers: [sent: string, answer: RegExp][] = [
      ["\x00\xff junk\r\n\r\n", /^HTTP\/1.1 400 /],
      [`GET /metrics HTTP/1.1\r\nHost: [x\r\n${end}`, /^HTTP\/1.1 40[04] /],
      [`OPTIONS * HTTP/1.1\r\nHost: x\r\n${end}`, /^HTTP\/1.1 404 /],
      [`CONNECT x:1 HTTP/1.1\r\nHost: x\r\n${end}`, /^HTTP\/1.1 404 /],
      [`BLAH /metrics HTTP/1.1\r\nHost: x\r\n${end}`, /^HTTP\/1.1 405 /],
      ["GET /healthz HTTP/1.0\r\n\r\n", /^HTTP\/1.0 200 [^]*\r\n\r\nup\n$/],
    ];
    for (const [sent, answer] of answers) {
      assertMatch(await sendRaw(server, sent), answer, sent);
    }
    const tooLong = `GET /${"a".repeat(1 << 20)} HTTP/1.1\r\n\r\n`;
    // It may answer, or break the connection.
    await sendRaw(server, tooLong).catch(() => {});
    assertEquals((await ask(server, "/healthz"))[0], 200);
    assertEquals(printed, []);
  });

  it("says 500 when the metrics cannot be gathered, and prints nothing", async () => {
    const printed: unknown[] = [];
    using _ = replace(console, "error", (it: unknown) => printed.push(it));
    await using server = startMetrics({
      address: ADDRESS,
      collect: () => Promise.reject(new Error("boom")),
      health: () => "up",
    });
    const [status, , text] = await ask(server, "/metrics");
    assertEquals([status, text], [500, "internal error\n"]);
    assertEquals((await ask(server, "/healthz"))[0], 200);
    assertEquals(printed, []);
  });

  it("answers thousands beside clients that never end their request", async () => {
    await using server = start();
    const { port } = server.addr;
    const slow = await Promise.all(Array.from({ length: 100 }, async () => {
      const conn = await Deno.connect({ port });
      await conn.write(encode("GET /metrics HT"));
      return conn;
    }));
    let answered = 0;
    const askMany = async () => {
      for (let times = 0; times < 100; times++) {
        const [status] = await ask(server, "/metrics");
        if (status === 200) answered++;
      }
    };
    await Promise.all(Array.from({ length: 20 }, askMany));
    assertEquals(answered, 2000);
    for (const conn of slow) conn.close();
  });

  it("ends beside a client that does not, and frees the port", async () => {
    const server = start();
    const { port } = server.addr;
    using idle = await Deno.connect({ port });
    await idle.write(encode("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"));
    await idle.read(new Uint8Array(1000));
    using slow = await Deno.connect({ port });
    await slow.write(encode("GET /metr"));
    // Its bytes are read before the next client is answered.
    assertEquals((await ask(server, "/healthz"))[0], 200);
    await deadline(Promise.resolve(server[Symbol.asyncDispose]()), LONG_MS);
    Deno.listen({ hostname: "127.0.0.1", port }).close();
  });

  /** Starts a server that is asked, and ends before it has gathered the metrics. */
  async function startEnding() {
    const asked = Promise.withResolvers<void>();
    const gathered = Promise.withResolvers<Metric[]>();
    const server = startMetrics({
      address: ADDRESS,
      collect() {
        asked.resolve();
        return gathered.promise;
      },
      health: () => "up",
    });
    const asking = ask(server, "/metrics");
    // It may be cut off before a test awaits it.
    asking.catch(() => {});
    await asked.promise;
    return { asking, gathered, ended: server[Symbol.asyncDispose]() };
  }

  it("gives an answer that is under way at the end", async () => {
    using clock = stopClock();
    const { asking, gathered, ended } = await startEnding();
    await clock.pass(49);
    gathered.resolve([]);
    assertEquals((await asking)[0], 200);
    await clock.pass(1);
    await deadline(Promise.resolve(ended), LONG_MS);
    assertEquals(clock.timers, 0);
  });

  it("waits no longer than 50 ms for it", async () => {
    using clock = stopClock();
    const { asking, ended } = await startEnding();
    await clock.pass(50);
    await clock.pass(1);
    await deadline(Promise.resolve(ended), LONG_MS);
    await assertRejects(() => asking);
  });

  it("listens again when it could not accept", async () => {
    const serve = Deno.serve;
    const failing = Promise.withResolvers<never>();
    let started = 0;
    using _ = replace(
      Deno,
      "serve",
      ((options: Deno.ServeTcpOptions, handler: Deno.ServeHandler) => {
        started++;
        if (started === 2) throw new Error("Too many open files");
        const server = serve(options, handler);
        if (started > 1) return server;
        // As when there is no descriptor for a client: the listener is closed.
        const finished = failing.promise.catch(async (error) => {
          await server.shutdown();
          throw error;
        });
        return { addr: server.addr, finished, shutdown: () => finished };
      }) as unknown as typeof Deno.serve,
    );
    await using server = start();
    assertEquals((await ask(server, "/healthz"))[0], 200);
    failing.reject(new Deno.errors.Http("Too many open files"));
    const answered = async () => {
      try {
        return (await ask(server, "/healthz"))[0];
      } catch {
        return undefined;
      }
    };
    // The first server may answer until it is gone.
    while (started < 3) await answered();
    assertEquals([await answered(), started], [200, 3]);
  });

  it("ends while it cannot listen again", async () => {
    const error = new Deno.errors.Http("Too many open files");
    using _ = replace(
      Deno,
      "serve",
      (() => {
        const addr = { ...ADDRESS, transport: "tcp" };
        const finished = Promise.reject(error);
        finished.catch(() => {});
        return { addr, finished, shutdown: () => finished };
      }) as unknown as typeof Deno.serve,
    );
    const server = start();
    await deadline(Promise.resolve(server[Symbol.asyncDispose]()), LONG_MS);
  });

  it("says why it cannot listen, and what to try", async () => {
    await using server = start();
    const { port } = server.addr;
    const refusals: [hostname: string, port: number, why: string][] = [
      [
        ...["127.0.0.1", port] as const,
        `Cannot serve metrics on 127.0.0.1:${port}: address already in use, ` +
        "choose another port with --metrics",
      ],
      [
        ...["192.0.2.1", 0] as const,
        "Cannot serve metrics on 192.0.2.1:0: this machine has no such address, " +
        "choose an address of its own with --metrics",
      ],
    ];
    for (const [hostname, port, why] of refusals) {
      const address = { hostname, port };
      const collect = () => [];
      assertThrows(
        () => startMetrics({ address, collect, health: () => "up" }),
        Error,
        why,
      );
    }
  });
});
