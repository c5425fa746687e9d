/**
 * Everything on this machine that the contests use.
 *
 * @module
 */

import { availableParallelism, cpus, totalmem } from "node:os";
import { formatCount, formatTime } from "../report/format.ts";
import { listDatagramServers } from "./datagram_servers.ts";
import type { Plan } from "./measure.ts";
import {
  type CommandLine,
  findPlacement,
  type Placement,
  type Processes,
} from "./process.ts";
import {
  build,
  type Built,
  DENO,
  file,
  findPrograms,
  type Programs,
} from "./programs.ts";
import type { Transport } from "./running_server.ts";
import { type AddedServer, listServers, type Server } from "./servers.ts";
import { listTlsServers, makeCertificate } from "./tls_servers.ts";

/** Everything on this machine that the contests use. */
export interface Equipment {
  /** Starts servers, loads and clients. */
  readonly processes: Processes;
  /** A folder for files that are removed in the end. */
  readonly folder: string;
  /** The cores of servers and loads. */
  readonly placement: Placement;
  /** The programs of this machine. */
  readonly programs: Programs;
  /** The servers, in the order of the tables. */
  readonly servers: readonly Server[];
  /** The server that the command line added, if any. */
  readonly added: AddedServer | undefined;
  /** The load generators that this machine can run. */
  readonly generators: Readonly<Partial<Record<Transport, Generator>>>;
}

/** A load generator. */
export interface Generator {
  /** Its command line, without its arguments. */
  readonly line: CommandLine;
  /** What it is called in the caption. */
  readonly name: string;
}

/**
 * Finds out what this machine has, and builds what must be built.
 *
 * @param processes Starts all processes of the comparison.
 * @param folder A folder for files that are removed in the end.
 * @param added One more server, if any.
 * @returns The equipment.
 * @throws {Error} If a compiler fails.
 */
export async function findEquipment(
  processes: Processes,
  folder: string,
  added: AddedServer | undefined,
): Promise<Equipment> {
  const programs = await findPrograms(processes);
  const built = await build(processes, programs, folder);
  return {
    processes,
    folder,
    placement: await findPlacement(processes),
    programs,
    servers: [
      ...listServers(programs, built, folder, added),
      ...listTlsServers(programs, built, await makeCertificate(folder), added),
      ...listDatagramServers(programs, built, folder, added),
    ],
    added,
    generators: pickGenerators(built),
  };
}

function pickGenerators(
  { load, loadTls, loadUdp }: Built,
): Equipment["generators"] {
  const native = (path: string, name: string) => ({
    line: [path],
    name: `bench/${name} (native)`,
  });
  return {
    tcp: load === undefined
      ? {
        line: [DENO, "run", "--allow-net", file("load.ts")],
        name: "bench/load.ts (load.c takes Linux and a C compiler)",
      }
      : native(load, "load.c"),
    ...(loadTls !== undefined && { tls: native(loadTls, "load.c with TLS") }),
    ...(loadUdp !== undefined && { udp: native(loadUdp, "load_udp.c") }),
  };
}

/**
 * Tells where and how a comparison is made.
 *
 * @param equipment The equipment.
 * @param plan How long and how often everything is measured.
 * @returns A few lines: the date and the machine, its programs, how the load is
 * made, the programs that are missing.
 */
export function captionOf(
  { programs, placement, generators, added }: Equipment,
  { rounds, timeMs, turns }: Plan,
): string[] {
  const memoryGiB = Math.round(totalmem() / 1024 ** 3);
  const versions = Object.entries(programs.versions)
    .map(([name, version]) => `${name} ${version}`);
  return [
    [
      new Date().toISOString().slice(0, 10),
      cpus()[0]?.model ?? "unknown processor",
      formatCount(availableParallelism(), "core"),
      `${memoryGiB} GiB`,
      `${Deno.build.os} ${Deno.osRelease()}`,
    ].join(", "),
    versions.join(", "),
    `Load: ${Object.values(generators).map(({ name }) => name).join(", ")}. ` +
    `${describePlacement(placement)}. ` +
    `Medians of ${formatCount(rounds, "round")} of ${formatTime(timeMs)} ` +
    `in ${formatCount(turns, "turn")}.`,
    `Missing here: ${programs.missing.join(", ") || "nothing"}.`,
    ...(added ? [`${added.name}: \`${added.command}\``] : []),
  ];
}

function describePlacement({ serverCore, loadCore }: Placement): string {
  return serverCore === undefined
    ? "Not bound to cores"
    : `Server on core ${serverCore}, load on core ${loadCore}, ` +
      "--workers 0 and startup anywhere";
}
