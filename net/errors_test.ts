import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertStrictEquals,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  describeError,
  type Failure,
  isNetworkError,
  isReset,
  networkError,
  type Reason,
  reasonOf,
  withFields,
} from "./errors.ts";

const ADDRESS = { transport: "tcp", hostname: "::1", port: 7 } as const;

const { errors } = Deno;

/** Errors as the system gives them, with what is made of them. */
const SYSTEM_ERRORS: [error: Error, reason: Reason, words: string][] = [
  [
    new errors.AddrInUse("Only one usage of each … (os error 10048)"),
    "address_in_use",
    "address already in use",
  ],
  [
    new errors.AddrNotAvailable(
      "Cannot assign requested address (os error 99)",
    ),
    "no_such_address",
    "this machine has no such address",
  ],
  [
    new errors.BrokenPipe("Broken pipe (os error 32)"),
    "reset",
    "connection closed by peer",
  ],
  [
    new errors.ConnectionAborted("Software caused abort (os error 103)"),
    "reset",
    "connection aborted",
  ],
  [
    new errors.ConnectionRefused("Actively refused (os error 10061)"),
    "refused",
    "connection refused",
  ],
  [
    new errors.ConnectionReset("An existing connection … (os error 10054)"),
    "reset",
    "connection reset by peer",
  ],
  [
    new errors.PermissionDenied("An attempt was made … (os error 10013)"),
    "permission_denied",
    "permission denied",
  ],
  [
    new errors.TimedOut("Connection timed out (os error 110)"),
    "timeout",
    "timed out",
  ],
];

/** Errors as Linux has them for a route that leads nowhere. */
const UNREACHABLE: [error: Error, code: string, words: string][] = [
  [
    new Error("No route to host (os error 113)"),
    ...["EHOSTUNREACH", "no route to host"] as const,
  ],
  [
    new errors.NetworkUnreachable("Network is unreachable (os error 101)"),
    ...["ENETUNREACH", "network is unreachable"] as const,
  ],
  [
    new errors.PermissionDenied("Permission denied (os error 13)"),
    ...["EACCES", "permission denied"] as const,
  ],
  [
    new TypeError("Invalid argument (os error 22)"),
    ...["EINVAL", "invalid argument"] as const,
  ],
];

/** Deno's error of a failed name look-up. */
const FAILED_LOOKUP = new Error(
  "failed to lookup address information: Name or service not known",
);

describe("describeError()", () => {
  it("says what an error of the system means, in the same words everywhere", () => {
    for (const [error, _, words] of SYSTEM_ERRORS) {
      assertEquals(describeError(error), words);
    }
  });

  it("says that a client has no port left, where a server has no such address", () => {
    for (const error of [errors.AddrNotAvailable, errors.AddrInUse]) {
      const cause = new error("Cannot assign requested address (os error 99)");
      assertEquals(
        networkError("connect", ADDRESS, cause).detail,
        "no free local port (net.ipv4.ip_local_port_range), or no such local " +
          "address",
      );
    }
    const none = new errors.AddrNotAvailable("Not available (os error 99)");
    assertEquals(
      networkError("listen", ADDRESS, none).detail,
      "this machine has no such address",
    );
  });

  it("leaves an identifier as it is spelled", () => {
    for (const words of ["Deno.connect is none", "IPv6 is off", "E2E(x)"]) {
      assertEquals(describeError(new TypeError(words)), words);
    }
  });

  it("says that a name does not resolve", () => {
    assertEquals(describeError(FAILED_LOOKUP), "the name does not resolve");
  });

  it("keeps what is said beyond the system's words", () => {
    assertEquals(
      describeError(new errors.TimedOut("No reply within 5 s")),
      "no reply within 5 s",
    );
    assertEquals(
      describeError(new Error("Too many open files (os error 24)")),
      "too many open files",
    );
    assertEquals(
      describeError(new errors.TimedOut("Slow (os error 110) today")),
      "slow (os error 110) today",
    );
    assertEquals(describeError(new Error("")), "");
  });

  it("renders what is no error", () => {
    assertEquals(describeError("Stopped"), "Stopped");
    assertEquals(describeError(undefined), "undefined");
  });
});

