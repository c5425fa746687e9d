// The usual server of Node's dgram.

import { createSocket } from "node:dgram";

const socket = createSocket("udp4");
socket.on("message", (datagram, { port, address }) => {
  socket.send(datagram, port, address);
});
socket.bind(Number(process.argv[2]), "127.0.0.1");
