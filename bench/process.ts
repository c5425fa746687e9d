/** Processes that the benchmark starts, on the cores that they should have. */

import { delay } from "@std/async/delay";
import { availableParallelism } from "node:os";

/** How long a server may take to listen, and a load beyond the time it was given. */
const PATIENCE_MS = 20_000;

/** Servers get a core and loads another one, where there are two. */
const CORES = availableParallelism() > 1
  ? { server: 0, load: availableParallelism() - 1 }
  : undefined;

export const PLACEMENT = CORES
  ? `Server on core ${CORES.server}, load on core ${CORES.load}.`
  : "Server and load share one core.";

/** Starts processes, and knows those that still run. */
export class Processes {
  readonly #running = new Set<Deno.ChildProcess>();

  /** Each process leads a group, so that what it starts ends with it. */
  #spawn(
    line: readonly string[],
    core: keyof NonNullable<typeof CORES>,
    options: Deno.CommandOptions,
  ): Deno.ChildProcess {
    const [program = "", ...args] = CORES
      ? ["taskset", "-c", `${CORES[core]}`, ...line]
      : line;
    const child = new Deno.Command(program, {
      stdin: "null",
      stdout: "null",
      ...options,
      stderr: "inherit",
      args,
      detached: true,
    }).spawn();
    this.#running.add(child);
    return child;
  }

  #kill(child: Deno.ChildProcess): void {
    this.#running.delete(child);
    try {
      Deno.kill(-child.pid, "SIGKILL");
    } catch {
      // The whole group has ended.
    }
  }

  killAll(): void {
    for (const child of this.#running) this.#kill(child);
  }

  /** Starts a server, and waits until it accepts a connection or echoes a datagram. */
  async startServer(
    line: readonly string[],
    port: number,
    transport: "tcp" | "udp",
  ): Promise<Server> {
    const child = this.#spawn(line, "server", {});
    let hasEnded = false;
    const ended = child.status.then(() => hasEnded = true);
    const deadline = performance.now() + PATIENCE_MS;
    const isUp = transport === "tcp" ? accepts : echoesDatagram;
    while (!await isUp(port)) {
      if (!hasEnded && performance.now() < deadline) continue;
      this.#kill(child);
      throw new Error(`does not listen: ${line.join(" ")}`);
    }
    return {
      port,
      residentMiB() {
        const status = Deno.readTextFileSync(`/proc/${child.pid}/status`);
        return Number(status.match(/^VmRSS:\s+(\d+) kB/m)?.[1]) / 1024;
      },
      [Symbol.asyncDispose]: async () => {
        this.#kill(child);
        await ended;
      },
    };
  }

  /**
   * Runs a load or a client to its end, and returns what it printed. A load prints
   * one line, and keeps its connections until its stdin ends: after `whileOpen`.
   */
  async run(
    line: readonly string[],
    lastsMs: number,
    whileOpen: () => void = () => {},
  ): Promise<string> {
    const child = this.#spawn(line, "load", {
      stdin: "piped",
      stdout: "piped",
    });
    const timer = setTimeout(() => this.#kill(child), lastsMs + PATIENCE_MS);
    try {
      let text = "";
      for await (
        const piece of child.stdout.pipeThrough(new TextDecoderStream())
      ) {
        text += piece;
        if (!text.endsWith("\n")) continue;
        whileOpen();
        await child.stdin.close();
      }
      const { code } = await child.status;
      if (code !== 0) throw new Error(`ended with ${code}: ${line.join(" ")}`);
      return text;
    } finally {
      clearTimeout(timer);
      this.#kill(child);
      await child.status;
    }
  }
}

/** A server that runs. Disposing of it kills it. */
export interface Server extends AsyncDisposable {
  readonly port: number;
  residentMiB(): number;
}

const HOSTNAME = "127.0.0.1";

async function accepts(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: HOSTNAME, port })).close();
    return true;
  } catch {
    await delay(10);
    return false;
  }
}

async function echoesDatagram(port: number): Promise<boolean> {
  const local = { transport: "udp", hostname: HOSTNAME } as const;
  const socket = Deno.listenDatagram({ ...local, port: 0 });
  try {
    await socket.send(new Uint8Array([7]), { ...local, port });
    const reply = socket.receive().then(() => true, () => false);
    return await Promise.race([reply, delay(20).then(() => false)]);
  } finally {
    socket.close();
  }
}

/**
 * Finds a port that is free for TCP and UDP. It is below those that Linux gives to
 * clients, so that none of them takes it before the server does.
 */
export function freePort(): number {
  for (let tried = 1;; tried++) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const local = { hostname: HOSTNAME, port };
    try {
      Deno.listen(local).close();
      Deno.listenDatagram({ ...local, transport: "udp" }).close();
      return port;
    } catch (error) {
      if (tried === 100) throw error;
    }
  }
}
