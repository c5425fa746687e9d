/**
 * Adding up what servers in several threads counted.
 *
 * @module
 */

import type { ServeStats } from "../../server.ts";

/** What a server counted that did nothing. */
export const NO_STATS: ServeStats = {
  ...{ accepted: 0, open: 0, closed: {}, bytes: 0 },
};

/**
 * Adds up what several servers counted, over TCP.
 *
 * @param all What each of them counted.
 * @returns The sums.
 */
export function sumStats(all: Iterable<ServeStats>): ServeStats {
  const total: ServeStats = { ...NO_STATS, closed: { ...NO_STATS.closed } };
  for (const { accepted, open, closed, bytes, failedHandshakes } of all) {
    if (failedHandshakes !== undefined) {
      total.failedHandshakes = (total.failedHandshakes ?? 0) + failedHandshakes;
    }
    total.accepted += accepted;
    total.open += open;
    total.bytes += bytes;
    for (const [reason, count] of Object.entries(closed)) {
      const key = reason as keyof typeof closed;
      total.closed[key] = (total.closed[key] ?? 0) + count;
    }
  }
  return total;
}

/**
 * Ends the connections in what a server counted whose thread died.
 *
 * @param stats What it counted last.
 * @returns The same, with those that were open closed by an error.
 */
export function closedByDeath(stats: ServeStats): ServeStats {
  const closed = stats.open > 0 ? { error: stats.open } : {};
  return { ...sumStats([stats, { ...NO_STATS, closed }]), open: 0 };
}
