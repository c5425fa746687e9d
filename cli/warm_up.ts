/**
 * Taking the runtime's first calls out of what is measured.
 *
 * @module
 */

import { connect } from "../client.ts";
import type { Transport } from "../net/address.ts";
import { startTimer } from "../net/time.ts";
import type { ConnectProbe } from "../probe/probe_client.ts";
import { serve } from "../server.ts";
import { connectorTo } from "./connector.ts";

/** How long it takes at most, in milliseconds: a firewall may drop all over loopback. */
const TIMEOUT_MS = 1000;

/**
 * Measures a server within this process, over loopback: what the runtime loads and
 * compiles at its first use takes longer than a round trip.
 *
 * @param transport What carries the messages.
 * @param measure Measures what a connector connects to, until the signal is aborted.
 * @param stop Ends it soon.
 * @returns Whether that was possible: a process may have no right to listen.
 */
export async function warmUp(
  transport: Transport,
  measure: (connect: ConnectProbe, signal: AbortSignal) => Promise<unknown>,
  stop?: AbortSignal,
): Promise<boolean> {
  // Without the right to it, listening would ask the user.
  const right = { name: "net", host: "127.0.0.1" } as const;
  if (Deno.permissions.querySync(right).state !== "granted") return false;
  try {
    const udp = transport === "udp";
    await using server = serve({ port: 0, drainTimeoutMs: 0, udp });
    const { hostname, port } = server.addr;
    const timeoutMs = TIMEOUT_MS;
    const limit = new AbortController();
    using _timer = startTimer(TIMEOUT_MS, () => limit.abort());
    const signal = AbortSignal.any([limit.signal, ...stop ? [stop] : []]);
    const target = { transport: udp ? "udp" : "tcp", hostname, port } as const;
    await measure(connectorTo({ ...target, timeoutMs }), signal);
    if (transport === "tls") await warmUpTls(port, signal);
    return server.stats().bytes > 0;
  } catch {
    return false;
  }
}

/**
 * Begins a TLS handshake with a server that speaks none: the runtime loads the roots
 * that it trusts, and all else that the first handshake needs, without a certificate.
 */
async function warmUpTls(
  port: number,
  signal: AbortSignal,
): Promise<void> {
  await connect({ port, tls: true, timeoutMs: TIMEOUT_MS, signal }).catch(
    () => {},
  );
}
