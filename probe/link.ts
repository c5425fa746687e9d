import type { Irregularity } from "../client.ts";
import { sleep } from "../net/time.ts";
import type { ConnectionMessages, Messages } from "./messages.ts";
import type { ConnectProbe, Ends, ProbeClient } from "./probe_client.ts";

/** The pause before another attempt to connect, in milliseconds. */
export const FAILURE_PAUSE_MS = 100;

/** A client, and what it sends. */
export interface Connection {
  /** The client. */
  readonly client: ProbeClient;
  /** The messages of its connection. */
  readonly messages: ConnectionMessages;
}

/** What the links of a probe share. */
export interface LinkOptions {
  /** Makes the clients. */
  readonly connect: ConnectProbe;
  /** The messages of the run. */
  readonly messages: Messages;
  /** Closes the clients, and gives up connecting. */
  readonly giveUp: AbortSignal;
  /** The pause after an attempt to connect that failed, in milliseconds. */
  readonly pauseMs: number;
  /** Called for each connection that is made. */
  readonly onConnected?: (client: ProbeClient) => void;
  /** Takes note of a reply that should not have come, with its number if it has one. */
  readonly onIrregular: (
    irregularity: Irregularity,
    number: number | undefined,
  ) => void;
}

/** One connection at a time, which messages share. */
export class Link {
  readonly #options: LinkOptions;
  #connection: Connection | undefined;
  #connecting: Promise<Connection> | undefined;
  /** When connecting failed last, as `performance.now()`. */
  #failedAt = -Infinity;

  /** Makes a link that is not connected. */
  constructor(options: LinkOptions) {
    this.#options = options;
  }

  /** The connection, if there is one. */
  get open(): Connection | undefined {
    return this.#connection;
  }

  /** Whether a connection is being made. */
  get isConnecting(): boolean {
    return this.#connecting !== undefined;
  }

  /**
   * Connects. Those who ask while a connection is being made share it.
   *
   * @throws What the connector throws, or why the last attempt failed if it is given
   * up before another one succeeds.
   */
  connect(retryMs = 0): Promise<Connection> {
    this.#connecting ??= this.#connect(retryMs).finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  /**
   * Gives a connection up that failed: the next message makes another one. One that
   * takes further messages after a failure is kept.
   */
  drop(connection: Connection | undefined): void {
    if (connection !== this.#connection || connection?.client.isOpen) return;
    this.#connection = undefined;
  }

  /**
   * Ends the connection in good order, if there is one.
   *
   * @throws What `ProbeClient.end()` throws.
   */
  async end(): Promise<void> {
    const connection = this.#connection;
    this.#connection = undefined;
    await connection?.client.end();
  }

  /** Waits until the pause after a failed attempt is over, which is this end's doing. */
  async pause(): Promise<void> {
    const { pauseMs, giveUp } = this.#options;
    const leftMs = this.#failedAt + pauseMs - performance.now();
    if (leftMs > 0) await sleep(leftMs, giveUp);
  }

  async #connect(retryMs: number): Promise<Connection> {
    const { connect, messages, giveUp, onIrregular } = this.#options;
    let lastFailure: unknown;
    try {
      let own: ConnectionMessages | undefined = undefined;
      const client = await connect({
        ...{ retryMs, signal: giveUp },
        onAttemptFailed: (error) => void (lastFailure = error),
        onIrregular: (it) => {
          const number = own?.numberOf(it.reply);
          // It is undamaged, and its message is forgotten.
          const isOld = it.kind === "corrupt" && number !== undefined;
          onIrregular(isOld ? { ...it, kind: "late" } : it, number);
        },
      });
      own = messages.forNextConnection();
      const connection = { client, messages: own };
      this.#connection = connection;
      this.#options.onConnected?.(client);
      return connection;
    } catch (error) {
      this.#failedAt = performance.now();
      // Given up between two attempts, it knows more than that nothing answered.
      const isKnown = giveUp.aborted && lastFailure !== undefined;
      throw isKnown ? lastFailure : error;
    }
  }
}

/**
 * Tells where a client is connected, at the moment that it is read: over UDP the
 * first reply decides between the addresses of a name.
 */
export function endsOf(
  client: Pick<ProbeClient, "localAddr" | "remoteAddr">,
): Ends {
  return {
    get local() {
      return client.localAddr;
    },
    get remote() {
      return client.remoteAddr;
    },
  };
}
