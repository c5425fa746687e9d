import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { connect, MismatchError, ShortEchoError } from "../client.ts";
import { noReplyError } from "../client/errors.ts";
import { networkError } from "../net/errors.ts";
import { freePort } from "../testing/peer.ts";
import { failureReason, UnansweredError } from "./failure.ts";

const ADDRESS = { transport: "tcp", hostname: "192.0.2.1", port: 7 } as const;
const PROGRESS = { sent: 5, received: 3 };

describe("failureReason()", () => {
  it("tells that nothing listened", async () => {
    const error = await connect({ port: freePort() }).catch((error) => error);
    assertEquals(failureReason(error), "refused");
  });

  it("tells that no connection or no reply came in time", () => {
    const error = new Deno.errors.TimedOut("timed out after 5 s");
    for (
      const late of [
        networkError("connect", ADDRESS, error),
        noReplyError(ADDRESS, 5000, PROGRESS),
      ]
    ) {
      assertEquals(failureReason(late), "timeout");
    }
  });

  it("tells how the connection ended", () => {
    const { ConnectionReset, ConnectionAborted, BrokenPipe } = Deno.errors;
    for (const Broken of [ConnectionReset, ConnectionAborted, BrokenPipe]) {
      const error = new Broken("Broken (os error 1)");
      assertEquals(failureReason(error), "reset");
      const short = new ShortEchoError(ADDRESS, PROGRESS, error);
      assertEquals(failureReason(short), "reset");
    }
    const closed = new ShortEchoError(ADDRESS, PROGRESS);
    assertEquals(failureReason(closed), "closed");
  });

  it("tells that other bytes came back", () => {
    const difference = {
      ...{ offset: 1, sent: 2, received: 3 },
      ...{ reply: new Uint8Array(), expected: new Uint8Array() },
    };
    const error = new MismatchError(ADDRESS, difference);
    assertEquals(failureReason(error), "mismatch");
  });

  it("tells that the server's name did not resolve", () => {
    const error = new Error(
      "failed to lookup address information: Name or service not known",
    );
    assertEquals(failureReason(error), "dns");
    assertEquals(failureReason(networkError("connect", ADDRESS, error)), "dns");
  });

  it("tells that the run ended first", () => {
    const error = new UnansweredError();
    assertEquals(failureReason(error), "unanswered");
    assertEquals(error.name, "UnansweredError");
    assertEquals(error.message, "No answer when the run ended");
  });

  it("has one word for all that no report tells apart", () => {
    const { AddrNotAvailable, PermissionDenied } = Deno.errors;
    for (
      const error of [
        new AddrNotAvailable("no such address (os error 99)"),
        new PermissionDenied("permission denied (os error 13)"),
        new ShortEchoError(ADDRESS, PROGRESS, new Error("something else")),
        new Error("something else"),
        "no error at all",
      ]
    ) {
      assertEquals(failureReason(error), "error");
    }
  });
});
