// The usual loop: read into a buffer, write until all is sent.

const listener = Deno.listen({
  hostname: "127.0.0.1",
  port: Number(Deno.args[0]),
});

async function echo(conn: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  try {
    conn.setNoDelay();
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
