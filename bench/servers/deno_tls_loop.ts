// The usual loop, over TLS: read into a buffer, write until all is sent.

const [port, cert = "", key = ""] = Deno.args;
const listener = Deno.listenTls({
  hostname: "127.0.0.1",
  port: Number(port),
  cert: Deno.readTextFileSync(cert),
  key: Deno.readTextFileSync(key),
});

async function echo(conn: Deno.TlsConn): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  try {
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
