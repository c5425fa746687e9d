/**
 * `echo send`: the client in a terminal.
 *
 * @module
 */

import { type Command, makeCommand } from "../command.ts";
import type { Terminal } from "../terminal.ts";
import { FLAGS, NOTES } from "./flags.ts";
import { sendOnce } from "./once.ts";
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
      const { runPing } = await import("./ping.ts");
      return await runPing(options, task, terminal);
    }
    case "load": {
      const { runLoad } = await import("./load.ts");
      return await runLoad(options, task, terminal);
    }
  }
}
