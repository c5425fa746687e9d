/**
 * Loads an echo server as load.c does, with the same arguments and the same line
 * of JSON, on a machine that has no C compiler to build that one. It verifies
 * every byte, and takes more of a core than most of the servers: they look more
 * alike than they are.
 *
 *     load.ts KIND PORT CONNECTIONS BYTES WARMUP_SECONDS SECONDS
 *
 * @module
 */

import { printLine } from "../cli/command.ts";
import { connect } from "../client.ts";
import { load } from "../probe/load.ts";

const [kind, ...numbers] = Deno.args;
const [port = 0, connections = 1, bytes = 1, warmup = 0, seconds = 0] = numbers
  .map(Number);
const message = new Uint8Array(bytes).fill(7);
const startsAt = performance.now() + warmup * 1000;
const endsAt = startsAt + seconds * 1000;
const isOver = () => performance.now() >= endsAt;
let done = 0;

/** Counts what comes after the warm-up. */
function count(amount: number): void {
  if (performance.now() >= startsAt && !isOver()) done += amount;
}

async function roundTrips() {
  const options = { port, connections, message };
  await load({ ...options, durationMs: warmup * 1000 });
  const summary = await load({ ...options, durationMs: seconds * 1000 });
  const { messages, failed, durationMs, latencyMs } = summary;
  if (failed > 0) throw new Error(Object.values(summary.firstErrors)[0]);
  return { rate: messages / durationMs * 1000, latencyMs };
}

async function stream() {
  const client = await connect({ port });
  const source = {
    read: (p: Uint8Array) => Promise.resolve(isOver() ? null : p.length),
  };
  const sink = {
    write(p: Uint8Array) {
      count(p.length / 1024 ** 2);
      return Promise.resolve(p.length);
    },
  };
  await client.echoStream(source, sink);
}

async function connectAgain() {
  while (!isOver()) {
    using client = await connect({ port });
    await client.echo(message);
    count(1);
  }
}

async function atOnce(task: () => Promise<void>) {
  await Promise.all(Array.from({ length: connections }, task));
  return { rate: done / seconds };
}

async function idle() {
  for (let number = 0; number < connections; number++) {
    const client = await connect({ port });
    await client.echo(message);
  }
  return { rate: connections };
}

const kinds: Record<string, () => Promise<object>> = {
  roundtrips: roundTrips,
  streams: () => atOnce(stream),
  connections: () => atOnce(connectAgain),
  idle,
};
const result = await kinds[kind ?? ""]!();
await printLine(Deno.stdout, JSON.stringify(result));
if (kind === "idle") await Deno.stdin.read(new Uint8Array(1));
Deno.exit(0);
