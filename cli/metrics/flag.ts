/**
 * The flag `--metrics`.
 *
 * @module
 */

import { DEFAULT_HOSTNAME } from "../../net/defaults.ts";
import { type Flag, UsageError } from "../flags.ts";
import { parseHost, parseWhole } from "../values.ts";

/** Where metrics are served. */
export interface MetricsAddress {
  /** An IPv4 or IPv6 address or a name. */
  readonly hostname: string;
  /** The port; 0 takes a free one. */
  readonly port: number;
}

/**
 * Makes the flag `--metrics`.
 *
 * @param help What the flag does, for the usage.
 * @returns The flag.
 */
export function metricsFlag(help: string): Flag<MetricsAddress | undefined> {
  return {
    value: "[HOST:]PORT",
    help,
    default: undefined,
    defaultText: "",
    parse: parseMetricsAddress,
  };
}

/** A port, with a host before it or without one; IPv6 is in brackets. */
const ADDRESS = /^(?:(?<host>[^:[\]]+|\[[^[\]]+\]):)?(?<port>\d+)$/;

/**
 * Reads where metrics are served.
 *
 * @param text For example `9100`, `0.0.0.0:9100`, `localhost:9100` or `[::1]:9100`.
 * @returns The address, on 127.0.0.1 if the text names no host.
 * @throws {UsageError} If the text is anything else.
 */
export function parseMetricsAddress(text: string): MetricsAddress {
  const { host, port } = text.match(ADDRESS)?.groups ?? {};
  if (port === undefined) {
    throw new UsageError(
      "expected a port, or a host and a port such as 0.0.0.0:9100 or [::1]:9100",
    );
  }
  return {
    hostname: host === undefined ? DEFAULT_HOSTNAME : parseHost(host),
    port: parseWhole(port, 0, 65535),
  };
}
