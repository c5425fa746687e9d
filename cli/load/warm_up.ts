import type { Transport } from "../../net/address.ts";
import { load } from "../../probe/load.ts";
import { warmUp } from "../warm_up.ts";

/** What is sent to a server of our own first. */
const WARM_UP = { message: 64, connections: 2, durationMs: 10 };

/** What is sent then, if the load has a rate. */
const WARM_UP_AT_A_RATE = { message: 64, durationMs: 30, ratePerSecond: 1000 };

/** Loads a server within this process, in this thread. */
export async function warmUpLoad(
  transport: Transport,
  hasRate: boolean,
  stop?: AbortSignal,
): Promise<boolean> {
  return await warmUp(transport, async (connect, signal) => {
    await load({ ...WARM_UP, connect, signal });
    if (hasRate) await load({ ...WARM_UP_AT_A_RATE, connect, signal });
  }, stop);
}
