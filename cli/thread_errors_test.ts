import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { isNetworkError, networkError } from "../net/errors.ts";
import { fromSent, toSent } from "./thread_errors.ts";

/** Sends an error to another thread and back. */
function crossed(error: unknown): Error {
  return fromSent(structuredClone(toSent(error)));
}

describe("toSent() and fromSent()", () => {
  it("keep an error's name and message", () => {
    const error = crossed(new TypeError("no such thing"));
    assert(error instanceof Error);
    assertEquals([error.name, error.message], ["TypeError", "no such thing"]);
    assertEquals(isNetworkError(error), false);
    const thrown = crossed("no error");
    assertEquals([thrown.name, thrown.message], ["Error", "no error"]);
  });

  it("keep what failed, where and why", () => {
    const address = { transport: "tcp", hostname: "::1", port: 7 } as const;
    const cause = new Deno.errors.AddrInUse("x (os error 98)");
    const error = crossed(networkError("listen", address, cause));
    assertEquals(
      error.message,
      "Cannot listen on [::1]:7: address already in use",
    );
    assertEquals({ ...error }, {
      ...{ name: "AddrInUse", operation: "listen", address },
      ...{ reason: "address_in_use", detail: "address already in use" },
    });
  });
});
