/**
 * Makes small changes to one source file, one at a time, and lists those that its
 * tests do not notice. Without tests, those of the file's folder run.
 *
 * Usage: `deno task mutate FILE [TEST...]`
 *
 * @module
 */

import { dirname } from "node:path";

/** The share of the changes that the tests must notice, in percent. */
const LEAST_NOTICED = 85;

// Put together, as a literal would bring 150 packages into deno.lock.
const STRYKER = "npm:@stryker-mutator/core" + "@10.1.1";

const [file, ...tests] = Deno.args;
if (!file) throw new Error("Usage: deno task mutate FILE [TEST...]");
if (tests.length === 0) tests.push(dirname(file));

const { Stryker } = await import(STRYKER);
await new Stryker({
  mutate: [file],
  testRunner: "command",
  commandRunner: {
    // The variable tells the changed file which of its changes is made.
    command: "deno test --no-check --fail-fast --allow-net " +
      `--allow-env=__STRYKER_ACTIVE_MUTANT__ ${tests.join(" ")}`,
  },
  // No test should repeat the words of each message.
  mutator: { excludedMutations: ["StringLiteral"] },
  // By default Stryker looks for plugins in node_modules.
  plugins: [],
  reporters: ["clear-text", "progress-append-only"],
  clearTextReporter: { logTests: false },
  concurrency: 2,
  timeoutMS: 10_000,
  ignorePatterns: ["/echo", "/bench", "/coverage"],
  tempDirName: Deno.makeTempDirSync(),
  cleanTempDir: "always",
  thresholds: { high: 100, low: LEAST_NOTICED, break: LEAST_NOTICED },
}).runMutationTest();
