// The usual loop: receive a datagram, send it back.

const socket = Deno.listenDatagram({
  transport: "udp",
  hostname: "127.0.0.1",
  port: Number(Deno.args[0]),
});
const buffer = new Uint8Array(64 * 1024);

while (true) {
  const [datagram, sender] = await socket.receive(buffer);
  await socket.send(datagram, sender);
}
