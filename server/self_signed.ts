/**
 * A certificate for a test server.
 *
 * @example A test server that speaks TLS
 * ```ts
 * import { connect } from "@echo/echo/client";
 * import { selfSigned } from "@echo/echo/self-signed";
 * import { serve } from "@echo/echo/server";
 * import { assertEquals } from "@std/assert";
 *
 * const tls = await selfSigned();
 * await using server = serve({ port: 0, ...tls });
 * using client = await connect({
 *   port: server.addr.port,
 *   caCerts: [tls.cert],
 * });
 * const { bytes } = await client.echo(new TextEncoder().encode("hello"));
 * assertEquals(bytes, 5);
 * ```
 *
 * @module
 */

import * as asn1js from "asn1js";
import { Buffer } from "node:buffer";
import {
  AttributeTypeAndValue,
  BasicConstraints,
  Certificate,
  Extension,
  GeneralName,
  GeneralNames,
  Time,
  TimeType,
} from "pkijs";
import { addressBytes, bareHost } from "../net/address.ts";
import type { ServerTls } from "./api.ts";

export type { ServerTls };

/** The names that a certificate is good for unless it is told others. */
export const DEFAULT_NAMES: readonly string[] = [
  "localhost",
  "127.0.0.1",
  "::1",
];

/** The default of {@linkcode SelfSignedOptions.days}. */
export const DEFAULT_DAYS = 30;

/** Options for {@linkcode selfSigned}. */
export interface SelfSignedOptions {
  /**
   * Names, IPv4 and IPv6 addresses that the certificate is good for.
   *
   * @default {["localhost", "127.0.0.1", "::1"]}
   */
  names?: readonly string[] | undefined;

  /**
   * For how many days it is valid; less than 0 for one that has expired.
   *
   * @default {30}
   */
  days?: number | undefined;

  /**
   * When it was made. It is valid from an hour before, as clocks differ.
   *
   * @default {new Date()}
   */
  now?: Date | undefined;
}

/** Object identifiers, see RFC 5280. */
const OID = {
  commonName: "2.5.4.3",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
} as const;

/** Kinds of {@linkcode GeneralName}, see RFC 5280, section 4.2.1.6. */
const [DNS_NAME, IP_ADDRESS] = [2, 7] as const;

const HOUR_MS = 3_600_000;

const KEY = { name: "ECDSA", namedCurve: "P-256" } as const;

/**
 * Makes a key (ECDSA P-256) and a certificate that is signed with it, in memory. It
 * is one of a server, not of an authority: TLS libraries refuse an authority's.
 *
 * @param options What it is good for, and for how long.
 * @returns The certificate and its key, in PEM.
 * @throws {TypeError} If a name is neither a DNS name nor an address.
 */
export async function selfSigned(
  options: SelfSignedOptions = {},
): Promise<ServerTls> {
  const { names = DEFAULT_NAMES, days = DEFAULT_DAYS } = options;
  const { now = new Date() } = options;
  const keys = await crypto.subtle.generateKey(KEY, true, ["sign", "verify"]);
  const certificate = new Certificate();
  certificate.version = 2; // X.509 v3
  certificate.serialNumber = new asn1js.Integer({ valueHex: serialNumber() });
  const name = new AttributeTypeAndValue({
    type: OID.commonName,
    value: new asn1js.Utf8String({ value: "echo" }),
  });
  certificate.subject.typesAndValues.push(name);
  certificate.issuer.typesAndValues.push(name);
  const startsAt = now.getTime() - HOUR_MS;
  const endsAt = now.getTime() + days * 24 * HOUR_MS;
  certificate.notBefore = timeOf(Math.min(startsAt, endsAt - HOUR_MS));
  certificate.notAfter = timeOf(endsAt);
  certificate.extensions = [
    new Extension({
      extnID: OID.basicConstraints,
      critical: true,
      extnValue: new BasicConstraints({ cA: false }).toSchema().toBER(),
    }),
    new Extension({
      extnID: OID.subjectAltName,
      extnValue: new GeneralNames({ names: names.map(generalName) }).toSchema()
        .toBER(),
    }),
  ];
  await certificate.subjectPublicKeyInfo.importKey(keys.publicKey);
  await certificate.sign(keys.privateKey, "SHA-256");
  const key = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  return {
    cert: pem("CERTIFICATE", certificate.toSchema(true).toBER()),
    key: pem("PRIVATE KEY", key),
  };
}

/** Up to 2049 a time is a UTCTime, then a GeneralizedTime (RFC 5280, 4.1.2.5). */
function timeOf(ms: number): Time {
  const value = new Date(ms);
  const type = value.getUTCFullYear() < 2050
    ? TimeType.UTCTime
    : TimeType.GeneralizedTime;
  return new Time({ type, value });
}

/** A positive number, with as many bits as nobody gives twice. */
function serialNumber(): ArrayBuffer {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[0] = bytes[0]! & 0x3f | 0x40;
  return bytes.buffer;
}

function generalName(name: string): GeneralName {
  // Neither the zone of an address nor the root's dot is a part of a certificate.
  const bare = bareHost(name).replace(/%.*$|\.$/, "");
  const address = addressBytes(bare);
  if (address) {
    const valueHex = new Uint8Array(address).buffer;
    const value = new asn1js.OctetString({ valueHex });
    return new GeneralName({ type: IP_ADDRESS, value });
  }
  // What ends in a number would be an address (WHATWG URL), and is none.
  if (!/^(\*\.)?([a-z0-9_-]+\.)*(?!\d+$)[a-z0-9_-]+$/i.test(bare)) {
    throw new TypeError(`Neither a DNS name nor an address: ${name}`);
  }
  return new GeneralName({ type: DNS_NAME, value: bare });
}

function pem(label: string, der: ArrayBuffer): string {
  const lines = Buffer.from(der).toString("base64").match(/.{1,64}/g)!;
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""]
    .join("\n");
}
