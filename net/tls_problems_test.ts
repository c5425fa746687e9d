import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { tlsProblem } from "./tls_problems.ts";

function problem(message: string) {
  return tlsProblem(new Deno.errors.InvalidData(message));
}

describe("tlsProblem()", () => {
  it("reads what the library says", () => {
    const invalid = "invalid peer certificate: ";
    const cases = {
      [`${invalid}UnknownIssuer`]: "tls_untrusted",
      [`${invalid}Other(OtherError(CaUsedAsEndEntity))`]: "tls_authority",
      [`${invalid}BadSignature`]: "tls_untrusted",
      [`${invalid}BadEncoding`]: "tls",
      [`${invalid}certificate not valid for name "a"`]: "tls_wrong_name",
      // Another name would not help.
      [
        `${invalid}certificate not valid for name "a"; certificate is not ` +
        "valid for any names (according to its subjectAltName extension)"
      ]: "tls",
      "peer is incompatible: SignatureAlgorithmsExtensionRequired":
        "tls_version",
      "received fatal alert: ProtocolVersion": "tls_version",
      "received fatal alert: UnknownCA": "tls",
      "received corrupt message of type InvalidContentType": "tls_not_spoken",
      "received unexpected message: got Handshake(ClientHello)":
        "tls_not_spoken",
      "keys may not be consistent: KeyMismatch": "tls",
    };
    for (const [message, reason] of Object.entries(cases)) {
      assertEquals(problem(message)?.reason, reason, message);
    }
  });

  it("gives the times of a certificate", () => {
    assertEquals(
      problem(
        "invalid peer certificate: certificate expired: verification time " +
          "1795873786 (UNIX), but certificate is not valid after 1609459200 " +
          "(186414586 seconds ago)",
      ),
      {
        reason: "tls_expired",
        words: "the certificate expired on 2021-01-01T00:00:00.000Z",
      },
    );
  });

  it("escapes what a stranger chose", () => {
    const { words } = problem(
      'invalid peer certificate: certificate not valid for name "a"; ' +
        'certificate is only valid for DnsName("\x1b[31mb")',
    )!;
    assertEquals(
      words,
      "the certificate is not for the name a, but for \\x1b[31mb",
    );
  });

  it("takes no other error for one of TLS", () => {
    assertEquals(problem("stream did not contain valid UTF-8"), undefined);
    const refused = new Deno.errors.ConnectionRefused("UnknownIssuer");
    assertEquals(tlsProblem(refused), undefined);
  });
});
