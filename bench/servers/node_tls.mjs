// The one-liner of Node's tls.

import { readFileSync } from "node:fs";
import { createServer } from "node:tls";

const [port, cert, key] = process.argv.slice(2);
const options = {
  cert: readFileSync(cert),
  key: readFileSync(key),
  noDelay: true,
};
createServer(options, (socket) => {
  socket.on("error", () => {});
  socket.pipe(socket);
}).listen({ host: "127.0.0.1", port: Number(port), backlog: 4096 });
