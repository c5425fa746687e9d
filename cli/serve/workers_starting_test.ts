import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { deadline } from "@std/async/deadline";
import { describe, it } from "@std/testing/bdd";
import { isNetworkError } from "../../net/errors.ts";
import { serve, type ServeOptions } from "../../server.ts";
import { stopClock } from "../../testing/clock.ts";
import { freePort } from "../../testing/peer.ts";
import { deadEnd } from "../../testing/socket.ts";
import { connectTo, HELLO, roundTrip } from "../../testing/visitor.ts";
import { Mortals, script, untilGone } from "../../testing/workers.ts";
import type { LogOutput } from "./log.ts";
import { serveInWorkers } from "./workers.ts";

const HOSTNAME = "127.0.0.1";

/** A worker that listens until it is told to stop. */
const LISTENING = script(`if (type === "stop") finish(0)`);

/** Starts two workers that do no more than listen. */
function start(
  options: ServeOptions,
  { code = LISTENING, out = { write: () => Promise.resolve(0) } }: {
    code?: URL;
    out?: LogOutput;
  } = {},
) {
  return serveInWorkers({
    ...{ count: 2, style: "none", out, script: code },
    serve: { hostname: HOSTNAME, ...options },
    tell(event) {
      throw new Error(`told ${event.type}`);
    },
  });
}

/** Uses a UDP port, which fails where another does. */
function openDatagrams(port: number): Disposable {
  const socket = Deno.listenDatagram({
    ...{ hostname: HOSTNAME, port, transport: "udp" },
  });
  return { [Symbol.dispose]: () => socket.close() };
}

/** Checks that a start fails as that of a server in one thread does. */
async function assertFailsAsOne(options: ServeOptions): Promise<Error> {
  using threads = new Mortals();
  const error = await assertRejects(() => start(options), Error);
  const one = await assertRejects(async () => {
    await serve({ hostname: HOSTNAME, ...options }).shutdown();
  }, Error);
  assert(isNetworkError(error) && isNetworkError(one));
  const { message, name, operation, address, reason, detail } = one;
  assertEquals(
    [error.message, error.name, error.operation, error.address],
    [message, name, operation, address],
  );
  assertEquals([error.reason, error.detail], [reason, detail]);
  assertEquals(threads.started, 0);
  return error;
}

describe("serveInWorkers()", () => {
  it("says why a worker cannot listen, and ends the others", async () => {
    const listening = Promise.withResolvers<Deno.NetAddr>();
    const out: LogOutput = {
      write(p) {
        listening.resolve(JSON.parse(new TextDecoder().decode(p)));
        return Promise.resolve(0);
      },
    };
    const address = { transport: "tcp", hostname: "::1", port: 7 } as const;
    const failure = {
      ...{ operation: "listen", address, reason: "address_in_use" },
      detail: "address already in use",
    };
    const sent = { name: "AddrInUse", message: "Cannot listen", failure };
    const code = script(
      "",
      `if (index === 1) {
        listen();
        log(JSON.stringify(listener.addr));
      } else tell({ type: "failed", error: ${JSON.stringify(sent)} })`,
    );
    const error = await assertRejects(() => start({ port: 0 }, { code, out }));
    assert(isNetworkError(error));
    assertEquals([error.name, error.message], ["AddrInUse", "Cannot listen"]);
    assertEquals([error.operation, error.reason], ["listen", failure.reason]);
    await untilGone(await listening.promise);
  });

  // Only Linux lets both ask for the same port.
  const itOnLinux = Deno.build.os === "linux" ? it : it.skip;
  for (const reusePort of [false, true]) {
    const what = reusePort ? "a server that shares it" : "another server";
    const itMay = reusePort ? itOnLinux : it;
    itMay(`leaves ${what} on its port alone`, async () => {
      await using server = serve({ port: 0, once: true, reusePort });
      const { port } = server.addr;
      const error = await assertFailsAsOne({ port });
      assertEquals(
        error.message,
        `Cannot listen on 127.0.0.1:${port}: address already in use`,
      );
      // A connection would have been the only one that it serves.
      using conn = await connectTo(server);
      assertEquals(await roundTrip(conn), HELLO);
      assertEquals(server.stats().accepted, 1);
    });
  }

  it("takes a server that does not accept for one", async () => {
    using busy = await deadEnd();
    await assertFailsAsOne({ port: busy.port });
  });

  itOnLinux("does not share its port with one that starts next", async () => {
    const server = await start({ port: 0 });
    await assertFailsAsOne({ port: server.addr.port });
    server.stop();
    await server.finished;
  });

  it("starts at once though another program uses the UDP port", async () => {
    using clock = stopClock();
    const port = freePort();
    using _ = openDatagrams(port);
    const workers = await deadline(start({ port }), 10_000);
    assertEquals([workers.addr.port, clock.timers], [port, 0]);
    workers.stop();
    await workers.finished;
  });

  it("says that a name does not resolve as one thread does", async () => {
    const options = { hostname: "nosuch.invalid", port: freePort() };
    const error = await assertFailsAsOne(options);
    assertMatch(error.message, /: the name does not resolve$/);
  });

  it("says that the machine has no such address as one thread does", async () => {
    const options = { hostname: "192.0.2.1", port: freePort() };
    const error = await assertFailsAsOne(options);
    assertEquals(error.name, "AddrNotAvailable");
  });
});
