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
import type { Equipment } from "./equipment.ts";
import { IDLE, loadContests } from "./load_contests.ts";
import type { RunnableContest } from "./measure.ts";
import type { Contest, Target } from "./report.ts";
import { NAMES } from "./servers.ts";

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

/**
 * Makes targets without a ratio to reach: the ratios of an added server to ours.
 *
 * @param contests The contests.
 * @param added The added server's name.
 * @returns One for each contest.
 */
export function comparisonsWithOurs(
  contests: readonly Contest[],
  added: string,
): Target[] {
  return contests.map(({ name }) => ({
    contest: name,
    entrant: added,
    beside: NAMES.ours,
  }));
}

/**
 * Makes the contests that can be held with some equipment.
 *
 * @param equipment The equipment.
 * @param timeMs How long a round loads a server, in milliseconds.
 * @returns The contests, in the order of the tables.
 */
export function contestsOf(
  equipment: Equipment,
  timeMs: number,
): RunnableContest[] {
  return [
    ...loadContests(equipment, timeMs),
    ...streamContests(equipment),
    ...startupContests(equipment),
  ];
}
