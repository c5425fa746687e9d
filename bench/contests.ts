/**
 * All contests, and what should come of them.
 *
 * @module
 */

import {
  CLIENTS,
  FROM_FILE,
  FROM_PIPE,
  startupContests,
  streamContests,
} from "./client_contests.ts";
import { DATAGRAM_NAMES } from "./datagram_servers.ts";
import type { Equipment } from "./equipment.ts";
import { IDLE, loadContests } from "./load_contests.ts";
import type { Plan, RunnableContest } from "./measure.ts";
import type { Contest, Target } from "./report.ts";
import type { Transport } from "./running_server.ts";
import { type AddedServer, NAMES } from "./servers.ts";
import { TLS_NAMES } from "./tls_servers.ts";

/** How our servers and clients should do beside others. */
export const TARGETS: readonly Target[] = [
  ...ratios(NAMES.ours, NAMES.node, {
    "50 × 64 B": 1.2,
    "500 × 512 B": 1.2,
    "4 streams": 1.8,
    "new connections": 1.3,
    [IDLE]: 1.1,
  }),
  ...ratios(NAMES.ours, NAMES.floor, {
    "50 × 64 B": 0.72,
    "500 × 512 B": 0.65,
    "4 streams": 0.9,
    "new connections": 0.45,
  }),
  ...ratios(NAMES.ours, NAMES.loop, { "50 × 64 B": 0.97, "500 × 512 B": 0.97 }),
  ...ratios(NAMES.logging, NAMES.loop, {
    "50 × 64 B": 0.9,
    "500 × 512 B": 0.9,
  }),
  ...ratios(TLS_NAMES.ours, TLS_NAMES.node, {
    "TLS 50 × 64 B": 1.1,
    "TLS 4 streams": 0.8,
    "TLS new connections": 1.3,
  }),
  ...ratios(DATAGRAM_NAMES.ours, DATAGRAM_NAMES.loop, {
    "UDP 1 × 64 B": 0.95,
    "UDP 50 × 64 B": 0.95,
    "UDP 50 × 1,400 B": 0.95,
  }),
  ...ratios(DATAGRAM_NAMES.ours, DATAGRAM_NAMES.floor, {
    "UDP 50 × 64 B": 0.48,
    "UDP 50 × 1,400 B": 0.48,
  }),
  ...ratios(DATAGRAM_NAMES.ours, DATAGRAM_NAMES.node, {
    "UDP 50 × 64 B": 0.95,
  }),
  ...ratios(DATAGRAM_NAMES.logging, DATAGRAM_NAMES.loop, {
    "UDP 50 × 64 B": 0.9,
  }),
  ...ratios(CLIENTS.ours, CLIENTS.socat, {
    [FROM_FILE]: 0.6,
    [FROM_PIPE]: 0.6,
  }),
];

function ratios(
  entrant: string,
  beside: string,
  byContest: Readonly<Record<string, number>>,
): Target[] {
  return Object.entries(byContest)
    .map(([contest, ratio]) => ({ contest, entrant, beside, ratio }));
}

/** Our server, by what it echoes. */
const OURS: Record<Transport, string> = {
  tcp: NAMES.ours,
  tls: TLS_NAMES.ours,
  udp: DATAGRAM_NAMES.ours,
};

/**
 * Makes targets without a ratio to reach: the ratios of an added server to ours.
 *
 * @param contests The contests.
 * @param added The added server.
 * @returns One for each contest.
 */
export function comparisonsWithOurs(
  contests: readonly Contest[],
  { name: entrant, transport }: AddedServer,
): Target[] {
  const beside = OURS[transport];
  return contests.map(({ name: contest }) => ({ contest, entrant, beside }));
}

/**
 * Makes the contests that can be held with some equipment.
 *
 * @param equipment The equipment.
 * @param plan How long and how often everything is measured.
 * @returns The contests, in the order of the tables.
 */
export function contestsOf(
  equipment: Equipment,
  plan: Plan,
): RunnableContest[] {
  return [
    ...loadContests(equipment, plan),
    ...streamContests(equipment),
    ...startupContests(equipment, plan),
  ];
}
