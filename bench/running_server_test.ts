import { assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { waitForDatagram } from "./running_server.ts";

const LOCAL = { transport: "udp", hostname: "127.0.0.1" } as const;

/** Takes a UDP port that answers nothing. */
function silentSocket() {
  const socket = Deno.listenDatagram({ ...LOCAL, port: 0 });
  return Object.assign(socket, { [Symbol.dispose]: () => socket.close() });
}

describe("waitForDatagram()", () => {
  it("goes on until a datagram comes back", async () => {
    using server = silentSocket();
    const { port } = server.addr as Deno.NetAddr;
    const waiting = waitForDatagram(port, new AbortController().signal);
    // The first one is lost.
    await server.receive();
    const [datagram, sender] = await server.receive();
    await server.send(datagram, sender);
    await waiting;
  });

  it("ends with the reason of its signal", async () => {
    using server = silentSocket();
    const { port } = server.addr as Deno.NetAddr;
    const ended = new AbortController();
    const waiting = waitForDatagram(port, ended.signal);
    await server.receive();
    ended.abort(new Error("the server ended"));
    await assertRejects(() => waiting, Error, "the server ended");
  });
});