describe("reasonOf()", () => {
  it("tells errors apart", () => {
    for (const [error, reason] of SYSTEM_ERRORS) {
      assertEquals(reasonOf(error), reason);
    }
    assertEquals(reasonOf(FAILED_LOOKUP), "dns");
    assertEquals(reasonOf(new Error("no")), "other");
    for (const none of ["refused", undefined, null, { name: "TimedOut" }]) {
      assertEquals(reasonOf(none), "other");
    }
  });

  it("knows a route that leads nowhere, where one is asked for", () => {
    for (const [error, code, words] of UNREACHABLE) {
      const cause = Object.assign(error, { code });
      for (const operation of ["connect", "send"] as const) {
        const { reason, detail } = networkError(operation, ADDRESS, cause);
        assertEquals([reason, detail], ["unreachable", words]);
      }
    }
    const reasons = UNREACHABLE.map(([error]) => reasonOf(error, "listen"));
    assertEquals(reasons.slice(2), ["permission_denied", "other"]);
  });

  it("gives an error's own reason precedence", () => {
    const error = networkError(
      "connect",
      ADDRESS,
      new errors.ConnectionReset("Connection reset (os error 104)"),
    );
    const closed = withFields(error, { ...error, reason: "closed" });
    assertEquals(reasonOf(closed), "closed");
    assert(!isReset(closed));
  });
});

describe("isReset()", () => {
  it("is true of a connection that the other side broke, alone", () => {
    assertEquals(
      SYSTEM_ERRORS.filter(([error]) => isReset(error))
        .map(([error]) => error.name),
      ["BrokenPipe", "ConnectionAborted", "ConnectionReset"],
    );
    assert(!isReset(new Error("reset")));
    assert(!isReset("reset"));
  });
});

describe("networkError()", () => {
  it("says what could not be done, where and why", () => {
    const cause = new errors.TimedOut("Timed out (os error 110)");
    const why = "timed out";
    assertEquals(
      networkError("listen", ADDRESS, cause).message,
      `Cannot listen on [::1]:7: ${why}`,
    );
    assertEquals(
      networkError("accept", ADDRESS, cause).message,
      `Cannot accept a connection on [::1]:7: ${why}`,
    );
    assertEquals(
      networkError("connect", ADDRESS, cause).message,
      `Cannot connect to [::1]:7: ${why}`,
    );
  });

  it("has the class of its cause, its cause, and fields", () => {
    for (const [cause, reason, detail] of SYSTEM_ERRORS) {
      const error = networkError("listen", ADDRESS, cause);
      assertStrictEquals(error.constructor, cause.constructor);
      assertStrictEquals(error.cause, cause);
      const { operation, address } = error;
      assertEquals(
        { operation, address, reason: error.reason, detail: error.detail },
        { operation: "listen", address: ADDRESS, reason, detail },
      );
    }
  });

  it("has a plain class where the cause's own takes no message", () => {
    class OwnError extends Error {}
    const several = new AggregateError([new Error("one")], "All failed");
    for (const cause of [several, new OwnError("Own one")]) {
      const error = networkError("connect", ADDRESS, cause);
      assertStrictEquals(error.constructor, Error);
      assertStrictEquals(error.cause, cause);
      assertMatch(error.message, /^Cannot connect to \[::1\]:7: (all|own) /);
    }
  });

  it("says why in the words of a cause that says it itself", () => {
    const cause = networkError(
      "connect",
      ADDRESS,
      new errors.TimedOut("Connection timed out (os error 110)"),
    );
    const elsewhere = { ...ADDRESS, hostname: "localhost" };
    const error = networkError("connect", elsewhere, cause);
    assertEquals(error.message, "Cannot connect to localhost:7: timed out");
    assertEquals([error.reason, error.detail], ["timeout", "timed out"]);
    assertEquals(error.address, elsewhere);
  });

  it("takes what is no error as a cause", () => {
    const error = networkError("listen", ADDRESS, "Stopped");
    assertInstanceOf(error, Error);
    assertEquals(error.message, "Cannot listen on [::1]:7: Stopped");
    assertEquals([error.reason, error.cause], ["other", "Stopped"]);
  });
});

describe("isNetworkError()", () => {
  it("is true of this project's errors alone", () => {
    assert(isNetworkError(networkError("listen", ADDRESS, new Error("no"))));
    const fields = { operation: "listen", reason: "other" };
    assert(!isNetworkError(fields));
    assert(!isNetworkError(undefined));
    assert(!isNetworkError(new Error("no")));
    assert(!isNetworkError(Object.assign(new Error("no"), { reason: "no" })));
    assert(
      !isNetworkError(Object.assign(new Error("no"), { operation: "no" })),
    );
  });
});

describe("withFields()", () => {
  it("returns the same error", () => {
    const error = new RangeError("no");
    const failure: Failure = {
      operation: "echo",
      address: ADDRESS,
      reason: "mismatch",
      detail: "other bytes",
    };
    assertStrictEquals<Error>(withFields(error, failure), error);
    assertEquals<unknown>({ ...error }, failure);
  });
});
