/** What is measured: contests, entrants, and what this machine needs for them. */

import { selfSigned } from "../server/self_signed.ts";

/** The root of the project. */
export const ROOT = new URL("..", import.meta.url).pathname.slice(0, -1);

/** What an entrant is in a contest. */
export type Role = "tcp" | "tls" | "udp" | "client";

/** A task that entrants are measured at. */
export interface Contest {
  /** Its word on the command line. */
  readonly key: string;
  readonly name: string;
  readonly unit: string;
  /** By default tcp. */
  readonly role?: Role;
  /** The kind of load, its connections and its bytes, as load.c takes them. */
  readonly load?: readonly [kind: string, connections: number, bytes: number];
  /** Or what a shell does with a client, "$@", and the input in "$0". */
  readonly script?: string;
  readonly lessIsBetter?: boolean;
  /** Whether a round has one long turn, as a short one would show nothing. */
  readonly isLong?: boolean;
}

/** How much a client streams, in MiB. */
export const STREAM_MIB = 1024;

/** So many of the contests are in the chart, the first ones. */
export const DRAWN = 6;

export const CONTESTS: readonly Contest[] = [
  {
    key: "50",
    name: "50 × 64 B",
    unit: "round trips/s",
    load: ["roundtrips", 50, 64],
  },
  {
    key: "500",
    name: "500 × 512 B",
    unit: "round trips/s",
    load: ["roundtrips", 500, 512],
  },
  {
    key: "streams",
    name: "4 streams",
    unit: "MiB/s",
    load: ["streams", 4, 64],
  },
  {
    key: "connections",
    name: "new connections",
    unit: "connections/s",
    load: ["connections", 50, 64],
  },
  {
    key: "idle",
    name: "10,000 idle connections",
    unit: "MiB",
    load: ["idle", 10_000, 64],
    lessIsBetter: true,
    isLong: true,
  },
  {
    key: "udp",
    name: "UDP 50 × 64 B",
    unit: "round trips/s",
    role: "udp",
    load: ["roundtrips", 50, 64],
  },
  {
    key: "tls",
    name: "TLS 50 × 64 B",
    unit: "round trips/s",
    role: "tls",
    load: ["roundtrips", 50, 64],
  },
  {
    key: "asks",
    name: "one asks while 50 stream",
    unit: "MiB/s",
    load: ["asker", 50, 64],
    isLong: true,
  },
  {
    key: "file",
    name: "client: 1 GiB from a file",
    unit: "MiB/s",
    role: "client",
    script: 'exec "$@" <"$0" >/dev/null',
    isLong: true,
  },
  {
    key: "pipe",
    name: "client: 1 GiB from a pipe",
    unit: "MiB/s",
    role: "client",
    script: 'cat "$0" | "$@" >/dev/null',
    isLong: true,
  },
];

/** A server, a client, or both. */
export interface Entrant {
  readonly name: string;
  /** The program of PROGRAMS that it needs. */
  readonly needs?: string;
  /** The command line for each role. `fill()` puts values in place of capitals. */
  readonly commands: Readonly<Partial<Record<Role, string>>>;
}

const SOURCE = "DENO run --allow-net --allow-read ROOT/main.ts";
const LOOP = "DENO run --allow-net --allow-read ROOT/bench/servers";
const NODE = "node ROOT/bench/servers";

export const ENTRANTS: readonly Entrant[] = [
  { name: "echo", commands: echo(SOURCE) },
  { name: "./echo", needs: "./echo", commands: echo("ROOT/echo") },
  {
    name: "Deno loop",
    commands: {
      tcp: `${LOOP}/deno_loop.ts PORT`,
      tls: `${LOOP}/deno_loop.ts PORT CERT KEY`,
      udp: `${LOOP}/deno_datagrams.ts PORT`,
    },
  },
  {
    name: "Node",
    needs: "node",
    commands: {
      tcp: `${NODE}/node_net.mjs PORT`,
      tls: `${NODE}/node_tls.mjs PORT CERT KEY`,
      udp: `${NODE}/node_dgram.mjs PORT`,
    },
  },
  {
    name: "Go",
    needs: "go",
    commands: {
      tcp: "FOLDER/goroutines PORT",
      tls: "FOLDER/goroutines PORT CERT KEY",
      udp: "FOLDER/datagrams PORT",
    },
  },
  {
    name: "C epoll",
    commands: { tcp: "FOLDER/epoll PORT", udp: "FOLDER/recvfrom PORT" },
  },
  {
    name: "socat",
    needs: "socat",
    commands: { client: "socat -b65536 -t10 - TCP:127.0.0.1:PORT" },
  },
];

