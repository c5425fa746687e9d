/** Checks deploy/ and the workflows against echo: `deno task deploy-check` runs it. */

import { assertEquals, assertMatch } from "@std/assert";

const ROOT = new URL("..", import.meta.url).pathname;
const read = (path: string) => Deno.readTextFileSync(`${ROOT}/${path}`);
const manifests = ["server/deployment", "load/job"]
  .map((name) => read(`deploy/kubernetes/${name}.yaml`));
const containerfile = read("deploy/Containerfile");
const unit = read("deploy/echo.service");
const workflows = ["ci", "release"]
  .map((name) => read(`.github/workflows/${name}.yml`));

async function run(command: string, ...args: string[]) {
  const options = { args, cwd: ROOT, env: { NO_COLOR: "1" } };
  const { code, stdout, stderr } = await new Deno.Command(command, options)
    .output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

Deno.test("echo takes the command lines of deploy/ and the workflows", async () => {
  const startAt = new Date(Date.now() + 120_000).toISOString();
  const commandLines: string[][] = [
    ...manifests.map((text) =>
      [...text.match(/ args:\n((?: +- .*\n)+)/)![1]!.matchAll(/- (.*)/g)]
        .map(([, word = ""]) => word.replace("START_AT", startAt))
    ),
    JSON.parse(containerfile.match(/^CMD (.*)$/m)![1]!),
    ...[unit, ...workflows].flatMap((text) =>
      [...text.matchAll(/\b(?:echo|task) ((?:serve|send|ping|load)\b.*)$/gm)]
        .map(([, line = ""]) => line.match(/"[^"]*"|\S+/g)!)
    ),
  ];
  assertEquals(commandLines.length, 7);
  for (const args of commandLines) {
    // It reads its arguments, and then has no right to the network.
    const echo = ["run", "--no-prompt", "main.ts", ...args];
    const taken = await run(Deno.execPath(), ...echo);
    assertMatch(taken.err, /requires net access/, args.join(" "));
  }
});

Deno.test("the Containerfile copies what the executable imports", async () => {
  const { compile } = JSON.parse(read("deno.json")).tasks;
  const [, entries = ""] = compile.command.match(/ --outdir build (.*?) && /);
  const options = ["info", "--json", "--no-lock"];
  for (const entry of entries.split(" ")) {
    const { out } = await run(Deno.execPath(), ...options, entry);
    const sources = [...out.matchAll(/"specifier": "file:\/\/(.*)"/g)]
      .map(([, path = ""]) => path.slice(ROOT.length).split("/")[0]);
    assertEquals(sources.includes("net"), true);
    for (const top of sources) {
      assertMatch(containerfile, new RegExp(`^COPY (.* )?${top} `, "m"));
    }
  }
});

Deno.test("the versions are the same everywhere", () => {
  const [, deno] = containerfile.match(/DENO_VERSION=(.*)/)!;
  assertMatch(read(".ci/run"), new RegExp(`^deno_version=${deno}$`, "m"));
  assertMatch(workflows[1]!, new RegExp(`deno-version: v${deno}$`, "m"));
  const { version } = JSON.parse(read("deno.json"));
  for (const text of manifests) {
    assertMatch(text, new RegExp(`image: .*/echo:${version}$`, "m"));
  }
});

const systemd = await run("systemd-analyze", "--version").catch(() =>
  undefined
);

Deno.test(
  "systemd takes the unit, as hardened",
  { ignore: !systemd },
  async () => {
    const path = await Deno.makeTempFile({ suffix: ".service" });
    // systemd wants the executable to be there.
    const here = unit.replace("/opt/echo/echo ", `${Deno.execPath()} `);
    await Deno.writeTextFile(path, here);
    const verified = await run("systemd-analyze", "verify", path);
    // An exposure of 1.5 of 10 at most.
    const limits = ["--no-pager", "--offline=yes", "--threshold=15"];
    const secure = await run("systemd-analyze", "security", ...limits, path);
    await Deno.remove(path);
    assertEquals(verified, { code: 0, out: "", err: "" });
    assertEquals(secure.code, 0, secure.out);
  },
);
