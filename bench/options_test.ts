import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { parseCommandLine, UsageError } from "../cli/flags.ts";
import { FLAGS, parseServer, planOf } from "./options.ts";

function plan(...args: string[]) {
  const { values, given } = parseCommandLine(args, FLAGS);
  return planOf(values, given);
}

describe("planOf()", () => {
  it("has more turns in a quick run", () => {
    assertEquals(plan(), { rounds: 5, timeMs: 800, turns: 4 });
    assertEquals(plan("--quick"), { rounds: 3, timeMs: 1200, turns: 12 });
  });

  it("takes what was given, be it the default", () => {
    assertEquals(plan("--quick", "--rounds", "5", "--time=800ms"), {
      ...{ rounds: 5, timeMs: 800, turns: 12 },
    });
  });
});

describe("parseServer()", () => {
  it("takes a command line, with or without a name before it", () => {
    assertEquals(parseServer("deno run --x=1 a.ts -p PORT"), {
      name: "added server",
      transport: "tcp",
      command: "deno run --x=1 a.ts -p PORT",
    });
    assertEquals(parseServer("a82f-11=./echo serve --port=PORT"), {
      name: "a82f-11",
      transport: "tcp",
      command: "./echo serve --port=PORT",
    });
  });

  it("takes a server of datagrams", () => {
    assertEquals(parseServer("mine/udp=./echo --udp PORT"), {
      name: "mine",
      transport: "udp",
      command: "./echo --udp PORT",
    });
  });

  it("takes a server that speaks TLS", () => {
    assertEquals(parseServer("mine/tls=./serve PORT CERT KEY"), {
      name: "mine",
      transport: "tls",
      command: "./serve PORT CERT KEY",
    });
  });

  it("refuses a server that speaks TLS without a key", () => {
    const text = "mine/tls=./serve PORT CERT";
    assertThrows(() => parseServer(text), UsageError, "KEY");
  });

  it("refuses a command line without a port", () => {
    assertThrows(() => parseServer("PORT=./echo serve"), UsageError, "PORT");
    assertThrows(() => parseServer("echo -p IMPORT"), UsageError, "PORT");
  });
});
