/** Checks that an option is a time: 0 or more, or `Infinity`. Returns it. */
export function checkTime(name: string, ms: number): number {
  if (typeof ms === "number" && ms >= 0) return ms;
  throw new RangeError(
    `${name} must be a time in milliseconds, 0 or more, or Infinity: ${ms}`,
  );
}

/** Checks that an option is a count: 1 or more, or `Infinity`. */
export function checkCount(name: string, count: number): void {
  if (count === Infinity || (Number.isInteger(count) && count >= 1)) return;
  throw new RangeError(
    `${name} must be a whole number, 1 or more, or Infinity: ${count}`,
  );
}

export function checkPort(port: number): void {
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return;
  throw new RangeError(
    `port must be a whole number from 0 to 65535: ${port}`,
  );
}
