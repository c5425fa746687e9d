/**
 * Certificates and keys from the files that flags name.
 *
 * @module
 */

import { X509Certificate } from "node:crypto";
import { describeError } from "../net/errors.ts";
import type { ServerTls } from "../server.ts";
import type { Terminal } from "./terminal.ts";

/** What a certificate says. */
export interface CertificateFacts {
  /** Until when it is valid. */
  readonly validUntil: Date;
  /** The SHA-256 fingerprint of its DER, as openssl prints it. */
  readonly sha256: string;
}

/** A flag and the file that it names. */
interface Named {
  readonly flag: string;
  readonly path: string;
}

const CERTIFICATE =
  /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

const KEY =
  /-----BEGIN ((?:(?:RSA|EC) )?PRIVATE KEY)-----[^-]*-----END \1-----/;

/**
 * Reads certificates to trust.
 *
 * @param flag The flag that names the file, for an error.
 * @param path The file, with one certificate or more in PEM.
 * @param terminal Where files are read.
 * @returns The certificates, each in PEM.
 * @throws {Error} If the file cannot be read or holds no certificate.
 */
export async function readCertificates(
  flag: string,
  path: string,
  terminal: Pick<Terminal, "readFile">,
): Promise<string[]> {
  const file = { flag, path };
  const certificates = certificatesIn(file, await read(file, terminal));
  for (const certificate of certificates) parse(file, certificate);
  return certificates;
}

/**
 * Reads a server's certificate and its key.
 *
 * @param files The files that --tls-cert and --tls-key name.
 * @param terminal Where files are read, and what the time is.
 * @returns Both in PEM.
 * @throws {Error} If one cannot be read or used, or if they are no pair.
 */
export async function readServerTls(
  files: ServerTls,
  terminal: Pick<Terminal, "readFile" | "now">,
): Promise<ServerTls> {
  const certFile = { flag: "--tls-cert", path: files.cert };
  const keyFile = { flag: "--tls-key", path: files.key };
  const certText = await read(certFile, terminal);
  const keyText = await read(keyFile, terminal);
  const chain = certificatesIn(certFile, certText);
  const certificates = chain.map((it) => parse(certFile, it));
  const [leaf] = certificates;
  checkTime(certFile, leaf!, terminal.now());
  // EC PARAMETERS may stand before a key, as openssl writes them.
  const [key] = keyText.match(KEY) ?? [];
  if (key === undefined) throw unusable(keyFile, whatElse(keyText, "key"));
  const { createPrivateKey, createPublicKey } = await import("node:crypto");
  let keyBits: number | undefined;
  let ofKey: number;
  try {
    const form = { type: "spki", format: "der" } as const;
    const own = createPublicKey(createPrivateKey(key));
    keyBits = own.asymmetricKeyDetails?.modulusLength;
    const hex = own.export(form).toString("hex");
    ofKey = certificates.findIndex(({ publicKey }) =>
      publicKey.export(form).toString("hex") === hex
    );
  } catch {
    // Node's interface of Deno does not know every key that TLS takes: listening
    // tells what is wrong.
    return { cert: chain.join("\n"), key };
  }
  if (ofKey > 0) {
    throw unusable(
      certFile,
      `its certificate number ${ofKey + 1} is the server's own: put it first`,
    );
  }
  if (ofKey < 0) {
    throw unusable(keyFile, `it is not the key of ${certFile.path}`);
  }
  if (keyBits !== undefined && keyBits < LEAST_RSA_BITS) {
    throw unusable(
      keyFile,
      `an RSA key of ${keyBits} bits is too short, ` +
        `TLS needs ${LEAST_RSA_BITS}`,
    );
  }
  return { cert: chain.join("\n"), key };
}

/** What the TLS library takes of RSA keys at least. */
const LEAST_RSA_BITS = 2048;

/**
 * Reads what a certificate says.
 *
 * @param cert The certificate in PEM; of a chain the first one.
 * @returns Until when it is valid, and its fingerprint.
 */
export function certificateFacts(cert: string): CertificateFacts {
  const certificate = new X509Certificate(cert);
  return {
    validUntil: new Date(certificate.validTo),
    sha256: certificate.fingerprint256,
  };
}

async function read(
  file: Named,
  terminal: Pick<Terminal, "readFile">,
): Promise<string> {
  try {
    return new TextDecoder().decode(await terminal.readFile(file.path));
  } catch (error) {
    throw unusable(file, describeFileError(error, file.path));
  }
}

function describeFileError(error: unknown, path: string): string {
  const { name } = error as Error;
  switch (name) {
    case "NotFound":
      return "no such file";
    case "PermissionDenied":
      return "permission denied";
    case "IsADirectory":
      return "it is a directory";
    case "NotCapable":
      return `Deno may not read it, run it with --allow-read=${path}`;
  }
  return describeError(error);
}

function certificatesIn(file: Named, text: string): string[] {
  const certificates = text.match(CERTIFICATE);
  if (certificates) return certificates;
  throw unusable(file, whatElse(text, "certificate"));
}

/** Says what a file holds instead of what it should. */
function whatElse(text: string, wanted: "certificate" | "key"): string {
  const [, label] = text.match(/-----BEGIN ([A-Z0-9 ]+)-----/) ?? [];
  if (label === "ENCRYPTED PRIVATE KEY") {
    return wanted === "key"
      ? "the key needs a passphrase, take it off with: openssl pkey"
      : "it holds a private key, no certificate";
  }
  if (label === undefined) return "it holds no PEM";
  const holds = label.endsWith("PRIVATE KEY")
    ? "it holds a private key"
    : label === "CERTIFICATE"
    ? "it holds a certificate"
    : `it holds ${label}`;
  return `${holds}, no ${wanted === "key" ? "private key" : "certificate"}`;
}

function parse(file: Named, certificate: string): X509Certificate {
  try {
    return new X509Certificate(certificate);
  } catch {
    throw unusable(file, "its certificate is damaged");
  }
}

function checkTime(file: Named, certificate: X509Certificate, now: Date): void {
  const from = new Date(certificate.validFrom);
  const until = new Date(certificate.validTo);
  if (now > until) {
    throw unusable(file, `the certificate expired on ${until.toISOString()}`);
  }
  if (now < from) {
    const time = from.toISOString();
    throw unusable(file, `the certificate is not valid before ${time}`);
  }
}

function unusable({ flag, path }: Named, why: string): Error {
  return new Error(`Cannot use ${flag} ${path}: ${why}`);
}
