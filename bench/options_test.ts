import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { UsageError } from "../cli/flags.ts";
import { parseServer } from "./options.ts";

describe("parseServer()", () => {
  it("takes a command line, with or without a name before it", () => {
    assertEquals(parseServer("deno run --x=1 a.ts -p PORT"), {
      name: "added server",
      command: "deno run --x=1 a.ts -p PORT",
    });
    assertEquals(parseServer("a82f-11=./echo serve --port=PORT"), {
      name: "a82f-11",
      command: "./echo serve --port=PORT",
    });
  });

  it("refuses a command line without a port", () => {
    assertThrows(() => parseServer("PORT=./echo serve"), UsageError, "PORT");
    assertThrows(() => parseServer("echo -p IMPORT"), UsageError, "PORT");
  });
});
