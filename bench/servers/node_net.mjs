// The one-liner of Node's net.

import { createServer } from "node:net";

createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => {});
  socket.pipe(socket);
}).listen({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: 4096 });
