// The TLS library (rustls) gives its errors as text alone. This is the one place that
// reads that text; everything else goes by the reason.

import { canonicalIPv6 } from "./address.ts";
import { escapeText } from "./text.ts";

/**
 * Why TLS failed, for a program: the certificate is not trusted, is for another
 * name, expired, is not valid yet, or is one of an authority; what came is no TLS;
 * no version is common to both ends; or anything else.
 */
export type TlsReason =
  | "tls_untrusted"
  | "tls_wrong_name"
  | "tls_expired"
  | "tls_not_yet_valid"
  | "tls_authority"
  | "tls_not_spoken"
  | "tls_version"
  | "tls";

/** What is wrong. */
export interface TlsProblem {
  /** Why, for a program. */
  readonly reason: TlsReason;
  /** Why, in words that go on in a sentence. */
  readonly words: string;
}

/** Of a certificate's names, how many characters are shown. */
const NAMES_LENGTH = 200;

/** What the library says, why, and what we say instead. */
const PROBLEMS: readonly (readonly [
  said: RegExp,
  reason: TlsReason,
  words: string | ((match: RegExpMatchArray) => string),
])[] = [
  [
    /UnknownIssuer/,
    "tls_untrusted",
    "the certificate is not trusted: it leads to no authority that is known here",
  ],
  [
    /invalid peer certificate: (?:BadSignature|InvalidSignature)/,
    "tls_untrusted",
    "the certificate is not trusted: one with the same issuer is, but another key " +
    "signed this one, as after a new start of the server",
  ],
  [
    /CaUsedAsEndEntity/,
    "tls_authority",
    "the certificate is one of an authority (CA:TRUE), not one of a server",
  ],
  [
    // A common name alone counts no more (RFC 9525, section 6.3).
    /not valid for any names/,
    "tls",
    "the certificate names no server: it has no subjectAltName",
  ],
  [
    /certificate not valid for name "(.*?)"(?:.*only valid for (.*))?/,
    "tls_wrong_name",
    ([, name, names]) =>
      `the certificate is not for the name ${escapeText(name!)}` +
      (names ? `, but for ${renderNames(names)}` : ""),
  ],
  [
    /NotValidForName/,
    "tls_wrong_name",
    "the certificate is for another name",
  ],
  [
    /certificate expired(?:.*not valid after (\d+))?/,
    "tls_expired",
    ([, seconds]) => `the certificate expired${renderTime("on", seconds)}`,
  ],
  [
    /certificate not valid yet(?:.*not valid before (\d+))?/,
    "tls_not_yet_valid",
    ([, seconds]) =>
      `the certificate is not valid yet${renderTime("but from", seconds)}`,
  ],
  [
    // The answer to a ClientHello is text, or the ClientHello, which a plain echo
    // server sends back.
    /corrupt message of type|got .*ClientHello/,
    "tls_not_spoken",
    "what came is no TLS",
  ],
  [
    /SignatureAlgorithmsExtensionRequired|Tls12NotOffered|SupportedVersions|UnsupportedTls|fatal alert: ProtocolVersion/,
    "tls_version",
    "no common version: TLS 1.2 or 1.3 is needed",
  ],
  [
    /received fatal alert: (\w+)/,
    "tls",
    ([, alert]) => `the other end refused it (${alert})`,
  ],
  [
    /KeyMismatch/,
    "tls",
    "the private key is not the one of the certificate",
  ],
  [
    /No certificates found/,
    "tls",
    "the certificate is not in PEM",
  ],
  [
    /No keys found/,
    "tls",
    "the private key is not in PEM, or needs a passphrase",
  ],
  [
    /failed to parse private key/,
    "tls",
    "the private key is none that TLS can use: RSA, ECDSA P-256, P-384 or " +
    "P-521, or Ed25519",
  ],
  [
    /invalid peer certificate: (.*)/,
    "tls",
    ([, why]) => `the certificate is damaged (${escapeText(why!)})`,
  ],
  [
    /peer (?:is incompatible|misbehaved): (.*)|received unexpected .*/i,
    "tls",
    ([all]) => escapeText(all!, NAMES_LENGTH),
  ],
];

/** Returns what is wrong, if it is a failure of TLS. */
export function tlsProblem(error: Error): TlsProblem | undefined {
  // The library's errors are of these classes; the system's end in a number.
  if (!["InvalidData", "Error"].includes(error.name)) return undefined;
  for (const [said, reason, words] of PROBLEMS) {
    const match = error.message.match(said);
    if (!match) continue;
    return { reason, words: typeof words === "string" ? words : words(match) };
  }
}

/** Renders `DnsName("a") or IpAddress(Ipv4(...))` as the names alone. */
function renderNames(names: string): string {
  const bare = [...names.matchAll(/"([^"]*)"|\(([\d.:a-f]+)\)/g)]
    .map(([, quoted, address]) => quoted ?? address!)
    // The library writes `0::1`.
    .map((name) => canonicalIPv6(name) ?? name);
  return escapeText(bare.join(", ") || names, NAMES_LENGTH);
}

function renderTime(word: string, seconds: string | undefined): string {
  const time = new Date(Number(seconds) * 1000);
  return Number.isNaN(time.getTime()) ? "" : ` ${word} ${time.toISOString()}`;
}
