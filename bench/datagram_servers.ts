/**
 * The servers of the comparison that echo datagrams.
 *
 * @module
 */

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

/** The names of the servers of datagrams that others are compared with. */
export const DATAGRAM_NAMES = {
  ours: "echo serve --udp",
  logging: "echo serve --udp with its log",
  loop: "Deno receive/send loop",
  node: "Node dgram",
  floor: "C recvfrom/sendto loop",
} as const;

const serve = (port: number) => ["serve", "--udp", "-p", `${port}`];
const serveQuietly = (port: number) => [...serve(port), "-q"];

/**
 * Lists the servers of datagrams that this machine can start.
 *
 * @param programs The programs of this machine.
 * @param built The executables that were built.
 * @param folder Where a server's log goes.
 * @param added One more server, if any: one of other contests is left out.
 * @returns The servers, in the order of the tables.
 */
export function listDatagramServers(
  { versions }: Programs,
  { recvfrom, datagrams }: Built,
  folder: string,
  added: AddedServer | undefined,
): Server[] {
  const candidates: Omit<Candidate, "transport">[] = [
    {
      name: DATAGRAM_NAMES.ours,
      command: (port) => fromSource(...serveQuietly(port)),
    },
    ...addedServer(added, "udp"),
    {
      name: DATAGRAM_NAMES.logging,
      command: (port) => [
        ...["sh", "-c", 'exec "$@" >"$0"', `${folder}/echo-udp.log`],
        ...fromSource(...serve(port)),
      ],
    },
    {
      name: DATAGRAM_NAMES.loop,
      command: (port) => denoServer("deno_datagrams.ts", port),
    },
    {
      name: DATAGRAM_NAMES.node,
      command: (port) => ["node", file("servers/node_dgram.mjs"), `${port}`],
      isHere: "node" in versions,
    },
    {
      name: DATAGRAM_NAMES.floor,
      command: (port) => [recvfrom!, `${port}`],
      isHere: recvfrom !== undefined,
    },
    {
      name: "./echo serve --udp",
      command: (port) => [EXECUTABLE, ...serveQuietly(port)],
      isHere: "./echo" in versions,
    },
    {
      name: "Go ReadFrom/WriteTo loop",
      command: (port) => [datagrams!, `${port}`],
      isHere: datagrams !== undefined,
    },
    {
      // UDP-LISTEN has a process for each peer and not for each datagram. It hands
      // the first datagrams of some peers to the processes of others.
      name: "socat UDP-RECVFROM fork PIPE",
      command: (port) => [
        ...["socat", `UDP-RECVFROM:${port},bind=127.0.0.1,reuseaddr,fork`],
        "PIPE",
      ],
      isForking: true,
      isHere: "socat" in versions,
    },
  ];
  return present(candidates.map((it) => ({ ...it, transport: "udp" })));
}
