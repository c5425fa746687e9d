/**
 * `echo send`: the client in a terminal.
 *
 * @module
 */

import { type Command, makeCommand } from "../command.ts";
import type { Terminal } from "../terminal.ts";
import { FLAGS, NOTES } from "./flags.ts";
import { sendOnce } from "./once.ts";
import { type Message, type SendOptions, sendOptions } from "./options.ts";
import { RandomSource } from "./random_source.ts";

/** The command `echo send`. */
export const sendCommand: Command = makeCommand({
  name: "send",
  about: "Send bytes and check that exactly those bytes come back",
  synopsis: "[OPTIONS] [MESSAGE...]",
  operand: "MESSAGE",
  notes: NOTES,
  flags: FLAGS,
  options: sendOptions,
  run,
});

async function run(
  { target, task, style }: SendOptions,
  terminal: Terminal,
): Promise<number> {
  if (task.kind === "once") {
    return await sendOnce(target, task.payload, style, terminal);
  }
  const message = await bytesOf(task.message);
  // The histogram takes long to load, so it is loaded only where one measures.
  if (task.kind === "ping") {
    const { runPing } = await import("./ping.ts");
    return await runPing(target, { ...task, message }, style, terminal);
  }
  const { runLoad } = await import("./load.ts");
  return await runLoad(target, { ...task, message }, style, terminal);
}

async function bytesOf(message: Message): Promise<Uint8Array> {
  if (message.kind === "message") return message.bytes;
  const bytes = new Uint8Array(message.size);
  await new RandomSource(message.size).read(bytes);
  return bytes;
}
