/**
 * `describe` and `it` as `@std/testing/bdd` has them, over `Deno.test`. The
 * package is not on npm, and `node:test` knows neither Deno's sanitizers nor a
 * limit of time.
 *
 * @module
 */

import { AsyncLocalStorage } from "node:async_hooks";
import { deadline } from "@std/async/deadline";

/** The longest that a test may take, in milliseconds. */
const TEST_TIMEOUT_MS = 60_000;

/** The names of the groups that a test is declared in. */
const groups = new AsyncLocalStorage<readonly string[]>();

/**
 * Declares a group of tests.
 *
 * @param name The group's name, with which the names of its tests begin.
 * @param body Declares the tests.
 */
export function describe(name: string, body: () => void): void {
  groups.run([...(groups.getStore() ?? []), name], body);
}

/** Declares a test, as {@linkcode it} does. */
export type Declare = (name: string, fn: () => void | Promise<void>) => void;

function declare(ignore: boolean): Declare {
  return (name, fn) => {
    Deno.test({
      name: [...(groups.getStore() ?? []), name].join(" "),
      ignore,
      // Deno 2.9 has these off unless they are asked for.
      sanitizeOps: true,
      sanitizeResources: true,
      fn: () => deadline(Promise.resolve().then(fn), TEST_TIMEOUT_MS),
    });
  };
}

/**
 * Declares a test. It fails when it throws, when it takes longer than a minute, and
 * when it leaves a timer, a socket or an operation behind.
 */
export const it: Declare & { readonly skip: Declare } = Object.assign(
  declare(false),
  { skip: declare(true) },
);