function echo(program: string): Entrant["commands"] {
  const serve = `${program} serve --quiet --port PORT`;
  return {
    tcp: serve,
    tls: `${serve} --tls-cert CERT --tls-key KEY`,
    udp: `${serve} --udp`,
    client: `${program} send --quiet --port PORT -`,
  };
}

/** Splits a command line at its spaces, and puts in the values. */
export function fill(
  command: string,
  values: Readonly<Record<string, string>>,
): string[] {
  return command.trim().split(/\s+/)
    .map((word) => word.replace(/\b[A-Z]+\b/g, (it) => values[it] ?? it));
}

/** How to ask each program for its version, and where its answer has it. */
const PROGRAMS: Readonly<Record<string, readonly [string[], RegExp]>> = {
  cc: [["cc", "--version"], /(\S+)$/m],
  // The headers of OpenSSL, which Debian has in libssl-dev.
  libssl: [
    [
      "sh",
      "-c",
      "echo OPENSSL_VERSION_STR | cc -E -include openssl/opensslv.h -",
    ],
    /^"(\d\S+)"$/m,
  ],
  // `deno task` may put a `node` on the PATH that is Deno: its version has no "v".
  node: [["node", "--version"], /^v(\S+)/],
  go: [["go", "version"], /go(\d\S+)/],
  socat: [["socat", "-V"], /socat version (\S+)/],
  // The Deno inside, which may not be the one that runs this.
  "./echo": [["grep", "-aom1", "Deno/[0-9.]*", `${ROOT}/echo`], /^(Deno.\S+)/],
};

/** Returns the version of each program that this machine has. */
export async function findPrograms(): Promise<Record<string, string>> {
  const versions: Record<string, string> = { deno: Deno.version.deno };
  for (const [name, [line, pattern]] of Object.entries(PROGRAMS)) {
    const text = await outputOf(line).catch(() => "");
    const version = text.match(pattern)?.[1];
    if (version) versions[name] = version;
  }
  return versions;
}

/** Builds the loads and the servers in C and Go, and makes a certificate. */
export async function build(
  folder: string,
  programs: Readonly<Record<string, string>>,
): Promise<void> {
  const cc = (name: string, source: string, ...libraries: string[]) =>
    outputOf([
      "cc",
      "-O2",
      "-D_GNU_SOURCE",
      "-o",
      `${folder}/${name}`,
      `${ROOT}/bench/${source}`,
      ...libraries,
    ]);
  const go = (name: string) =>
    outputOf([
      "go",
      "build",
      "-o",
      `${folder}/${name}`,
      `${ROOT}/bench/servers/${name}.go`,
    ]);
  await Promise.all([
    cc("load", "load.c"),
    cc("load_udp", "load_udp.c"),
    cc("epoll", "servers/epoll.c"),
    cc("recvfrom", "servers/recvfrom.c"),
    programs.libssl && cc("load_tls", "load.c", "-DTLS", "-lssl", "-lcrypto"),
    ...(programs.go ? [go("goroutines"), go("datagrams")] : []),
  ]);
  const { cert, key } = await selfSigned();
  await Deno.writeTextFile(`${folder}/cert.pem`, cert);
  await Deno.writeTextFile(`${folder}/key.pem`, key, { mode: 0o600 });
}

async function outputOf(line: readonly string[]): Promise<string> {
  const [program = "", ...args] = line;
  const output = await new Deno.Command(program, { args }).output();
  const decoder = new TextDecoder();
  const text = decoder.decode(output.stdout) + decoder.decode(output.stderr);
  if (!output.success) throw new Error(`${line.join(" ")}: ${text}`);
  return text;
}
