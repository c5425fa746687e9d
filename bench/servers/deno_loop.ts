// The usual loop: read into a buffer, write until all is sent.

const [port, cert, key] = Deno.args;
const address = { hostname: "127.0.0.1", port: Number(port) };
const listener = cert && key
  ? Deno.listenTls({
    ...address,
    cert: Deno.readTextFileSync(cert),
    key: Deno.readTextFileSync(key),
  })
  : Deno.listen(address);

async function echo(conn: Deno.TcpConn | Deno.TlsConn): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  try {
    if ("setNoDelay" in conn) conn.setNoDelay();
    while (true) {
      const length = await conn.read(buffer);
      if (length === null) break;
      for (let sent = 0; sent < length;) {
        sent += await conn.write(buffer.subarray(sent, length));
      }
    }
  } catch {
    // The client is gone.
  }
  conn.close();
}

for await (const conn of listener) echo(conn);
