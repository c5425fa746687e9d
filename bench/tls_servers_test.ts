import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { parseServer } from "./options.ts";
import { isOurs } from "./servers.ts";
import { listTlsServers, TLS_NAMES } from "./tls_servers.ts";

const FILES = { cert: "/tmp/c PORT.pem", key: "/tmp/k.pem" };

function list(versions: Record<string, string>, added?: string) {
  return listTlsServers(
    { versions, missing: [] },
    "go" in versions ? { goroutinesTls: "/tmp/go" } : {},
    FILES,
    added === undefined ? undefined : parseServer(added),
  );
}

describe("listTlsServers()", () => {
  it("has those that this machine can start, ours first", () => {
    const names = list({ node: "20", go: "1.19" }).map(({ name }) => name);
    assertEquals(names, [
      TLS_NAMES.ours,
      TLS_NAMES.loop,
      TLS_NAMES.node,
      "Go crypto/tls",
    ]);
    assertEquals(names.filter(isOurs), [TLS_NAMES.ours]);
    const fewest = list({}).map(({ name }) => name);
    assertEquals(fewest, [TLS_NAMES.ours, TLS_NAMES.loop]);
  });

  it("gives each server its port and the files, and one transport", () => {
    for (const { command, transport } of list({ node: "20", go: "1.19" })) {
      const line = command(4711);
      for (const word of ["4711", FILES.cert, FILES.key]) {
        assertEquals(line.filter((it) => it === word), [word]);
      }
      assertEquals(transport, "tls");
    }
  });

  it("adds a server of TLS, and no other", () => {
    const [, added] = list({}, "mine/tls=./serve -p=PORT CERT KEY");
    assertEquals(added!.name, "mine");
    const line = ["./serve", "-p=4711", FILES.cert, FILES.key];
    assertEquals(added!.command(4711), line);
    assertEquals(list({}, "mine=./serve PORT").length, list({}).length);
  });
});
