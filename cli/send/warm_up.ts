/**
 * Taking the runtime's first calls out of what is measured.
 *
 * @module
 */

import { connect } from "../../client.ts";
import type { ConnectProbe } from "../../probe/probe_client.ts";
import { serve } from "../../server.ts";

/** The longest wait for a reply, in milliseconds. */
const TIMEOUT_MS = 1000;

/**
 * Measures a server within this process, over loopback: what the runtime loads and
 * compiles at its first use takes longer than a round trip.
 *
 * @param measure Measures what a connector connects to.
 * @returns Whether that was possible: a process may have no right to listen.
 */
export async function warmUp(
  measure: (connect: ConnectProbe) => Promise<unknown>,
): Promise<boolean> {
  // Without the right to it, listening would ask the user.
  const right = { name: "net", host: "127.0.0.1" } as const;
  if (Deno.permissions.querySync(right).state !== "granted") return false;
  try {
    await using server = serve({ port: 0, drainTimeoutMs: 0 });
    const target = { ...server.addr, timeoutMs: TIMEOUT_MS };
    await measure((options) => connect({ ...target, ...options }));
    return server.stats.accepted > 0;
  } catch {
    return false;
  }
}
