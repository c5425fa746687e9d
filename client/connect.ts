import type { TcpAddress, TlsAddress } from "../net/address.ts";
import { DEFAULT_HOSTNAME, DEFAULT_PORT } from "../net/defaults.ts";
import { networkError, type Reason, reasonOf } from "../net/errors.ts";
import { checkPort, checkTime } from "../net/options.ts";
import { sleep } from "../net/time.ts";
import { type ConnectOptions, DEFAULT_TIMEOUT_MS } from "./api.ts";
import { dial } from "./dial.ts";
import { StreamClient } from "./stream_client.ts";

/** The server is there, and its certificate is what it is. */
const FINAL_REASONS: ReadonlySet<Reason> = new Set([
  "tls_untrusted",
  "tls_wrong_name",
  "tls_expired",
  "tls_not_yet_valid",
  "tls_authority",
]);

/** The pause before another attempt to connect: doubled for each further one. */
const RETRY_PAUSE_MS = { first: 20, last: 250 };

/** Connects, and tries again for as long as it may: what `connect()` does. */
export async function connectStream(
  options: ConnectOptions,
): Promise<StreamClient> {
  const { hostname = DEFAULT_HOSTNAME, port = DEFAULT_PORT } = options;
  const { timeoutMs = DEFAULT_TIMEOUT_MS, retryMs = 0, signal } = options;
  const { caCerts, serverName } = options;
  const { tls = (caCerts ?? serverName) !== undefined } = options;
  checkPort(port);
  checkTime("timeoutMs", timeoutMs);
  checkTime("retryMs", retryMs);
  const transport = tls ? "tls" : "tcp";
  const address: TcpAddress | TlsAddress = { transport, hostname, port };

  const startedAt = performance.now();
  let attempts = 0;
  let pauseMs = RETRY_PAUSE_MS.first;
  while (true) {
    signal?.throwIfAborted();
    try {
      const trust = { caCerts, serverName };
      const dialed = await dial(address, timeoutMs, signal, trust);
      return new StreamClient(dialed, timeoutMs, signal);
    } catch (error) {
      signal?.throwIfAborted();
      const triedMs = performance.now() - startedAt;
      const leftMs = retryMs - triedMs;
      const howLong = ++attempts > 1
        ? ` (${attempts} attempts in ${(triedMs / 1000).toFixed(1)} s)`
        : "";
      const failure = networkError("connect", address, error, howLong);
      if (leftMs <= 0 || isFinal(error)) throw failure;
      options.onAttemptFailed?.(failure);
      await sleep(Math.min(pauseMs, leftMs), signal);
      pauseMs = Math.min(pauseMs * 2, RETRY_PAUSE_MS.last);
    }
  }
}

/** Whether another attempt would fail in the same way. */
function isFinal(error: unknown): boolean {
  return error instanceof Deno.errors.NotCapable ||
    error instanceof URIError || error instanceof RangeError ||
    FINAL_REASONS.has(reasonOf(error));
}
