// Tells what many connections cost ./echo serve, short ones and idle ones:
//
//   deno task soak

import { printLine } from "../cli/command.ts";
import { connect, type EchoClient } from "../client.ts";
import { shell, start } from "../testing/process.ts";

/** Several addresses, so that the ports in TIME_WAIT do not run out. */
const ADDRESSES = 20;

const MESSAGE = new TextEncoder().encode("one short message");

const PORT = 24680;

/** Starts the server, and tells what it uses. */
function startServer() {
  const server = start("serve", "-q", "-H", "0.0.0.0", "-p", `${PORT}`);
  const usage = async () => {
    const script = 'grep VmRSS: "/proc/$1/status"; ls "/proc/$1/fd" | wc -l';
    const text = await shell(script, `${server.pid}`);
    const [, kiB, descriptors] = text.match(/(\d+) kB\s+(\d+)/) ?? [];
    return {
      residentMiB: Number(kiB) / 1024,
      descriptors: Number(descriptors),
    };
  };
  return { server, usage };
}

/** Makes one of many connections, which has echoed a message. */
async function visit(number: number): Promise<EchoClient> {
  const hostname = `127.0.0.${1 + number % ADDRESSES}`;
  const client = await connect({ hostname, port: PORT, retryMs: 5000 });
  await client.echo(MESSAGE);
  return client;
}

/**
 * Makes short connections to a server of its own.
 *
 * @param connections How many.
 * @param first After how many of them the server should have its final size.
 * @returns What it used, in words.
 * @throws {Error} If after all of them the server's resident memory is more than
 * a fifth above where it was after the first, and rises by as much again with as
 * many more (V8's heap may take a step once, a leak goes on); or if it has
 * descriptors open that it had not before any.
 */
export async function soak(
  connections: number,
  first: number,
): Promise<string> {
  const { server, usage } = startServer();
  await using _ = server;
  const visitAll = async (count: number) => {
    const visitor = async () => {
      while (count > 0) {
        using client = await visit(count--);
        await client.end();
      }
    };
    await Promise.all(Array.from({ length: 20 }, visitor));
  };

  await visitAll(1);
  const before = await usage();
  await visitAll(first);
  let early = await usage();
  for (let round = 1;; round++) {
    await visitAll(connections - first);
    const after = await usage();
    const growth = after.residentMiB / early.residentMiB - 1;
    const report = `${connections} short connections, round ${round}: ` +
      `${
        early.residentMiB.toFixed(1)
      } MiB resident after the first ${first}, ` +
      `${after.residentMiB.toFixed(1)} MiB after all ` +
      `(${(growth * 100).toFixed(1)} % more), ` +
      `${before.descriptors} descriptors before, ${after.descriptors} after`;
    if (after.descriptors > before.descriptors) throw new Error(report);
    if (growth <= 0.2) return report;
    if (round === 2) throw new Error(report);
    early = after;
  }
}

/**
 * Opens connections that echo one message and then do nothing.
 *
 * @param connections How many.
 * @param mostMiB What they and the server may take.
 * @returns What they took, in words.
 * @throws {Error} If that is more.
 */
export async function idle(
  connections: number,
  mostMiB: number,
): Promise<string> {
  const { server, usage } = startServer();
  await using _ = server;
  (await visit(0)).close();
  const before = await usage();
  const clients = [];
  for (let number = 0; number < connections; number++) {
    clients.push(await visit(number));
  }
  const after = await usage();
  for (const client of clients) client.close();
  const report = `${connections} idle connections: ` +
    `${before.residentMiB.toFixed(1)} MiB resident before, ` +
    `${after.residentMiB.toFixed(1)} MiB with them`;
  if (!(after.residentMiB <= mostMiB)) throw new Error(report);
  return report;
}

if (import.meta.main) {
  const write = (text: string) => printLine(Deno.stdout, text);
  await write(await soak(100_000, 10_000));
  await write(await idle(10_000, 120));
}
