/**
 * The programs that a comparison runs: those of this machine, those that it builds
 * from the sources here, and our own.
 *
 * @module
 */

import type { CommandLine, Processes } from "./process.ts";

/** The Deno that runs this. */
export const DENO: string = Deno.execPath();

/** The compiled executable of this checkout. */
export const EXECUTABLE: string = file("../echo");

/**
 * Finds a file of the benchmark.
 *
 * @param path Its path, from this folder.
 * @returns Its full path.
 */
export function file(path: string): string {
  return `${import.meta.dirname}/${path}`;
}

/**
 * Makes the command line that runs this checkout's `echo` from its source.
 *
 * @param args The arguments of `echo`.
 * @returns The command line.
 */
export function fromSource(...args: string[]): CommandLine {
  const main = file("../main.ts");
  return [DENO, "run", "--allow-net", "--allow-read", main, ...args];
}

/**
 * Makes the command line of a server of this folder that Deno runs.
 *
 * @param name The name of its file.
 * @param port The port that it is to listen on.
 * @param files The files that it reads.
 * @returns The command line.
 */
export function denoServer(
  name: string,
  port: number,
  ...files: string[]
): CommandLine {
  const script = file(`servers/${name}`);
  const read = files.length > 0 ? [`--allow-read=${files.join(",")}`] : [];
  return [DENO, "run", "--allow-net", ...read, script, `${port}`, ...files];
}

/** How to ask each program for its version, and where its answer has it. */
const PROGRAMS: Record<string, { version: CommandLine; pattern: RegExp }> = {
  // `deno task` puts a `node` on the PATH that is Deno. Its version has no "v".
  node: { version: ["node", "--version"], pattern: /^v(\S+)/ },
  python3: { version: ["python3", "--version"], pattern: /Python (\S+)/ },
  go: { version: ["go", "version"], pattern: /go(\d\S+)/ },
  socat: { version: ["socat", "-V"], pattern: /socat version (\S+)/ },
  ncat: { version: ["ncat", "--version"], pattern: /Version (\S+)/ },
  cc: { version: ["cc", "--version"], pattern: /(\S+)$/m },
  // The headers, which the compiler needs (Debian: libssl-dev), not the program.
  libssl: {
    version: [
      ...["sh", "-c", "echo OPENSSL_VERSION_STR | cc -E -include $0 -"],
      "openssl/opensslv.h",
    ],
    pattern: /^"(\d\S+)"$/m,
  },
  // The Deno in the executable, which may not be the one that runs this.
  "./echo": {
    version: ["grep", "-aom1", "Deno/[0-9.]*", EXECUTABLE],
    pattern: /^(Deno.\S+)/,
  },
};

/** The programs of this machine. */
export interface Programs {
  /** The version of each program that this machine has. */
  readonly versions: Readonly<Record<string, string>>;
  /** The programs that it does not have. */
  readonly missing: readonly string[];
}

/**
 * Asks all programs for their versions.
 *
 * @param processes Runs them.
 * @returns Their versions, and the programs that gave none.
 */
export async function findPrograms(processes: Processes): Promise<Programs> {
  const versions: Record<string, string> = { deno: Deno.version.deno };
  const missing: string[] = [];
  for (const [name, { version, pattern }] of Object.entries(PROGRAMS)) {
    const output = await processes.outputOf(version).catch(() => undefined);
    const found = output?.match(pattern)?.[1];
    if (found) versions[name] = found;
    else missing.push(name);
  }
  return { versions, missing };
}

/** The paths of the executables that were built. */
export interface Built {
  /** The load generator in C for connections. */
  readonly load?: string;
  /** The load generator in C for connections with TLS. */
  readonly loadTls?: string;
  /** The load generator in C for datagrams. */
  readonly loadUdp?: string;
  /** The server of connections in C. */
  readonly epoll?: string;
  /** The server of datagrams in C. */
  readonly recvfrom?: string;
  /** The server of connections in Go. */
  readonly goroutines?: string;
  /** The server of connections with TLS in Go. */
  readonly goroutinesTls?: string;
  /** The server of datagrams in Go. */
  readonly datagrams?: string;
}

/**
 * Builds the programs of this folder for which this machine has a compiler.
 *
 * @param processes Runs the compilers.
 * @param programs The programs of this machine.
 * @param folder Where the executables go.
 * @returns What was built.
 * @throws {Error} If a compiler fails.
 */
export async function build(
  processes: Processes,
  { versions }: Programs,
  folder: string,
): Promise<Built> {
  const buildC = async (name: string, source: string, ...more: string[]) => {
    const flags = ["-O2", "-D_GNU_SOURCE"];
    const path = `${folder}/${name}`;
    await processes.outputOf(
      ["cc", ...flags, "-o", path, file(source), ...more],
    );
    return path;
  };
  const buildGo = async (name: string, source: string) => {
    const path = `${folder}/${name}`;
    await processes.outputOf(["go", "build", "-o", path, file(source)]);
    return path;
  };
  // The sources in C use epoll(7).
  const canBuildC = "cc" in versions && Deno.build.os === "linux";
  return {
    ...(canBuildC && {
      load: await buildC("load", "load.c"),
      loadUdp: await buildC("load_udp", "load_udp.c"),
      epoll: await buildC("epoll", "servers/epoll.c"),
      recvfrom: await buildC("recvfrom", "servers/recvfrom.c"),
    }),
    ...(canBuildC && "libssl" in versions && {
      loadTls: await buildC(
        ...["load_tls", "load.c", "-DTLS", "-lssl", "-lcrypto"] as const,
      ),
    }),
    ...("go" in versions && {
      goroutines: await buildGo("goroutines", "servers/goroutines.go"),
      goroutinesTls: await buildGo(
        "goroutines_tls",
        "servers/goroutines_tls.go",
      ),
      datagrams: await buildGo("datagrams", "servers/datagrams.go"),
    }),
  };
}
