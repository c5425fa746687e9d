/**
 * The code of threads.
 *
 * @module
 */

import { UsageError } from "./flags.ts";

/**
 * Finds the code of a thread: its source, or what the executable was built of.
 *
 * @param path The path of its source below this folder, without its ending.
 * @returns Where it is.
 */
export function threadCode(path: string): URL {
  const { url } = import.meta;
  // In a bundle this file is a part of one at the root.
  return url.endsWith(".ts")
    ? new URL(`${path}.ts`, url)
    : new URL(`cli/${path}.js`, url);
}

/** What holds all code of this project. */
const PROJECT = new URL("..", import.meta.url);

/**
 * Checks that the code of a thread can be read. A compiled executable carries it in
 * itself. From source a worker reads its file and all that the file imports.
 *
 * @param code Where the code is.
 * @throws {UsageError} If it cannot; it says what to do instead.
 */
export function checkWorkerCode(code: URL): void {
  const read = { name: "read", path: PROJECT } as const;
  if (
    !Deno.build.standalone && code.protocol === "file:" &&
    Deno.permissions.querySync(read).state !== "granted"
  ) {
    throw new UsageError(
      "--workers needs to read its own code: " +
        "run it with deno run --allow-net --allow-read, or compiled",
    );
  }
}
