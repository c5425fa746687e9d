/**
 * The certificate of a server with TLS.
 *
 * @module
 */

import type { ServerTls } from "../../server.ts";
import type { Terminal } from "../terminal.ts";
import type { LogEvent } from "./log_events.ts";

/** Where a server's certificate comes from: it is made for names, or read. */
export type TlsSource =
  | { readonly kind: "made"; readonly names: readonly string[] }
  | { readonly kind: "files"; readonly files: ServerTls }
  | { readonly kind: "read"; readonly tls: ServerTls };

/** A certificate, and what the log says of it. */
export interface ServerCertificate {
  /** The certificate and its key. */
  readonly tls: ServerTls;
  /** The line of the log. */
  readonly event: Extract<LogEvent, { type: "certificate" }>;
}

/**
 * Makes a certificate, or tells what one says that was read.
 *
 * @param source Where it comes from, its files read.
 * @param terminal Tells the time of day.
 * @returns The certificate.
 */
export async function certificateOf(
  source: TlsSource,
  terminal: Pick<Terminal, "now">,
): Promise<ServerCertificate> {
  let tls: ServerTls;
  let names: readonly string[] | undefined;
  if (source.kind === "made") {
    // The package that makes it takes long to load: only here it is needed.
    const { DEFAULT_NAMES, selfSigned } = await import(
      "../../server/self_signed.ts"
    );
    names = [...new Set([...source.names, ...DEFAULT_NAMES])];
    tls = await selfSigned({ names, now: terminal.now() });
  } else if (source.kind === "read") tls = source.tls;
  else throw new Error("The files are not read");
  const { certificateFacts } = await import("../tls_files.ts");
  const facts = certificateFacts(tls.cert);
  return { tls, event: { type: "certificate", names, ...facts } };
}
