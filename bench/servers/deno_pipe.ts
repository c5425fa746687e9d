// The one-liner of Deno's documentation.

const listener = Deno.listen({
  hostname: "127.0.0.1",
  port: Number(Deno.args[0]),
});

for await (const conn of listener) {
  conn.readable.pipeTo(conn.writable).catch(() => {});
}
