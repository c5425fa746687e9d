/**
 * `echo send` of one message or one stream.
 *
 * @module
 */

import { connect, type EchoClient, type EchoResult } from "../../client.ts";
import { formatAddress } from "../../net/address.ts";
import { writeAll } from "../../net/streams.ts";
import { encode, printLine } from "../command.ts";
import { formatBytes, formatDuration, roundMs } from "../format.ts";
import { OutputClosedError, type Terminal } from "../terminal.ts";
import type { Payload, Style, Target } from "./options.ts";
import { RandomSource } from "./random_source.ts";

/**
 * Sends once, and prints the echo or how much came back.
 *
 * @param target Where to send.
 * @param payload What to send.
 * @param style How the result is printed.
 * @param terminal Where it is printed.
 * @returns The exit status.
 * @throws {Error} If not every byte came back.
 */
export async function sendOnce(
  target: Target,
  payload: Payload,
  style: Style,
  terminal: Terminal,
): Promise<number> {
  const address = formatAddress(target);
  const printJson = (fields: Record<string, unknown>) =>
    printLine(terminal.stdout, JSON.stringify({ address, ...fields }));
  let verified: TimedResult;
  try {
    verified = await connectAndExchange(target, payload, style, terminal);
  } catch (error) {
    if (style.json) {
      const { message } = error as Error;
      await printJson({ verified: false, error: message }).catch(() => {});
    }
    throw error;
  }
  try {
    if (style.json) {
      await printJson({ verified: true, ...jsonFields(verified) });
    } else await printResult(payload, verified, style, terminal);
  } catch (error) {
    // Every byte came back, even if the result has no reader any more.
    if (!(error instanceof OutputClosedError)) throw error;
  }
  return 0;
}

interface TimedResult extends EchoResult {
  readonly connectMs: number;
}

async function connectAndExchange(
  target: Target,
  payload: Payload,
  style: Style,
  terminal: Terminal,
): Promise<TimedResult> {
  using client = await connect(target);
  const { connectMs } = client;
  const result = await exchange(client, payload, style, terminal);
  return { ...result, connectMs };
}

async function exchange(
  client: EchoClient,
  payload: Payload,
  style: Style,
  terminal: Terminal,
): Promise<EchoResult> {
  switch (payload.kind) {
    case "generated":
      return await client.echoStream(new RandomSource(payload.size));
    case "stdin": {
      const sink = style.json ? undefined : terminal.stdout;
      return await client.echoStream(terminal.stdin, sink);
    }
    case "message": {
      const result = await client.echo(payload.bytes);
      await client.end();
      return result;
    }
  }
}

async function printResult(
  payload: Payload,
  result: EchoResult,
  { quiet }: Style,
  { stdout, stderr }: Terminal,
): Promise<void> {
  if (payload.kind === "message") {
    const label = quiet ? "" : "Received from server: ";
    await writeAll(stderr, encode(label));
    try {
      await writeAll(stdout, new Uint8Array([...payload.bytes, 10]));
    } catch (error) {
      // The error's own line must not begin behind the label.
      if (label) await printLine(stderr, "");
      throw error;
    }
    return;
  }
  const summary = `${formatBytes(result.bytes)} came back, all verified, ` +
    `in ${formatDuration(result.durationMs)} ` +
    `(${formatBytes(bytesPerSecond(result))}/s)`;
  if (payload.kind === "generated") await printLine(stdout, summary);
  else if (!quiet) await printLine(stderr, summary);
}

function jsonFields(result: TimedResult): Record<string, number> {
  return {
    bytes: result.bytes,
    connect_ms: roundMs(result.connectMs),
    duration_ms: roundMs(result.durationMs),
    bytes_per_second: Math.round(bytesPerSecond(result)),
  };
}

function bytesPerSecond({ bytes, durationMs }: EchoResult): number {
  return bytes === 0 ? 0 : bytes / durationMs * 1000;
}
