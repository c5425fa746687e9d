/**
 * The HTTP server behind `--metrics`.
 *
 * @module
 */

import { formatHostPort } from "../../net/address.ts";
import { describeError, type Reason, reasonOf } from "../../net/errors.ts";
import { sleep, startTimer } from "../../net/time.ts";
import { CONTENT_TYPE, type Metric, renderMetrics } from "./exposition.ts";
import type { MetricsAddress } from "./flag.ts";

/** What a command does at the moment; only one that is `up` is healthy. */
export type Health = "starting" | "up" | "draining";

/** What {@linkcode startMetrics} needs of a command. */
export interface MetricsOptions {
  /** Where it listens. */
  readonly address: MetricsAddress;
  /** Gathers the metrics. */
  collect(): Promise<Metric[]> | Metric[];
  /** Tells what the command does. */
  health(): Promise<Health> | Health;
}

/** A running server of metrics. Disposing of it ends it within some milliseconds. */
export interface MetricsServer extends AsyncDisposable {
  /** The address that it listens on. */
  readonly addr: Deno.NetAddr;
}

/** How long answers that are under way may take at the end, in milliseconds. */
const GRACE_MS = 50;

/** The pause before it listens again when it could not accept, in milliseconds. */
const RETRY_MS = 250;

/** The methods that it answers. */
const METHODS: readonly string[] = ["GET", "HEAD"];

/** For how long what was collected is told again, in milliseconds. */
const CACHED_MS = 100;

/** What to try, by why it cannot listen. */
const HINTS: Partial<Record<Reason, string>> = {
  address_in_use: "choose another port with --metrics",
  no_such_address: "choose an address of its own with --metrics",
  permission_denied:
    "ports below 1024 need privileges, choose another with --metrics",
  dns: "check the host of --metrics",
};

/**
 * Serves metrics at `/metrics` and the health at `/healthz` over HTTP, until the
 * server is disposed of. Nothing is written to the terminal, whatever clients send.
 *
 * @param options Where to listen, and what to tell.
 * @returns The server, which listens already.
 * @throws {Error} If it cannot listen there; the message says why, and what to try.
 */
export function startMetrics(options: MetricsOptions): MetricsServer {
  const { address } = options;
  try {
    return new Server(options);
  } catch (error) {
    const hint = HINTS[reasonOf(error)];
    throw new Error(
      `Cannot serve metrics on ${formatHostPort(address)}: ` +
        describeError(error) + (hint ? `, ${hint}` : ""),
      { cause: error },
    );
  }
}

/** What listens, and what closes it with all its connections. */
interface Listening {
  readonly server: Deno.HttpServer<Deno.NetAddr>;
  readonly closing: AbortController;
}

class Server implements MetricsServer {
  readonly addr: Deno.NetAddr;
  readonly #options: MetricsOptions;
  readonly #underWay = new Set<Promise<Response>>();
  readonly #ending = new AbortController();
  readonly #finished: Promise<void>;
  /** What is told to all who ask within a moment. */
  #scrape: Promise<string> | undefined;
  #scrapeEndsAt = 0;
  /** `undefined` while it cannot listen. */
  #listening: Listening | undefined;

  constructor(options: MetricsOptions) {
    this.#options = options;
    const listening = this.#listen(options.address);
    this.addr = listening.server.addr;
    this.#finished = this.#keepListening(listening);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    // `shutdown()` would wait for clients that never end their request, and in Deno 2.6
    // an abort after it is an error that nobody can catch.
    const graceOver = Promise.withResolvers<void>();
    using _ = startTimer(GRACE_MS, graceOver.resolve);
    const answered = Promise.allSettled(this.#underWay);
    await Promise.race([answered, graceOver.promise]);
    // The runtime writes an answer in the turn after it.
    await sleep(1);
    this.#listening?.closing.abort();
    await this.#finished;
  }

  #listen({ hostname, port }: MetricsAddress): Listening {
    const closing = new AbortController();
    const server = Deno.serve({
      ...{ hostname, port, signal: closing.signal },
      // Without these two the runtime writes to the terminal.
      onListen() {},
      onError: () => text(500, "internal error"),
    }, (request) => this.#answer(request));
    return { server, closing };
  }

  /** `Deno.serve` ends when it cannot accept, as for want of a file descriptor. */
  async #keepListening(first: Listening): Promise<void> {
    const { signal } = this.#ending;
    this.#listening = first;
    while (this.#listening) {
      const { server } = this.#listening;
      if (await server.finished.then(() => true, () => false)) return;
      this.#listening = undefined;
      while (!this.#listening) {
        await sleep(RETRY_MS, signal);
        if (signal.aborted) return;
        try {
          this.#listening = this.#listen(this.addr);
        } catch {
          // There is still no descriptor, or somebody else has the port for now.
        }
      }
    }
  }

  /** Many scrapes at once must not take the time of what is measured. */
  #collect(): Promise<string> {
    const now = performance.now();
    if (!this.#scrape || now >= this.#scrapeEndsAt) {
      this.#scrapeEndsAt = now + CACHED_MS;
      this.#scrape = Promise.resolve(this.#options.collect())
        .then(renderMetrics);
    }
    return this.#scrape;
  }

  async #answer(request: Request): Promise<Response> {
    const { health } = this.#options;
    const collect = () => this.#collect();
    const answering = answer(request, { health, collect });
    this.#underWay.add(answering);
    try {
      return await answering;
    } finally {
      this.#underWay.delete(answering);
    }
  }
}

async function answer(
  request: Request,
  { collect, health }: Pick<MetricsOptions, "health"> & {
    readonly collect: () => Promise<string>;
  },
): Promise<Response> {
  // A client may send a Host that makes no URL.
  const path = URL.parse(request.url)?.pathname;
  if (path !== "/metrics" && path !== "/healthz") {
    return text(404, "not found: there are /metrics and /healthz");
  }
  if (!METHODS.includes(request.method)) {
    const allow = METHODS.join(", ");
    return text(405, `method not allowed: ${allow}`, { allow });
  }
  const state = await health();
  if (path === "/healthz") return text(state === "up" ? 200 : 503, state);
  if (state === "starting") return text(503, state);
  return new Response(await collect(), {
    headers: { "content-type": CONTENT_TYPE },
  });
}

function text(
  status: number,
  line: string,
  headers: Record<string, string> = {},
): Response {
  const type = { "content-type": "text/plain; charset=utf-8" };
  return new Response(`${line}\n`, {
    status,
    headers: { ...type, ...headers },
  });
}
