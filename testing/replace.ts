/**
 * Functions of the runtime that a test replaces for a while.
 *
 * @module
 */

/**
 * Replaces a function.
 *
 * @param of What it belongs to.
 * @param name Its name.
 * @param by What is called instead.
 * @returns Disposing of it brings the original back.
 */
export function replace<T, K extends keyof T>(
  of: T,
  name: K,
  by: T[K],
): Disposable {
  const original = Object.getOwnPropertyDescriptor(of, name);
  Object.defineProperty(of, name, {
    value: by,
    configurable: true,
    writable: true,
  });
  return {
    [Symbol.dispose]() {
      if (original) Object.defineProperty(of, name, original);
      else delete of[name];
    },
  };
}
