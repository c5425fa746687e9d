import { assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { stopClock } from "../testing/clock.ts";
import { replace } from "../testing/replace.ts";
import { warmUp } from "./warm_up.ts";

const HELLO = new TextEncoder().encode("hello");

const OPTIONS = { retryMs: 0, onIrregular() {} };

describe("warmUp()", () => {
  it("measures a server of its own, which is gone then", async () => {
    let port = 0;
    const isWarm = await warmUp("tcp", async (connect) => {
      const { signal } = new AbortController();
      const client = await connect({ ...OPTIONS, signal });
      assertEquals((await client.echo(HELLO)).bytes, 5);
      assertEquals(client.remoteAddr.hostname, "127.0.0.1");
      port = client.remoteAddr.port;
      await client.end();
    });
    assertEquals(isWarm, true);
    await assertRejects(
      () => Deno.connect({ hostname: "127.0.0.1", port }),
      Deno.errors.ConnectionRefused,
    );
  });

  it("does not wait for a client that stays", async () => {
    const stay = new AbortController();
    const isWarm = await warmUp("tcp", async (connect) => {
      const client = await connect({ ...OPTIONS, signal: stay.signal });
      await client.echo(HELLO);
    });
    assertEquals(isWarm, true);
    stay.abort();
  });

  it("is false when measuring fails, without an error", async () => {
    const fail = () => Promise.reject(new Error("no histogram"));
    assertEquals(await warmUp("tcp", fail), false);
  });

  it("is false when nothing was measured", async () => {
    assertEquals(await warmUp("tcp", () => Promise.resolve()), false);
  });

  it("takes a second at most, where nothing arrives", async () => {
    using clock = stopClock();
    let isOver = false;
    const isWarm = await warmUp("tcp", async (_connect, signal) => {
      const over = new Promise((resolve) => signal.onabort = resolve);
      await clock.pass(999);
      assertEquals(signal.aborted, false);
      await clock.pass(1);
      await over;
      isOver = true;
    });
    assertEquals([isWarm, isOver, clock.timers], [false, true, 0]);
  });

  it("does not listen without the right to, nor ask for it", async () => {
    const status = { state: "prompt" } as Deno.PermissionStatus;
    const asked: unknown[] = [];
    using _right = replace(Deno.permissions, "querySync", (descriptor) => {
      asked.push(descriptor);
      return status;
    });
    let isMeasured = false;
    const isWarm = await warmUp("tcp", () => {
      isMeasured = true;
      return Promise.resolve();
    });
    assertEquals([isWarm, isMeasured], [false, false]);
    assertEquals(asked, [{ name: "net", host: "127.0.0.1" }]);
  });
});
