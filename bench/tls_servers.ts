/**
 * The servers of the comparison that speak TLS.
 *
 * @module
 */

import { selfSigned } from "../server/self_signed.ts";
import {
  type Built,
  denoServer,
  EXECUTABLE,
  file,
  fromSource,
  type Programs,
} from "./programs.ts";
import {
  type AddedServer,
  addedServer,
  type Candidate,
  present,
  type Server,
} from "./servers.ts";

/** The names of the servers with TLS that others are compared with. */
export const TLS_NAMES = {
  ours: "echo serve --tls",
  loop: "Deno TLS read/write loop",
  node: "Node tls",
} as const;

/** The paths of the files that all servers read. */
export interface CertificateFiles {
  /** The certificate in PEM. */
  readonly cert: string;
  /** Its private key in PEM. */
  readonly key: string;
}

/**
 * Makes a certificate, the same for all servers: the kind of its key is most of what
 * a handshake costs.
 *
 * @param folder Where its files go.
 * @returns The files.
 */
export async function makeCertificate(
  folder: string,
): Promise<CertificateFiles> {
  const { cert, key } = await selfSigned();
  const files = { cert: `${folder}/cert.pem`, key: `${folder}/key.pem` };
  await Deno.writeTextFile(files.cert, cert);
  await Deno.writeTextFile(files.key, key, { mode: 0o600 });
  return files;
}

/**
 * Lists the servers with TLS that this machine can start.
 *
 * @param programs The programs of this machine.
 * @param built The executables that were built.
 * @param files The certificate.
 * @param added One more server, if any: one of other contests is left out.
 * @returns The servers, in the order of the tables.
 */
export function listTlsServers(
  { versions }: Programs,
  { goroutinesTls }: Built,
  { cert, key }: CertificateFiles,
  added: AddedServer | undefined,
): Server[] {
  const serve = (port: number) => [
    ...["serve", "--port", `${port}`, "--quiet"],
    ...["--tls-cert", cert, "--tls-key", key],
  ];
  const candidates: Omit<Candidate, "transport">[] = [
    { name: TLS_NAMES.ours, command: (port) => fromSource(...serve(port)) },
    ...addedServer(added, "tls", { CERT: cert, KEY: key }),
    {
      name: TLS_NAMES.loop,
      command: (port) => denoServer("deno_tls_loop.ts", port, cert, key),
    },
    {
      name: TLS_NAMES.node,
      command: (
        port,
      ) => ["node", file("servers/node_tls.mjs"), `${port}`, cert, key],
      isHere: "node" in versions,
    },
    {
      name: "./echo serve --tls",
      command: (port) => [EXECUTABLE, ...serve(port)],
      isHere: "./echo" in versions,
    },
    {
      name: "Go crypto/tls",
      command: (port) => [goroutinesTls!, `${port}`, cert, key],
      isHere: goroutinesTls !== undefined,
    },
  ];
  return present(candidates.map((it) => ({ ...it, transport: "tls" })));
}
