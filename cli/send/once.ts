/**
 * `echo send` of one message or one stream.
 *
 * @module
 */

import { connectUdp, type EchoResult, type UdpClient } from "../../client.ts";
import { connectStream } from "../../client/connect.ts";
import type { StreamClient } from "../../client/stream_client.ts";
import { formatAddress } from "../../net/address.ts";
import { DEFAULT_HOSTNAME } from "../../net/defaults.ts";
import { type Reader, writeAll, type Writer } from "../../net/streams.ts";
import { endsOf } from "../../probe/link.ts";
import {
  encode,
  printLine,
  PROGRAM,
  StoppedError,
  untilStopped,
} from "../command.ts";
import { formatBytes, formatDuration, roundMs } from "../../report/format.ts";
import { StatusLine } from "../status_line.ts";
import { OutputClosedError, type Terminal } from "../terminal.ts";
import type { Payload, SendOptions } from "./command.ts";
import { RandomSource } from "./random_source.ts";
import { jsonWhere } from "../../report/common.ts";

/**
 * Sends once, and prints the echo or how much came back. Returns the exit status.
 *
 * @throws {Error} If not every byte came back.
 */
export function sendOnce(
  options: SendOptions,
  terminal: Terminal,
): Promise<number> {
  return untilStopped(terminal, options.deadlineMs, async (signal) => {
    const exchange = new Exchange(options, terminal, signal);
    try {
      await exchange.run();
    } catch (error) {
      await exchange.printFailure(error);
      if (!(error instanceof StoppedError) || error.status === 1) throw error;
      await printLine(terminal.stderr, `echo: ${error.message}`);
      return error.status;
    }
    await exchange.printResult();
    return 0;
  });
}

/** Connecting, and one exchange. */
class Exchange {
  readonly #options: SendOptions;
  readonly #payload: Payload;
  readonly #terminal: Terminal;
  readonly #signal: AbortSignal;
  #client: StreamClient | UdpClient | undefined;
  #result: EchoResult | undefined;
  #startedAt = 0;
  #sent = 0;
  #verified = 0;

  constructor(
    options: SendOptions,
    terminal: Terminal,
    signal: AbortSignal,
  ) {
    this.#options = options;
    this.#payload = options.payload;
    this.#terminal = terminal;
    this.#signal = signal;
  }

