/**
 * Connecting where a command line says.
 *
 * @module
 */

import { connect, connectUdp } from "../../client.ts";
import type { ConnectProbe } from "../../probe/probe_client.ts";
import { encode } from "../command.ts";
import type { Target } from "./options.ts";

/** What is sent over UDP again and again until a server answers. */
const HELLO = encode("Is an echo server there?");

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
  switch (transport) {
    case "tcp":
    case "tls":
      return ({ retryMs, signal }) => connect({ ...where, retryMs, signal });
    case "udp":
      return async ({ retryMs, signal, onIrregular }) => {
        const client = await connectUdp({
          ...{ ...where, signal },
          // Of several that were sent, several may be answered, and late.
          onIrregular: (it) => isHello(it.reply) || onIrregular(it),
        });
        if (retryMs === 0) return client;
        try {
          await client.echoUntilReply(HELLO, retryMs);
        } catch (error) {
          client.close();
          throw error;
        }
        return client;
      };
  }
}

function isHello(reply: Uint8Array): boolean {
  return reply.length === HELLO.length &&
    reply.every((byte, at) => byte === HELLO[at]);
}
