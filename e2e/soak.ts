// Makes ./echo serve many short connections, and tells what is left of them:
//
//   deno task soak

import { connect } from "../client.ts";
import { shell, start } from "../testing/process.ts";

/** Several addresses, so that the ports in TIME_WAIT do not run out. */
const ADDRESSES = 20;

const MESSAGE = new TextEncoder().encode("one short message");

/**
 * Makes short connections to a server of its own.
 *
 * @param connections How many.
 * @param first After how many of them the server should have its final size.
 * @throws {Error} If after all of them the server's resident memory is more than
 * a fifth above where it was after the first, or it has descriptors open that it
 * had not before any.
 */
export async function soak(connections: number, first: number): Promise<void> {
  await using server = start("serve", "-q", "-H", "0.0.0.0", "-p", "24680");
  const usage = async () => {
    const script = 'grep VmRSS: "/proc/$1/status"; ls "/proc/$1/fd" | wc -l';
    const text = await shell(script, `${server.pid}`);
    const [, residentKiB, descriptors] = text.match(/(\d+) kB\s+(\d+)/) ?? [];
    return {
      residentKiB: Number(residentKiB),
      descriptors: Number(descriptors),
    };
  };

  let left = connections;
  const visit = async () => {
    while (left > 0) {
      const hostname = `127.0.0.${1 + left-- % ADDRESSES}`;
      using client = await connect({ hostname, port: 24680, retryMs: 5000 });
      await client.echo(MESSAGE);
      await client.end();
    }
  };
  const visitAll = async (count: number) => {
    left = count;
    await Promise.all(Array.from({ length: 20 }, visit));
  };

  await visitAll(1);
  const before = await usage();
  await visitAll(first);
  const early = await usage();
  await visitAll(connections - first);
  const after = await usage();
  const growth = after.residentKiB / early.residentKiB - 1;
  const report = `${connections} connections: ` +
    `${early.residentKiB} KiB after ${first} of them, ` +
    `${after.residentKiB} KiB after all (${(growth * 100).toFixed(1)} %), ` +
    `${before.descriptors} descriptors before, ${after.descriptors} after`;
  if (!(growth <= 0.2) || after.descriptors > before.descriptors) {
    throw new Error(report);
  }
  // deno-lint-ignore no-console -- the report of a task
  console.log(report);
}

if (import.meta.main) await soak(100_000, 10_000);
