/**
 * Clients for tests of probes: connected to a server, or played by the test.
 *
 * @module
 */

import { connect, type ConnectOptions } from "../client.ts";
import { type NetworkError, type Reason, withFields } from "../net/errors.ts";
import type { ConnectProbe, ProbeClient } from "../probe/probe_client.ts";

/**
 * Makes the connector of a probe that measures a server.
 *
 * @param options Where and how to connect.
 * @returns The connector.
 */
export function connectTo(options: ConnectOptions): ConnectProbe {
  return (retryMs) => connect({ ...options, retryMs });
}

/** A call that a probe made: of its connector, or of a client. */
export interface ProbeCall {
  /** Which client, counted from 1. */
  readonly client: number;
  /** Which method. */
  readonly method: "connect" | Exclude<keyof ProbeClient, "connectMs">;
  /** How often the method was called on any client, this call included. */
  readonly nth: number;
  /** When it was called, as `performance.now()`. */
  readonly at: number;
  /** For how long connecting may be tried again, in milliseconds. */
  readonly retryMs?: number;
}

/**
 * Answers a call. The call fails with what this throws. What this returns is the
 * time that the connector or the round trip says it took, in milliseconds.
 */
export type Answer = (
  call: ProbeCall,
) => number | void | Promise<number | void>;

/** Clients that the test plays. */
export class PlayedClients {
  readonly #answer: Answer;
  readonly #counts: Partial<Record<ProbeCall["method"], number>> = {};

  /** All calls so far. */
  readonly calls: ProbeCall[] = [];

  /**
   * Makes none yet.
   *
   * @param answer Answers the calls. By default each succeeds at once, in 1 ms as
   * it says.
   */
  constructor(answer: Answer = () => {}) {
    this.#answer = answer;
  }

  /** The connector of a probe. */
  readonly connect: ConnectProbe = async (retryMs) => {
    const client = (this.#counts.connect ?? 0) + 1;
    const connectMs = await this.#call({ client, method: "connect", retryMs });
    return {
      connectMs: connectMs ?? 1,
      echo: async ({ length }) => {
        const durationMs = await this.#call({ client, method: "echo" });
        return { bytes: length, durationMs: durationMs ?? 1 };
      },
      expectSilence: async () => {
        await this.#call({ client, method: "expectSilence" });
      },
      end: async () => {
        await this.#call({ client, method: "end" });
      },
      close: () => {
        this.#call({ client, method: "close" });
      },
    };
  };

  /** The calls in words, for example `1 echo`: the client and the method. */
  get story(): string[] {
    return this.calls.map(({ client, method }) => `${client} ${method}`);
  }

  /**
   * Finds the calls of one method.
   *
   * @param method The method.
   * @returns The calls so far.
   */
  of(method: ProbeCall["method"]): ProbeCall[] {
    return this.calls.filter((call) => call.method === method);
  }

  #call(call: Omit<ProbeCall, "nth" | "at">): ReturnType<Answer> {
    const nth = (this.#counts[call.method] ?? 0) + 1;
    this.#counts[call.method] = nth;
    const made = { ...call, nth, at: performance.now() };
    this.calls.push(made);
    return this.#answer(made);
  }
}

/**
 * Makes an error as a client throws it.
 *
 * @param reason Why it failed.
 * @param detail Why it failed, in words.
 * @returns The error, whose message is the detail.
 */
export function failure(reason: Reason, detail: string = reason): NetworkError {
  const address = { transport: "tcp", hostname: "192.0.2.1", port: 7 } as const;
  return withFields(new Error(detail), {
    ...{ operation: "echo", address, reason, detail },
  });
}
