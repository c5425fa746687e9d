/**
 * Loads an echo server as load.c does, with the same arguments and the same line
 * of JSON, on a machine that cannot build load.c. It verifies every byte, and takes
 * more of a core than most of the servers. So the servers look more alike than they
 * are.
 *
 *     load.ts KIND PORT CONNECTIONS BYTES WARMUP_SECONDS SECONDS
 *
 * @module
 */

import { printLine } from "../cli/command.ts";
import { connect } from "../client.ts";
import { connectStream } from "../client/connect.ts";
import { load } from "../probe/load.ts";
import { ping } from "../probe/ping.ts";

/** What the arguments ask for. */
interface Task {
  readonly port: number;
  readonly connections: number;
  readonly message: Uint8Array;
  readonly warmupMs: number;
  readonly lastsMs: number;
}

/** Counts what is done after the warm-up and before the end. */
class Meter {
  readonly #startsAt: number;
  readonly #endsAt: number;
  /** The amount so far. */
  #done = 0;

  constructor({ warmupMs, lastsMs }: Task) {
    this.#startsAt = performance.now() + warmupMs;
    this.#endsAt = this.#startsAt + lastsMs;
  }

  get isOver(): boolean {
    return performance.now() >= this.#endsAt;
  }

  get ratePerSecond(): number {
    return this.#done / (this.#endsAt - this.#startsAt) * 1000;
  }

  add(amount: number): void {
    if (performance.now() >= this.#startsAt && !this.isOver) {
      this.#done += amount;
    }
  }
}

/** Measures what all connections do together. */
async function rateOf(
  task: Task,
  work: (task: Task, meter: Meter) => Promise<void>,
): Promise<object> {
  const meter = new Meter(task);
  await Promise.all(
    Array.from({ length: task.connections }, () => work(task, meter)),
  );
  return { rate: meter.ratePerSecond };
}

async function roundTrips(
  { port, connections, message, warmupMs, lastsMs }: Task,
): Promise<object> {
  const run = (durationMs: number) =>
    load({
      connect: (options) => connect({ port, ...options }),
      message,
      connections,
      durationMs,
    });
  await run(warmupMs);
  const result = await run(lastsMs);
  const { messagesInTime, failed, firstErrors, durationMs } = result;
  if (failed > 0) throw new Error(Object.values(firstErrors)[0]);
  const rate = messagesInTime / durationMs * 1000;
  return { rate, latencyMs: result.latencyMs };
}

async function stream({ port }: Task, meter: Meter): Promise<void> {
  const client = await connectStream({ port });
  const source = {
    read: (p: Uint8Array) => Promise.resolve(meter.isOver ? null : p.length),
  };
  const sink = {
    write(p: Uint8Array) {
      meter.add(p.length / 1024 ** 2);
      return Promise.resolve(p.length);
    },
  };
  await client.echoBytes(source, sink);
}

/** How often the one that asks does so, in milliseconds. */
const ASKING_INTERVAL_MS = 30;

async function ask(task: Task): Promise<object> {
  const { port, message, warmupMs, lastsMs } = task;
  const streaming = rateOf(task, stream);
  const asked = await ping({
    connect: (options) => connect({ port, ...options }),
    message,
    count: Math.ceil((warmupMs + lastsMs) / ASKING_INTERVAL_MS),
    intervalMs: ASKING_INTERVAL_MS,
  });
  return { ...await streaming, latencyMs: asked.latencyMs };
}

async function connectAgain(
  { port, message }: Task,
  meter: Meter,
): Promise<void> {
  while (!meter.isOver) {
    using client = await connect({ port });
    await client.echo(message);
    meter.add(1);
  }
}

async function idle({ port, connections, message }: Task): Promise<object> {
  for (let count = 0; count < connections; count++) {
    const client = await connect({ port });
    await client.echo(message);
  }
  return { rate: connections };
}

const KINDS: Record<string, (task: Task) => Promise<object>> = {
  roundtrips: roundTrips,
  streams: (task) => rateOf(task, stream),
  asker: ask,
  connections: (task) => rateOf(task, connectAgain),
  idle,
};

const [kind = "", ...numbers] = Deno.args;
const [port = 0, connections = 1, bytes = 1, warmup = 0, seconds = 0] = numbers
  .map(Number);
const result = await KINDS[kind]!({
  port,
  connections,
  message: new Uint8Array(bytes).fill(7),
  warmupMs: warmup * 1000,
  lastsMs: seconds * 1000,
});
await printLine(Deno.stdout, JSON.stringify(result));
// The memory of the server is measured while the connections are open.
if (kind === "idle") await Deno.stdin.read(new Uint8Array(1));
Deno.exit(0);
