/**
 * `echo send`: the client in a terminal.
 *
 * @module
 */

import type { ProbeMessage } from "../../probe/messages.ts";
import { type Command, makeCommand } from "../command.ts";
import type { Terminal } from "../terminal.ts";
import { FLAGS, NOTES } from "./flags.ts";
import { sendOnce } from "./once.ts";
import type { SendMetrics } from "../metrics/probe.ts";
import { type SendOptions, sendOptions } from "./options.ts";

/** The command `echo send`. */
export const sendCommand: Command = makeCommand({
  name: "send",
  about: "Send bytes and check that exactly those bytes come back",
  synopsis: "[OPTIONS] [MESSAGE...]",
  operand: "MESSAGE",
  notes: NOTES,
  flags: FLAGS,
  options: sendOptions,
  read,
  run,
});

/** Reads the certificates that are to be trusted besides. */
async function read(
  options: SendOptions,
  terminal: Terminal,
): Promise<SendOptions> {
  const { target, caFile } = options;
  if (caFile === undefined) return options;
  const { readCertificates } = await import("../tls_files.ts");
  const caCerts = await readCertificates("--tls-ca", caFile, terminal);
  return { ...options, target: { ...target, tls: { ...target.tls, caCerts } } };
}

async function run(
  { task, ...options }: SendOptions,
  terminal: Terminal,
): Promise<number> {
  // The histogram takes long to load, so it is loaded only where one measures.
  switch (task.kind) {
    case "once":
      return await sendOnce(options, task.payload, terminal);
    case "ping": {
      await using metrics = await exposeMetrics(options, task, terminal);
      const { runPing } = await import("../ping/run.ts");
      return await runPing(options, task, terminal, metrics);
    }
    case "load": {
      await using metrics = await exposeMetrics(options, task, terminal);
      const { runLoad } = await import("../load/run.ts");
      return await runLoad(options, task, terminal, metrics);
    }
  }
}

/** Serves metrics if that is asked for, before anything else is opened. */
async function exposeMetrics(
  { metrics: address, style: { quiet } }: Omit<SendOptions, "task">,
  { message }: { message: ProbeMessage },
  terminal: Terminal,
): Promise<SendMetrics | undefined> {
  if (!address) return undefined;
  const { startSendMetrics } = await import("../metrics/probe.ts");
  return await startSendMetrics({ address, message, quiet }, terminal);
}
