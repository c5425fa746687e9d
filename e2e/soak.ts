// Measures what many connections cost ./echo serve, short ones and idle ones:
//
//   deno task soak

import { printLine } from "../cli/command.ts";
import { connect, type EchoClient } from "../client.ts";
import { EXECUTABLE, shell } from "../testing/process.ts";

const HOSTNAME = "127.0.0.1";

const MESSAGE = new TextEncoder().encode("one short message");

/** How many clients make short connections at the same time. */
const VISITORS = 20;

/**
 * A client waits this long for the server to start, in milliseconds, and for one
 * of its own 28,000 ports. Linux keeps a port of a closed connection for a second
 * on loopback (`net.ipv4.tcp_tw_reuse`).
 */
const RETRY_MS = 5000;

/**
 * A server that is busy for the first time opens two descriptors, with which it knows
 * when the event loop has looked at its sockets, and keeps them.
 */
const BUSY_DESCRIPTORS = 2;

/** What the server's process holds. */
interface Usage {
  readonly residentMiB: number;
  readonly descriptors: number;
}

/** `./echo serve` on a free port. Disposing of it kills it. */
class Server implements AsyncDisposable {
  readonly #port = freePort();
  // With its log the server would cost more. So it does not print its port.
  readonly #child = new Deno.Command(EXECUTABLE, {
    args: ["serve", "-q", "-p", `${this.#port}`],
    stdin: "null",
    stdout: "null",
  }).spawn();

  /** Makes a connection and echoes a message over it. */
  async visit(): Promise<EchoClient> {
    const client = await connect({
      hostname: HOSTNAME,
      port: this.#port,
      retryMs: RETRY_MS,
    });
    await client.echo(MESSAGE);
    return client;
  }

  /** Makes short connections, some of them at the same time. */
  async visitBriefly(connections: number): Promise<void> {
    let left = connections;
    const visitor = async () => {
      while (left-- > 0) {
        using client = await this.visit();
        await client.end();
      }
    };
    await Promise.all(Array.from({ length: VISITORS }, visitor));
  }

  async usage(): Promise<Usage> {
    const script = 'grep VmRSS: "/proc/$1/status"; ls "/proc/$1/fd" | wc -l';
    const text = await shell(script, `${this.#child.pid}`);
    const [, kiB, descriptors] = text.match(/(\d+) kB\s+(\d+)/) ?? [];
    return {
      residentMiB: Number(kiB) / 1024,
      descriptors: Number(descriptors),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
  }
}

function freePort(): number {
  using listener = Deno.listen({ hostname: HOSTNAME, port: 0 });
  return listener.addr.port;
}

/**
 * Makes short connections to a server of its own. V8's heap may grow by a step
 * once, but a leak goes on: where the memory grew too much, as many connections
 * again decide.
 *
 * @param connections How many.
 * @param first The memory after this many of them is what it is compared with.
 * @returns What the server used, in words.
 * @throws {Error} If the server's resident memory grew by more than a fifth twice,
 * or if it has more descriptors open than a busy server without connections.
 */
export async function soak(
  connections: number,
  first: number,
): Promise<string> {
  await using server = new Server();
  await server.visitBriefly(1);
  const before = await server.usage();
  await server.visitBriefly(first);
  let early = await server.usage();
  for (let round = 1;; round++) {
    await server.visitBriefly(connections - first);
    const after = await server.usage();
    const growth = after.residentMiB / early.residentMiB - 1;
    const report = `${connections} short connections, round ${round}: ` +
      `${early.residentMiB.toFixed(1)} MiB resident after the first ` +
      `${first}, ${after.residentMiB.toFixed(1)} MiB after all ` +
      `(${(growth * 100).toFixed(1)} % more), ` +
      `${before.descriptors} descriptors before, ${after.descriptors} after`;
    const mostDescriptors = before.descriptors + BUSY_DESCRIPTORS;
    if (after.descriptors > mostDescriptors) throw new Error(report);
    if (growth <= 0.2) return report;
    if (round === 2) throw new Error(report);
    early = after;
  }
}

/**
 * Opens connections that echo one message and then do nothing.
 *
 * @param connections How many.
 * @param mostMiB The most memory that they and the server may take.
 * @returns What they took, in words.
 * @throws {Error} If they took more.
 */
export async function idle(
  connections: number,
  mostMiB: number,
): Promise<string> {
  await using server = new Server();
  await server.visitBriefly(1);
  const before = await server.usage();
  const clients: EchoClient[] = [];
  for (let count = 0; count < connections; count++) {
    clients.push(await server.visit());
  }
  const after = await server.usage();
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
