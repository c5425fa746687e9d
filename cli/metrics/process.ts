/**
 * What is told of the process itself, whatever the command.
 *
 * @module
 */

import process from "node:process";
import config from "../../deno.json" with { type: "json" };
import { type Metric, single } from "./exposition.ts";

/**
 * Gathers the metrics of this process, by the names that Prometheus' own libraries
 * give them.
 *
 * @param startedAt When the process started.
 * @returns The version, the processor time of all threads, the memory and the start.
 */
export function processMetrics(startedAt: Date): Metric[] {
  const { user, system } = process.cpuUsage();
  return [
    {
      ...{ name: "echo_build_info", type: "gauge" },
      help: "The version of echo, as a label of the constant 1",
      samples: [{ labels: { version: config.version }, value: 1 }],
    },
    single(
      "counter",
      "process_cpu_seconds_total",
      "Processor time of all threads, user and system, in seconds",
      (user + system) / 1e6,
    ),
    single(
      "gauge",
      "process_resident_memory_bytes",
      "Memory that is resident, in bytes",
      Deno.memoryUsage().rss,
    ),
    single(
      "gauge",
      "process_start_time_seconds",
      "When the process started, in seconds since 1970",
      startedAt.getTime() / 1000,
    ),
  ];
}
