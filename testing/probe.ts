/**
 * Clients for tests of probes: connected to a server, or played by the test on a
 * clock of the test's.
 *
 * @module
 */

import { abortable } from "@std/async/abortable";
import { delay } from "@std/async/delay";
import { setImmediate as nextTurn } from "node:timers/promises";
import { connect, type ConnectOptions, MismatchError } from "../client.ts";
import { Comparison } from "../client/comparison.ts";
import { type NetworkError, type Reason, withFields } from "../net/errors.ts";
import { SelfPipe } from "../net/self_pipe.ts";
import { load, type LoadOptions } from "../probe/load.ts";
import { ping, type PingEvent, type PingOptions } from "../probe/ping.ts";
import type { ConnectProbe, ProbeClient } from "../probe/probe_client.ts";
import { type FakeClock, stopClock } from "./clock.ts";
import { replace } from "./replace.ts";
import { LOCAL, REMOTE } from "./socket.ts";

/**
 * Makes the connector of a probe that measures a server.
 *
 * @param options Where and how to connect.
 * @returns The connector.
 */
export function connectTo(options: ConnectOptions): ConnectProbe {
  return ({ retryMs, signal }) => connect({ ...options, retryMs, signal });
}

/** A call that a probe made: of its connector, or of a client. */
export interface ProbeCall {
  /** Which client, counted from 1. */
  readonly client: number;
  /** Which method. */
  readonly method:
    | "connect"
    | Exclude<
      keyof ProbeClient,
      "connectMs" | "localAddr" | "remoteAddr" | "isOpen"
    >;
  /** How often the method was called on any client, this call included. */
  readonly nth: number;
  /** When it was called, as `performance.now()`. */
  readonly at: number;
  /** Closes the client when it is aborted. The call fails with that. */
  readonly signal: AbortSignal;
  /** For how long connecting may be tried again, in milliseconds. */
  readonly retryMs?: number;
  /** The message that was sent, a copy. */
  readonly message?: Uint8Array;
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
  readonly connect: ConnectProbe = async ({ retryMs, signal }) => {
    const client = (this.#counts.connect ?? 0) + 1;
    const call = (
      method: ProbeCall["method"],
      given?: Pick<ProbeCall, "retryMs" | "message">,
    ) => this.#call({ client, method, signal, ...given });
    const connectMs = await call("connect", { retryMs }) ?? 1;
    return {
      connectMs,
      localAddr: { ...LOCAL, port: 50_000 + client },
      remoteAddr: REMOTE,
      // As a stream has it: what fails is given up.
      isOpen: false,
      echo: async (message) => {
        const startedAt = performance.now();
        const said = await call("echo", { message: message.slice() });
        const tookMs = performance.now() - startedAt;
        return { bytes: message.length, durationMs: said ?? (tookMs || 1) };
      },
      expectSilence: async () => void await call("expectSilence"),
      end: async () => void await call("end"),
      close: () => void call("close").catch(() => {}),
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

  async #call(call: Omit<ProbeCall, "nth" | "at">): Promise<number | void> {
    const nth = (this.#counts[call.method] ?? 0) + 1;
    this.#counts[call.method] = nth;
    const made = { ...call, nth, at: performance.now() };
    this.calls.push(made);
    return await abortable(
      Promise.resolve(this.#answer(made)),
      call.signal,
    );
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
  return withFields(new Error(detail), {
    ...{ operation: "echo", address: REMOTE, reason, detail },
  });
}

/**
 * Makes the error of a client that got another reply than its message.
 *
 * @param message The message.
 * @param reply All that came back.
 * @returns The error.
 */
export function mismatch(
  message: Uint8Array,
  reply: Uint8Array,
): MismatchError {
  const comparison = new Comparison();
  comparison.expectMessage(message);
  return new MismatchError(REMOTE, comparison.compare(reply)!);
}

/**
 * Moves a clock on, step by step, until something is settled. The event loop turns
 * between the steps, as probes wait for its turns, too.
 *
 * @param clock The clock.
 * @param running What is waited for.
 * @param stepMs How long a step is, in milliseconds.
 * @returns What it resolves to.
 * @throws {Error} If it goes on after 100,000 steps, or what it rejects with.
 */
export async function passUntil<T>(
  clock: FakeClock,
  running: Promise<T>,
  stepMs = 1,
): Promise<T> {
  let isOver = false;
  const end = () => isOver = true;
  running.then(end, end);
  for (let step = 0; step < 100_000; step++) {
    await nextTurn();
    await nextTurn();
    if (isOver) return await running;
    clock.passAtOnce(stepMs);
  }
  throw new Error(`no end after 100,000 steps of ${stepMs} ms`);
}

/** How long a played look at the sockets takes, in milliseconds. */
const POLL_MS = 0.125;

/**
 * Stops the clock at 1000 ms, for probes without sockets: where one would wait until
 * the event loop has looked at them, some time passes.
 *
 * @returns The clock; disposing of it brings the real one back.
 */
export function stopProbeClock(): FakeClock {
  const clock = stopClock();
  // deno-lint-ignore require-await
  const polls = playPolls(async () => clock.passAtOnce(POLL_MS));
  clock.passAtOnce(1000);
  const disposeClock = clock[Symbol.dispose].bind(clock);
  clock[Symbol.dispose] = () => {
    polls[Symbol.dispose]();
    disposeClock();
  };
  return clock;
}

/**
 * Pings every 100 ms with played clients, on a clock of the test's.
 *
 * @param options What differs from that.
 * @param answer Answers the calls of the clients.
 * @returns What the ping found, what it told, and when it sent.
 */
export async function playPing(
  options: Partial<PingOptions> = {},
  answer?: Answer,
) {
  using clock = stopProbeClock();
  const startedAt = performance.now();
  const clients = new PlayedClients(answer);
  const events: PingEvent[] = [];
  const pinging = ping({
    ...{ connect: clients.connect, intervalMs: 100 },
    message: new TextEncoder().encode("hello"),
    ...options,
    onEvent(event) {
      events.push(event);
      return options.onEvent?.(event);
    },
  });
  const summary = await passUntil(clock, pinging);
  const { sent, messages, failed } = summary;
  return {
    ...{ clients, events, summary, counts: [sent, messages, failed] },
    story: events.map((event) =>
      event.type === "lost" ? event.reason : event.type
    ),
    sentAt: clients.of("echo").map(({ at }) => at - startedAt),
    timers: clock.timers,
  };
}

/**
 * Loads for 100 ms with played clients, on a clock of the test's.
 *
 * @param options What differs from that.
 * @param answer Answers the calls of the clients. By default a round trip takes 1 ms.
 * @param stepMs The step of the clock, in milliseconds.
 * @returns What the load found, and when a method was called.
 */
export async function playLoad(
  options: Partial<LoadOptions> = {},
  answer: Answer = ({ method }) => method === "echo" ? delay(1) : undefined,
  stepMs?: number,
) {
  using clock = stopProbeClock();
  const startedAt = performance.now();
  const clients = new PlayedClients(answer);
  const { connect } = clients;
  const loading = load({ connect, message: 32, durationMs: 100, ...options });
  const summary = await passUntil(clock, loading, stepMs);
  return {
    ...{ clients, summary, tookMs: performance.now() - startedAt },
    times: (method: ProbeCall["method"]) =>
      clients.of(method).map(({ at }) => at - startedAt),
    timers: clock.timers,
  };
}

/**
 * Lets a test say when the event loop has looked at its sockets.
 *
 * @param untilPolled Called in place of a look.
 * @returns Disposing of it lets the event loop look again.
 */
export function playPolls(untilPolled: () => Promise<void>): Disposable {
  return replace(SelfPipe.prototype, "untilPolled", untilPolled);
}
