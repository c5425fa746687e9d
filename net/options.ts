/**
 * Checks of the options that both ends take.
 *
 * @module
 */

/**
 * Checks that an option is a time.
 *
 * @param name The option's name, for the error.
 * @param ms The time in milliseconds, 0 or more; `Infinity` is never.
 * @returns The same time.
 * @throws {RangeError} If it is anything else.
 */
export function checkTime(name: string, ms: number): number {
  if (typeof ms === "number" && ms >= 0) return ms;
  throw new RangeError(
    `${name} must be a time in milliseconds, 0 or more, or Infinity: ${ms}`,
  );
}

/**
 * Checks that an option is a count.
 *
 * @param name The option's name, for the error.
 * @param count A whole number, 1 or more, or `Infinity`.
 * @throws {RangeError} If it is anything else.
 */
export function checkCount(name: string, count: number): void {
  if (count === Infinity || (Number.isInteger(count) && count >= 1)) return;
  throw new RangeError(
    `${name} must be a whole number, 1 or more, or Infinity: ${count}`,
  );
}

/**
 * Checks that an option is a port.
 *
 * @param port A whole number from 0 to 65,535.
 * @throws {RangeError} If it is anything else.
 */
export function checkPort(port: number): void {
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return;
  throw new RangeError(
    `port must be a whole number from 0 to 65535: ${port}`,
  );
}
