import { assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { serve } from "../../server.ts";
import type { Writer } from "../../net/streams.ts";
import { serveInWorkers } from "./workers.ts";

const OPTIONS = { hostname: "127.0.0.1", port: 0 };
const NOWHERE: Writer = { write: (p) => Promise.resolve(p.length) };

/** A worker's code, which `deno test` may not read from a file. */
function script(code: string): URL {
  return new URL(`data:text/javascript,${encodeURIComponent(code)}`);
}

const LISTENING = `
  const addr = { transport: "tcp", hostname: "127.0.0.1", port: 1 };
  const tell = (message) => postMessage(message);
  const listen = () => tell({ type: "listening", addr });
`;

describe("serveInWorkers()", () => {
  it("adds up what its workers did, and logs what they say", async () => {
    const logged: string[] = [];
    const out: Writer = {
      write(p) {
        logged.push(new TextDecoder().decode(p));
        return Promise.resolve(p.length);
      },
    };
    const server = await serveInWorkers(
      3,
      OPTIONS,
      "text",
      out,
      script(`${LISTENING}
        onmessage = ({ data: { type, isOpen } }) => {
          if (type === "serve") listen();
          if (type === "count open") tell({ type: "open", count: 2 });
          if (type === "shutdown") {
            tell({ type: "log", lines: new TextEncoder().encode("bye\\n") });
          }
          if (type === "log written" && isOpen) {
            tell({
              type: "finished",
              stats: { accepted: 5, open: 0, bytes: 7 },
            });
          }
        };
      `),
    );
    assertEquals(await server.countOpen(), 6);
    server.shutdown();
    assertEquals(await server.finished, { accepted: 15, open: 0, bytes: 21 });
    assertEquals(logged, ["bye\n", "bye\n", "bye\n"]);
  });

  it("tells its workers when the log is closed", async () => {
    const server = await serveInWorkers(
      1,
      OPTIONS,
      "text",
      { write: () => Promise.reject(new Error("closed")) },
      script(`${LISTENING}
        onmessage = ({ data: { type, isOpen } }) => {
          if (type === "serve") {
            listen();
            tell({ type: "log", lines: new Uint8Array(1) });
          }
          if (type === "log written") {
            const accepted = isOpen ? 0 : 1;
            tell({ type: "finished", stats: { accepted, open: 0, bytes: 0 } });
          }
        };
      `),
    );
    assertEquals((await server.finished).accepted, 1);
  });

  it("ends as a whole when a worker dies", async () => {
    const server = await serveInWorkers(
      2,
      OPTIONS,
      "none",
      NOWHERE,
      script(`${LISTENING}
        onmessage = ({ data: { type } }) => {
          if (type === "serve") listen();
          if (type === "stop") tell({ type: "failed", message: "boom" });
        };
      `),
    );
    server.stop();
    await assertRejects(
      () => server.finished,
      Error,
      " died: boom",
    );
  });

  it("says why a worker cannot listen", async () => {
    const fail = script(`
      onmessage = () => postMessage({
        type: "failed",
        name: "AddrInUse",
        message: "Cannot listen",
      });
    `);
    const error = await assertRejects(
      () => serveInWorkers(2, OPTIONS, "none", NOWHERE, fail),
      Error,
      "Cannot listen",
    );
    assertEquals((error as Error).name, "AddrInUse");
  });

  it("shares its port with nobody else", async () => {
    await using server = serve(OPTIONS);
    await assertRejects(
      () =>
        serveInWorkers(
          2,
          { ...OPTIONS, port: server.addr.port },
          "none",
          NOWHERE,
        ),
      Deno.errors.AddrInUse,
      "address already in use",
    );
  });
});