  async run(): Promise<void> {
    const { target, style } = this.#options;
    const hint = style.quiet ? undefined : misplacedHost(this.#payload, target);
    if (hint) await printLine(this.#terminal.stderr, `echo: ${hint}`);
    const signal = this.#signal;
    try {
      this.#result = target.transport === "udp"
        ? await this.#exchangeDatagram()
        : await this.#exchangeStream();
    } catch (error) {
      if (!(signal.reason instanceof StoppedError)) throw error;
      const { message, status } = signal.reason;
      throw new StoppedError(`${message}${this.#howFar()}`, status);
    }
  }

  /** Prints a failure as JSON, if JSON was asked for. */
  async printFailure(error: unknown): Promise<void> {
    if (!this.#options.style.json) return;
    const { message } = error as Error;
    await this.#printJson({ verified: false, error: message }).catch(() => {});
  }

  async printResult(): Promise<void> {
    try {
      if (this.#options.style.json) {
        await this.#printJson({ verified: true, ...this.#jsonResult() });
      } else await this.#printForPerson();
    } catch (error) {
      // Every byte came back, even if the result has no reader any more.
      if (!(error instanceof OutputClosedError)) throw error;
    }
  }

  async #exchangeDatagram(): Promise<EchoResult> {
    const { target } = this.#options;
    using client = await connectUdp({ ...target, signal: this.#signal });
    this.#client = client;
    const message = await this.#datagram();
    return await client.echoUntilReply(message, target.retryMs);
  }

  async #datagram(): Promise<Uint8Array> {
    const payload = this.#payload;
    if (payload.kind === "message") return payload.bytes;
    if (payload.kind === "stdin") throw new Error("A stream is no datagram");
    const bytes = new Uint8Array(payload.size);
    await new RandomSource(payload.size).read(bytes);
    return bytes;
  }

  async #exchangeStream(): Promise<EchoResult> {
    const { target } = this.#options;
    await using status = new StatusLine(this.#terminal);
    const tls = target.transport === "tls";
    const options = { ...target, tls, signal: this.#signal };
    using client = await connectStream(options);
    this.#client = client;
    this.#startedAt = performance.now();
    if (this.#hasProgress) status.show(() => this.#progress());
    return await this.#exchange(client);
  }

  async #exchange(client: StreamClient): Promise<EchoResult> {
    const payload = this.#payload;
    const { stdin, stdout } = this.#terminal;
    switch (payload.kind) {
      case "generated": {
        const source = new RandomSource(payload.size);
        return await this.#stream(client, source, undefined);
      }
      case "stdin": {
        const { json } = this.#options.style;
        return await this.#stream(client, stdin, json ? undefined : stdout);
      }
      case "message": {
        const result = await client.echo(payload.bytes);
        await client.end();
        return result;
      }
    }
  }

  /** Streams, and counts what goes through. */
  #stream(
    client: StreamClient,
    source: Reader,
    sink: Writer | undefined,
  ): Promise<EchoResult> {
    const read = async (p: Uint8Array) => {
      const length = await source.read(p);
      this.#sent += length ?? 0;
      return length;
    };
    const write = async (p: Uint8Array) => {
      const length = await sink?.write(p) ?? p.length;
      this.#verified += length;
      return length;
    };
    return client.echoBytes({ read }, { write });
  }

  /** A progress would disturb what is typed and what comes back. */
  get #hasProgress(): boolean {
    const { style } = this.#options;
    if (style.quiet || this.#payload.kind === "message") return false;
    return this.#payload.kind === "generated" || style.json ||
      !this.#terminal.isStdoutTerminal;
  }

  #progress(): string {
    const elapsedMs = performance.now() - this.#startedAt;
    const perMs = this.#verified / elapsedMs;
    const rate = `${formatBytes(perMs * 1000)}/s`;
    const done = `${formatBytes(this.#verified)} verified, ${rate}`;
    if (this.#payload.kind !== "generated" || perMs === 0) return done;
    const leftMs = (this.#payload.size - this.#verified) / perMs;
    return `${done}, ${formatDuration(leftMs)} left`;
  }

  /** How far a stream came, for a sentence. */
  #howFar(): string {
    const isStream = this.#payload.kind !== "message" &&
      this.#options.target.transport !== "udp";
    if (!isStream || !this.#client) return "";
    return `, ${formatBytes(this.#verified)} of the ` +
      `${formatBytes(this.#sent)} sent so far came back, all verified`;
  }

  async #printForPerson(): Promise<void> {
    const { stdout, stderr } = this.#terminal;
    const { quiet } = this.#options.style;
    const payload = this.#payload;
    if (payload.kind === "message") {
      const { target } = this.#options;
      const from = target.hostname === DEFAULT_HOSTNAME
        ? "server"
        : formatAddress(target);
      const label = quiet ? "" : `Received from ${from}: `;
      await writeAll(stderr, encode(label));
      try {
        await writeAll(stdout, new Uint8Array([...payload.bytes, 10]));
      } catch (error) {
        // The error's own line must not begin behind the label.
        if (label) await printLine(stderr, "");
        throw error;
      }
      return;
    }
    const { bytes, durationMs } = this.#result!;
    const summary = `${formatBytes(bytes)} came back, all verified, ` +
      `in ${formatDuration(durationMs)} ` +
      `(${formatBytes(bytesPerSecond(this.#result!))}/s)`;
    if (payload.kind === "generated") await printLine(stdout, summary);
    else if (!quiet) await printLine(stderr, summary);
  }

  #jsonResult(): Record<string, unknown> {
    const { bytes, durationMs } = this.#result!;
    return {
      bytes,
      connect_ms: roundMs(this.#client!.connectMs),
      ...handshakeField(this.#client!),
      duration_ms: roundMs(durationMs),
      bytes_per_second: Math.round(bytesPerSecond(this.#result!)),
    };
  }

  async #printJson(fields: Record<string, unknown>): Promise<void> {
    const client = this.#client;
    const object = {
      time: this.#terminal.now().toISOString(),
      ...jsonWhere(this.#options.target, client && endsOf(client)),
      ...fields,
    };
    await printLine(this.#terminal.stdout, JSON.stringify(object));
  }
}

function handshakeField(
  client: StreamClient | UdpClient,
): { handshake_ms?: number } {
  if (!("handshakeMs" in client) || client.handshakeMs === undefined) return {};
  return { handshake_ms: roundMs(client.handshakeMs) };
}

function bytesPerSecond({ bytes, durationMs }: EchoResult): number {
  return bytes === 0 ? 0 : bytes * 1000 / durationMs;
}

/** Other tools take HOST PORT: says how to, where a MESSAGE looks like these two. */
function misplacedHost(
  payload: Payload,
  { hostname }: SendOptions["target"],
): string | undefined {
  if (payload.kind !== "message" || hostname !== DEFAULT_HOSTNAME) return;
  const [, host, port] = new TextDecoder().decode(payload.bytes)
    .match(/^(localhost|[\w-]*[.:][\w.:-]*) (\d{1,5})$/) ?? [];
  if (!host) return;
  return `"${host} ${port}" is sent as the message; ` +
    `to connect there: ${PROGRAM} send -H ${host} -p ${port}`;
}
