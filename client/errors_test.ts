import { assertEquals, assertInstanceOf, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { isNetworkError } from "../net/errors.ts";
import { REMOTE } from "../testing/socket.ts";
import { MismatchError, noReplyError, ShortEchoError } from "./errors.ts";

/** The fields that every failure has, and the name of its class. */
function failureOf(error: Error) {
  const { name, operation, address, reason, detail } = error as MismatchError;
  return { name, operation, address, reason, detail };
}

/** A difference far inside a message. */
const UNKNOWN = { reply: new Uint8Array(), expected: new Uint8Array(64) };

describe("MismatchError", () => {
  it("names the offset and both bytes", () => {
    const error = new MismatchError(REMOTE, {
      ...UNKNOWN,
      ...{ offset: 1_234_567, sent: 0x41, received: 0x0a },
    });
    const detail = "byte at offset 1,234,567 differs, " +
      "sent 0x41, received 0x0a";
    assertEquals(error.message, `Wrong echo from 192.0.2.1:7: ${detail}`);
    assertEquals(failureOf(error), {
      name: "MismatchError",
      operation: "echo",
      address: REMOTE,
      reason: "mismatch",
      detail,
    });
    const { offset, sent, received } = error;
    assertEquals([offset, sent, received], [1_234_567, 0x41, 0x0a]);
    assertInstanceOf(error, Error);
    assertEquals(isNetworkError(error), true);
  });

  it("says that more came back than was sent", () => {
    const error = new MismatchError(REMOTE, {
      ...UNKNOWN,
      ...{ offset: 5, sent: undefined, received: 0xff },
    });
    assertEquals(
      error.message,
      "Wrong echo from 192.0.2.1:7: more came back than was sent: 0xff at " +
        "offset 5",
    );
    assertEquals(error.sent, undefined);
  });

  it("quotes what came twice", () => {
    const hello = new TextEncoder().encode("hello\n");
    const { detail } = new MismatchError(REMOTE, {
      ...{ offset: 6, sent: undefined, received: 0x68 },
      ...{ reply: hello, expected: hello },
    });
    assertEquals(detail, 'more came back than was sent: "hello\\n"');
  });

  it("takes a zero for a byte", () => {
    const { detail } = new MismatchError(REMOTE, {
      ...UNKNOWN,
      ...{ offset: 0, sent: 0, received: 1 },
    });
    assertEquals(
      detail,
      "byte at offset 0 differs, sent 0x00, received 0x01",
    );
  });
});

describe("MismatchError of text", () => {
  const encode = (text: string) => new TextEncoder().encode(text);
  const detailOf = (reply: string, expected: string, sent = 0x48) =>
    new MismatchError(REMOTE, {
      ...{ offset: 0, sent, received: 0x32 },
      ...{ reply: encode(reply), expected: encode(expected) },
    }).detail;

  it("shows what another kind of server answers", () => {
    const hello = "Hello server, this is from the client";
    assertEquals(
      detailOf("220 mail.example ESMTP\r\n", hello),
      '"220 mail.example ESMTP\\r\\n" came back, this is not an echo server',
    );
    // The first letter is the same by chance.
    assertMatch(detailOf("HTTP/1.1 400 Bad Request\r\n", hello), /^"HTTP/);
    assertMatch(detailOf("HELLO", "hello"), /^"HELLO"/);
  });

  it("takes an echo with a few wrong bytes, and no text, for an echo", () => {
    for (
      const [reply, expected] of [
        ...[["Hellx server", "Hello server"], ["xy", "hello"], ["", "hello"]],
        ...[["hello", "hello"], ["220\x1b mail", "hello"], ["café", "hello"]],
      ] as const
    ) {
      assertMatch(detailOf(reply, expected), /^byte at offset 0 differs/);
    }
  });
});

describe("ShortEchoError", () => {
  it("tells that the server ended the connection, and how much came", () => {
    const error = new ShortEchoError(REMOTE, { sent: 3000, received: 1024 });
    const detail = "connection closed by server, 1,024 of 3,000 B came back";
    assertEquals(error.message, `Short echo from 192.0.2.1:7: ${detail}`);
    assertEquals(failureOf(error), {
      name: "ShortEchoError",
      operation: "echo",
      address: REMOTE,
      reason: "closed",
      detail,
    });
    const { sent, received, ending, cause } = error;
    assertEquals([sent, received], [3000, 1024]);
    assertEquals(ending, "connection closed by server");
    assertEquals(cause, undefined);
    assertInstanceOf(error, Error);
    assertEquals(isNetworkError(error), true);
  });

  it("tells what broke the connection", () => {
    const cause = new Deno.errors.ConnectionReset(
      "Connection reset by peer (os error 104)",
    );
    const progress = { sent: 5, received: 0 };
    const error = new ShortEchoError(REMOTE, progress, cause);
    assertEquals(
      error.message,
      "Short echo from 192.0.2.1:7: connection reset by peer, " +
        "0 of 5 B came back",
    );
    assertEquals(error.reason, "reset");
    assertEquals(error.ending, "connection reset by peer");
    assertEquals(error.cause, cause);
  });

  it("says when all that was sent came back", () => {
    const progress = { sent: 1500, received: 1500 };
    const { detail } = new ShortEchoError(REMOTE, progress);
    assertEquals(
      detail,
      "connection closed by server, all 1,500 B sent so far came back",
    );
  });
});

describe("noReplyError()", () => {
  it("tells how long the client waited, and how much came", () => {
    const error = noReplyError(REMOTE, 1500, { sent: 5000, received: 4999 });
    assertInstanceOf(error, Deno.errors.TimedOut);
    const detail = "4,999 of 5,000 B came back";
    assertEquals(
      error.message,
      `No reply from 192.0.2.1:7 within 1.5 s: ${detail}`,
    );
    assertEquals(failureOf(error), {
      name: "TimedOut",
      operation: "echo",
      address: REMOTE,
      reason: "timeout",
      detail,
    });
  });

  it("puts an IPv6 address in brackets", () => {
    const address = { ...REMOTE, hostname: "::1" };
    const { message } = noReplyError(address, 5, { sent: 1, received: 0 });
    assertEquals(
      message,
      "No reply from [::1]:7 within 0.005 s: 0 of 1 B came back",
    );
  });
});
