/**
 * Connecting where a command line says.
 *
 * @module
 */

import { connect, connectUdp } from "../client.ts";
import type { ConnectProbe } from "../probe/probe_client.ts";
import { encode } from "./command.ts";
import type { Target } from "./target.ts";

/**
 * Makes the connector of a probe.
 *
 * @param target Where to connect, and how long to wait.
 * @returns The connector. Over UDP, where nothing is connected, it waits for an
 * answer if it is asked to try again.
 */
export function connectorTo(
  target: Omit<Target, "retryMs">,
): ConnectProbe {
  const { transport, ...where } = target;
  const tls = transport === "tls";
  switch (transport) {
    case "tcp":
    case "tls":
      return ({ retryMs, signal, onAttemptFailed }) =>
        connect({ ...where, tls, retryMs, signal, onAttemptFailed });
    case "udp":
      return async ({ retryMs, signal, onIrregular }) => {
        const hello = makeHello();
        const client = await connectUdp({
          ...{ ...where, signal },
          // Of several that were sent, several may be answered, and late.
          onIrregular: (it) => isSame(it.reply, hello) || onIrregular(it),
        });
        if (retryMs === 0) return client;
        try {
          await client.echoUntilReply(hello, retryMs);
        } catch (error) {
          client.close();
          throw error;
        }
        return client;
      };
  }
}

/** Makes what is sent over UDP until a server answers: like no message of the user. */
function makeHello(): Uint8Array {
  return encode(`Is a server there? ${crypto.randomUUID()}`);
}

function isSame(reply: Uint8Array, hello: Uint8Array): boolean {
  return reply.length === hello.length &&
    reply.every((byte, at) => byte === hello[at]);
}
