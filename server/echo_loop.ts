/**
 * The plain echo loop.
 *
 * @module
 */

import type { Connection, LoopContext } from "./connection.ts";
import { EchoBuffer } from "./echo_buffer.ts";

/**
 * Writes back every byte that it reads, before it reads again: a client that does
 * not read is not read from either.
 *
 * Kept as one async function, whose end nothing awaits: every suspended frame and
 * every promise costs memory for each idle client.
 *
 * @param connection The connection, whose counters the loop keeps.
 * @param context What it needs of its server.
 */
export async function echoLoop(
  connection: Connection,
  context: LoopContext,
): Promise<void> {
  const { conn } = connection;
  const { barrier } = context;
  let failure: unknown;
  try {
    using buffer = new EchoBuffer(context.pool);
    while (true) {
      const length = await conn.read(buffer.room(barrier.readBytes));
      if (length === null) break;
      connection.idleSweeps = 0;
      if (connection.bytes === 0) {
        context.onFirstBytes(connection, buffer.filled(0, length));
      }
      for (let sent = 0; sent < length;) {
        const written = await conn.write(buffer.filled(sent, length));
        sent += written;
        connection.bytes += written;
        connection.idleSweeps = 0;
      }
      buffer.fit(length);
      if (barrier.addRead(length)) await barrier.pass();
    }
  } catch (error) {
    failure = error;
  }
  context.onEnd(connection, failure);
}
